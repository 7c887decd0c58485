// The tab Dub: the new speech, the options, and the job that was started last, with its progress.

import { $, announce, handFocus, message, once } from "/page/actions.js";
import * as api from "/page/api.js";
import { megabytes, readable } from "/page/audio-file.js";
import { DubVideo, isVideo } from "/page/dub-video.js";
import { keep, kept } from "/page/keep.js";
import { language, t } from "/page/texts.js";
import { asText, jobText, titleOf } from "/page/videos.js";

const NONE = "Drop or choose audio or subtitles";
const CAPTIONS_NAME = /\.(srt|vtt)$/i;
const TIME = /^(?:(?:(\d+):)?(\d{1,2}):(?=\d{1,2}(?:[.,]|$)))?(\d+(?:[.,]\d+)?)$/;
const FIELDS = ["dub-text", "dub-from", "dub-to", "dub-at", "dub-fit", "dub-extend", "dub-mix"];
const NAMES = { "dub-from": "From", "dub-to": "To", "dub-at": "Preview at" };

export class Dub {
  constructor({ anchors, speakOptions, videos, compare, failed }) {
    Object.assign(this, { speakOptions, videos, compare, failed, anchors, limits: null, voices: [] });
    this.video = new DubVideo({ anchors, failed });
    this.file = null; // audio or captions
    this.jobId = kept("dub-job") ?? null;
    for (const id of FIELDS) {
      $(id).value = kept(id) ?? $(id).value;
      $(id).addEventListener("input", () => keep(id, $(id).value));
    }
    for (const input of document.querySelectorAll("[name=dub-kind]")) {
      input.checked = input.value === (kept("dub-kind") ?? "text");
      input.addEventListener("change", () => this.#showKind());
    }
    this.#showKind();
    $("dub-speech").addEventListener("change", () => {
      if ($("dub-speech").files.length) this.#take($("dub-speech").files[0]);
      $("dub-speech").value = "";
    });
    once($("dub-make"), () => this.#start({ preview: false }), failed);
    once($("dub-preview"), () => this.#start({ preview: true }), failed);
    once($("dub-cancel"), () => this.#cancel(), failed);
    once($("dub-compare"), () => this.#compare(), failed);
    videos.followers.push((jobs) => this.#follow(jobs));
  }

  // Shows the limits and voices of the studio, and the video of before a reload.
  async show({ limits, voices }) {
    this.limits = this.video.limits = limits;
    this.voices = voices;
    await this.video.restore();
  }

  get isOpen() {
    return !$("panel-dub").hidden;
  }

  // Takes dropped files while the tab is open; returns whether it did.
  drop(files) {
    if (!this.isOpen) return false;
    if (files.length !== 1 || isVideo(files[0])) this.video.choose(files);
    else this.#take(files[0]);
    return true;
  }

  get #kind() {
    return document.querySelector("[name=dub-kind]:checked").value;
  }

  #showKind() {
    for (const kind of ["text", "file", "own"]) $(`dub-kind-${kind}`).hidden = kind !== this.#kind;
    keep("dub-kind", this.#kind);
  }

  // Takes audio, which the studio checks, or captions, which it checks with the job.
  async #take(file) {
    document.querySelector("[name=dub-kind][value=file]").checked = true;
    this.#showKind();
    this.file = null;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    $("dub-speech-name").textContent = t("{name}: checking …", { name: file.name });
    try {
      await readable(file);
      const isCaptions = CAPTIONS_NAME.test(file.name);
      const max = isCaptions ? (this.limits?.job_characters ?? Infinity) : (this.limits?.upload_bytes ?? Infinity);
      if (file.size > max) throw new Error(t("“{name}” has {size}; the maximum is {max}. Cut it.", { name: file.name, size: megabytes(file.size), max: megabytes(max) }));
      const captions = isCaptions ? decoded(await file.arrayBuffer(), file.name) : null;
      if (!isCaptions) await api.upload("/check/audio", file);
      if (turn !== this.turn) return;
      this.file = { file, captions };
      $("dub-speech-name").textContent = file.name;
    } catch (error) {
      if (turn !== this.turn) return;
      $("dub-speech-name").textContent = t(NONE);
      error.message = error.message.replace(/^the file\b/, `“${file.name}”`).replace(/[^.?!]$/, "$&.");
      this.failed(error, $("dub-speech-drop"));
    }
  }

  async #start({ preview }) {
    const face = this.video.face;
    const speech = await this.#speech();
    const settings = {
      video: this.video.video.id,
      anchor: this.anchors.chosen,
      ...this.speakOptions.values,
      fit: $("dub-fit").value,
      extend: $("dub-extend").value,
      mix: $("dub-mix").value === "" ? null : Number($("dub-mix").value),
      from: seconds("dub-from"),
      to: seconds("dub-to"),
      face,
      preview,
      preview_at: preview ? seconds("dub-at") : null,
    };
    const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
    const { audio, ...texts } = speech;
    const job = audio
      ? await api.upload(`/jobs/dub/audio?${new URLSearchParams(given)}`, audio)
      : await api.post("/jobs/dub", { ...given, ...texts, pronunciations: this.speakOptions.pronunciations });
    this.jobId = job.id;
    keep("dub-job", job.id);
    if (preview) {
      await this.#removePreview();
      keep("dub-preview-job", job.id);
    }
    this.pressed = preview ? $("dub-preview") : $("dub-make");
    announce(t(preview ? "The preview is being made" : "The video is being dubbed"));
    await this.videos.refresh();
  }

  // Returns the fields of the job that name the speech: none for the video's own audio.
  async #speech() {
    if (this.#kind === "own") {
      if (!this.video.video.has_audio) throw new Error(t("The video has no audio. Give a text or a file."));
      return {};
    }
    if (this.#kind === "file") {
      if (!this.file) {
        $("dub-speech").focus();
        throw new Error(t("Choose audio or subtitles first."));
      }
      await readable(this.file.file);
      if (this.file.captions === null) return { audio: this.file.file };
      this.#needVoice();
      return { captions: this.file.captions };
    }
    const text = $("dub-text").value.trim();
    if (!text) {
      $("dub-text").focus();
      throw new Error(t("The text is empty. Write a sentence."));
    }
    const [count, max] = [[...text].length, this.limits?.job_characters ?? Infinity];
    if (count > max) throw new Error(t("The text has {count} characters; the maximum is {max}. Shorten it.", { count: count.toLocaleString(language), max: max.toLocaleString(language) }));
    this.#needVoice();
    return { text };
  }

  #needVoice() {
    if (!this.voices.length) throw new Error(t("No voice is installed, so texts cannot be read. Install one with: pip install 'newscaster[tts]'"));
  }

  // Only the last preview is kept.
  async #removePreview() {
    const before = kept("dub-preview-job");
    keep("dub-preview-job", null);
    const known = before && this.jobs?.find(({ id }) => id === before);
    if (!known) return;
    if (known.state === "queued" || known.state === "running") await api.remove(`/jobs/${before}`).catch(() => {});
    await api.remove(`/jobs/${before}`).catch(() => {});
  }

