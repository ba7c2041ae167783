// What the controls of a question can do beyond HTML, and what a filled-in form means as an answer.

import { all, el, find } from "./dom.js";
import { enhancePairs, pairsOf } from "./pairs.js";
import { card } from "./prompt.js";
import { t } from "./texts.js";
import { enhanceUpload } from "./upload.js";

const SEARCH_ABOVE = 7;

export class NotYet extends Error {
  // The answer cannot be sent as it is; `field` says where.
  constructor(says, field = "") {
    super(says);
    this.field = field;
  }
}

export function enhance(form, context) {
  switch (form.dataset.kind) {
    case "number":
      return enhanceNumber(find("#answer", form));
    case "pick":
      return enhancePick(form);
    case "secret":
      return enhanceSecret(form);
    case "key-values":
      return enhancePairs(form);
    case "upload":
      return enhanceUpload(form, context);
    case "text":
      return enhanceText(form);
    default:
      return undefined;
  }
}

export function answerOf(form, submitter) {
  const input = find("#answer", form);
  switch (form.dataset.kind) {
    case "text":
      return input.value;
    case "number":
      return numberOf(input);
    case "yes-no":
    case "confirm":
      return submitter?.value === "yes";
    case "pick": {
      const chosen = find("input[type=radio]:checked", form);
      if (!chosen) throw new NotYet(t("pick_first"));
      return chosen.value;
    }
    case "secret":
      return secretOf(form, input);
    case "key-values":
      return pairsOf(form, NotYet);
    case "upload":
      if (form.sending) throw new NotYet(t("upload_wait"));
      if (!form.uploaded) throw new NotYet(t("upload_first"));
      return form.uploaded;
    default:
      throw new Error(`no control for ${form.dataset.kind}`);
  }
}

function numberOf(input) {
  const text = input.value.replace(/[\s\u00a0]/g, "").replace(",", ".");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text)) throw new NotYet(t("not_a_number"));
  const number = Number(text);
  if (input.inputMode === "numeric" && !Number.isInteger(number)) throw new NotYet(t("not_whole"));
  return number;
}

function enhanceNumber(input) {
  input.addEventListener("keydown", (event) => {
    const by = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!by || !/^-?\d+$/.test(input.value.trim())) return;
    event.preventDefault();
    input.value = String(Number(input.value) + by);
  });
}

// In a text of several lines Enter makes a line; Ctrl or Cmd with Enter sends.
function enhanceText(form) {
  const area = find("textarea", form);
  area?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

function secretOf(form, input) {
  if (input.value !== "") return input.value;
  if (find("[name=keep]:checked", form)) return { kept: true };
  return "optional" in form.dataset ? null : "";
}

function enhanceSecret(form) {
  const input = find("#answer", form);
  const show = el("button", { class: "button", type: "button", "aria-pressed": "false" }, t("show"));
  show.addEventListener("click", () => {
    const seen = input.type === "password";
    input.type = seen ? "text" : "password";
    show.textContent = t(seen ? "hide" : "show");
    show.setAttribute("aria-pressed", String(seen));
    input.focus();
  });
  const generate = el("button", { class: "button", type: "button" }, t("generate"));
  generate.addEventListener("click", () => {
    input.value = strongSecret();
    if (input.type === "password") show.click();
    find(".fine", form).textContent = t("generated");
    input.select();
  });
  find(".secret", form).append(show, generate);
  input.addEventListener("input", () => {
    const keep = find("[name=keep]", form);
    if (keep && input.value) keep.checked = false;
  });
}

// 24 characters of 62, each equally likely: 142 bits.
function strongSecret() {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  let text = "";
  while (text.length < 24) {
    const [byte] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < 248) text += letters[byte % 62];
  }
  return text;
}

function enhancePick(form) {
  const box = find(".pick", form);
  const many = all(".card", box).length > SEARCH_ABOVE;
  box.classList.toggle("many", many);
  const had = find(".search", form);
  if (!many) {
    had?.remove();
    return;
  }
  if (had) {
    find("input", had).dispatchEvent(new Event("input"));
    return;
  }
  const input = el("input", { class: "input", type: "search", placeholder: t("search"), "aria-label": t("search"), autocomplete: "off" });
  const says = el("p", { class: "fine", role: "status" });
  input.addEventListener("input", () => narrow(box, input.value, says));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      find(".card:not([hidden]) input:not(:disabled)", box)?.focus();
    } else if (event.key === "Enter") {
      const left = all(".card:not([hidden]) input:not(:disabled)", box);
      if (left.length === 1) left[0].checked = true;
    }
  });
  box.before(el("div", { class: "search" }, input, says));
}

function narrow(box, typed, says) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const cards = all(".card", box);
  let n = 0;
  for (const one of cards) {
    const text = one.textContent.toLowerCase();
    one.hidden = !words.every((word) => text.includes(word));
    n += one.hidden ? 0 : 1;
  }
  says.textContent = !words.length ? "" : n ? t("search_count", { n, total: cards.length }) : t("search_none", { text: typed });
}

// A lookup filled something in: what the person already did stays.
export function fill(form, p) {
  find(".loading", form).hidden = !p.loading;
  find(".ask-problem", form).replaceChildren(...(p.problem ? [el("p", { class: "callout warn" }, p.problem)] : []));
  if (p.kind === "pick") fillPick(form, p);
  const input = find("#answer", form);
  const given = p.kept ?? p.default;
  if (["text", "number"].includes(p.kind) && !form.touched && given !== null && given !== undefined) input.value = String(given);
}

function fillPick(form, p) {
  const box = find(".pick", form);
  const chosen = find("input:checked", box)?.value ?? p.kept ?? p.default;
  const focused = box.contains(document.activeElement) ? document.activeElement.value : null;
  box.replaceChildren(...p.options.map((option) => card(option, chosen)));
  enhancePick(form);
  if (focused !== null) all("input", box).find((input) => input.value === focused)?.focus();
}

// Errors beside the fields that they are about; the first of these gets the focus.
export function showErrors(form, errors) {
  clearErrors(form);
  const whole = [];
  let first = null;
  for (const { field, says } of errors) {
    const [, index, part] = /^(\d+)(?:\.(\w+))?$/.exec(field) ?? [];
    const row = index === undefined ? null : all(".pair", form)[form.rowOf?.(Number(index)) ?? Number(index)];
    if (!row) {
      whole.push(says);
      continue;
    }
    const input = find(part === "value" ? ".pair-value" : ".pair-name", row);
    input.setAttribute("aria-invalid", "true");
    row.after(el("p", { class: "error", role: "alert" }, says));
    first ??= input;
  }
  const box = find("#ask-error", form);
  box.textContent = whole.join(" ");
  box.hidden = !whole.length;
  if (whole.length) {
    const input = find("#answer", form);
    input?.setAttribute("aria-invalid", "true");
    first ??= input ?? find("input[type=radio]", form);
  }
  first?.focus();
}

export function clearErrors(form) {
  for (const node of all(".pairs > .error", form)) node.remove();
  for (const node of all("[aria-invalid]", form)) node.removeAttribute("aria-invalid");
  const box = find("#ask-error", form);
  box.hidden = true;
  box.textContent = "";
}
