// A file on its way: chosen or dropped, sent in pieces, resumed where it stopped.

import { el, find } from "./dom.js";
import { t } from "./texts.js";
import { size } from "./times.js";

const PIECE = 4 * 1024 * 1024;
const PAUSE_MS = 1500;

export function enhanceUpload(form, context) {
  const box = find(".upload", form);
  const drop = find(".drop", box);
  const input = find("input[type=file]", drop);
  const bar = el("progress", { max: "1", value: "0" });
  const says = el("p", { class: "fine", role: "status" });
  const state = el("div", { class: "upload-state", hidden: true }, bar, says);
  box.append(state);

  const begin = async (file) => {
    if (!file) return;
    const turn = Symbol(file.name);
    form.turn = turn; // another file chosen meanwhile wins
    form.uploaded = null;
    form.sending = false;
    state.hidden = false;
    const wrong = whyNot(file, input);
    if (wrong) {
      bar.hidden = true;
      says.textContent = wrong;
      return;
    }
    form.sending = true;
    bar.hidden = false;
    find(".drop-main", drop).textContent = file.name;
    find(".drop-note", drop).textContent = t("upload_other");
    try {
      const sha256 = await send(file, form, context, () => form.turn === turn && form.isConnected, (done, paused) => {
        bar.value = file.size ? done / file.size : 1;
        says.textContent = paused ? t("upload_paused") : t("upload_progress", { done: size(done), total: size(file.size) });
      });
      if (form.turn !== turn || !sha256) return;
      form.uploaded = { blob: sha256, bytes: file.size, name: file.name };
      says.textContent = t("upload_done", { name: file.name, size: size(file.size) });
      bar.hidden = true;
      find(".button.primary", form).focus();
    } catch (problem) {
      if (form.turn !== turn) return;
      bar.hidden = true;
      says.textContent = t("upload_failed", { name: file.name, says: problem.message });
    } finally {
      if (form.turn === turn) form.sending = false;
    }
  };

  input.addEventListener("change", () => begin(input.files[0]));
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) drop.addEventListener(kind, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    begin(event.dataTransfer.files[0]);
  });
}

// What would be refused at the end is said before gigabytes are on their way.
function whyNot(file, input) {
  const limit = Number(input.dataset.max);
  if (limit && file.size > limit) return t("upload_too_large", { name: file.name, size: size(file.size), limit: size(limit) });
  const kinds = input.accept.split(",").filter(Boolean);
  if (kinds.length && !kinds.some((kind) => file.name.toLowerCase().endsWith(kind.toLowerCase()))) {
    return t("upload_wrong_kind", { name: file.name, kinds: kinds.join(" ") });
  }
  return "";
}

// The id says which file it is, so that choosing the same file again goes on where it stopped.
async function idOf(file, form, context) {
  const words = [context.session, form.dataset.seq, file.name, file.size, file.lastModified].join("\n");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(words));
  return `u-${Array.from(new Uint8Array(digest).slice(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function send(file, form, context, goesOn, tell) {
  const id = await idOf(file, form, context);
  const json = { "Content-Type": "application/json" };
  const body = JSON.stringify({ id, name: file.name, bytes: file.size });
  let state = await patiently(() => call("POST", "/api/v1/blobs", { headers: json, body }, context), goesOn, () => tell(0, true));
  while (state && !state.sha256 && goesOn()) {
    const at = state.offset;
    tell(at, false);
    const piece = file.slice(at, at + PIECE);
    const headers = { "Upload-Offset": String(at), "Content-Type": "application/octet-stream" };
    const path = `/api/v1/blobs/${encodeURIComponent(id)}`;
    state = await patiently(() => call("PATCH", path, { headers, body: piece }, context), goesOn, () => tell(at, true), path);
  }
  tell(file.size, false);
  return state?.sha256;
}

// A connection that breaks is waited for; the bot then says how far the upload is. A refusal is final.
async function patiently(attempt, goesOn, paused, path = null) {
  while (goesOn()) {
    try {
      return await attempt();
    } catch (problem) {
      if (problem.offset !== undefined) return { offset: problem.offset, sha256: "" };
      if (!problem.mayPass) throw problem;
      paused();
      await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
      const offset = path && (await offsetOf(path));
      if (path && offset !== null) return { offset, sha256: "" };
    }
  }
  return null;
}

async function offsetOf(path) {
  try {
    const answer = await fetch(path, { method: "HEAD", cache: "no-store" });
    return answer.ok ? Number(answer.headers.get("Upload-Offset")) : null;
  } catch {
    return null;
  }
}

async function call(method, path, { headers, body }, context) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: { ...headers, "X-Hercules-CSRF": context.csrf } });
  } catch {
    throw Object.assign(new Error(t("reconnecting")), { mayPass: true });
  }
  if (answer.ok) return answer.json();
  const told = await answer.json().catch(() => ({ detail: `${answer.status}` }));
  const offset = answer.status === 409 && answer.headers.get("Upload-Offset");
  throw Object.assign(new Error(`${told.detail} ${told.do ?? ""}`.trim()), {
    mayPass: answer.status === 503 || answer.status === 502,
    ...(offset ? { offset: Number(offset) } : {}),
  });
}
