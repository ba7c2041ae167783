// A chat that lives: what comes over the link goes into the page, what the person does goes out.

import { answerOf, clearErrors, enhance, fill, NotYet, showErrors } from "./controls.js";
import { sureToCancel, sureToUndo } from "./dialog.js";
import { all, el, find, newId } from "./dom.js";
import { addEntry } from "./entries.js";
import { Link } from "./link.js";
import { askForm } from "./prompt.js";
import { overStage, Working } from "./stage.js";
import { targetList, targetProgress } from "./targets.js";
import { t } from "./texts.js";
import { localize } from "./times.js";
import { plain } from "./tree.js";

const BANNER_AFTER_MS = 700; // a short break is not worth a word
const SENDING_AFTER_MS = 400;

export class LiveSession {
  constructor(onNew) {
    const { session, csrf, after, now, title, brand } = document.body.dataset;
    Object.assign(this, { id: session, csrf, title, brand, onNew });
    this.log = find("#log");
    this.stage = find("#stage");
    this.banner = find("#banner");
    this.after = Number(after);
    this.skew = Number(now) - Date.now(); // the bot's clock against ours
    this.undoes = [];
    this.offers = null;
    this.pending = null;
    this.working = null;
    this.progress = null;
  }

  begin() {
    const form = find("#ask");
    if (form) this.adopt(form, { focus: document.activeElement === document.body }); // ready to be answered
    const working = find(".working", this.stage);
    if (working) this.working = new Working(working, null, this.skew);
    this.link = new Link({
      session: this.id,
      csrf: this.csrf,
      after: this.after,
      onFrame: (frame) => this.take(frame),
      onState: (state) => this.linkIs(state),
    });
    (form ?? this.stage).scrollIntoView({ block: "nearest", behavior: "instant" });
  }

  get form() {
    return find("#ask");
  }

  // What comes in

  take(frame) {
    switch (frame.type) {
      case "entry":
        return this.takeEntry(frame);
      case "prompt":
        return this.takePrompt(frame);
      case "options":
        return this.takeOptions(frame);
      case "progress":
        if (targetProgress(find(".targets", this.stage), frame)) return undefined;
        this.progress = frame; // it may come before the words about what is waited for
        return this.working?.progress(frame);
      case "accepted":
        return this.accepted(frame);
      case "refused":
        return this.refused(frame);
      default:
        return undefined; // bye: the link says so by itself; anything newer is not for us
    }
  }

  takeEntry(entry) {
    const node = addEntry(this.log, entry);
    if (entry.kind === "asked" && node) node.hidden = true; // until it is known whether it is the open one
    if (entry.kind === "ended") this.offers = entry.offers;
    if (node) this.onNew(node);
  }

  takePrompt({ prompt, seq, status, outcome, waiting, undoes, targets, title }) {
    this.undoes = undoes;
    for (const node of all(".asked", this.log)) node.hidden = Boolean(prompt) && node.dataset.seq === String(seq);
    this.title = title;
    this.railIs(outcome || status, outcome ? `ended_${outcome}` : status === "parked" ? "state_parked" : prompt ? "state_asks" : "state_works");
    document.title = `${prompt ? plain(prompt.label) : title} · ${this.brand}`;
    if (prompt && this.form?.dataset.seq === String(seq)) {
      this.takeOptions({ prompt });
      this.showTargets(targets);
      return;
    }
    this.pending = null;
    const hadFocus = this.stage.contains(document.activeElement) || document.activeElement === document.body;
    this.working?.end();
    this.working = null;
    if (prompt) {
      const once = this.saidAlready(prompt.problem) ? { ...prompt, problem: "" } : prompt;
      const form = askForm(once, { session: this.id, csrf: this.csrf });
      this.stage.replaceChildren(form);
      fill(form, once);
      this.adopt(form, { focus: hadFocus });
    } else if (status === "ended") {
      if (this.offers !== null || !find(".over", this.stage)) this.stage.replaceChildren(overStage(this.offers ?? [], this.csrf));
    } else if (status === "parked") {
      this.stage.replaceChildren(el("p", { class: "callout warn" }, el("strong", {}, `${t("parked")}.`)));
    } else {
      this.working = new Working(null, waiting, this.skew);
      if (this.progress && this.progress.order === waiting?.id) this.working.progress(this.progress);
      this.stage.replaceChildren(this.working.node);
    }
    this.showTargets(targets);
    this.show(hadFocus);
  }

  showTargets(targets) {
    find(".targets", this.stage)?.remove();
    if (targets?.length) this.stage.prepend(targetList(targets));
  }

  // A problem that was just said is not said twice.
  saidAlready(problem) {
    const last = all(".entry:not(.asked)", this.log).at(-1);
    return Boolean(last?.classList.contains("problem")) && last.textContent.includes(problem);
  }

  takeOptions({ prompt }) {
    const { form } = this;
    if (form?.dataset.seq !== String(prompt.seq)) return;
    fill(form, this.saidAlready(prompt.problem) ? { ...prompt, problem: "" } : prompt);
    if (form.waits && document.activeElement === find("#ask-label", form)) this.focus(form);
  }

