// Verification of a video: its manifest and its watermark, in plain words. All texts of the file are shown as text.

import { $, announce, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { megabytes, readable } from "/page/audio-file.js";
import { isVideo } from "/page/dub-video.js";
import { t } from "/page/texts.js";

const NONE = "Drop or choose a video to verify";
const HEADLINES = {
  trusted: "Unchanged since it was signed, and the signer is trusted.",
  untrusted: "Unchanged since it was signed. The signer is not known to be trusted.",
  local: "Unchanged since it was signed. The signer is unknown: anyone can make such a certificate.",
  broken: "Changed: the video is not what was signed.",
  expired: "Unchanged since it was signed, but the certificate of the signer has expired.",
  not_yet_valid: "Unchanged since it was signed, but the certificate of the signer is not valid yet.",
  revoked: "Unchanged since it was signed, but the certificate of the signer was revoked.",
  unfit: "Unchanged since it was signed, but the certificate of the signer must not sign videos.",
  unsigned: "It has no manifest: no one states how it was made.",
  marked: "It has no manifest, but it carries the watermark of newscaster: a synthetic video.",
};
const UNCHECKED = "It has a manifest that cannot be checked.";

export class Verify {
  constructor({ failed }) {
    Object.assign(this, { failed, limits: null, turn: 0 });
    $("verify-file").addEventListener("change", () => {
      if ($("verify-file").files.length) this.choose([...$("verify-file").files]);
      $("verify-file").value = "";
    });
    $("verify-cancel").addEventListener("click", () => {
      this.#stop();
      $("verify-file").focus();
    });
  }

  // Takes a dropped video while this part of the page is open; returns whether it did.
  drop(files) {
    if (!$("verify-options").open || !files.some(isVideo)) return false;
    this.choose(files);
    return true;
  }

  async choose(files) {
    this.#stop();
    quiet();
    const { turn } = this;
    try {
      if (files.length !== 1) throw new Error(t("{count} files were dropped. Drop only one.", { count: files.length }));
      const [file] = files;
      const max = this.limits?.video_bytes ?? Infinity;
      if (file.size > max) throw new Error(t("“{name}” has {size}; the maximum is {max}.", { name: file.name, size: megabytes(file.size), max: megabytes(max) }));
      await readable(file);
      this.sending = new AbortController();
      $("verify-name").textContent = file.name;
      $("verify-task").hidden = false;
      const onProgress = (part) => {
        $("verify-task-text").textContent = part < 1 ? `${t("Uploading")} ${Math.floor(part * 100)} %` : t("Checking the manifest and the frames");
        const bar = $("verify-task").querySelector("progress");
        if (part < 1) bar.value = part;
        else bar.removeAttribute("value");
      };
      onProgress(0);
      const found = await api.uploadSlowly("/verify", file, { onProgress, signal: this.sending.signal });
      if (turn === this.turn) this.#show(found);
    } catch (error) {
      if (turn !== this.turn || error === null) return;
      $("verify-name").textContent = t(NONE);
      error.message = error.message.replace(/^the (file|video)\b/, `“${files[0].name}”`).replace(/[^.?!]$/, "$&.");
      this.failed(error, $("verify-drop"));
    } finally {
      if (turn === this.turn) $("verify-task").hidden = true;
    }
  }

  #stop() {
    this.turn += 1;
    this.sending?.abort();
    this.sending = null;
    $("verify-task").hidden = $("verify-result").hidden = true;
    $("verify-name").textContent = t(NONE);
  }

  #show(found) {
    const kind = found.verdict === "untrusted" && found.local ? "local" : found.verdict === "unsigned" && found.watermark ? "marked" : found.verdict;
    const headline = t(HEADLINES[kind] ?? UNCHECKED);
    $("verify-result").dataset.verdict = found.verdict === "broken" ? "unusable" : found.unchanged ? "good" : "poor";
    $("verify-headline").textContent = headline;
    const lines = [...facts(found)];
    $("verify-facts").replaceChildren(...lines.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
    $("verify-result").hidden = false;
    announce(headline);
  }
}

// Yields a name and a value for each fact.
function* facts(found) {
  for (const reason of found.verdict === "unsigned" ? [] : found.reasons) yield [t("Reason"), reason];
  for (const note of found.notes) yield [t("Note"), note];
  const { statement, watermark } = found;
  for (const person of statement?.people ?? []) {
    yield [t("Person"), person.name];
    for (const [name, value] of Object.entries(person.consent)) if (!["sha256", "recorded"].includes(name)) yield [t("Consent, {name}", { name }), String(value)];
    for (const line of person.attribution) yield [t("Credit"), line];
    const voice = person.synthetic_voice ? t("a text-to-speech voice") : t("an audio file or a person");
    yield [t("Speech"), person.speech_seconds === null ? t("None: the mouth is at rest") : t("{seconds} s, {voice}", { seconds: person.speech_seconds.toFixed(1), voice })];
  }
  if (statement) {
    yield [t("Synthesised"), t("the mouth in {some} of {all} frames", { some: statement.synthesised_frames, all: statement.frames })];
    if (statement.synthetic_target) yield [t("Footage"), t("None: every pixel is synthesised")];
    if (statement.background) yield [t("Background"), t(statement.background)];
    yield [t("Label"), statement.label ?? t("None")];
  }
  if (found.generator) yield [t("Made by"), found.generator];
  if (found.signer) yield [t("Signed by"), found.signer];
  if (found.signed_at) yield [t("Signed at"), new Date(found.signed_at).toLocaleString()];
  for (const title of found.ingredients) yield [t("Made from"), title];
  if (watermark) yield [t("Watermark"), watermark.same === false ? t("found, of another anchor than the manifest names") : t("found in {marked} of {pieces} pieces of the video", watermark)];
  else if (found.verdict !== "malformed") yield [t("Watermark"), t("not found")];
}

const element = (name, textContent) => Object.assign(document.createElement(name), { textContent });
