// Polls whether the studio answers.

const EVERY_MS = 1_500;
const PATIENCE_MS = 2_500; // with EVERY_MS: an outage is noticed within 4 s

export class Watch extends EventTarget {
  constructor() {
    super();
    this.up = true;
  }

  start() {
    document.addEventListener("visibilitychange", () => document.hidden || this.check());
    addEventListener("online", () => this.check());
    this.check();
  }

  // Polls now. Returns whether the studio answers; dispatches `down` and `up` on changes.
  check() {
    clearTimeout(this.timer);
    this.asking ??= this.#ask().finally(() => {
      this.asking = null;
      this.timer = setTimeout(() => this.check(), EVERY_MS);
    });
    return this.asking;
  }

  async #ask() {
    const up = await fetch("/v1/health", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) }).then(
      (reply) => reply.ok,
      () => false,
    );
    if (up !== this.up) {
      this.up = up;
      this.dispatchEvent(new CustomEvent(up ? "up" : "down"));
    }
    return up;
  }
}
