// A small question over the page, for what takes something back.

import { el } from "./dom.js";
import { t } from "./texts.js";

export function sure({ title, lead, list, yes, no }) {
  return new Promise((resolve) => {
    const go = el("button", { class: "button primary", type: "button" }, yes);
    const stay = el("button", { class: "button", type: "button" }, no);
    const body = list.length ? [el("p", {}, lead), el("ol", {}, ...list.map((line) => el("li", {}, line)))] : [el("p", {}, lead)];
    const dialog = el(
      "dialog",
      { "aria-labelledby": "dialog-title" },
      el("h2", { id: "dialog-title" }, title),
      ...body,
      el("div", { class: "actions" }, go, stay),
    );
    const end = (answer) => {
      dialog.close();
      dialog.remove();
      resolve(answer);
    };
    go.addEventListener("click", () => end(true));
    stay.addEventListener("click", () => end(false));
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      end(false);
    });
    document.body.append(dialog);
    dialog.showModal();
    stay.focus();
  });
}

// `may`: something was done that can be taken back, even if it is not known here what.
export const sureToCancel = (undoes, may) =>
  sure({
    title: t("cancel_title"),
    lead: t(undoes.length ? "cancel_undoes" : may ? "cancel_undoes_some" : "cancel_nothing"),
    list: undoes,
    yes: t("cancel_yes"),
    no: t("cancel_no"),
  });

export const sureToUndo = (undoes) =>
  sure({ title: t("undo_title"), lead: t(undoes.length ? "undo_lead" : "cancel_undoes_some"), list: undoes, yes: t("undo_yes"), no: t("cancel_no") });
