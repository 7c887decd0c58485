// The list of videos: jobs with their progress, and recordings.

import * as api from "/page/api.js";

const SOON_MS = 700;
const LATER_MS = 8_000;

export class Videos {
  constructor(list, empty, { onError, announce }) {
    Object.assign(this, { list, empty, onError, announce });
    this.states = new Map();
    this.rows = new Map();
  }

  async refresh() {
    clearTimeout(this.timer);
    let busy = false;
    try {
      const [jobs, recordings] = await Promise.all([api.get("/jobs"), api.get("/recordings")]);
      busy = jobs.some(isOpen);
      this.#show([...jobs.map(jobRow), ...recordings.map(recordingRow)].sort((a, b) => b.created.localeCompare(a.created)));
    } catch (error) {
      if (error.status) this.onError(error);
    }
    this.timer = setTimeout(() => this.refresh(), busy ? SOON_MS : LATER_MS);
  }

  #show(items) {
    this.empty.hidden = items.length > 0;
    const known = new Set(items.map((item) => item.key));
    for (const [key, row] of this.rows) {
      if (!known.has(key)) {
        row.remove();
        this.rows.delete(key);
      }
    }
    items.forEach((item, index) => {
      const before = this.states.get(item.key);
      if (before && before !== item.state) this.announce(`${item.title}: ${item.told}`);
      this.states.set(item.key, item.state);
      let row = this.rows.get(item.key);
      if (!row || before !== item.state) {
        const fresh = this.#row(item);
        row?.replaceWith(fresh);
        this.rows.set(item.key, (row = fresh));
      }
      row.querySelector(".line > span").textContent = item.told;
      const bar = row.querySelector("progress");
      if (bar && item.total) bar.value = item.progress;
      if (this.list.children[index] !== row) this.list.insertBefore(row, this.list.children[index] ?? null);
    });
  }

  #row(item) {
    const row = element("li");
    row.append(element("p", { className: "title", textContent: item.title, title: item.title }));
    if (item.open) row.append(element("progress", { max: 1, ariaLabel: `Progress of ${item.title}` }));
    for (const note of item.notes ?? []) row.append(element("p", { className: "note", textContent: note }));
    if (item.error) row.append(element("p", { className: "error", textContent: item.error }));
    const line = element("div", { className: "line" });
    line.append(element("span"));
    for (const [label, path, name] of item.files) {
      line.append(this.#button(label, `${label} ${item.title}`, () => api.download(path, name)));
    }
    const verb = item.open ? "Cancel" : "Remove";
    line.append(this.#button(verb, `${verb} ${item.title}`, () => api.remove(item.path).then(() => this.refresh()), "quiet"));
    row.append(line);
    return row;
  }

  #button(label, described, action, kind = "") {
    const button = element("button", { type: "button", className: `button ${kind}`, textContent: label, ariaLabel: described });
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        await action();
      } catch (error) {
        this.onError(error);
      } finally {
        button.disabled = false;
      }
    });
    return button;
  }
}

const element = (name, values = {}) => Object.assign(document.createElement(name), values);
const isOpen = ({ state }) => state === "queued" || state === "running";

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function jobRow(job) {
  const told = {
    queued: "Waiting for its turn",
    running: job.total ? `${Math.round(job.progress * 100)} %` : "Reading the script",
    done: job.seconds ? clock(job.seconds) : "Done",
    failed: "Failed",
    cancelled: "Cancelled",
  }[job.state];
  const files = [];
  if (job.video) files.push(["Download", job.video, `newscaster-${job.id}.mp4`]);
  if (job.captions) files.push(["Captions", job.captions, `newscaster-${job.id}.vtt`]);
  return { ...job, key: `job-${job.id}`, told, files, open: isOpen(job), path: `/jobs/${job.id}` };
}

function recordingRow(recording) {
  return {
    key: `recording-${recording.id}`,
    title: "Recording",
    state: "done",
    told: `${new Date(recording.created).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}, ${(recording.bytes / 1e6).toFixed(1)} MB`,
    created: recording.created,
    files: [["Download", recording.href, "newscaster-recording.mp4"]],
    open: false,
    path: `/recordings/${recording.id}`,
  };
}
