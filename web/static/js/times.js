// Times in the reader's own time zone, and how long something takes.

import { all } from "./dom.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const since = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto", style: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export function localize(from) {
  for (const node of all("time[data-ms]", from)) {
    const at = new Date(Number(node.dataset.ms));
    const today = at.toDateString() === new Date().toDateString();
    const exact = today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
    node.textContent = "short" in node.dataset ? ago(at) : exact;
    node.title = whole.format(at);
  }
}

// Where a list has room for little: how long ago, and after a week the day.
function ago(at) {
  const minutes = Math.max(0, Math.floor((Date.now() - at) / 60_000));
  if (minutes < 1) return since.format(0, "second");
  if (minutes < 60) return since.format(-minutes, "minute");
  if (minutes < 24 * 60) return since.format(-Math.floor(minutes / 60), "hour");
  return minutes < 7 * 24 * 60 ? since.format(-Math.floor(minutes / 1440), "day") : day.format(at);
}

export function isoSeconds(ms) {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "+00:00");
}

export function lasted(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${bytes >= 100 || unit === 0 ? Math.round(bytes) : bytes.toFixed(1)} ${units[unit]}`;
}
