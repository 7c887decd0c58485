// A finished video in the page, with its captions.

import { $ } from "/page/actions.js";
import * as api from "/page/api.js";
import { language } from "/page/texts.js";

export class Player {
  constructor() {
    this.urls = [];
    $("watch-close").addEventListener("click", () => $("watch").close());
    $("watch").addEventListener("close", () => this.#clear());
  }

  // Loads a video of the list, then opens. Throws if it cannot be loaded.
  async open({ title, watch, captions }) {
    const urls = await Promise.all([watch, ...(captions ? [captions] : [])].map((path) => api.blobUrl(path)));
    this.#clear();
    this.urls = urls;
    const video = $("watch-video");
    video.replaceChildren();
    if (captions) video.append(Object.assign(document.createElement("track"), { kind: "captions", srclang: language, label: title, src: urls[1], default: true }));
    video.src = urls[0];
    $("watch-title").textContent = title;
    $("watch").showModal();
    video.focus();
    await video.play().catch(() => {}); // browsers may want another press
  }

  #clear() {
    const video = $("watch-video");
    video.pause();
    video.removeAttribute("src");
    video.replaceChildren();
    video.load();
    for (const url of this.urls) URL.revokeObjectURL(url);
    this.urls = [];
  }
}
