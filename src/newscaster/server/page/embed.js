// The page of one anchor for other pages, /embed/ANCHOR: it goes live when it is pressed, and speaks what it is given.
// `?text=` is spoken first; the page around it sends {type: "say", text} and {type: "stop"}, and gets {type: "state", ...}.

import { $, once } from "/page/actions.js";
import * as api from "/page/api.js";
import { Captions } from "/page/captions.js";
import { Live } from "/page/live.js";
import { t, translate } from "/page/texts.js";

const anchor = decodeURIComponent(location.pathname.split("/").at(-1));
const asked = new URLSearchParams(location.search);
const live = new Live($("video"));
const captions = new Captions();
let host = null; // the origin of the page around this one, once it has sent a message
let figures = null;

function failed(error) {
  $("error").textContent = error.status === 401 ? t("The token is missing or wrong.") : error.message;
  $("error").hidden = false;
}

async function show() {
  const found = await api.get(`/anchors/${encodeURIComponent(anchor)}`);
  $("name").textContent = document.title = found.name;
  $("screen").style.aspectRatio = `${found.width} / ${found.height}`;
  $("poster").src = await api.blobUrl(found.poster);
  $("go-live").disabled = false;
}

async function goLive() {
  if (live.on) return;
  $("error").hidden = true;
  const [background, voice] = ["background", "voice"].map((name) => asked.get(name));
  await live.start({ anchor, ...(background && { background }), ...(voice && { voice }) });
  $("screen").classList.add("is-live");
  $("stop").hidden = false;
  $("stop").focus({ preventScroll: true });
  const text = asked.get("text")?.trim();
  if (text) live.say(text);
}

async function stop() {
  await live.end();
  offAir();
}

function offAir() {
  captions.clear();
  $("screen").classList.remove("is-live");
  $("stop").hidden = true;
  $("go-live").focus({ preventScroll: true });
}

live.addEventListener("caption", ({ detail }) => captions.show(detail, figures?.buffer_ms ?? 0));
live.addEventListener("figures", ({ detail }) => (figures = detail));
live.addEventListener("refused", ({ detail }) => failed(new Error(detail.error)));
live.addEventListener("lost", ({ detail }) => {
  offAir();
  failed(new Error(detail.reason || t("The live session has ended.")));
});
live.addEventListener("state", ({ detail: { speaking, busy } }) => host && parent.postMessage({ type: "state", speaking, busy }, host));

// Only pages that the studio allows may frame this one, so only they can be its parent.
addEventListener("message", async ({ source, origin, data }) => {
  if (source !== parent || source === window || typeof data !== "object" || data === null) return;
  host = origin;
  try {
    if (data.type === "stop") live.stop();
    if (data.type !== "say" || typeof data.text !== "string") return;
    await goLive();
    live.say(data.text);
  } catch (error) {
    failed(error);
  }
});
addEventListener("pagehide", () => live.end());

translate(document);
once($("go-live"), goLive, failed);
once($("stop"), stop, failed);
show().catch(failed);
