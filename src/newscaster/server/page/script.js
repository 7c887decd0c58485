// The script: its text, stored in this tab, and its maximum length.

import { $, announce } from "/page/actions.js";
import { keep, kept } from "/page/keep.js";
import { language, t } from "/page/texts.js";

const count = (text) => [...text].length; // code points, as in the studio, not UTF-16 units
const number = (n) => n.toLocaleString(language);

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
      throw new Error(t("The script is empty. Write a sentence."));
    }
    if (length > max) {
      throw new Error(t("The script has {count} characters; the maximum for {purpose} is {max}. Shorten it by {excess}, or split it.", { count: number(length), purpose: t(purpose), max: number(max), excess: number(length - max) }));
    }
    return text;
  }

  set(text) {
    $("script").value = text;
    keep("script", text);
    this.show();
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
    const counted = t(length === 1 ? "{count} character" : "{count} characters", { count: number(length) });
    const over = length > video ? t(": too long. The maximum for a video is {max}", { max: number(video) }) : length > live ? t(": too long for live speech (maximum {max}). Render a video instead", { max: number(live) }) : "";
    $("script-count").textContent = counted + over;
    if (over && over !== this.over) announce(counted + over);
    this.over = over;
    $("script-count").classList.toggle("is-over", over !== "");
    $("script").setAttribute("aria-invalid", length > video);
  }
}
