// Footage of a new anchor: videos that are uploaded one after another, and the report of their check.

import { $, announce, handFocus, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { megabytes, readable } from "/page/audio-file.js";
import { keep, kept } from "/page/keep.js";
import { t } from "/page/texts.js";
import { asText, clock, isOpen } from "/page/videos.js";

export class Footage {
  // `onChange` is called when videos have come or gone.
  constructor({ failed, onChange }) {
    Object.assign(this, { failed, onChange, limits: null, videos: [], job: null });
    this.turn = 0;
    this.jobId = kept("new-check") ?? null;
    $("new-upload-cancel").addEventListener("click", () => {
      this.clear();
      $("new-file").focus();
    });
  }

  get isSending() {
    return this.sending != null;
  }

  // Uploads videos in place of those of before, and has them checked.
  async choose(files) {
    this.clear();
    quiet();
    const { turn } = this;
    try {
      const max = this.limits?.video_bytes ?? Infinity;
      for (const file of files) {
        if (file.size > max) throw new Error(t("“{name}” has {size}; the maximum is {max}. Cut it, or compress it.", { name: file.name, size: megabytes(file.size), max: megabytes(max) }));
        await readable(file);
      }
      this.sending = new AbortController();
      for (const [index, file] of files.entries()) {
        const video = await this.#upload(file, index, files.length);
        if (turn !== this.turn) return void api.remove(`/videos/${video.id}`).catch(() => {});
        this.videos.push(video);
      }
      this.sending = null;
      await this.#check();
    } catch (error) {
      if (turn !== this.turn || error === null) return;
      this.clear();
      this.failed(error, $("new-drop"));
    }
  }

  async #upload(file, index, count) {
    const of = count > 1 ? t("{number} of {count}, ", { number: index + 1, count }) : "";
    this.#task(`${t("Uploading")} ${of}0 %`, 0);
    const query = new URLSearchParams({ title: [...file.name].slice(0, 80).join("") });
    const onProgress = (part) => this.#task(part < 1 ? `${t("Uploading")} ${of}${Math.floor(part * 100)} %` : t("Checking the video"), (index + part) / count);
    try {
      return await api.uploadSlowly(`/videos?${query}`, file, { onProgress, signal: this.sending.signal });
    } catch (error) {
      if (error) error.message = error.message.replace(/^the (file|video)\b/, `“${file.name}”`).replace(/[^.?!]$/, "$&.");
      throw error;
    }
  }

  async #check() {
    keep("new-videos", this.videos.map(({ id }) => id));
    this.onChange();
    this.#task(t("Checking the footage"), null);
    const job = await api.post("/jobs/check", { videos: this.videos.map(({ id }) => id) });
    this.jobId = job.id;
    keep("new-check", job.id);
    await this.refresh();
  }

  // Shows the videos of before a reload, if the studio still has them.
  async restore() {
    const ids = kept("new-videos") ?? [];
    if (!ids.length || this.sending || this.videos.length) return;
    try {
      this.videos = await Promise.all(ids.map((id) => api.get(`/videos/${id}`)));
      this.onChange();
    } catch (error) {
      if (error.status !== 404) throw error;
      this.clear();
    }
  }

  // Removes the videos, the check and its report.
  clear() {
    this.turn += 1;
    this.sending?.abort();
    for (const { id } of this.videos) api.remove(`/videos/${id}`).catch(() => {});
    if (this.jobId) this.#removeCheck(this.jobId);
    Object.assign(this, { sending: null, videos: [], jobId: null, job: null });
    keep("new-videos", []);
    keep("new-check", null);
    $("new-upload").hidden = $("new-report").hidden = true;
    this.onChange();
  }

  async #removeCheck(id) {
    const first = await api.remove(`/jobs/${id}`).then((reply) => reply.json(), () => null);
    if (first?.state === "cancelled") await api.remove(`/jobs/${id}`).catch(() => {});
  }

  // Shows the check that was started here, as the studio lists it.
  follow(jobs) {
    const job = jobs.find(({ id }) => id === this.jobId);
    if (!job || (this.job && this.job.state === job.state && !isOpen(job))) return;
    this.job = job;
    if (isOpen(job)) {
      this.#task(job.state === "queued" ? t("The check waits for other work") : t("Checking the footage"), job.total ? job.progress : null);
      return;
    }
    handFocus([$("new-upload-cancel")], $("new-title"));
    $("new-upload").hidden = true;
    if (job.error) this.failed(new Error(asText(job, job.error)), $("new-drop"));
    else if (job.report) this.#report(job).catch((error) => this.failed(error, $("new-drop")));
  }

  async #report(job) {
    const report = await (await api.request("GET", job.report.replace(/^\/v1/, ""))).json();
    const [good, others] = [(m) => m.verdict === "good", (m) => m.verdict !== "good"].map((is) => report.measures.filter(is));
    $("new-report").dataset.verdict = report.verdict;
    $("new-headline").textContent = report.headline;
    $("new-points").replaceChildren(...others.map(point), ...report.notes.map((note) => element("li", note)));
    $("new-good-title").textContent = t("Good measures: {count}", { count: good.length });
    $("new-good").replaceChildren(...good.map(point));
    $("new-good").parentElement.hidden = !good.length;
    $("new-report").hidden = false;
    announce(report.headline);
  }

  #task(text, part) {
    $("new-upload").hidden = false;
    $("new-upload-text").textContent = text;
    const bar = $("new-upload").querySelector("progress");
    if (part === null) bar.removeAttribute("value");
    else bar.value = part;
  }

  get description() {
    const seconds = this.videos.reduce((sum, video) => sum + video.seconds, 0);
    return this.videos.length === 1 ? `${this.videos[0].title}, ${clock(seconds)}` : t("{count} videos, {time}", { count: this.videos.length, time: clock(seconds) });
  }
}

const element = (name, textContent) => Object.assign(document.createElement(name), { textContent });

function point(measure) {
  const item = element("li", "");
  item.append(element("strong", measure.title), `: ${measure.text}`);
  if (measure.advice) item.append(element("span", measure.advice));
  return item;
}
