// The list of videos: jobs with their progress, and recordings, with a search. A removal can be undone for a while.

import * as api from "/page/api.js";
import { $, announce, handFocus, once } from "/page/actions.js";
import { t } from "/page/texts.js";

const SOON_MS = 700;
const LATER_MS = 8_000;
const UNDO_MS = 10_000;
const SEARCHED = 4; // a shorter list needs no search

export class Videos {
  // `compare` opens a finished dub, `player` any video. `again` gets a job with the text of its script. The `followers` get
  // the jobs at each refresh.
  constructor(list, empty, { compare, player, again, failed }) {
    Object.assign(this, { list, empty, compare, player, again, failed, followers: [] });
    $("search").addEventListener("input", () => this.#show());
    this.items = [];
    this.states = new Map();
    this.rows = new Map();
    this.leaving = new Map(); // by key: pending removals, with their timers
    addEventListener("pagehide", () => {
      for (const { item, timer } of this.leaving.values()) {
        clearTimeout(timer);
        api.remove(item.path, { keepalive: true }).catch(() => {});
      }
      this.leaving.clear();
    });
  }

  async refresh() {
    clearTimeout(this.timer);
    try {
      const [jobs, recordings] = await Promise.all([api.get("/jobs"), api.get("/recordings")]);
      for (const follow of this.followers) follow(jobs);
      this.items = [...jobs.map(jobRow), ...recordings.map(recordingRow)].sort((a, b) => b.created.localeCompare(a.created));
      this.#show();
    } catch (error) {
      if (error.status) this.failed(error, $("videos-title"));
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), this.items.some((item) => item.open) ? SOON_MS : LATER_MS);
  }

  #remove(item) {
    const timer = setTimeout(() => this.#removeNow(item), UNDO_MS);
    this.leaving.set(item.key, { item, timer });
    this.#show();
    this.rows.get(item.key).querySelector("button").focus();
  }

