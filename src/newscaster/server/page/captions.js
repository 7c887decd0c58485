// Captions of a live text, with the word marked that is spoken now.

import { $ } from "/page/actions.js";

const EVERY_MS = 40;

export class Captions {
  constructor() {
    this.words = [];
  }

  // Shows a caption of the studio. `lateMs` is how much later than the studio the browser shows it.
  show({ words, at_ms: atMs }, lateMs) {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#start(words, performance.now() - atMs), lateMs);
  }

  clear() {
    clearTimeout(this.waiting);
    this.#start([], 0);
  }

  #start(words, began) {
    clearInterval(this.timer);
    this.words = words.map(([text, start, stop]) => ({ mark: Object.assign(document.createElement("span"), { textContent: text }), start, stop }));
    this.began = began;
    $("caption").replaceChildren(...this.words.flatMap(({ mark }, index) => (index ? [" ", mark] : [mark])));
    this.#mark();
    if (this.words.length) this.timer = setInterval(() => this.#mark(), EVERY_MS);
  }

  #mark() {
    const now = performance.now() - this.began;
    for (const { mark, start, stop } of this.words) mark.classList.toggle("is-spoken", now >= start && now < stop);
  }
}
