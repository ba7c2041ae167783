// Every page with a frame: local times, copy buttons, the list of chats; and the live chat where there is one.

import { all, el, find } from "./dom.js";
import { LiveSession } from "./session.js";
import { t } from "./texts.js";
import { localize } from "./times.js";

export function addCopies(from = document) {
  for (const code of all(".code", from)) {
    if (find(".copy", code)) continue;
    const button = el("button", { class: "button copy", type: "button" }, t("copy"));
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(find("pre", code).textContent);
      button.textContent = t("copied");
      setTimeout(() => { button.textContent = t("copy"); }, 1600);
    });
    const { file, text } = code.dataset;
    const save = file && el("button", { class: "button save", type: "button" }, t("save_file"));
    save?.addEventListener("click", () => saveFile(file, text));
    code.append(button, ...(save ? [save] : []));
  }
}

// Through memory, not through an address: what is saved may be a secret.
function saveFile(name, text) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/plain" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

localize(document);
setInterval(() => localize(document), 30_000); // "5 min. ago" grows old
addCopies();
if (document.body.dataset.page === "session") {
  const live = new LiveSession(addCopies);
  live.begin();
}

// Waits that name no time zone are meant in the reader's own.
for (const form of all('form[action="/start"]')) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  form.append(el("input", { type: "hidden", name: "zone", value: zone }));
}
