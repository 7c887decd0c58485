// The studio's page: what its buttons do, and what it shows of the session that is live.

import { $, announce, message, once, quiet } from "/page/actions.js";
import { Anchors } from "/page/anchors.js";
import * as api from "/page/api.js";
import { Live } from "/page/live.js";
import { Manner } from "/page/manner.js";
import { Microphone } from "/page/microphone.js";
import { clearReadouts, showReadouts } from "/page/readouts.js";
import { Script } from "/page/script.js";
import { readable, SoundFile } from "/page/sound-file.js";
import { selectTab, startTabs } from "/page/tabs.js";
import { startTheme } from "/page/theme.js";
import { clock, Videos } from "/page/videos.js";
import { Watch } from "/page/watch.js";

const ENDING_MS = 6_000;
const LIVE_BUTTONS = ["stop", "record", "end"];

const live = new Live($("video"));
const watch = new Watch();
const script = new Script();
const manner = new Manner(live, { failed });
const videos = new Videos($("videos"), $("no-videos"), { failed });
const soundFile = new SoundFile({ failed, onDropped: () => selectTab($("tab-sound")) });
const isOccupied = () => state.server?.busy || state.recordingSince !== null || microphone.on;
const anchors = new Anchors(live, { isOccupied, handOver, failed });
const microphone = new Microphone({
  onSound: (pcm) => state.microphoneSends && live.ready && live.send(pcm),
  onLevel: (level) => {
    const percent = Math.round(Math.min(1, level * 4) * 100);
    $("meter").firstElementChild.style.width = `${percent}%`;
    $("meter").setAttribute("aria-valuenow", percent);
  },
  onGone: () => {
    stopMicrophone();
    message("The microphone was disconnected.", $("mic"));
  },
});
const state = {
  recordingSince: null,
  isRecordingConfirmed: false, // by the studio
  server: null, // as the studio last described the session
  figures: null, // as the browser measures it
  hasSpoken: false, // since something began to be said
  microphoneSends: false,
  resumes: false, // goes live again when the studio is back
  lostAt: -Infinity, // when a session ended that nobody had ended here
};

// Telling

function failed(error, control) {
  if (error.status === 0) watch.check();
  if (error.status === 401) askForToken("The token is missing or wrong.");
  else message(error.message ?? String(error), control);
}

function status(kind, text) {
  if ($("status").dataset.state === kind) return;
  $("status").dataset.state = kind;
  $("status-text").textContent = text;
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

const on = (id, action) => once($(id), action, failed);

// On air

let starting = null;

async function goLive() {
  if (live.on && !starting) return;
  starting ??= (async () => {
    status("coming", "Connecting");
    $("go-live").setAttribute("aria-busy", "true");
    try {
      const values = manner.liveValues;
      await live.start({ anchor: anchors.chosen, ...values });
      const hadFocus = document.activeElement === $("go-live");
      $("screen").classList.add("is-live");
      $("on-air").hidden = false;
      for (const id of LIVE_BUTTONS) $(id).disabled = false;
      if (hadFocus) $("stop").focus({ preventScroll: true });
      announce("Live");
      manner.began(values);
    } catch (error) {
      offAir();
      throw error;
    } finally {
      $("go-live").removeAttribute("aria-busy");
      starting = null;
    }
  })();
  await starting;
}

function offAir() {
  stopMicrophone();
  showRecording(null);
  const hadFocus = LIVE_BUTTONS.some((id) => document.activeElement === $(id));
  $("screen").classList.remove("is-live");
  $("on-air").hidden = true;
  for (const id of LIVE_BUTTONS) $(id).disabled = true;
  if (hadFocus) $("go-live").focus({ preventScroll: true });
  clearReadouts();
  state.server = state.figures = null;
  state.hasSpoken = anchors.isNext = false;
  if (watch.up) status("off", "Off air");
}

async function handOver(between) {
  await starting;
  await live.end();
  offAir();
  between();
  await goLive();
}

async function endLive() {
  try {
    if (state.recordingSince) await toggleRecording();
  } finally {
    await live.end();
    offAir();
  }
}

live.addEventListener("state", ({ detail }) => {
  state.server = detail;
  showFigures();
  followRecording(detail);
  if (anchors.isNext && !isOccupied()) anchors.change();
});
live.addEventListener("figures", ({ detail }) => {
  state.figures = detail;
  showFigures();
});
live.addEventListener("refused", ({ detail }) => {
  const lines = detail.error.split("\n").filter((line) => line !== state.server?.recording_ended); // said beside Record
  if (lines.length) failed(new Error(lines.join("\n")), openPanel().querySelector("button"));
});
live.addEventListener("lost", async ({ detail }) => {
  const wasRecording = state.recordingSince !== null;
  offAir();
  state.resumes = true;
  state.lostAt = performance.now();
  if (!(await watch.check())) return;
  state.resumes = false;
  const recorded = wasRecording ? " What was recorded is kept, below." : "";
  message(`The live session was ended: ${detail.why || "the studio closed it"}.${recorded} Press Go live to begin another.`, $("go-live"));
  await videos.refresh();
});

function showFigures() {
  const { server, figures } = state;
  if (!live.on || !server) return;
  if (watch.up) status(server.busy ? "talking" : "live", server.busy ? "Talking" : "Live");
  state.hasSpoken = server.busy && (state.hasSpoken || server.speaking);
  showReadouts(server, figures, state.hasSpoken);
  if (state.recordingSince) $("recording-time").textContent = clock((Date.now() - state.recordingSince) / 1000);
}

on("go-live", goLive);
on("end", endLive);
on("stop", stopTalking);
on("mute", () => {
  const muted = $("mute").getAttribute("aria-pressed") !== "true";
  live.mute(muted);
  $("mute").setAttribute("aria-pressed", muted);
  $("mute-label").textContent = muted ? "Sound off" : "Sound on";
});

function stopTalking() {
  stopMicrophone();
  if (live.on) live.stop();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("door").open) stopTalking();
});

