// The studio's page: what the buttons do, and what the page says.

import * as api from "/page/api.js";
import { Live } from "/page/live.js";
import { Microphone } from "/page/microphone.js";
import { clock, Videos } from "/page/videos.js";

const $ = (id) => document.getElementById(id);
const THEME = "newscaster-theme";

const live = new Live($("video"));
const microphone = new Microphone(
  (pcm) => live.on && live.send(pcm),
  (level) => {
    const percent = Math.round(Math.min(1, level * 4) * 100);
    $("meter").firstElementChild.style.width = `${percent}%`;
    $("meter").setAttribute("aria-valuenow", percent);
  },
);
const videos = new Videos($("videos"), $("no-videos"), { onError: (error) => complain(error), announce });
const state = { anchors: [], file: null, recordingSince: null, server: null, figures: null };

// Telling

function announce(text) {
  $("announce").textContent = text;
}

function complain(error) {
  $("message").textContent = error.message ?? String(error);
  $("message").hidden = false;
  if (error.status === 401) askForToken("The token is missing or wrong.");
}

function quiet() {
  $("message").hidden = true;
}

function status(kind, text) {
  if ($("status").dataset.state === kind) return;
  $("status").dataset.state = kind;
  $("status-text").textContent = text;
}

// Does a thing once at a time, and says what went wrong.
function on(id, action, type = "click") {
  $(id).addEventListener(type, async (event) => {
    quiet();
    try {
      await action(event);
    } catch (error) {
      complain(error);
    }
  });
}

// On air

const wanted = () => ({
  anchor: document.querySelector("#anchors input:checked")?.value ?? null,
  voice: $("voice").value || null,
  speed: Number($("speed").value),
  openness: Number($("openness").value),
  smoothness: Number($("smoothness").value),
});

let starting = null;

async function goLive() {
  if (live.on && !starting) return;
  starting ??= (async () => {
    status("coming", "Connecting");
    $("go-live").disabled = true;
    try {
      await live.start({ ...wanted(), look_ahead_ms: Number($("ahead").value) });
      $("screen").classList.add("is-live");
      $("on-air").hidden = false;
      for (const id of ["stop", "record", "end"]) $(id).disabled = false;
      announce("Live");
    } catch (error) {
      offAir();
      throw error;
    } finally {
      $("go-live").disabled = false;
      starting = null;
    }
  })();
  await starting;
}

function offAir() {
  microphone.stop();
  showMicrophone();
  showRecording(null);
  $("screen").classList.remove("is-live");
  $("on-air").hidden = true;
  for (const id of ["stop", "record", "end"]) $(id).disabled = true;
  for (const id of ["delay", "rate", "dropped", "waiting"]) $(id).textContent = "–";
  state.server = state.figures = null;
  status("off", "Off air");
}

async function endLive() {
  if (state.recordingSince) await toggleRecording().catch(() => {});
  await live.end();
  offAir();
}

live.addEventListener("state", ({ detail }) => {
  state.server = detail;
  showFigures();
});
live.addEventListener("figures", ({ detail }) => {
  state.figures = detail;
  showFigures();
});
live.addEventListener("refused", ({ detail }) => complain(new Error(detail.error)));
live.addEventListener("lost", ({ detail }) => {
  offAir();
  complain(new Error(detail.why));
});

function showFigures() {
  const { server, figures } = state;
  if (!live.on || !server) return;
  status(server.busy ? "talking" : "live", server.busy ? "Talking" : "Live");
  const late = figures?.buffer_ms ?? 0;
  $("delay").textContent = server.delay_ms === null ? "–" : `${Math.round(server.delay_ms + late)} ms`;
  $("rate").textContent = `${(figures?.rate ?? server.frames_per_second).toFixed(0)} fps`;
  const dropped = server.dropped + (figures?.dropped ?? 0);
  const all = server.shown + server.dropped;
  $("dropped").replaceChildren(`${dropped} `, small(`${all ? ((100 * dropped) / all).toFixed(1) : "0.0"} %`));
  $("waiting").textContent = `${server.waiting_seconds.toFixed(1)} s`;
  if (state.recordingSince) $("recording-time").textContent = clock((Date.now() - state.recordingSince) / 1000);
}

function small(text) {
  return Object.assign(document.createElement("small"), { textContent: text });
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
  if (!live.on) return;
  if (microphone.on) toggleMicrophone();
  live.stop();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("door").open) stopTalking();
});

// Recording

async function toggleRecording() {
  if (state.recordingSince) {
    showRecording(null);
    await live.record(false);
    announce("Recording finished");
    await videos.refresh();
  } else {
    await live.record(true);
    showRecording(Date.now());
  }
}

function showRecording(since) {
  state.recordingSince = since;
  $("record").setAttribute("aria-pressed", since !== null);
  $("record-label").textContent = since ? "Stop recording" : "Record";
  $("recording-badge").hidden = since === null;
  $("recording-time").textContent = "0:00";
}

on("record", toggleRecording);

// Script

