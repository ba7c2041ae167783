// What the controls of a question can do beyond HTML, and what a filled-in form means as an answer.

import { all, el, find } from "./dom.js";
import { AT, manyCards, oneCards } from "./fields.js";
import { enhanceFields, fieldsOf } from "./forms.js";
import { NotYet } from "./notyet.js";
import { enhancePairs, pairsOf } from "./pairs.js";
import { enhancePlace, placeOf } from "./place.js";
import { t } from "./texts.js";
import { enhanceUpload } from "./upload.js";

const SEARCH_ABOVE = 7;

export { NotYet };

export function enhance(form, context) {
  switch (form.dataset.kind) {
    case "form":
      return enhanceFields(form, enhanceOne);
    case "location":
      return enhancePlace(form);
    case "key-values":
      return enhancePairs(form);
    case "upload":
      return enhanceUpload(form, context);
    default:
      return enhanceOne(form, form.dataset.kind, form);
  }
}

// One control, that of the question or of a field of a form: `box` is around it.
function enhanceOne(box, kind, form) {
  if (kind === "number") enhanceNumber(find(".input", box));
  else if (["pick", "pick-many"].includes(kind)) enhancePick(box);
  else if (kind === "secret") enhanceSecret(box);
  else if (kind === "text") enhanceText(box, form);
}

export function answerOf(form, submitter) {
  switch (form.dataset.kind) {
    case "yes-no":
    case "confirm":
      return submitter?.value === "yes";
    case "key-values":
      return pairsOf(form, NotYet);
    case "upload":
      if (form.sending) throw new NotYet(t("upload_wait"));
      if (!form.uploaded) throw new NotYet(t("upload_first"));
      return form.uploaded;
    case "form":
      return fieldsOf(form, answerIn);
    case "location":
      return placeOf(form);
    default:
      return answerIn(find(".control", form), form.dataset.kind, form);
  }
}

// What one control says; `owner` is the question, or the field of a form.
function answerIn(box, kind, owner) {
  const input = find(".input:not([type=search])", box);
  switch (kind) {
    case "text":
    case "date-time":
    case "duration":
      return input.value;
    case "number":
      return numberOf(input);
    case "yes-no":
      return chosenIn(box) === "yes";
    case "pick":
      return chosenIn(box);
    case "pick-many":
      return manyOf(find(".pick", box));
    case "secret":
      return secretOf(box, input, "optional" in owner.dataset);
    default:
      return true; // it was only shown
  }
}

function chosenIn(box) {
  const chosen = find("input[type=radio]:checked", box);
  if (!chosen) throw new NotYet(t("pick_first"));
  return chosen.value;
}

function manyOf(box) {
  const chosen = all("input:checked", box).map((input) => input.value);
  const { least, most } = box.dataset;
  if (chosen.length < Number(least)) throw new NotYet(t("pick_least", { n: least }));
  if (Number(most) && chosen.length > Number(most)) throw new NotYet(t("pick_most", { n: most }));
  return chosen;
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
function enhanceText(box, form) {
  const area = find("textarea", box);
  area?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

function secretOf(box, input, optional) {
  if (input.value !== "") return input.value;
  if (find(".tick input:checked", box)) return { kept: true };
  return optional ? null : "";
}

function enhanceSecret(form) {
  const input = find(".secret .input", form);
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
    find(".secret ~ .fine", form).textContent = t("generated");
    input.select();
  });
  find(".secret", form).append(show, generate);
  input.addEventListener("input", () => {
    const keep = find(".tick input", form);
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
  if (box.matches(".several")) countMany(box);
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
      if (left.length !== 1 || left[0].checked) return;
      left[0].checked = true;
      left[0].dispatchEvent(new Event("change", { bubbles: true }));
      if (left[0].type === "checkbox") {
        event.preventDefault(); // more may follow
        input.select();
      }
    }
  });
  box.before(el("div", { class: "search" }, input, says));
}

// How many of many are chosen, and a button for all that can be and are in sight.
function countMany(box) {
  if (box.nextElementSibling?.matches(".many-count")) {
    box.dispatchEvent(new Event("change"));
    return;
  }
  const says = el("span", { class: "fine", role: "status" });
  const every = el("button", { class: "button small", type: "button" }, t("pick_all"));
  const most = Number(box.dataset.most);
  const open = () => all(".card:not([hidden]) input:not(:disabled)", box);
  const count = () => {
    const boxes = all("input", box);
    says.textContent = t("pick_count", { n: boxes.filter((one) => one.checked).length, total: boxes.length });
    every.textContent = t(open().every((one) => one.checked) ? "pick_none" : "pick_all");
  };
  every.addEventListener("click", () => {
    const to = !open().every((one) => one.checked);
    for (const one of open()) one.checked = to;
    count();
  });
  box.addEventListener("change", count);
  box.after(el("div", { class: "many-count" }, says, most && most < all("input", box).length ? null : every));
  count();
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
  if (["pick", "pick-many"].includes(p.kind)) fillPick(form, p);
  const input = find("#answer", form);
  const given = p.kept ?? p.default;
  if (["text", "number"].includes(p.kind) && !form.touched && given !== null && given !== undefined) input.value = String(given);
}

function fillPick(form, p) {
  const box = find(".pick", form);
  const had = all("input:checked", box).map((input) => input.value);
  const before = p.kept ?? p.default;
  const focused = box.contains(document.activeElement) ? document.activeElement.value : null;
  if (p.kind === "pick") box.replaceChildren(...oneCards(p, had[0] ?? before, AT));
  else box.replaceChildren(...manyCards(p, form.touched ? had : before, AT));
  enhancePick(form);
  if (focused !== null) all("input", box).find((input) => input.value === focused)?.focus();
}

// Errors beside the fields that they are about; the first of these gets the focus.
export function showErrors(form, errors) {
  clearErrors(form);
  const whole = [];
  let first = null;
  for (const { field, says } of errors) {
    const place = fieldOf(form, field);
    if (place) {
      first ??= sayAt(place, says);
      continue;
    }
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
    first ??= input ?? find(".pick input:not(:disabled)", form);
  }
  first?.focus();
}

// The field of a form, or the part of a place, that an error is about.
function fieldOf(form, field) {
  const name = CSS.escape(field.split(".")[0]);
  return name ? find(`[data-field="${name}"], [data-part="${name}"]`, form) : null;
}

function sayAt(place, says) {
  let box = find(".error", place);
  if (!box) {
    box = el("p", { class: "error", role: "alert" });
    place.append(box);
  }
  box.textContent = says;
  box.hidden = false;
  const input = find(".input:not([type=search]), input:not(:disabled):not([type=search])", place);
  input?.setAttribute("aria-invalid", "true");
  return input;
}

export function clearErrors(form) {
  for (const node of all(".pairs > .error", form)) node.remove();
  for (const node of all(".field > .error, .place-part > .error", form)) {
    node.hidden = true;
    node.textContent = "";
  }
  for (const node of all("[aria-invalid]", form)) node.removeAttribute("aria-invalid");
  const box = find("#ask-error", form);
  box.hidden = true;
  box.textContent = "";
}
