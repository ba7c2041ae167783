// A place: typed as degrees, or where the browser is, if its person agrees.

import { el, find } from "./dom.js";
import { NotYet } from "./notyet.js";
import { t } from "./texts.js";

export function enhancePlace(form) {
  if (!navigator.geolocation || !window.isSecureContext) return;
  const button = el("button", { class: "button small", type: "button" }, t("place_here"));
  const says = el("span", { class: "fine", role: "status" });
  button.addEventListener("click", () => {
    says.textContent = t("place_looking");
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => {
        find("[name=lat]", form).value = coords.latitude.toFixed(5);
        find("[name=lon]", form).value = coords.longitude.toFixed(5);
        says.textContent = t("place_found", { m: Math.round(coords.accuracy) });
        find("[name=label]", form).focus();
      },
      () => { says.textContent = t("place_not"); },
      { timeout: 20_000 },
    );
  });
  find(".place", form).after(el("div", { class: "place-here" }, button, says));
}

export function placeOf(form) {
  const degrees = (name) => {
    const text = find(`[name=${name}]`, form).value.trim().replace(",", ".");
    if (!/^[+-]?\d+(\.\d+)?$/.test(text)) throw new NotYet(t("not_degrees"), name);
    return Number(text);
  };
  return { lat: degrees("lat"), lon: degrees("lon"), label: find("[name=label]", form).value.trim() };
}
