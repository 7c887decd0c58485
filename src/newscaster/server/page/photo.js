// A new anchor from a photograph: the file, the consent, and the job that makes the anchor, with its progress.

import { $, announce, handFocus, message, once, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { megabytes, readable } from "/page/audio-file.js";
import { keep, kept } from "/page/keep.js";
import { asText, isOpen, jobText } from "/page/videos.js";

const NONE = "Drop or choose a photograph";
const FIELDS = ["photo-title", "photo-consent", "photo-motion", "photo-blinks", "photo-face"];

export class Photo {
  constructor({ anchors, videos, failed }) {
    Object.assign(this, { anchors, videos, failed, limits: null, file: null, job: null, ready: null });
    this.jobId = kept("photo-job") ?? null;
    for (const id of FIELDS) {
      $(id).value = kept(id) ?? $(id).value;
      $(id).addEventListener("input", () => keep(id, $(id).value));
    }
    $("photo-file").addEventListener("change", () => {
      if ($("photo-file").files.length) this.choose([...$("photo-file").files]);
      $("photo-file").value = "";
    });
    once($("photo-make"), () => this.#start(), failed);
    once($("photo-cancel"), () => this.#cancel(), failed);
    videos.followers.push((jobs) => this.#follow(jobs));
  }

  // Takes a dropped photograph while this part of the page is open; returns whether it did.
  drop(files) {
    if (!$("photo-options").open || !files.some(({ type }) => type.startsWith("image/"))) return false;
    this.choose(files);
    return true;
  }

  async choose(files) {
    quiet();
    this.file = null;
    $("photo-name").textContent = NONE;
    try {
      if (files.length !== 1) throw new Error(`${files.length} files were dropped. Drop only one.`);
      const [file] = files;
      const max = this.limits?.photo_bytes ?? Infinity;
      if (file.size > max) throw new Error(`“${file.name}” has ${megabytes(file.size)}; the maximum is ${megabytes(max)}. Reduce it.`);
      await readable(file);
      this.file = file;
      $("photo-name").textContent = file.name;
    } catch (error) {
      this.failed(error, $("photo-drop"));
    }
  }

  async #start() {
    if (!this.file) throw missing("photo-file", "Choose a photograph first.");
    await readable(this.file);
    const name = $("photo-title").value.trim();
    if (!name) throw missing("photo-title", "Give the anchor a name.");
    const consent = $("photo-consent").value.trim();
    if (!consent) throw missing("photo-consent", "State the consent of the person: who agreed, when, and to what.");
    const face = person();
    const query = new URLSearchParams({ name, consent, motion: $("photo-motion").value, blinks: $("photo-blinks").value });
    if (face !== null) query.set("face", face);
    const { file } = this;
    try {
      const job = await api.upload(`/jobs/photo?${query}`, file);
      this.jobId = job.id;
      this.photoName = file.name;
      keep("photo-job", job.id);
    } catch (error) {
      error.message = error.message.replace(/^the (file|photograph)\b/, `“${file.name}”`).replace(/[^.?!]$/, "$&.");
      throw error;
    }
    announce("The anchor is being made");
    await this.videos.refresh();
  }

  async #cancel() {
    await api.remove(`/jobs/${this.jobId}`);
    this.#forget();
    message("The anchor was cancelled.", $("photo-make"), { role: "status", kind: "note" });
    await this.videos.refresh();
  }

  #forget() {
    handFocus([$("photo-cancel")], $("photo-make"));
    this.jobId = this.job = null;
    keep("photo-job", null);
    $("photo-task").hidden = true;
  }

  // Shows the job that was started here, and all anchors that are ready.
  async #follow(jobs) {
    const photos = jobs.filter((job) => job.photo);
    const job = photos.find(({ id }) => id === this.jobId);
    const wasOpen = this.job?.id === this.jobId && this.job !== null && isOpen(this.job);
    if (job) this.#show(job);
    else if (this.job?.id === this.jobId && this.job) this.#forget();
    const ready = photos.filter(({ state }) => state === "done").map(({ id }) => id).sort().join(" ");
    const isChanged = this.ready !== null && this.ready !== ready;
    this.ready = ready;
    if (!isChanged) return;
    try {
      await this.anchors.show();
      if (job?.state === "done" && wasOpen) this.anchors.choose(job.anchor);
    } catch (error) {
      this.failed(error, $("anchors"));
    }
  }

  #show(job) {
    this.job = job;
    const isRunning = isOpen(job);
    const state = job.state === "done" ? `“${job.title}” is ready: it is in the list of anchors.` : `Anchor: ${jobText(job)}`;
    $("photo-task").hidden = false;
    $("photo-task-text").textContent = job.error ? `The anchor was not made: ${numbered(asText(job, job.error, this.photoName))}` : state;
    $("photo-task-text").classList.toggle("error", Boolean(job.error));
    const bar = $("photo-task").querySelector("progress");
    bar.hidden = !isRunning;
    if (job.total) bar.value = job.progress;
    else bar.removeAttribute("value");
    if (!isRunning) handFocus([$("photo-cancel")], $("photo-make"));
    $("photo-cancel").hidden = !isRunning;
  }
}

function missing(id, text) {
  $(id).focus();
  return new Error(text);
}

// Returns the number of the person, 0 first; null if the field is empty. The page counts from 1.
function person() {
  const text = $("photo-face").value.trim();
  if (!text) return null;
  if (!/^[1-9]\d?$/.test(text)) throw missing("photo-face", `Person: “${text}” is not a number of a person. Count from the left: 1, 2, 3.`);
  return Number(text) - 1;
}

// Returns a message of the studio, which counts persons from 0, as the page counts them.
const numbered = (text) =>
  text
    .replace(/face=0 \(leftmost\) to (\d+)/, (_, last) => `Person 1 (leftmost) to ${Number(last) + 1}`)
    .replace(/face=(\d+) was/, (_, number) => `person ${Number(number) + 1} was`)
    .replace(/accepted: 0 \(leftmost\) to (\d+)/, (_, last) => `accepted: 1 (leftmost) to ${Number(last) + 1}`)
    .replace(/accepted: 0$/, "accepted: 1");