function scriptText() {
  const text = $("script").value.trim();
  if (!text) {
    $("script").focus();
    throw new Error("The script is empty. Write a sentence.");
  }
  return text;
}

async function sayScript() {
  const text = scriptText();
  await goLive();
  live.say(text);
}

on("say", sayScript);
on("make-script", async () => {
  await api.post("/jobs", { ...wanted(), text: scriptText() });
  announce("The video is being made");
  await videos.refresh();
});
$("script").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("say").click();
});
$("script").addEventListener("input", () => {
  const count = $("script").value.length;
  $("script-count").textContent = `${count.toLocaleString()} character${count === 1 ? "" : "s"}`;
});

// Sound file

function chooseFile(file) {
  state.file = file ?? null;
  $("file-name").textContent = file ? file.name : "Drop a sound file here, or choose one";
  $("play").disabled = $("make-sound").disabled = !file;
}

$("file").addEventListener("change", () => chooseFile($("file").files[0]));
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
  $("drop").addEventListener(type, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("is-over", type === "dragenter" || type === "dragover");
    if (type === "drop") chooseFile(event.dataTransfer.files[0]);
  });
}
on("play", async () => {
  await goLive();
  await live.play(state.file);
});
on("make-sound", async () => {
  const { anchor, openness, smoothness } = wanted();
  const query = new URLSearchParams({ title: state.file.name.slice(0, 80), openness, smoothness, ...(anchor && { anchor }) });
  await api.upload(`/jobs/audio?${query}`, state.file);
  announce("The video is being made");
  await videos.refresh();
});

// Microphone

async function toggleMicrophone() {
  if (microphone.on) {
    microphone.stop();
    if (live.on) live.send({ type: "flush" });
  } else {
    await goLive();
    live.send({ type: "sound", rate: await microphone.start() });
  }
  showMicrophone();
}

function showMicrophone() {
  $("mic").setAttribute("aria-pressed", microphone.on);
  $("mic").textContent = microphone.on ? "Stop microphone" : "Start microphone";
}

on("mic", toggleMicrophone);

// Tabs: arrow keys move between them, as everywhere

const tabs = [...document.querySelectorAll("[role=tab]")];

function selectTab(tab) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", chosen);
    one.tabIndex = chosen ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !chosen;
  }
}

tabs.forEach((tab, index) => {
  tab.addEventListener("click", () => selectTab(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    selectTab(next);
    next.focus();
  });
});

// Anchors and manner

async function showAnchors() {
  state.anchors = await api.get("/anchors");
  const choices = state.anchors.map((anchor, index) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "anchor", value: anchor.id, checked: index === 0 });
    const picture = Object.assign(document.createElement("img"), { alt: "" });
    const name = document.createElement("span");
    name.append(anchor.name, small(`${anchor.width} × ${anchor.height}, ${Math.round(anchor.fps * 100) / 100} fps`));
    label.append(input, picture, name);
    input.addEventListener("change", () => showAnchor(anchor).then(restart).catch(complain));
    api.blobUrl(anchor.poster).then((url) => (picture.src = anchor.picture = url)).then(() => index === 0 && showAnchor(anchor)).catch(complain);
    return label;
  });
  $("anchors").replaceChildren(...choices);
}

async function showAnchor(anchor) {
  $("screen").style.aspectRatio = `${anchor.width} / ${anchor.height}`;
  $("poster").src = anchor.picture;
  $("credit").textContent = anchor.attribution.join(" ");
}

async function restart() {
  if (!live.on) return;
  await endLive();
  await goLive();
}

for (const id of ["voice", "ahead", "speed", "openness", "smoothness"]) on(id, restart, "change");
for (const range of document.querySelectorAll(".range input")) {
  range.addEventListener("input", () => {
    range.nextElementSibling.textContent = Number(range.value).toFixed(range.step === "0.1" ? 1 : 2);
  });
}

async function showVoices() {
  const info = await api.get("/info");
  $("voice").replaceChildren(...info.voices.map((name) => new Option(name, name)));
  if (info.voices.length) $("voice").prepend(new Option("The anchor's usual one", "", true, true));
  else {
    $("voice").append(new Option("None installed", ""));
    $("say").disabled = $("make-script").disabled = true;
    complain(new Error("No voice is installed, so scripts cannot be read. Install one with: pip install 'newscaster[tts]'"));
  }
  $("script").maxLength = info.limits.job_characters;
  const ahead = String(info.look_ahead_ms);
  if (![...$("ahead").options].some(({ value }) => value === ahead)) $("ahead").append(new Option(`${ahead} ms`, ahead));
  $("ahead").value = ahead;
}

// Theme

function theme() {
  const kept = localStorage.getItem(THEME);
  if (kept) document.documentElement.dataset.theme = kept;
}

$("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  localStorage.setItem(THEME, dark ? "light" : "dark");
  theme();
});

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
    await showVoices();
    await showAnchors();
    await videos.refresh();
  } catch (error) {
    complain(error);
  }
}

// The studio ends what nobody uses; this only spares it the wait.
addEventListener("pagehide", () => live.end());

theme();
open();
