// The script: its text, which is kept in this tab, and how long it may be.

import { $, announce } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";

const count = (text) => [...text].length; // as the studio counts, not in UTF-16 units
const number = (n) => n.toLocaleString("en");

export class Script {
  constructor() {
    this.limits = null;
    $("script").value ||= kept("script") ?? "";
    $("script").addEventListener("input", () => {
      keep("script", $("script").value);
      this.show();
    });
    this.show();
  }

  // Its text, for what takes so many characters.
  text(most, purpose) {
    const text = $("script").value.trim();
    const length = count(text);
    if (!length) {
      $("script").focus();
      throw new Error("The script is empty. Write a sentence.");
    }
    if (length > most) {
      throw new Error(`The script has ${number(length)} characters; ${purpose} may have ${number(most)}. Shorten it by ${number(length - most)}, or divide it.`);
    }
    return text;
  }

  get liveText() {
    return this.text(this.limits?.script_characters ?? Infinity, "what is said live");
  }

  get videoText() {
    return this.text(this.limits?.job_characters ?? Infinity, "a video");
  }

  // Nothing is cut off: what is too long is said, and stays to be shortened.
  show() {
    const length = count($("script").value.trim());
    const { script_characters: live = Infinity, job_characters: video = Infinity } = this.limits ?? {};
    const told = `${number(length)} character${length === 1 ? "" : "s"}`;
    const over = length > video ? `: too long. A video may have ${number(video)}` : length > live ? `: too long to be said live (${number(live)}); make a video` : "";
    $("script-count").textContent = told + over;
    if (over && over !== this.over) announce(told + over);
    this.over = over;
    $("script-count").classList.toggle("is-over", over !== "");
    $("script").setAttribute("aria-invalid", length > video);
  }
}
