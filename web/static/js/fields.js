// The fields that answers are put in. The same as templates/parts/controls.html; tests/page compares both.
// `at` says which one it is: its id, its name in the form, what labels and what describes it.

import { el } from "./dom.js";
import { t } from "./texts.js";

export const AT = { id: "answer", name: "value", keep: "keep", label: "ask-label", described: "ask-help ask-error" };
const labelled = (at) => ({ "aria-labelledby": at.label, "aria-describedby": at.described });
export const mayBeNull = (p) => Array.isArray(p.schema.type) && p.schema.type.includes("null");

export function textControl(p, value, at) {
  const common = { class: "input", id: at.id, name: at.name, maxlength: p.schema.maxLength ?? 2000, placeholder: p.placeholder };
  if (p.lines) return el("textarea", { ...common, rows: "6", ...labelled(at) }, String(value));
  return el("input", {
    ...common, type: "text", value: String(value), autocomplete: "off", autocapitalize: "none", spellcheck: "false", ...labelled(at),
  });
}

export function numberControl(p, value, at) {
  const input = el("input", {
    class: "input", id: at.id, name: at.name, type: "text", inputmode: p.schema.type === "integer" ? "numeric" : "decimal",
    value: String(value), autocomplete: "off", ...labelled(at),
  });
  return el("div", { class: "with-unit" }, input, p.unit ? el("span", { class: "unit" }, p.unit) : null);
}

export function card(type, name, option, checked) {
  const off = Boolean(option.disabled);
  return el(
    "label",
    { class: off ? "card disabled" : "card" },
    el("input", { type, name, value: option.value, checked: checked && !off, disabled: off }),
    el(
      "span",
      { class: "card-body" },
      el("span", { class: "card-label" }, option.label),
      option.description ? el("span", { class: "card-description" }, option.description) : null,
      off ? el("span", { class: "card-reason" }, option.disabled) : null,
    ),
  );
}

export const oneCards = (p, value, at) => p.options.map((o) => card("radio", at.name, o, o.value === value));
export const manyCards = (p, value, at) => p.options.map((o, n) => card("checkbox", `${at.name}-${n}`, o, (value || []).includes(o.value)));

export const pickControl = (p, value, at) => el("div", { class: "pick", role: "radiogroup", ...labelled(at) }, ...oneCards(p, value, at));

export const manyControl = (p, value, at) =>
  el(
    "div",
    { class: "pick several", role: "group", "data-least": p.details.least, "data-most": p.details.most, ...labelled(at) },
    ...manyCards(p, value, at),
  );

const twoControl = (p, value, at) =>
  el(
    "div",
    { class: "pick two", role: "radiogroup", ...labelled(at) },
    card("radio", at.name, { value: "yes", label: p.yes || t("yes") }, value === true),
    card("radio", at.name, { value: "no", label: p.no || t("no") }, value === false),
  );

export function secretControl(p, kept, at) {
  const input = el("input", {
    class: "input", id: at.id, name: at.name, type: "password", autocomplete: "off", maxlength: p.schema.maxLength ?? 2000, ...labelled(at),
  });
  const keep = el("input", { type: "checkbox", name: at.keep, value: "yes", checked: true });
  return [
    el("div", { class: "secret" }, input),
    kept ? el("label", { class: "tick" }, keep, ` ${t("secret_keep")}`) : null,
    el("p", { class: "fine" }, t("secret_note") + (mayBeNull(p) ? ` ${t("secret_optional")}` : "")),
  ].filter(Boolean);
}

export function timeControl(p, value, at) {
  const { time, zone, earliest, latest } = p.details;
  const input = el("input", {
    class: "input", id: at.id, name: at.name, type: time ? "datetime-local" : "date",
    value: String(value).replace(" ", "T").slice(0, time ? 16 : 10), min: earliest || null, max: latest || null, ...labelled(at),
  });
  return el("div", { class: "with-unit when" }, input, time ? el("span", { class: "unit" }, zone) : null);
}

export const durationControl = (value, at) => [
  el("input", {
    class: "input short", id: at.id, name: at.name, type: "text", value: long(value), placeholder: "2h 30m", autocomplete: "off", spellcheck: "false",
    ...labelled(at),
  }),
  el("p", { class: "fine" }, t("duration_note")),
];

// Seconds as they can be typed: 9000 is "2h 30m".
function long(value) {
  if (!Number.isInteger(value)) return String(value);
  let left = value;
  const parts = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count) parts.push(`${count}${unit}`);
  }
  return parts.join(" ") || "0s";
}

export function placeControl(value) {
  const part = (name, id, words) =>
    el(
      "div",
      { class: "place-part", "data-part": name },
      el("label", { class: "field-label", for: id }, words),
      el("input", {
        class: "input", id, name, type: "text", inputmode: name === "label" ? null : "decimal", value: String(value ? value[name] : ""),
        autocomplete: "off",
      }),
    );
  const parts = [
    part("lat", "answer", t("place_lat")), part("lon", "place-lon", t("place_lon")), part("label", "place-label", t("place_label")),
  ];
  return el("div", { class: "place", role: "group", ...labelled(AT) }, ...parts);
}

function fieldControl(f, value, kept, at) {
  switch (f.kind) {
    case "text":
      return [textControl(f, value, at)];
    case "number":
      return [numberControl(f, value, at)];
    case "yes-no":
      return [twoControl(f, value, at)];
    case "pick":
      return [pickControl(f, value, at)];
    case "pick-many":
      return [manyControl(f, value, at)];
    case "secret":
      return secretControl(f, kept, at);
    case "date-time":
      return [timeControl(f, value, at)];
    case "duration":
      return durationControl(value, at);
    default:
      throw new Error(`no field for ${f.kind}`);
  }
}

export function fieldsControl(p) {
  return el("div", { class: "fields" }, ...p.details.fields.map((f) => field(f, p.kept)));
}

function field(f, before) {
  const n = `f-${f.name}`;
  const kept = before ? before[f.name] : null;
  const value = (before ? kept : f.default) ?? "";
  const at = { id: n, name: n, keep: `${n}-keep`, label: `${n}-label`, described: `${n}-help ${n}-error` };
  const group = ["yes-no", "pick", "pick-many"].includes(f.kind);
  return el(
    "div",
    {
      class: "field", "data-field": f.name, "data-kind": f.kind, "data-only-when": Object.keys(f.only_when).length ? JSON.stringify(f.only_when) : null,
      "data-optional": f.kind === "secret" && mayBeNull(f),
    },
    group ? el("div", { class: "field-label", id: at.label }, f.label) : el("label", { class: "field-label", id: at.label, for: n }, f.label),
    el("div", { class: "fine field-help", id: `${n}-help` }, f.help),
    ...fieldControl(f, value, kept, at),
    el("p", { class: "error", id: `${n}-error`, role: "alert", hidden: true }),
  );
}
