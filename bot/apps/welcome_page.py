"""What the welcome demo shows: one page and its style, no script, nothing from elsewhere."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>It runs · Hercules</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<main>
  <p class="mark" aria-hidden="true"><span></span><span></span><span></span></p>
  <h1>It runs.</h1>
  <p class="lead">This page comes out of a container on your own machine. You answered a few questions;
  Hercules built the image, started it, watched its health and opened the port that brought you here.</p>
  <h2>What is around it</h2>
  <dl>
    <div><dt>Not root</dt><dd>It runs as user 65532, which owns nothing.</dd></div>
    <div><dt>Nothing to write</dt><dd>Its file system is read-only and holds five files.</dd></div>
    <div><dt>No special rights</dt><dd>Every Linux capability is dropped; none can be gained.</dd></div>
    <div><dt>Watched</dt><dd>Every two seconds it is asked whether it could still serve this page.</dd></div>
  </dl>
  <h2>What next</h2>
  <p>Go back to the chat and choose <b>Deploy a container</b> again: this time an image of your own, as an
  archive or from a registry. <b>What is running here</b> shows this one too, and removes it.</p>
  <footer>Served by Caddy, from an image that Hercules made itself. Nothing was fetched from anywhere.
  </footer>
</main>
</body>
</html>
"""

STYLE = """\
:root {
  --paper: #fbfaf7; --ink: #22252a; --soft: #5c626b; --line: #e2dfd7; --card: #fff; --accent: #0e6a6e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16181c; --ink: #eceae5; --soft: #a3a8b0; --line: #2f333a; --card: #1e2126; --accent: #74c7c9;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 42rem; margin: 0 auto; padding: clamp(2rem, 8vw, 5rem) 1.25rem; }
.mark { display: flex; gap: .4rem; margin: 0 0 1.5rem; }
.mark span { width: 2.2rem; height: 1.4rem; border-radius: .25rem; background: var(--accent); }
.mark span:nth-child(2) { opacity: .65; }
.mark span:nth-child(3) { opacity: .35; }
h1 { font-size: clamp(2.4rem, 9vw, 3.6rem); line-height: 1.1; letter-spacing: -.02em; margin: 0 0 1rem; }
h2 { font-size: 1.05rem; margin: 2.5rem 0 .75rem; color: var(--accent); }
.lead { font-size: 1.2rem; margin: 0; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: .75rem; margin: 0; }
dl div { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .9rem 1rem; }
dt { font-weight: 600; }
dd { margin: .15rem 0 0; color: var(--soft); }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); color: var(--soft);
  font-size: .9rem; }
"""
