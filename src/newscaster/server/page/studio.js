// The page of the studio: its buttons, and the state of the live session.

import { $, announce, message, once, quiet } from "/page/actions.js";
import { Anchors } from "/page/anchors.js";
import * as api from "/page/api.js";
import { AudioFile, readable } from "/page/audio-file.js";
import { Captions } from "/page/captions.js";
import { Compare } from "/page/compare.js";
import { Dub } from "/page/dub.js";
import { Live } from "/page/live.js";
import { SpeakOptions } from "/page/speak-options.js";
import { Microphone } from "/page/microphone.js";
import { NewAnchor } from "/page/new-anchor.js";
import { Player } from "/page/player.js";
import { clearReadouts, showReadouts } from "/page/readouts.js";
import { Rundown } from "/page/rundown.js";
import { Script } from "/page/script.js";
import { selectTab, startTabs } from "/page/tabs.js";
import { Share } from "/page/share.js";
import { chooseWith, t, translate } from "/page/texts.js";
import { startTheme } from "/page/theme.js";
import { clock, Videos } from "/page/videos.js";
import { Verify } from "/page/verify.js";
import { Watch } from "/page/watch.js";

const ENDING_MS = 6_000;
const LIVE_BUTTONS = ["stop", "record", "end"];

translate(document);
chooseWith($("language"));

const live = new Live($("video"));
const watch = new Watch();
const script = new Script();
const speakOptions = new SpeakOptions(live, { anchor: () => anchors.chosen, failed });
const captions = new Captions();
const compare = new Compare({ failed });
const player = new Player();
const videos = new Videos($("videos"), $("no-videos"), { compare, player, again, failed });
const verify = new Verify({ failed });
const audioFile = new AudioFile({ failed, takes: (files) => newAnchor.drop(files) || verify.drop(files) || dub.drop(files), onDropped: () => selectTab($("tab-audio")) });
const isOccupied = () => state.server?.busy || state.recordingSince !== null || microphone.on;
const anchors = new Anchors(live, { isOccupied, handOver, onChosen: () => dub.video.findFaces(), failed });
const newAnchor = new NewAnchor({ anchors, videos, failed });
const dub = new Dub({ anchors, speakOptions, videos, compare, failed });
new Share(live, { anchor: () => anchors.chosen, failed });
const microphone = new Microphone({
  onAudio: (pcm) => state.microphoneSends && live.ready && live.send(pcm),
  onLevel: (level) => {
    const percent = Math.round(Math.min(1, level * 4) * 100);
    $("meter").firstElementChild.style.width = `${percent}%`;
    $("meter").setAttribute("aria-valuenow", percent);
  },
  onGone: () => {
    stopMicrophone();
    message(t("The microphone was disconnected."), $("mic"));
  },
});
const rundown = new Rundown(live, {
  speak: async (text) => {
    await goLive();
    live.say(text);
  },
  edit: (text) => {
    script.set(text);
    $("script").focus();
  },
  failed,
});
const state = {
  recordingSince: null,
  isRecordingConfirmed: false, // by the studio
  server: null, // the last state from the studio
  figures: null, // the measurements of the browser
  hasSpoken: false, // whether the current speech has started
  microphoneSends: false,
  resumes: false, // whether to go live again when the studio is back
  lostAt: -Infinity, // when a session ended that was not ended here
};

// Messages

function failed(error, control) {
  if (error.status === 0) watch.check();
  if (error.status === 401) askForToken(t("The token is missing or wrong."));
  else message(error.message ?? String(error), control);
}

function status(kind, text) {
  if ($("status").dataset.state === kind) return;
  $("status").dataset.state = kind;
  $("status-text").textContent = t(text);
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
      const values = speakOptions.liveValues;
      await live.start({ anchor: anchors.chosen, ...values, background: speakOptions.background });
      const hadFocus = document.activeElement === $("go-live");
      $("screen").classList.add("is-live");
      $("on-air").hidden = false;
      for (const id of LIVE_BUTTONS) $(id).disabled = false;
      if (hadFocus) $("stop").focus({ preventScroll: true });
      announce(t("Live"));
      speakOptions.began(values);
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
  captions.clear();
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
live.addEventListener("caption", ({ detail }) => captions.show(detail, state.figures?.buffer_ms ?? 0));
live.addEventListener("figures", ({ detail }) => {
  state.figures = detail;
  showFigures();
});
live.addEventListener("refused", ({ detail }) => {
  const lines = detail.error.split("\n").filter((line) => line !== state.server?.recording_ended); // shown beside Record
  if (lines.length) failed(new Error(lines.join("\n")), openPanel().querySelector("button"));
});
live.addEventListener("lost", async ({ detail }) => {
  const wasRecording = state.recordingSince !== null;
  offAir();
  state.resumes = true;
  state.lostAt = performance.now();
  if (!(await watch.check())) return;
  state.resumes = false;
  const recorded = wasRecording ? ` ${t("The recording is stored below.")}` : "";
  message(t("The live session has ended: {reason}.{recorded} Press Go live to start another one.", { reason: detail.reason || t("the studio closed it"), recorded }), $("go-live"));
  await videos.refresh();
});

function showFigures() {
  const { server, figures } = state;
  if (!live.on || !server) return;
  if (watch.up) status(server.busy ? "talking" : "live", server.busy ? "Speaking" : "Live");
  state.hasSpoken = server.busy && (state.hasSpoken || server.speaking);
  showReadouts(server, figures, state.hasSpoken);
  if (state.recordingSince) $("recording-time").textContent = clock((Date.now() - state.recordingSince) / 1000);
}

on("go-live", goLive);
on("end", endLive);
on("stop", stopSpeaking);
on("mute", () => {
  const muted = $("mute").getAttribute("aria-pressed") !== "true";
  live.mute(muted);
  $("mute").setAttribute("aria-pressed", muted);
  $("mute-label").textContent = muted ? t("Audio off") : t("Audio on");
});

function stopSpeaking() {
  stopMicrophone();
  rundown.pause();
  captions.clear();
  if (live.on) live.stop();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !document.querySelector("dialog[open]")) stopSpeaking();
});