  async #cancel() {
    await api.remove(`/jobs/${this.jobId}`);
    const isPreview = this.job?.dub.preview;
    if (isPreview) await api.remove(`/jobs/${this.jobId}`).catch(() => {});
    this.#forget();
    message(t(isPreview ? "The preview was cancelled." : "The dub was cancelled."), $("dub-make"), { role: "status", kind: "note" });
    await this.videos.refresh();
  }

  #forget() {
    handFocus([$("dub-cancel"), $("dub-compare")], $("dub-make"));
    this.jobId = this.job = null;
    keep("dub-job", null);
    $("dub-task").hidden = true;
  }

  // Shows the job that was started here, as the studio lists it.
  #follow(jobs) {
    this.jobs = jobs;
    const job = jobs.find(({ id }) => id === this.jobId);
    if (!job?.dub) {
      if (this.job?.id === this.jobId) this.#forget(); // a list from before the job was started lacks it, too
      return;
    }
    const wasOpen = this.job?.id === job.id && isOpenState(this.job);
    this.job = job;
    const isOpen = isOpenState(job);
    const what = job.dub.preview ? "Preview" : "Dub";
    $("dub-task").hidden = false;
    const state = job.state === "done" ? t("ready, {length}", { length: jobText(job) }) : jobText(job);
    $("dub-task-text").textContent = job.error ? t("{what} failed: {reason}", { what: t(what), reason: asText(job, job.error) }) : `${t(what)}: ${state}`;
    $("dub-task-text").classList.toggle("error", Boolean(job.error));
    const bar = $("dub-task").querySelector("progress");
    bar.hidden = !isOpen;
    if (job.total) bar.value = job.progress;
    else bar.removeAttribute("value");
    if (!isOpen) handFocus([$("dub-cancel")], job.state === "done" ? showing($("dub-compare")) : $("dub-make"));
    $("dub-cancel").hidden = !isOpen;
    $("dub-compare").hidden = job.state !== "done";
    if (job.state === "done" && wasOpen && job.dub.preview) this.#openPreview();
  }

  #compare() {
    return this.compare.open({ ...this.job, title: titleOf(this.job) });
  }

  // Opens a preview that has become ready, unless the user has gone on to something else.
  #openPreview() {
    const waits = [document.body, this.pressed, $("dub-cancel"), $("dub-compare")].includes(document.activeElement);
    if (this.isOpen && waits && !document.querySelector("dialog[open]")) this.#compare().catch((error) => this.failed(error, $("dub-make")));
  }
}

const isOpenState = ({ state }) => state === "queued" || state === "running";

function showing(element) {
  element.hidden = false;
  return element;
}

// Returns the seconds of a field: 12.5, 1:02 or 1:02:03. An empty field is null.
function seconds(id) {
  const text = $(id).value.trim();
  if (!text) return null;
  const match = TIME.exec(text);
  if (!match) {
    $("dub-options").open = true;
    $(id).focus();
    throw new Error(t("{field}: “{text}” is not a time. Write seconds or minutes and seconds, such as 12.5 or 1:30.", { field: t(NAMES[id]), text }));
  }
  const [, hours, minutes, rest] = match;
  return Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(rest.replace(",", "."));
}

// Decodes a text file: UTF-16 with a byte-order mark, or UTF-8.
function decoded(buffer, name) {
  const [first, second] = new Uint8Array(buffer);
  const encoding = first === 0xff && second === 0xfe ? "utf-16le" : first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(buffer);
  } catch {
    throw new Error(t("“{name}” is not a text in UTF-8 or UTF-16. Save it as UTF-8.", { name }));
  }
}
