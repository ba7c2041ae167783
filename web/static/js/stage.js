// What stands below the conversation when nothing is asked: work under way, or the end with its offers.

import { el, newId } from "./dom.js";
import { t } from "./texts.js";
import { lasted, size } from "./times.js";
import { blocks } from "./tree.js";

// What nobody here makes progress with: no bar.
const PATIENT = new Set(["timer", "event", "approval", "child"]);

export class Working {
  // `node` is what the server rendered, or null to make one.
  constructor(node, waiting, skew) {
    this.skew = skew;
    this.since = waiting?.since_ms || Date.now() + skew;
    const says = waiting?.says?.length ? blocks(waiting.says) : [el("p", {}, t(waiting?.kind === "timer" ? "waiting_timer" : "working"))];
    this.says = el("div", { class: "working-says" }, ...says);
    this.step = el("span");
    this.elapsed = el("span", { "aria-hidden": "true" });
    this.bar = el("progress", { "aria-label": t("working"), hidden: PATIENT.has(waiting?.kind) });
    const line = el("div", { class: "working-line" }, this.step, this.elapsed);
    this.node =
      node ??
      el("div", { class: "working", role: "status" }, el("span", { class: "spinner", "aria-hidden": "true" }), el("div", { class: "working-body" }));
    const body = this.node.querySelector(".working-body");
    if (node) this.says = body.firstElementChild;
    else body.append(this.says);
    body.append(this.bar, line);
    this.timer = setInterval(() => this.tick(), 1000);
    this.tick();
  }

  tick() {
    this.elapsed.textContent = t("elapsed", { time: lasted(Date.now() + this.skew - this.since) });
  }

  progress({ says, done, total, unit }) {
    const far = unit === "bytes" ? `${size(done)} / ${size(total)}` : `${done} / ${total} ${unit}`.trim();
    this.step.textContent = total > 0 ? `${says} ${far}` : says;
    if (total > 0) {
      this.bar.max = total;
      this.bar.value = Math.min(done, total);
    } else {
      this.bar.removeAttribute("value");
    }
  }

  end() {
    clearInterval(this.timer);
  }
}

export function overStage(offers, csrf) {
  const forms = offers.map((offer) => {
    const fields = { csrf, id: newId(), flow: offer.flow, answers: JSON.stringify(offer.answers) };
    const inputs = Object.entries(fields).map(([name, value]) => el("input", { type: "hidden", name, value }));
    return el("form", { method: "post", action: "/start" }, ...inputs, el("button", { class: "button", type: "submit" }, offer.label));
  });
  return el("div", { class: "over" }, ...forms, el("a", { class: "button quiet", href: "/" }, t("new_chat")));
}
