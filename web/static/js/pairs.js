// The editor of names and values: rows that come and go, secrets that hide, a pasted .env file.

import { all, el, find } from "./dom.js";
import { pairRow } from "./prompt.js";
import { t } from "./texts.js";

const SECRET = /(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|PRIVATE_KEY)/i;

export function enhancePairs(form) {
  const box = find(".pairs", form);
  const rows = all(".pair", box);
  const isBlank = (row) => !nameOf(row) && !valueOf(row);
  while (rows.length && isBlank(rows.at(-1))) rows.pop().remove();
  for (const row of rows) prepare(row, box);
  const none = el("p", { class: "fine pair-none" }, t("pair_none"));
  const add = el("button", { class: "button small", type: "button" }, t("pair_add"));
  add.addEventListener("click", () => find(".pair-name", addRow(box, {})).focus());
  const paste = el("button", { class: "button small", type: "button", "aria-expanded": "false" }, t("pair_paste"));
  const area = pasteArea(box, paste);
  paste.addEventListener("click", () => {
    area.hidden = !area.hidden;
    paste.setAttribute("aria-expanded", String(!area.hidden));
    if (!area.hidden) find("textarea", area).focus();
  });
  box.before(none);
  box.after(el("div", { class: "pair-tools" }, add, paste), area);
  const count = () => { none.hidden = all(".pair", box).length > 0; };
  new MutationObserver(count).observe(box, { childList: true });
  count();
  // A whole .env pasted into a name field becomes rows.
  box.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!event.target.matches(".pair-name") || !text.includes("=") || !text.includes("\n")) return;
    event.preventDefault();
    take(box, text);
  });
}

const nameOf = (row) => find(".pair-name", row).value.trim();
const valueOf = (row) => find(".pair-value", row).value;

let made = 1000; // numbers of rows made here, beyond those of the server

function addRow(box, pair) {
  const row = pairRow(made++, pair);
  box.append(row);
  prepare(row, box);
  return row;
}

function prepare(row, box) {
  const secret = find(".pair-secret input", row);
  const value = find(".pair-value", row);
  const name = find(".pair-name", row);
  const hide = () => { value.type = secret.checked ? "password" : "text"; };
  // While the name is typed, so that the tick is seen: on leaving the field it would come just before a click
  // on it, which would then take it off again.
  let decided = secret.checked;
  secret.addEventListener("change", () => { decided = true; hide(); });
  name.addEventListener("input", () => {
    if (decided || value.value) return;
    secret.checked = SECRET.test(name.value);
    hide();
  });
  name.addEventListener("change", () => {
    remove.setAttribute("aria-label", t("pair_remove", { name: name.value || t("pair_name") }));
  });
  const remove = el("button", { class: "pair-remove", type: "button", "aria-label": t("pair_remove", { name: nameOf(row) || t("pair_name") }) }, "✕");
  remove.addEventListener("click", () => {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next && find(".pair-name", next))?.focus();
    if (!next) find(".pair-tools button", box.parentElement)?.focus();
  });
  row.append(remove);
}

function pasteArea(box, opener) {
  const input = el("textarea", { class: "input", rows: "5", "aria-label": t("pair_paste_label"), placeholder: t("pair_paste_label"), spellcheck: "false" });
  const button = el("button", { class: "button small", type: "button" }, t("pair_paste_take"));
  const area = el("div", { class: "pair-paste", hidden: true }, input, el("div", {}, button));
  button.addEventListener("click", () => {
    take(box, input.value);
    input.value = "";
    area.hidden = true;
    opener.setAttribute("aria-expanded", "false");
    opener.focus();
  });
  return area;
}

// Lines of a .env file: comments and blank lines left out, `export` and quotes taken off. A name that is
// there already gets the new value.
export function parseEnv(text) {
  const pairs = [];
  for (const line of text.split(/\r?\n/)) {
    const found = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (!found || /^\s*#/.test(line)) continue;
    const [, name, raw] = found;
    const quoted = /^(["'])(.*)\1$/.exec(raw);
    let value = quoted ? quoted[2] : raw.replace(/\s+#.*$/, "");
    if (quoted?.[1] === '"') value = value.replace(/\\n/g, "\n").replace(/\\(["\\$])/g, "$1");
    pairs.push({ name, value, secret: SECRET.test(name) });
  }
  return pairs;
}

function take(box, text) {
  for (const row of all(".pair", box)) if (!nameOf(row) && !valueOf(row)) row.remove();
  for (const pair of parseEnv(text)) {
    all(".pair", box).find((row) => nameOf(row) === pair.name)?.remove();
    addRow(box, pair);
  }
}

export function pairsOf(form, NotYet) {
  const pairs = [];
  const places = [];
  all(".pair", form).forEach((row, index) => {
    const name = nameOf(row);
    const value = valueOf(row);
    if (!name && !value) return;
    if (!name) throw new NotYet(t("pair_name_missing"), `${index}.name`);
    if (pairs.some((pair) => pair.name === name)) throw new NotYet(t("pair_twice", { name }), `${index}.name`);
    const kept = find("input[type=hidden]", row)?.value === name && value === "";
    pairs.push(kept ? { name, kept: true } : { name, value, secret: find(".pair-secret input", row).checked });
    places.push(index);
  });
  form.rowOf = (n) => places[n]; // errors count the pairs that were sent
  return pairs;
}
