// The WebSocket of one session: comes back by itself, resumes after the last entry it gave away.

const FIRST_MS = 400;
const LAST_MS = 8000;
const ENDS = new Set(["signed_out", "wrong_csrf"]);

export class Link {
  constructor({ session, csrf, after, onFrame, onState }) {
    Object.assign(this, { session, csrf, after, onFrame, onState });
    this.pause = FIRST_MS;
    this.everOpen = false;
    this.over = false;
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.now());
    addEventListener("pagehide", () => this.socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.now());
    this.open();
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(frame) {
    if (!this.isOpen) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  now() {
    if (this.over || !this.timer) return;
    clearTimeout(this.timer);
    this.open();
  }

  open() {
    this.timer = null;
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/ws?session=${encodeURIComponent(this.session)}`);
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.send({ type: "hello", csrf: this.csrf, after: this.after });
    });
    socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    socket.addEventListener("close", () => this.closed());
  }

  take(frame) {
    if (!this.everOpen || this.pause !== FIRST_MS || this.wasDown) {
      this.everOpen = true;
      this.wasDown = false;
      this.pause = FIRST_MS;
      this.onState("open");
    }
    if (frame.type === "bye" && ENDS.has(frame.reason)) {
      this.over = true;
      this.onState(frame.reason);
      return;
    }
    if (frame.type === "entry") {
      if (frame.n <= this.after) return; // never twice
      this.after = frame.n;
    }
    this.onFrame(frame);
  }

  async closed() {
    if (this.over) return;
    this.wasDown = true;
    this.onState("down");
    if (await this.isSignedOut()) {
      this.over = true;
      this.onState("signed_out");
      return;
    }
    this.timer = setTimeout(() => this.open(), this.pause * (0.7 + Math.random() * 0.6));
    this.pause = Math.min(LAST_MS, this.pause * 1.7);
  }

  async isSignedOut() {
    try {
      const answer = await fetch(`/api/v1/sessions/${encodeURIComponent(this.session)}`, { cache: "no-store" });
      return answer.status === 401;
    } catch {
      return false; // the bot is away, not we
    }
  }
}
