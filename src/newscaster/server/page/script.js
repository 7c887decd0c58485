// The script: its text, stored in this tab, and its maximum length.

import { $, announce } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";

const count = (text) => [...text].length; // code points, as in the studio, not UTF-16 units
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

  // Returns the text; throws if it is empty or too long.
  text(max, purpose) {
    const text = $("script").value.trim();
    const length = count(text);
    if (!length) {
      $("script").focus();
      throw new Error("The script is empty. Write a sentence.");
    }
    if (length > max) {
      throw new Error(`The script has ${number(length)} characters; the maximum for ${purpose} is ${number(max)}. Shorten it by ${number(length - max)}, or split it.`);
    }
    return text;
  }

  get liveText() {
    return this.text(this.limits?.script_characters ?? Infinity, "live speech");
  }

  get videoText() {
    return this.text(this.limits?.job_characters ?? Infinity, "a video");
  }

  // Shows the length. A script that is too long is not cut.
  show() {
    const length = count($("script").value.trim());
    const { script_characters: live = Infinity, job_characters: video = Infinity } = this.limits ?? {};
    const counted = `${number(length)} character${length === 1 ? "" : "s"}`;
    const over = length > video ? `: too long. The maximum for a video is ${number(video)}` : length > live ? `: too long for live speech (maximum ${number(live)}). Render a video instead` : "";
    $("script-count").textContent = counted + over;
    if (over && over !== this.over) announce(counted + over);
    this.over = over;
    $("script-count").classList.toggle("is-over", over !== "");
    $("script").setAttribute("aria-invalid", length > video);
  }
}