// The studio's silence

watch.addEventListener("down", () => {
  if (performance.now() - state.lostAt < ENDING_MS) {
    state.resumes = true; // a studio that ends still answers for a moment after its sessions
    quiet();
  }
  status("down", "No answer");
  $("silence").textContent = `${api.SILENT} This page connects again when it is back.`;
  $("silence").hidden = false;
});
watch.addEventListener("up", async () => {
  $("silence").hidden = true;
  if (!live.on) status("off", "Off air");
  announce("The studio is back");
  await open();
  try {
    if (live.on && !(await live.exists())) {
      await live.end();
      offAir();
      state.resumes = true;
    }
    if (!state.resumes) return;
    state.resumes = false;
    await goLive();
    message("The studio was away, and is back. What was left to say was dropped: say it again.", $("go-live"), { role: "status", kind: "note" });
  } catch (error) {
    failed(error, $("go-live"));
  }
});

// Recording

async function toggleRecording() {
  if (state.recordingSince) {
    showRecording(null);
    const { remark } = await live.record(false);
    announce("Recording finished");
    if (remark) message(`The recording is kept: ${remark}.`, $("record"));
    await videos.refresh();
  } else {
    await live.record(true);
    showRecording(Date.now());
  }
}

// A recording that the studio ends by itself: at its greatest length, or on a full disk.
function followRecording({ recording, recording_ended: why }) {
  if (recording) state.isRecordingConfirmed = true;
  else if (state.isRecordingConfirmed && state.recordingSince) {
    showRecording(null);
    message(`${sentence(why ?? "the studio ended the recording")}.`, $("record"));
    videos.refresh();
  }
}

function showRecording(since) {
  state.recordingSince = since;
  state.isRecordingConfirmed = false;
  $("record").setAttribute("aria-pressed", since !== null);
  $("record-label").textContent = since ? "Stop recording" : "Record";
  $("recording-badge").hidden = since === null;
  $("recording-time").textContent = "0:00";
}

on("record", toggleRecording);

// Script

on("say", async () => {
  const text = script.liveText;
  await goLive();
  live.say(text);
});
on("make-script", async () => {
  await api.post("/jobs", { anchor: anchors.chosen, ...manner.values, text: script.videoText });
  announce("The video is being made");
  await videos.refresh();
});
$("script").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) $("say").click();
});

// Sound file

on("play", async () => {
  const { file } = soundFile;
  await readable(file);
  const wasLive = live.on;
  await goLive();
  try {
    await live.play(file);
  } catch (error) {
    if (!wasLive) await endLive();
    throw error;
  }
});
on("make-sound", async () => {
  const { file } = soundFile;
  await readable(file);
  const { openness, smoothness } = manner.values;
  const anchor = anchors.chosen;
  const query = new URLSearchParams({ title: [...file.name].slice(0, 80).join(""), openness, smoothness, ...(anchor && { anchor }) });
  await api.upload(`/jobs/audio?${query}`, file);
  announce("The video is being made");
  await videos.refresh();
});

// Microphone: asked for first, so that no session begins if it is not allowed

on("mic", async () => {
  if (microphone.on) {
    stopMicrophone();
    if (live.ready) live.send({ type: "flush" });
    return;
  }
  const wasLive = live.on;
  const rate = await microphone.start();
  if (rate === null) return;
  showMicrophone();
  try {
    await goLive();
    if (microphone.on) live.send({ type: "sound", rate });
    state.microphoneSends = microphone.on;
  } catch (error) {
    stopMicrophone();
    if (live.on && !wasLive) await endLive();
    throw error;
  }
});

function stopMicrophone() {
  state.microphoneSends = false;
  microphone.stop();
  showMicrophone();
}

function showMicrophone() {
  $("mic").setAttribute("aria-pressed", microphone.on);
  $("mic").textContent = microphone.on ? "Stop microphone" : "Start microphone";
}

// Coming in

function askForToken(why) {
  $("door-why").textContent = `${why} Enter the one that the studio was started with.`;
  if (!$("door").open) $("door").showModal();
}

$("door-form").addEventListener("submit", () => {
  api.setToken($("token").value.trim());
  quiet();
  open();
});

async function open() {
  try {
    const info = await api.get("/info");
    script.limits = soundFile.limits = info.limits;
    script.show();
    manner.show(info);
    $("say").disabled = $("make-script").disabled = !info.voices.length;
    await anchors.show();
    await videos.refresh();
    if (!info.voices.length) {
      throw new Error("No voice is installed, so scripts cannot be read. Install one with: pip install 'newscaster[tts]'");
    }
  } catch (error) {
    failed(error, $("say"));
  }
}

const openPanel = () => document.querySelector("[role=tabpanel]:not([hidden])");

// The studio ends what nobody uses; this only spares it the wait.
addEventListener("pagehide", () => live.end());

startTheme();
startTabs();
open();
watch.start();