  #keep(item) {
    clearTimeout(this.leaving.get(item.key)?.timer);
    this.leaving.delete(item.key);
    this.#show();
    this.rows.get(item.key)?.querySelector("button")?.focus();
  }

  async #removeNow(item) {
    const now = this.items.find(({ key }) => key === item.key);
    try {
      // A job that finished before it was cancelled is kept.
      if (now && now.open === item.open) await api.remove(item.path);
    } catch (error) {
      if (error.status !== 404) this.failed(error, $("videos-title"));
    }
    this.leaving.delete(item.key);
    await this.refresh();
  }

  #show() {
    const all = this.items.map((item) => (this.leaving.has(item.key) ? leavingRow(item) : item));
    $("search-field").hidden = all.length < SEARCHED;
    const words = $("search-field").hidden ? [] : $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const items = all.filter(({ title }) => words.every((word) => title.toLowerCase().includes(word)));
    this.empty.hidden = all.length > 0;
    $("no-matches").hidden = !all.length || items.length > 0;
    const known = new Set(items.map((item) => item.key));
    for (const [key, row] of this.rows) {
      if (!known.has(key)) {
        handFocus([...row.querySelectorAll("button")], $("videos-title"));
        row.remove();
        this.rows.delete(key);
      }
    }
    items.forEach((item, index) => {
      const before = this.states.get(item.key);
      if (before && before !== item.state) announce(`${item.title}: ${item.text}`);
      this.states.set(item.key, item.state);
      let row = this.rows.get(item.key);
      if (!row || before !== item.state) {
        const fresh = this.#row(item);
        const hadFocus = row?.contains(document.activeElement);
        row?.replaceWith(fresh);
        if (hadFocus) fresh.querySelector("button").focus({ preventScroll: true });
        this.rows.set(item.key, (row = fresh));
      }
      row.querySelector(".line > span").textContent = item.text;
      const bar = row.querySelector("progress");
      if (bar && item.total) bar.value = item.progress;
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null);
    });
  }

  #row(item) {
    const row = element("li");
    if (item.poster && item.state !== "leaving") row.append(this.#thumbnail(item));
    row.append(element("p", { className: "title", textContent: item.title, title: item.title }));
    if (item.open) row.append(element("progress", { max: 1, ariaLabel: t("Progress of {title}", { title: item.title }) }));
    for (const note of item.notes ?? []) row.append(element("p", { className: "note", textContent: note }));
    if (item.error) row.append(element("p", { className: "error", textContent: item.error }));
    const line = element("div", { className: "line" });
    line.append(element("span"));
    if (item.dub && item.original && item.state === "done") line.append(this.#button(t("Compare"), `${t("Compare")} ${item.title}`, () => this.compare.open(item)));
    if (item.script && item.state !== "leaving") line.append(this.#button(t("Again"), t("Make again: {title}", { title: item.title }), () => this.#again(item)));
    for (const [label, path, name] of item.files) {
      line.append(this.#button(t(label), `${t(label)} ${item.title}`, () => api.download(path, name)));
    }
    const verb = item.open ? "Cancel" : "Remove";
    if (item.state === "leaving") line.append(this.#button(t("Undo"), `${t("Undo")}: ${item.text} ${item.title}`, () => this.#keep(item), { isNew: true }));
    else line.append(this.#button(t(verb), `${t(verb)} ${item.title}`, () => this.#remove(item), { kind: "quiet" }));
    row.append(line);
    return row;
  }

  #thumbnail(item) {
    const button = this.#button("", t("Watch {title}", { title: item.title }), () => this.player.open(item), { kind: "thumb" });
    const image = element("img", { alt: "" });
    button.append(image, play());
    api.blobUrl(item.poster).then((url) => (image.src = url), () => image.remove());
    return button;
  }

  async #again(item) {
    const text = await (await api.request("GET", item.script.replace(/^\/v1/, ""))).text();
    this.again(item, text);
  }

  #button(label, described, action, { kind = "", isNew = false } = {}) {
    const button = element("button", { type: "button", className: `button ${kind}`, textContent: label, ariaLabel: described });
    once(button, action, this.failed, { isNew });
    return button;
  }
}

// Returns the sign of a play button.
function play() {
  const image = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  image.setAttribute("viewBox", "0 0 24 24");
  image.setAttribute("aria-hidden", "true");
  path.setAttribute("d", "M8 5v14l11-7z");
  image.append(path);
  return image;
}

const element = (name, values = {}) => Object.assign(document.createElement(name), values);
export const isOpen = ({ state }) => state === "queued" || state === "running";

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

const TRAINING = {
  check: "Checking",
  look: "Looking for the person",
  track: "Following the face",
  crop: "Preparing the mouth",
  target: "Choosing the target video",
  motion: "Learning the motion",
  rendering: "Learning the face",
  matte: "Finding the background",
};
const PHASES = { track: "Following the face", render: "Rendering", convert: "Converting the original" };

// Returns the state of a job in words.
export function jobText(job) {
  const done = job.phase === "convert" && job.total ? job.frames / job.total : job.progress;
  const percent = `${Math.round(done * 100)} %`;
  if (job.footage && job.state === "running") return TRAINING[job.phase] ? `${t(TRAINING[job.phase])}, ${percent}` : t("Preparing");
  const running = job.photo ? (job.total ? `${t("Making")}, ${percent}` : "Looking at the photograph") : job.dub ? (PHASES[job.phase] ? `${t(PHASES[job.phase])}, ${percent}` : "Preparing") : job.total ? percent : "Reading the script";
  const states = {
    queued: "Queued",
    running,
    done: job.footage?.check ? "Checked" : job.photo || job.footage ? "Ready, in the list of anchors" : job.seconds ? clock(job.seconds) : "Done",
    failed: "Failed",
    cancelled: "Cancelled",
  };
  return t(states[job.state]);
}

// Returns a message with the name of the video or the photograph, which the studio stores under another one.
export const asText = (job, text, name = "the photograph") => {
  if (job.photo) return text.replace(/'photo\.[^'/]*'/g, name === "the photograph" ? name : `“${name}”`);
  if (job.footage) return text.replace(/'?footage-(\d+)\.\w+'?/g, (whole, number) => (number in job.footage.titles ? `“${job.footage.titles[number]}”` : whole));
  return job.dub ? text.replace(/'original[^'/]*'/g, `“${job.title}”`) : text;
};

// Returns the title of a job in lists.
export const titleOf = (job) => {
  if (job.footage?.check) return t("Check of {name}", { name: job.title });
  if (job.photo || job.footage) return t("Anchor {name}", { name: job.title });
  if (job.dub) return t(job.dub.preview ? "Preview of {name}" : "Dub of {name}", { name: job.title });
  return job.title;
};

function jobRow(job) {
  const text = jobText(job);
  const files = [];
  const kind = job.dub ? (job.dub.preview ? "preview" : "dub") : "newscaster";
  const name = `${kind}-${plain(job.title)}-${stamp(job.created)}`;
  const title = titleOf(job);
  if (job.video) files.push(["Download", job.video, `${name}.mp4`]);
  if (job.anchor_file) files.push(["Download", job.anchor_file, `${plain(job.title)}.anchor`]);
  if (job.captions) files.push(["Captions", job.captions, `${name}.vtt`]);
  if (job.report && !job.dub?.preview) files.push(["Report", job.report, `${name}.json`]);
  const [error, notes] = [job.error && asText(job, job.error), job.notes.map((note) => asText(job, note))];
  return { ...job, title, error, notes, watch: job.video, key: `job-${job.id}`, text, files, open: isOpen(job), path: `/jobs/${job.id}` };
}

function recordingRow(recording) {
  const day = new Date(recording.created).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const length = recording.seconds === null ? "" : ` (${clock(recording.seconds)})`;
  return {
    key: `recording-${recording.id}`,
    title: `${t("Recording")}, ${day}${length}`,
    state: "done",
    text: recording.bytes < 1e6 ? `${Math.ceil(recording.bytes / 1e3)} kB` : `${(recording.bytes / 1e6).toFixed(1)} MB`,
    created: recording.created,
    watch: recording.href,
    poster: `${recording.href}/poster.jpg`,
    files: [["Download", recording.href, recording.file_name]],
    open: false,
    path: `/recordings/${recording.id}`,
  };
}

function leavingRow(item) {
  return { ...item, state: "leaving", text: t(item.open ? "Cancelled." : "Removed."), files: [], error: null, open: false };
}

// Converts a title to a part of a file name.
const plain = (title) => title.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").slice(0, 40).replace(/^-+|-+$/g, "") || "video";

// Converts a time to a part of a file name, in local time: 2026-01-31-205959.
function stamp(iso) {
  const local = new Date(new Date(iso).getTime() - new Date(iso).getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace("T", "-").replaceAll(":", "");
}
