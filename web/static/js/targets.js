// How far a change to many is: a row for each target. The same as templates/parts/targets.html.

import { el } from "./dom.js";
import { has, t } from "./texts.js";
import { size } from "./times.js";

export function targetList(targets) {
  const rows = targets.map((one) =>
    el(
      "tr",
      { "data-order": one.order, "data-state": one.state },
      el("th", { scope: "row" }, one.label),
      el("td", { class: "target-state" }, has(`target_${one.state}`) ? t(`target_${one.state}`) : one.state),
      el("td", { class: "target-says" }, one.says),
    ),
  );
  return el("div", { class: "table targets" }, el("table", { "aria-label": t("targets") }, el("tbody", {}, ...rows)));
}

// What a target does just now. False: it is none of these.
export function targetProgress(list, { order, says, done, total, unit }) {
  const row = [...(list?.querySelectorAll("tr") ?? [])].find((one) => order && one.dataset.order === order);
  if (!row) return false;
  const far = unit === "bytes" ? `${size(done)} / ${size(total)}` : `${done} / ${total} ${unit}`.trim();
  row.querySelector(".target-says").textContent = total > 0 ? `${says} ${far}` : says;
  return true;
}
