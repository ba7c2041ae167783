// One entry of the transcript as an element. The same as templates/parts/entry.html.

import { el, find } from "./dom.js";
import { has, t } from "./texts.js";
import { isoSeconds, localize } from "./times.js";
import { blocks } from "./tree.js";

const when = (e) => el("time", { class: "when", datetime: isoSeconds(e.at_ms), "data-ms": e.at_ms });
// What only looked is a small line once it worked: the verbs that change nothing stand in the page.
const reads = new Set((document.body.dataset.reads ?? "").split(" "));
const text = (e) => el("div", { class: "text" }, ...blocks(e.text));

// What stands where is decided as in web_render.laid_out: a change and its result are one block.
export function addEntry(log, e) {
  if (e.kind === "finished" && finish(log, e)) return null;
  const node = entryNode(e, log);
  localize(node);
  const after = [...log.children].reverse().find((other) => Number(other.dataset.n) < e.n);
  if (after) after.after(node);
  else log.prepend(node);
  return node;
}

function finish(log, e) {
  const change = [...log.children].reverse().find((node) => node.dataset.order === e.order);
  if (!change) return false;
  change.dataset.outcome = e.outcome;
  const body = find(".text", change);
  find(".result", body)?.remove();
  if (e.text.length) body.append(el("div", { class: "result" }, ...blocks(e.text)));
  find(".when", change).replaceWith(when(e));
  localize(change);
  return true;
}

export function entryNode(e, log) {
  const n = { "data-n": e.n };
  switch (e.kind) {
    case "said":
    case "asked":
      return el("div", { class: `entry bot ${e.kind}`, ...n, "data-seq": e.kind === "asked" ? e.seq : null }, text(e));
    case "answered":
      return answered(e, log);
    case "ordered":
    case "finished":
      return el(
        "div",
        { class: reads.has(e.verb) ? "entry change reads" : "entry change", ...n, "data-order": e.order, "data-outcome": e.kind === "ordered" ? "running" : e.outcome },
        el("span", { class: "mark", "aria-hidden": "true" }),
        text(e),
        when(e),
      );
    case "problem":
      return el("div", { class: "entry problem", ...n }, text(e));
    case "ended": {
      const word = has(`ended_${e.outcome}`) ? t(`ended_${e.outcome}`) : e.outcome;
      const badge = el("span", { class: "badge", "data-outcome": e.outcome }, word);
      const line = el("p", { class: "end-line" }, badge, when(e));
      return el("div", { class: "entry bot ended", ...n, "data-outcome": e.outcome }, text(e), line);
    }
    default: {
      const words = e.text.length ? blocks(e.text) : [el("p", {}, has(e.kind) ? t(e.kind) : e.kind)];
      return el("div", { class: `entry note ${e.kind}`, ...n }, el("div", { class: "text" }, ...words));
    }
  }
}

function answered(e, log) {
  const asked = log && [...log.children].some((node) => node.dataset.seq === String(e.seq));
  const label =
    !asked && e.label
      ? el("span", { class: "bubble-label" }, e.label)
      : el("span", { class: "unseen" }, t("answered", { label: e.label }));
  const bubble = el("div", { class: "bubble" }, label, text(e));
  return el("div", { class: "entry answered", "data-n": e.n }, bubble, when(e));
}
