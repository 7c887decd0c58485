// The rundown: scripts that are spoken live one after another. It can be reordered, paused and skipped, and outlives a reload.

import { $, announce, handFocus, once } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";
import { t } from "/page/texts.js";

const QUIET_MS = 2_000; // an interrupted speech ends within this time
const START_MS = 20_000; // a speech starts within this time: the voice may have to be loaded
const STATES = { next: "", speaking: "Speaking", paused: "Paused", done: "Spoken", skipped: "Skipped", failed: "Failed" };

export class Rundown {
  // `speak` goes live and speaks a text. `edit` takes the text of an item that is removed.
  constructor(live, { speak, edit, failed }) {
    Object.assign(this, { live, speak, edit, failed, isPlaying: false, finish: null, sentence: null });
    this.items = (kept("rundown") ?? []).map((item) => ({ ...item, state: item.state === "speaking" ? "paused" : item.state }));
    this.rows = new Map();
    live.addEventListener("caption", ({ detail }) => detail.text && (this.sentence = detail.text));
    live.addEventListener("refused", () => this.finish?.("failed"));
    live.addEventListener("lost", () => this.pause());
    once($("rundown-play"), () => (this.isPlaying ? this.pause({ stops: true }) : this.#play()), failed);
    once($("rundown-skip"), () => this.#skip(), failed);
    $("rundown-clear").addEventListener("click", () => {
      this.items = this.items.filter(({ state }) => !["done", "skipped", "failed"].includes(state));
      this.#show();
    });
    this.#show();
  }

  add(text) {
    this.items.push({ id: crypto.randomUUID?.() ?? String(Math.random()), text, state: "next" });
    this.#show();
    announce(t("Added to the rundown"));
  }

  // Stops after what is spoken now, or at once; it goes on with the sentence that was interrupted.
  pause({ stops = false } = {}) {
    if (!this.isPlaying) return;
    this.isPlaying = false;
    this.finish?.("paused");
    if (stops) this.live.stop();
    this.#show();
  }

  #skip() {
    const item = this.#current;
    if (!item) return;
    if (item.state === "speaking") {
      this.finish?.("skipped");
      this.live.stop();
    } else {
      item.state = "skipped";
      this.#show();
    }
  }

  get #current() {
    return this.items.find(({ state }) => ["speaking", "paused"].includes(state)) ?? this.items.find(({ state }) => state === "next");
  }

  async #play() {
    this.isPlaying = true;
    this.#run().catch((error) => this.failed(error, $("rundown-play"))).finally(() => {
      this.isPlaying = false;
      this.#show();
    });
  }

  async #run() {
    for (let item = this.#current; item && this.isPlaying; item = this.#current) {
      item.state = "speaking";
      this.#show();
      try {
        item.state = await this.#speakItem(item);
      } catch (error) {
        item.state = "paused";
        throw error;
      }
      this.#show();
    }
  }

  // Speaks an item; returns its next state.
  async #speakItem(item) {
    await this.#until((busy) => !busy, QUIET_MS);
    this.sentence = null;
    const rest = item.text.slice(item.from ?? 0);
    const ended = new Promise((resolve) => (this.finish = resolve));
    try {
      await this.speak(rest);
      const spoken = this.#until((busy) => busy, START_MS).then(() => this.#until((busy) => !busy, Infinity)).then(() => "done");
      const state = await Promise.race([ended, spoken]);
      const at = this.sentence === null ? -1 : rest.indexOf(this.sentence);
      item.from = state === "paused" ? (item.from ?? 0) + Math.max(0, at) : 0;
      return state;
    } finally {
      this.finish = null;
    }
  }

  // Resolves when the studio reports a state, or after a time.
  #until(is, limitMs) {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.live.removeEventListener("state", look);
        resolve();
      };
      const look = ({ detail }) => is(detail.busy) && end();
      const timer = limitMs < Infinity ? setTimeout(end, this.live.ready ? limitMs : 0) : null;
      this.live.addEventListener("state", look);
    });
  }

  #show() {
    keep("rundown", this.items);
    $("rundown").hidden = this.items.length === 0;
    $("rundown-play").textContent = this.isPlaying ? t("Pause rundown") : t("Play rundown");
    $("rundown-play").disabled = !this.isPlaying && !this.#current;
    $("rundown-skip").disabled = !this.#current;
    $("rundown-clear").hidden = !this.items.some(({ state }) => ["done", "skipped", "failed"].includes(state));
    const ids = new Set(this.items.map(({ id }) => id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      handFocus([...row.querySelectorAll("button")], $("script"));
      row.remove();
      this.rows.delete(id);
    }
    this.items.forEach((item, index) => {
      if (!this.rows.has(item.id)) this.rows.set(item.id, this.#row(item));
      const row = this.rows.get(item.id);
      row.dataset.state = item.state;
      row.querySelector(".state").textContent = t(STATES[item.state]);
      if (item.state === "speaking") row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
      row.querySelector("[data-step='-1']").disabled = index === 0;
      row.querySelector("[data-step='1']").disabled = index === this.items.length - 1;
      if ($("rundown-list").children[index] !== row) $("rundown-list").insertBefore(row, $("rundown-list").children[index] ?? null);
    });
  }

  #row(item) {
    const row = element("li", { draggable: true });
    const title = [...item.text.replace(/\s+/g, " ")].slice(0, 80).join("");
    row.append(element("p", { className: "title", textContent: title }));
    const line = element("div", { className: "line" });
    line.append(element("span", { className: "state" }));
    for (const [text, label, action, step] of [
      ["↑", "Move up: {title}", () => this.#move(item, -1), -1],
      ["↓", "Move down: {title}", () => this.#move(item, 1), 1],
      [t("Edit"), "Edit: {title}", () => this.#edit(item)],
      ["×", "Remove: {title}", () => this.#remove(item)],
    ]) {
      const button = element("button", { type: "button", className: "button", textContent: text, ariaLabel: t(label, { title }) });
      if (step) button.dataset.step = step;
      button.addEventListener("click", action);
      line.append(button);
    }
    row.append(line);
    row.addEventListener("dragstart", (event) => {
      this.dragged = item;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", item.text);
    });
    row.addEventListener("dragover", (event) => {
      if (!this.dragged || this.dragged === item) return;
      event.preventDefault();
      this.#place(this.dragged, this.items.indexOf(item));
    });
    row.addEventListener("drop", (event) => event.preventDefault());
    row.addEventListener("dragend", () => (this.dragged = null));
    return row;
  }

  #move(item, step) {
    const button = document.activeElement;
    this.#place(item, this.items.indexOf(item) + step);
    (button.disabled ? this.rows.get(item.id).querySelector("[data-step]:not(:disabled)") : button).focus();
    announce(t("Place {number} of {count}", { number: this.items.indexOf(item) + 1, count: this.items.length }));
  }

  #place(item, index) {
    this.items.splice(this.items.indexOf(item), 1);
    this.items.splice(index, 0, item);
    this.#show();
  }

  #edit(item) {
    this.edit(item.text);
    this.#remove(item);
  }

  #remove(item) {
    if (item.state === "speaking") this.#skip();
    this.items = this.items.filter((other) => other !== item);
    this.#show();
  }
}

const element = (name, values = {}) => Object.assign(document.createElement(name), values);
