// An audio file: chosen, or dropped anywhere on the page, and checked before it is used.

import { $, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { t } from "/page/texts.js";
import { clock } from "/page/videos.js";

const NONE = "Drop or choose an audio file";

export class AudioFile {
  // `takes` returns whether another part of the page takes dropped files.
  constructor({ failed, takes, onDropped }) {
    Object.assign(this, { failed, takes, onDropped, limits: null });
    this.file = null;
    this.turn = 0;
    $("file").addEventListener("change", () => {
      if ($("file").files.length) this.choose([...$("file").files]);
      $("file").value = ""; // so that a changed file can be chosen again
    });
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) addEventListener(type, (event) => this.#drag(event));
  }

  // Without a handler, the browser would leave the page and open a dropped file.
  #drag(event) {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    const isOver = event.type === "dragover" || event.type === "dragenter";
    for (const drop of document.querySelectorAll(".drop")) drop.classList.toggle("is-over", isOver);
    if (event.type !== "drop" || document.querySelector("dialog[open]")) return;
    if (this.takes([...event.dataTransfer.files])) return;
    this.onDropped();
    this.choose([...event.dataTransfer.files]);
  }

  async choose(files) {
    const turn = ++this.turn;
    quiet();
    this.#show(null, t(NONE));
    try {
      if (files.length !== 1) throw new Error(t("{count} files were dropped. Drop only one.", { count: files.length }));
      const [file] = files;
      this.#show(null, t("{name}: checking …", { name: file.name }));
      const seconds = await this.#check(file);
      if (turn === this.turn) this.#show(file, `${file.name}, ${clock(seconds)}`);
    } catch (error) {
      if (turn !== this.turn) return;
      this.#show(null, t(NONE));
      this.failed(error, $("drop"));
    }
  }

  // Returns the length in seconds.
  async #check(file) {
    const name = `“${file.name}”`;
    const max = this.limits?.upload_bytes ?? Infinity;
    if (file.size > max) {
      throw new Error(t("“{name}” has {size}; the maximum is {max}. Cut it, or compress it.", { name: file.name, size: megabytes(file.size), max: megabytes(max) }));
    }
    await readable(file);
    try {
      return (await api.upload("/check/audio", file)).seconds;
    } catch (error) {
      error.message = error.message.replace(/^the file\b/, name).replace(/[^.?!]$/, "$&.");
      throw error;
    }
  }

  #show(file, text) {
    this.file = file;
    $("file-name").textContent = text;
    $("play").disabled = $("make-audio").disabled = !file;
  }
}

// Throws if a file cannot be read, such as a folder or a moved file.
export async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw new Error(t("“{name}” cannot be read. Is it a folder, or was it moved? Choose it again.", { name: file.name }));
  }
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
