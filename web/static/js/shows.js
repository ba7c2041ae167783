// What a prompt only shows. The same as templates/parts/shows.html; tests/page compares both.

import { el } from "./dom.js";
import { t } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";

function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function shows(kind, d) {
  const made = SHOWS[kind]?.(d) ?? [el("pre", {}, d.words ?? "")];
  return d.cut ? [...made, el("p", { class: "fine cut" }, d.cut)] : made;
}

const pre = (box, attributes, ...children) => el("div", { class: box }, el("pre", { tabindex: "0", ...attributes }, ...children));

const SHOWS = {
  table: (d) => [grid(d)],
  chart: (d) => [chart(d)],
  log: (d) => [pre("code log-view", { role: "log", "aria-live": "off", "aria-label": t("log") }, el("code", {}, d.text))],
  code: (d) => [pre("code", { "aria-label": d.language || t("code") }, el("code", {}, d.text))],
  diff: (d) => [
    el("p", { class: "fine" }, t("diff_counts", { added: d.added, gone: d.gone })),
    pre("code diff", { "aria-label": t("diff") }, ...d.lines.map(diffLine)),
  ],
  qr: (d) => [qr(d)],
  image: (d) => [
    el("figure", { class: "picture" }, el("img", { src: `/api/v1/blobs/${d.blob}`, alt: d.alt }), el("figcaption", { class: "fine" }, d.alt)),
  ],
  download: (d) => {
    const href = d.blob ? `/api/v1/blobs/${d.blob}?name=${quoted(d.name)}` : `data:text/plain;charset=utf-8,${quoted(d.text)}`;
    return [el("p", { class: "download" }, el("a", { class: "button", download: d.name, href }, t("download", { name: d.name })))];
  },
};

// As Python's quote: what encodeURIComponent leaves alone besides.
const quoted = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

function grid(d) {
  const head = el("tr", {}, ...d.columns.map((cell) => el("th", { scope: "col" }, cell)));
  const rows = d.rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell))));
  const inner = el("table", {}, el("thead", {}, head), el("tbody", {}, ...rows));
  return el("div", { class: "table", tabindex: "0", role: "region", "aria-label": t("table") }, inner);
}

function diffLine([mark, line]) {
  const words = mark === "@" ? "…" : mark + line;
  const inner = mark === "+" ? el("ins", {}, words) : mark === "-" ? el("del", {}, words) : words;
  return el("span", { class: "diff-line", "data-mark": mark }, inner);
}

function chart(d) {
  const { grid: lines, ticks, bars, lines: series } = d.drawing;
  const svg = draw(
    "svg",
    { viewBox: "0 0 640 240", role: "img", "aria-label": d.says },
    ...lines.flatMap((one) => [
      draw("path", { class: "chart-grid", d: `M56 ${number(one.y)}H628` }),
      draw("text", { class: "chart-y", x: 48, y: number(one.y) }, one.label),
    ]),
    ...ticks.map((one) => draw("text", { class: "chart-x", x: number(one.x), y: 230 }, one.label)),
    ...bars.map((one) =>
      draw("rect", { class: `chart-bar s${one.n}`, x: number(one.x), y: number(one.y), width: number(one.w), height: number(one.h) }),
    ),
    ...series.map((one) => draw("path", { class: `chart-line s${one.n}`, d: one.d })),
  );
  const legend = d.series.map((one, n) =>
    el("span", { class: `legend-one s${n}` }, el("span", { class: "swatch", "aria-hidden": "true" }), one.name + (d.unit ? ` (${d.unit})` : "")),
  );
  const numbers = el("details", {}, el("summary", {}, t("chart_numbers")), el("pre", { tabindex: "0" }, d.words));
  return el("figure", { class: "chart" }, svg, el("figcaption", { class: "legend" }, ...legend), numbers);
}

// As Python writes it: 12.0.
const number = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));

function qr(d) {
  const svg = draw(
    "svg",
    { viewBox: `0 0 ${d.size} ${d.size}`, role: "img", "aria-label": t("qr", { text: d.text }) },
    draw("path", { class: "qr-ground", d: `M0 0h${d.size}v${d.size}h-${d.size}z` }),
    draw("path", { class: "qr-dark", d: d.path }),
  );
  return el("figure", { class: "qr" }, svg, el("figcaption", { class: "fine" }, d.text));
}
