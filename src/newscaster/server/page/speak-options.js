// How the anchor speaks: voice, speed and articulation. Changes apply to the next sentence, without interruption.

import { $, announce, once } from "/page/actions.js";
import * as api from "/page/api.js";
import { keep, kept } from "/page/keep.js";
import { t } from "/page/texts.js";

const FIELDS = ["voice", "speed", "openness", "smoothness", "ahead", "pronunciations"];
const SCENE = ["background", "background-colour"];
const MAX_SAMPLE = 300;

export class SpeakOptions {
  constructor(live, { anchor, failed }) {
    Object.assign(this, { live, failed, anchor });
    for (const id of FIELDS) {
      $(id).addEventListener("change", () => {
        keep(id, $(id).value);
        this.apply($(id));
      });
    }
    for (const id of [...SCENE, "pronunciations"]) $(id).value = kept(id) ?? $(id).value;
    for (const id of SCENE) {
      $(id).addEventListener("change", () => {
        keep(id, $(id).value);
        this.#showColour();
      });
    }
    this.#showColour();
    once($("voice-sample"), () => this.#listen(), failed);
    for (const range of document.querySelectorAll("#speak-options .range input[type=range]")) {
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
    return { ...this.values, pronunciations: this.pronunciations, look_ahead_ms: Number($("ahead").value) };
  }

  // Returns the readings of written forms; null if there are none. Throws if a line is none.
  get pronunciations() {
    const lines = $("pronunciations").value.split("\n").map((line) => line.trim()).filter(Boolean);
    const pairs = lines.map((line) => {
      const [written, ...reading] = line.split("=");
      if (!written.trim() || !reading.join("=").trim()) {
        $("speak-options").open = true;
        $("pronunciations").focus();
        throw new Error(t("Pronunciations: “{line}” is no word and its reading. Write them as: WHO = W.H.O", { line }));
      }
      return [written.trim(), reading.join("=").trim()];
    });
    return pairs.length ? Object.fromEntries(pairs) : null;
  }

  // The background; null is the footage's own.
  get background() {
    const { value } = $("background");
    return value === "colour" ? $("background-colour").value : value || null;
  }

  // Takes the settings of a job.
  set({ voice, speed, openness, smoothness, pronunciations, background }) {
    const isListed = [...$("background").options].some(({ value }) => value === (background ?? ""));
    if (!isListed) $("background-colour").value = background;
    const lines = Object.entries(pronunciations ?? {}).map((pair) => pair.join(" = "));
    const values = { voice: voice ?? "", speed, openness, smoothness, pronunciations: lines.join("\n"), background: isListed ? (background ?? "") : "colour", "background-colour": $("background-colour").value };
    for (const [id, value] of Object.entries(values)) {
      $(id).value = value;
      keep(id, $(id).value);
      if ($(id).type === "range") showValue($(id));
    }
    this.#showColour();
    this.apply($("voice"));
  }

  #showColour() {
    $("background-colour").hidden = $("background").value !== "colour";
  }

  // Speaks the first sentence of the script with the voice.
  async #listen() {
    const [sentence] = $("script").value.trim().match(/^[^.!?\n]+[.!?]*/) ?? [];
    const { voice, speed } = this.values;
    const sample = { voice, speed, pronunciations: this.pronunciations, anchor: this.anchor(), ...(sentence && { text: sentence.slice(0, MAX_SAMPLE) }) };
    const reply = await api.request("POST", "/voices/sample", sample);
    this.audio?.pause();
    this.audio = new Audio(URL.createObjectURL(await reply.blob()));
    await this.audio.play();
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
        announce(t("Applies to the next sentence"));
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
    if (voices.length) options.unshift(new Option(t("Default"), ""));
    else options.push(new Option(t("None installed"), ""));
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
