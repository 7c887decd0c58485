// The original beside the dubbed video: one play button, both in step, and the audio of one of them.

import { $ } from "/page/actions.js";
import * as api from "/page/api.js";
import { t } from "/page/texts.js";
import { clock } from "/page/videos.js";

const EVERY_MS = 100;
const FAR_SECONDS = 0.15; // a jump corrects more than this, a change of speed the rest
const NEAR_SECONDS = 0.02;

export class Compare {
  constructor({ failed }) {
    this.original = $("compare-original");
    this.dubbed = $("compare-dubbed");
    this.urls = [];
    $("compare-play").addEventListener("click", () => {
      // A pause during the start of playback aborts it.
      this.#toggle().catch((error) => error.name === "AbortError" || failed(error, $("compare-play")));
    });
    $("compare-close").addEventListener("click", () => $("compare").close());
    $("compare").addEventListener("close", () => this.#clear());
    $("compare-seek").addEventListener("input", () => this.#seek(Number($("compare-seek").value)));
    for (const input of document.querySelectorAll("[name=compare-audio]")) input.addEventListener("change", () => this.#setAudio());
    for (const type of ["play", "pause", "ended"]) this.dubbed.addEventListener(type, () => this.#show());
    this.dubbed.addEventListener("pause", () => {
      this.original.pause();
      this.#seek(this.dubbed.currentTime); // so that both show the same frame
    });
    this.dubbed.addEventListener("timeupdate", () => this.#show());
  }

  // Loads both videos of a finished job, then opens. Throws if they cannot be loaded or played.
  async open(job) {
    const urls = await Promise.all([api.blobUrl(job.original), api.blobUrl(job.video)]);
    this.#clear();
    this.urls = urls;
    try {
      await Promise.all([load(this.original, urls[0], "original"), load(this.dubbed, urls[1], "dubbed video")]);
    } catch (error) {
      this.#clear();
      throw error;
    }
    $("compare-title").textContent = job.title;
    $("compare-seek").max = this.dubbed.duration;
    document.querySelector("[name=compare-audio][value=dubbed]").checked = true;
    this.#setAudio();
    this.#show();
    $("compare").showModal();
    $("compare-play").focus();
  }

  #clear() {
    clearInterval(this.timer);
    for (const video of [this.original, this.dubbed]) {
      video.pause();
      video.removeAttribute("src");
      video.load();
    }
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
  }

  async #toggle() {
    if (!this.dubbed.paused) {
      this.dubbed.pause();
      return;
    }
    await this.#seek(this.dubbed.ended ? 0 : this.dubbed.currentTime);
    clearInterval(this.timer);
    this.timer = setInterval(() => this.#keepInStep(), EVERY_MS);
    const isOver = this.original.currentTime >= this.original.duration - NEAR_SECONDS;
    await Promise.all([this.dubbed.play(), isOver || this.original.play()]);
  }

  async #seek(seconds) {
    const seeks = [seek(this.dubbed, seconds), seek(this.original, Math.min(seconds, this.original.duration))];
    this.#show();
    await Promise.all(seeks);
  }

  #keepInStep() {
    this.#show();
    if (this.dubbed.paused) return;
    const late = this.dubbed.currentTime - this.original.currentTime;
    if (this.original.ended || this.dubbed.currentTime >= this.original.duration) return; // it stays on its last frame
    if (Math.abs(late) > FAR_SECONDS) this.original.currentTime = this.dubbed.currentTime;
    const change = Math.abs(late) < NEAR_SECONDS ? 0 : Math.max(-0.1, Math.min(0.1, late));
    this.original.playbackRate = this.dubbed.playbackRate * (1 + change);
    if (this.original.paused) this.original.play().catch(() => {});
  }

  #setAudio() {
    const chosen = document.querySelector("[name=compare-audio]:checked").value;
    this.dubbed.muted = chosen !== "dubbed";
    this.original.muted = chosen !== "original";
  }

  #show() {
    const { currentTime, duration, paused } = this.dubbed;
    $("compare-play").textContent = paused ? t("Play") : t("Pause");
    $("compare-seek").value = currentTime;
    $("compare-time").textContent = `${clock(currentTime)} / ${clock(duration || 0)}`;
    if (paused) clearInterval(this.timer);
  }
}

// Seeks, unless the video is there; resolves when the frame is shown.
function seek(video, seconds) {
  if (video.currentTime === seconds || !video.src) return Promise.resolve();
  return new Promise((resolve) => {
    video.addEventListener("seeked", resolve, { once: true });
    video.addEventListener("emptied", resolve, { once: true });
    video.currentTime = seconds;
  });
}

function load(video, url, name) {
  return new Promise((resolve, reject) => {
    video.addEventListener("loadeddata", resolve, { once: true });
    video.addEventListener("error", () => reject(new Error(t("This browser cannot play the {name}. Download it instead.", { name: t(name) }))), { once: true });
    video.preload = "auto";
    video.playbackRate = 1;
    video.src = url;
  });
}
