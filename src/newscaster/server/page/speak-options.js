// How the anchor speaks: voice, speed and articulation. Changes apply to the next sentence, without interruption.

import { $, announce } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";

const FIELDS = ["voice", "speed", "openness", "smoothness", "ahead"];

export class SpeakOptions {
  constructor(live, { failed }) {
    Object.assign(this, { live, failed });
    for (const id of FIELDS) {
      $(id).addEventListener("change", () => {
        keep(id, $(id).value);
        this.apply($(id));
      });
    }
    for (const range of document.querySelectorAll("#speak-options .range input")) {
      range.value = kept(range.id) ?? range.value;
      range.addEventListener("input", () => showValue(range));
      showValue(range);
    }
  }

  // Options for rendering a video.
  get values() {
    const numbers = Object.fromEntries(["speed", "openness", "smoothness"].map((id) => [id, Number($(id).value)]));
    return { voice: $("voice").value || null, ...numbers };
  }

  get liveValues() {
    return { ...this.values, look_ahead_ms: Number($("ahead").value) };
  }

  // Sends the options to the live session: one request at a time, the latest values last.
  async apply(control) {
    this.waiting = control;
    if (this.sending) return;
    this.sending = true;
    try {
      while (this.waiting && this.live.ready) {
        const values = this.liveValues;
        const changed = JSON.stringify(values) !== this.applied;
        control = this.waiting;
        this.waiting = null;
        if (!changed) continue;
        await this.live.change(values);
        this.applied = JSON.stringify(values);
        announce("Applies to the next sentence");
      }
    } catch (error) {
      this.failed(error, control);
    } finally {
      this.sending = false;
    }
  }

  // Notes the options of a new session.
  began(values) {
    this.applied = JSON.stringify(values);
    this.apply($("voice")); // changes made while it connected
  }

  // Shows the voices and the look-ahead of this studio; keeps the choice, if it still exists.
  show({ voices, look_ahead_ms: ahead }) {
    const options = voices.map((name) => new Option(name, name));
    if (voices.length) options.unshift(new Option("Default", ""));
    else options.push(new Option("None installed", ""));
    choose($("voice"), options, kept("voice") ?? "");
    const steps = [...$("ahead").options];
    if (!steps.some(({ value }) => value === String(ahead))) steps.push(new Option(`${ahead} ms`, ahead));
    choose($("ahead"), steps, kept("ahead") ?? String(ahead));
  }
}

function choose(select, options, value) {
  select.replaceChildren(...options);
  select.value = options.some((option) => option.value === value) ? value : options[0].value;
}

function showValue(range) {
  range.nextElementSibling.textContent = Number(range.value).toFixed(range.step === "0.1" ? 1 : 2);
}
