// A form of several fields: which of them are asked just now, and what they say together.

import { all, find } from "./dom.js";
import { NotYet } from "./notyet.js";

export function enhanceFields(form, enhanceOne) {
  for (const field of all(".field", form)) enhanceOne(field, field.dataset.kind, form);
  form.addEventListener("input", () => settle(form));
  form.addEventListener("change", () => settle(form));
  settle(form);
}

// Fields that are for certain answers only come and go, each by the ones above it.
function settle(form) {
  const given = {};
  for (const field of all(".field", form)) {
    field.hidden = !isNeeded(field, given);
    given[field.dataset.field] = field.hidden ? null : present(field);
  }
}

function isNeeded(field, given) {
  const wanted = JSON.parse(field.dataset.onlyWhen ?? "{}");
  return Object.entries(wanted).every(([name, value]) => (Array.isArray(value) ? value.includes(given[name]) : given[name] === value));
}

// What a field says now, as far as another one may depend on it.
function present(field) {
  const radio = find("input[type=radio]:checked", field)?.value ?? null;
  if (field.dataset.kind === "yes-no") return radio === null ? null : radio === "yes";
  if (field.dataset.kind === "pick") return radio;
  const text = find(".input:not([type=search])", field)?.value ?? null;
  return field.dataset.kind === "number" && text?.trim() ? Number(text.replace(",", ".")) : text;
}

// The first field that says nothing usable is named; the bot checks the rest.
export function fieldsOf(form, answerIn) {
  const given = {};
  for (const field of all(".field:not([hidden])", form)) {
    const name = field.dataset.field;
    try {
      given[name] = answerIn(field, field.dataset.kind, field);
    } catch (problem) {
      throw problem instanceof NotYet ? new NotYet(problem.message, name) : problem;
    }
  }
  return given;
}
