// A new anchor, of a photograph or of footage: the files, the consent, and the job that makes it, with its progress.

import { $, announce, handFocus, message, once, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { megabytes, readable } from "/page/audio-file.js";
import { isVideo } from "/page/dub-video.js";
import { keep, kept } from "/page/keep.js";
import { Footage } from "/page/new-footage.js";
import { t } from "/page/texts.js";
import { asText, isOpen, jobText } from "/page/videos.js";

const NONE = "Drop or choose a photograph, or videos of one person";
const FIELDS = ["new-title", "new-consent", "new-motion", "new-blinks", "new-face", "new-training"];
const FIGURES_MS = 5_000;

export class NewAnchor {
  constructor({ anchors, videos, failed }) {
    Object.assign(this, { anchors, videos, failed, photo: null, job: null, ready: null, canTrain: true, asked: -Infinity });
    this.jobId = kept("new-job") ?? null;
    this.footage = new Footage({ failed, onChange: () => this.#showKind() });
    for (const id of FIELDS) {
      $(id).value = kept(id) ?? $(id).value;
      $(id).addEventListener("input", () => keep(id, $(id).value));
    }
    $("new-file").addEventListener("change", () => {
      if ($("new-file").files.length) this.choose([...$("new-file").files]);
      $("new-file").value = "";
    });
    once($("new-make"), () => this.#start(), failed);
    once($("new-cancel"), () => this.#cancel(), failed);
    this.footage.refresh = () => videos.refresh();
    videos.followers.push((jobs) => {
      this.footage.follow(jobs);
      this.#follow(jobs);
    });
    this.#showKind();
  }

  // Shows the limits of the studio, and the videos of before a reload.
  async show({ limits, can_train: canTrain }) {
    this.limits = this.footage.limits = limits;
    this.canTrain = canTrain;
    await this.footage.restore();
  }

  // Takes dropped files while this part of the page is open; returns whether it did.
  drop(files) {
    const isMine = (file) => file.type.startsWith("image/") || isVideo(file);
    if (!$("new-options").open || !files.some(isMine)) return false;
    this.choose(files);
    return true;
  }

  async choose(files) {
    quiet();
    const videos = files.filter(isVideo);
    this.photo = null;
    this.footage.clear();
    try {
      if (videos.length && videos.length === files.length) {
        if (!this.canTrain) throw new Error(t("This studio cannot train anchors of videos. Install what it needs with: pip install 'newscaster[train]'. A photograph needs no training."));
        await this.footage.choose(videos);
        return;
      }
      if (files.length !== 1) throw new Error(t("{count} files were dropped. Drop one photograph, or videos alone.", { count: files.length }));
      const [file] = files;
      const max = this.limits?.photo_bytes ?? Infinity;
      if (file.size > max) throw new Error(t("“{name}” has {size}; the maximum is {max}. Reduce it.", { name: file.name, size: megabytes(file.size), max: megabytes(max) }));
      await readable(file);
      this.photo = file;
      this.#showKind();
    } catch (error) {
      this.failed(error, $("new-drop"));
    }
  }

  // Shows the fields of what is chosen: a photograph, footage, or nothing yet.
  #showKind() {
    const hasFootage = this.footage.videos.length > 0;
    $("new-name").textContent = this.photo ? this.photo.name : hasFootage ? this.footage.description : t(NONE);
    for (const item of document.querySelectorAll("[data-for]")) item.hidden = item.dataset.for !== (hasFootage ? "footage" : "photo");
  }

  async #start() {
    const hasFootage = this.footage.videos.length > 0;
    if (this.footage.isSending) throw new Error(t("The videos are still being uploaded."));
    if (!this.photo && !hasFootage) throw missing("new-file", t("Choose a photograph or videos first."));
    if (this.photo) await readable(this.photo);
    const name = $("new-title").value.trim();
    if (!name) throw missing("new-title", t("Give the anchor a name."));
    const consent = $("new-consent").value.trim();
    if (!consent) throw missing("new-consent", t("State the consent of the person: who agreed, when, and to what."));
    const face = person();
    const job = hasFootage ? await this.#train({ name, consent, face }) : await this.#photograph({ name, consent, face });
    this.jobId = job.id;
    keep("new-job", job.id);
    announce(t("The anchor is being made"));
    await this.videos.refresh();
  }

  #train(values) {
    const [renderer, minutes] = $("new-training").value.split(" ");
    return api.post("/jobs/train", { videos: this.footage.videos.map(({ id }) => id), renderer, minutes: Number(minutes), ...values });
  }

  async #photograph({ name, consent, face }) {
    const query = new URLSearchParams({ name, consent, motion: $("new-motion").value, blinks: $("new-blinks").value });
    if (face !== null) query.set("face", face);
    const { photo } = this;
    try {
      const job = await api.upload(`/jobs/photo?${query}`, photo);
      this.photoName = photo.name;
      return job;
    } catch (error) {
      error.message = error.message.replace(/^the (file|photograph)\b/, `“${photo.name}”`).replace(/[^.?!]$/, "$&.");
      throw error;
    }
  }

  async #cancel() {
    await api.remove(`/jobs/${this.jobId}`);
    this.#forget();
    message(t("The anchor was cancelled."), $("new-make"), { role: "status", kind: "note" });
    await this.videos.refresh();
  }

  #forget() {
    handFocus([$("new-cancel")], $("new-make"));
    this.jobId = this.job = null;
    keep("new-job", null);
    $("new-task").hidden = $("new-training-view").hidden = true;
  }

  // Shows the job that was started here, and all anchors that are ready.
  async #follow(jobs) {
    const making = jobs.filter((job) => job.photo || (job.footage && !job.footage.check));
    const job = making.find(({ id }) => id === this.jobId);
    const wasOpen = this.job?.id === this.jobId && this.job !== null && isOpen(this.job);
    if (job) this.#show(job, { wasOpen });
    else if (this.job?.id === this.jobId && this.job) this.#forget();
    const ready = making.filter(({ state }) => state === "done").map(({ id }) => id).sort().join(" ");
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

  #show(job, { wasOpen }) {
    this.job = job;
    const isRunning = isOpen(job);
    const state = job.state === "done" ? t("“{name}” is ready: it is in the list of anchors.", { name: job.title }) : t("Anchor: {state}", { state: jobText(job) });
    $("new-task").hidden = false;
    $("new-task-text").textContent = job.error ? t("The anchor was not made: {reason}", { reason: numbered(asText(job, job.error, this.photoName)) }) : state;
    $("new-task-text").classList.toggle("error", Boolean(job.error));
    const bar = $("new-task").querySelector("progress");
    bar.hidden = !isRunning;
    if (job.total) bar.value = job.progress;
    else bar.removeAttribute("value");
    if (!isRunning) handFocus([$("new-cancel")], $("new-make"));
    $("new-cancel").hidden = !isRunning;
    const isDue = isRunning ? performance.now() - this.asked > FIGURES_MS : wasOpen || this.asked === -Infinity;
    if (job.training && isDue && job.state !== "queued") this.#showFigures(job).catch((error) => error.status === 404 || this.failed(error, $("new-task")));
  }

  // Shows the figure on held-out frames, and the image of the network's output.
  async #showFigures(job) {
    this.asked = performance.now();
    const { held_out: figures, preview } = await api.get(job.training.replace(/^\/v1/, ""));
    if (job.id !== this.jobId) return;
    $("new-training-view").hidden = !figures && !preview;
    if (figures) $("new-figure").textContent = t("On frames that it has not learnt from: {figure} dB after {minutes} min. More is closer to the person.", { figure: figures.psnr_db.toFixed(1), minutes: figures.minutes.toFixed(1) });
    if (!preview) return;
    URL.revokeObjectURL($("new-preview").src);
    $("new-preview").src = await api.blobUrl(preview);
  }
}

function missing(id, text) {
  $(id).focus();
  return new Error(text);
}

// Returns the number of the person, 0 first; null if the field is empty. The page counts from 1.
function person() {
  const text = $("new-face").value.trim();
  if (!text) return null;
  if (!/^[1-9]\d?$/.test(text)) throw missing("new-face", t("Person: “{text}” is not a number of a person. Count from the left: 1, 2, 3.", { text }));
  return Number(text) - 1;
}

// Returns a message of the studio, which counts persons from 0, as the page counts them.
const numbered = (text) =>
  text
    .replace(/face=0 \(leftmost\) to (\d+)/, (_, last) => `Person 1 (leftmost) to ${Number(last) + 1}`)
    .replace(/face=(\d+) was/, (_, number) => `person ${Number(number) + 1} was`)
    .replace(/accepted: 0 \(leftmost\) to (\d+)/, (_, last) => `accepted: 1 (leftmost) to ${Number(last) + 1}`)
    .replace(/accepted: 0$/, "accepted: 1");
