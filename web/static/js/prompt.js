// The open question as a form. The same as templates/parts/prompt.html; tests/page compares both.

import { el, newId } from "./dom.js";
import {
  AT, durationControl, fieldsControl, manyControl, mayBeNull, numberControl, pickControl, placeControl, secretControl, textControl, timeControl,
} from "./fields.js";
import { shows } from "./shows.js";
import { t } from "./texts.js";
import { blocks } from "./tree.js";

const DESCRIBED = { "aria-labelledby": "ask-label", "aria-describedby": "ask-help ask-error" };
export const BLANK_PAIRS = 3;

export function askForm(p, { session, csrf }) {
  const path = (name) => `/s/${session}/${name}`;
  const form = el(
    "form",
    {
      class: "ask", id: "ask", method: "post", action: path("answer"), "data-seq": p.seq, "data-kind": p.kind,
      "data-risk": p.risk || null, "data-optional": p.kind === "secret" && mayBeNull(p), "aria-labelledby": "ask-label", novalidate: true,
    },
    hidden("csrf", csrf), hidden("seq", p.seq), hidden("id", newId()),
  );
  if (!["yes-no", "confirm"].includes(p.kind)) {
    form.append(el("button", { class: "unseen", type: "submit", tabindex: "-1", "aria-hidden": "true" }, t("continue")));
  }
  form.append(
    el("div", { class: "ask-label", id: "ask-label", role: "heading", "aria-level": "2", tabindex: "-1" }, ...blocks(p.label)),
    el("div", { class: "ask-help", id: "ask-help" }, ...blocks(p.help)),
    el("div", { class: "ask-problem" }, p.problem ? el("p", { class: "callout warn" }, p.problem) : null),
    el("div", { class: "control" }, ...control(p, path)),
    el("p", { class: "loading", role: "status", hidden: !p.loading }, t("loading")),
    el("p", { class: "error", id: "ask-error", role: "alert", hidden: true }),
  );
  if (p.no_return) form.append(el("p", { class: "callout warn no-return" }, p.no_return));
  form.append(el("div", { class: "actions" }, answers(p), moves(p, path)));
  if (p.no_back) form.append(el("p", { class: "fine no-back" }, p.no_back));
  return form;
}

const hidden = (name, value) => el("input", { type: "hidden", name, value });
export const valueOf = (p) => p.kept ?? p.default ?? "";

function control(p, path) {
  const value = valueOf(p);
  switch (p.kind) {
    case "text":
      return [textControl(p, value, AT)];
    case "number":
      return [numberControl(p, value, AT)];
    case "pick":
      return [pickControl(p, value, AT)];
    case "pick-many":
      return [manyControl(p, value, AT)];
    case "secret":
      return secretControl(p, p.kept, AT);
    case "date-time":
      return [timeControl(p, value, AT)];
    case "duration":
      return durationControl(value, AT);
    case "location":
      return [placeControl(value)];
    case "form":
      return [fieldsControl(p)];
    case "key-values":
      return [pairsControl(p)];
    case "upload":
      return uploadControl(p);
    case "confirm":
      return p.rows.length ? [summary(p, path)] : [];
    case "yes-no":
      return [];
    default:
      return shows(p.kind, p.details);
  }
}

function pairsControl(p) {
  const given = p.kept ?? p.default ?? [];
  const rows = [...given, ...Array.from({ length: BLANK_PAIRS }, () => ({}))];
  return el("div", { class: "pairs", role: "group", ...DESCRIBED }, ...rows.map((row, index) => pairRow(index, row)));
}

export function pairRow(index, row) {
  const name = t("pair_name");
  const value = t("pair_value");
  return el(
    "div",
    { class: "pair" },
    el("input", {
      class: "input pair-name", name: `name-${index}`, value: row.name ?? "", "aria-label": name, placeholder: name,
      autocomplete: "off", autocapitalize: "none", spellcheck: "false",
    }),
    el("input", {
      class: "input pair-value", name: `value-${index}`, type: row.secret ? "password" : "text", value: row.value ?? "",
      "aria-label": value, placeholder: row.kept ? t("pair_kept") : value, autocomplete: "off", spellcheck: "false",
    }),
    row.kept ? hidden(`kept-${index}`, row.name) : null,
    el(
      "label",
      { class: "pair-secret" },
      el("input", { type: "checkbox", name: `secret-${index}`, checked: Boolean(row.secret) }),
      ` ${t("pair_secret")}`,
    ),
  );
}

function uploadControl(p) {
  const note = t("upload_drop") + (p.accept.length ? ` · ${p.accept.join(" ")}` : "");
  const drop = el(
    "label",
    { class: "drop" },
    el("input", { class: "unseen", id: "answer", type: "file", accept: p.accept.join(","), "data-max": p.schema.properties.bytes.maximum, ...DESCRIBED }),
    el("span", { class: "drop-main" }, t("upload_choose")),
    el("span", { class: "drop-note" }, note),
  );
  return [el("div", { class: "upload" }, drop)];
}

function summary(p, path) {
  const rows = p.rows.map((row) =>
    el(
      "div",
      { class: "row" },
      el("dt", {}, row.label),
      el("dd", {}, row.value),
      row.change
        ? el(
            "button",
            {
              class: "link", type: "submit", formaction: path("change"), name: "to", value: row.change,
              "aria-label": t("change_what", { label: row.label }),
            },
            t("change"),
          )
        : null,
    ),
  );
  return el("dl", { class: "summary", "aria-label": t("confirm_summary") }, ...rows);
}

function answers(p) {
  const button = (kind, words, value) =>
    el("button", { class: kind, type: "submit", name: value && "value", value }, words);
  const box = el("div", { class: "answers" });
  const value = valueOf(p);
  if (p.kind === "yes-no") {
    box.append(
      button(value === true ? "button primary" : "button", p.yes || t("yes"), "yes"),
      button(value === false ? "button primary" : "button", p.no || t("no"), "no"),
    );
  } else if (p.kind === "confirm") {
    box.append(button("button primary risk", p.yes || t("yes"), "yes"), button("button", p.no || t("no"), "no"));
  } else {
    box.append(button("button primary", t("continue")));
  }
  return box;
}

function moves(p, path) {
  const box = el("div", { class: "moves" });
  for (const [name, may] of [["back", p.can_back], ["undo", p.can_undo], ["cancel", p.can_cancel]]) {
    if (!may) continue;
    box.append(el("button", { class: "button quiet", type: "submit", formaction: path(name), "data-move": name }, t(name)));
  }
  return box;
}