// Outages

watch.addEventListener("down", () => {
  if (performance.now() - state.lostAt < ENDING_MS) {
    state.resumes = true; // a stopping studio still answers for a moment after its sessions end
    quiet();
  }
  status("down", "No answer");
  $("silence").textContent = `${api.SILENT} ${t("This page reconnects when it is back.")}`;
  $("silence").hidden = false;
});
watch.addEventListener("up", async () => {
  $("silence").hidden = true;
  if (!live.on) status("off", "Off air");
  announce(t("The studio is back"));
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
    message(t("The studio is back. Pending speech was dropped: send it again."), $("go-live"), { role: "status", kind: "note" });
  } catch (error) {
    failed(error, $("go-live"));
  }
});

// Recording

async function toggleRecording() {
  if (state.recordingSince) {
    showRecording(null);
    const { remark } = await live.record(false);
    announce(t("Recording finished"));
    if (remark) message(t("The recording is stored: {remark}.", { remark }), $("record"));
    await videos.refresh();
  } else {
    await live.record(true);
    showRecording(Date.now());
  }
}

// Shows a recording that the studio ended by itself: at the maximum length, or on a full disk.
function followRecording({ recording, recording_ended: reason }) {
  if (recording) state.isRecordingConfirmed = true;
  else if (state.isRecordingConfirmed && state.recordingSince) {
    showRecording(null);
    message(`${sentence(reason ?? t("the studio ended the recording"))}.`, $("record"));
    videos.refresh();
  }
}

function showRecording(since) {
  state.recordingSince = since;
  state.isRecordingConfirmed = false;
  $("record").setAttribute("aria-pressed", since !== null);
  $("record-label").textContent = since ? t("Stop recording") : t("Record");
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
  const { values, pronunciations, background } = speakOptions;
  await api.post("/jobs", { anchor: anchors.chosen, ...values, pronunciations, background, text: script.videoText });
  announce(t("The video is being rendered"));
  await videos.refresh();
});
on("rundown-add", () => {
  rundown.add(script.liveText);
  script.set("");
  $("script").focus();
});
$("script").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.repeat) $("say").click();
});

// Fills in the script and the settings of a job, to make its video again with changes.
function again(job, text) {
  selectTab($("tab-script"));
  script.set(text);
  speakOptions.set(job);
  anchors.choose(job.anchor);
  $("script").focus();
  announce(t("The script is in its field again"));
}

// Audio file

on("play", async () => {
  const { file } = audioFile;
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
on("make-audio", async () => {
  const { file } = audioFile;
  await readable(file);
  const { background, values: { openness, smoothness } } = speakOptions;
  const anchor = anchors.chosen;
  const query = new URLSearchParams({ title: [...file.name].slice(0, 80).join(""), openness, smoothness, ...(anchor && { anchor }), ...(background && { background }) });
  await api.upload(`/jobs/audio?${query}`, file);
  announce(t("The video is being rendered"));
  await videos.refresh();
});

// Microphone: requested first, so that no session starts if it is blocked

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
  $("mic").textContent = microphone.on ? t("Stop microphone") : t("Start microphone");
}

// Access

function askForToken(reason) {
  $("token-reason").textContent = `${reason} ${t("Enter the API token of this studio.")}`;
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

$("token-form").addEventListener("submit", () => {
  api.setToken($("token").value.trim());
  quiet();
  open();
});

async function open() {
  try {
    const info = await api.get("/info");
    script.limits = audioFile.limits = verify.limits = info.limits;
    script.show();
    speakOptions.show(info);
    $("say").disabled = $("make-script").disabled = $("rundown-add").disabled = $("voice-sample").disabled = !info.voices.length;
    await anchors.show();
    await videos.refresh();
    await dub.show(info);
    await newAnchor.show(info);
    if (!info.voices.length) {
      throw new Error(t("No voice is installed, so scripts cannot be read. Install one with: pip install 'newscaster[tts]'"));
    }
  } catch (error) {
    failed(error, $("say"));
  }
}

const openPanel = () => document.querySelector("[role=tabpanel]:not([hidden])");

// The studio also ends unused sessions itself, later.
addEventListener("pagehide", () => live.end());

startTheme();
startTabs();
open();
watch.start();