  show(hadFocus) {
    if (!hadFocus) return;
    const tall = this.stage.offsetHeight > innerHeight * 0.75;
    this.stage.scrollIntoView({ block: tall ? "start" : "end" });
  }

  adopt(form, { focus }) {
    enhance(form, { session: this.id, csrf: this.csrf });
    form.addEventListener("input", () => { form.touched = true; });
    form.addEventListener("submit", (event) => this.submit(event));
    if (focus) this.focus(form);
  }

  // A text field is ready to type in; what would act on Enter is not under the finger by itself.
  focus(form) {
    const fields = ".control .input:not([type=search]), .control input[type=radio]:checked, .control input[type=radio]:not(:disabled), .control input[type=checkbox]:not(:disabled), .search .input";
    const calm = ["yes-no", "confirm"].includes(form.dataset.kind) || matchMedia("(pointer: coarse)").matches;
    const field = calm ? null : find(".search .input", form) ?? find(".control input[type=radio]:checked", form) ?? find(fields, form);
    form.waits = !calm && !field; // for its options
    (field ?? find("#ask-label", form)).focus({ preventScroll: true });
    if (field?.type === "text") field.select();
  }

  // What goes out

  async submit(event) {
    const form = event.target;
    if (!this.link.everOpen && !this.link.isOpen && this.link.pause > 3000) return; // the form works without us
    event.preventDefault();
    if (this.pending) return;
    clearErrors(form);
    const { submitter } = event;
    const seq = Number(form.dataset.seq);
    const move = submitter?.dataset.move;
    if (move === "cancel" && !(await sureToCancel(this.undoes, Boolean(find("[data-move=undo]", form))))) return;
    if (move === "undo" && !(await sureToUndo(this.undoes))) return;
    const id = form.sent ? newId() : form.elements.id.value;
    let frame;
    try {
      if (move) frame = { type: move, seq, id };
      else if (submitter?.name === "to") frame = { type: "change", seq, id, to: submitter.value };
      else frame = { type: "answer", seq, id, value: answerOf(form, submitter) };
    } catch (problem) {
      if (!(problem instanceof NotYet)) throw problem;
      showErrors(form, [{ field: problem.field, says: problem.message }]);
      return;
    }
    form.sent = true;
    this.pending = frame;
    this.busy(form, true);
    this.link.send(frame);
  }

  busy(form, on) {
    clearTimeout(this.sendingTimer);
    form.toggleAttribute("aria-busy", on);
    for (const button of all(".actions button", form)) button.toggleAttribute("aria-disabled", on);
    const line = find(".loading", form);
    if (on) {
      this.sendingTimer = setTimeout(() => {
        line.hidden = false;
        line.textContent = t(this.link.isOpen ? "sending" : "sending_later");
      }, SENDING_AFTER_MS);
    } else {
      line.hidden = true;
      line.textContent = t("loading");
    }
  }

  accepted({ id }) {
    if (this.pending?.id === id) this.pending = null;
  }

  refused({ id, problem, prompt }) {
    const mine = this.pending?.id === id;
    if (mine) this.pending = null;
    const form = this.form;
    if (!form) return;
    if (!prompt || String(prompt.seq) !== form.dataset.seq) {
      this.say(t("elsewhere"));
      return;
    }
    this.busy(form, false);
    const whole = [{ field: "", says: `${problem.detail} ${problem.do ?? ""}`.trim() }];
    showErrors(form, problem.errors?.length ? problem.errors : whole);
  }

  // The link itself

  linkIs(state) {
    clearTimeout(this.bannerTimer);
    if (state === "open") {
      this.banner.hidden = true;
      if (this.pending) this.link.send(this.pending); // the same id: it happens once
    } else if (state === "down") {
      this.bannerTimer = setTimeout(() => this.banners(t("reconnecting"), t("reconnecting_note")), BANNER_AFTER_MS);
    } else {
      const again = el("a", { class: "button small", href: location.href }, t("reload"));
      this.banners(t("signed_out_elsewhere"), null, again);
    }
  }

  banners(strong, note, button = null) {
    this.banner.replaceChildren(el("strong", {}, strong), ...(note ? [el("span", {}, note)] : []), ...(button ? [button] : []));
    this.banner.hidden = false;
  }

  say(words) {
    const node = el("div", { class: "entry note" }, el("div", { class: "text" }, el("p", {}, words)));
    this.log.append(node);
  }

  // How the chat stands and what it is about, in the bar and in the list (web_render.state_key).
  railIs(state, words) {
    find(".bar-title").textContent = this.title;
    const here = find(".rail a[aria-current]");
    if (!here) return;
    here.dataset.outcome = state;
    find(".rail-title", here).textContent = this.title;
    find(".rail-state", here).textContent = t(words);
    find("time", here).dataset.ms = Math.round(Date.now() + this.skew);
    localize(here);
  }
}
