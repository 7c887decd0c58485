// The video to dub: uploaded, and one of the faces in it chosen, by a click on a frame or with the keyboard.

import { $, announce, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { megabytes, readable } from "/page/audio-file.js";
import { keep, kept } from "/page/keep.js";
import { t } from "/page/texts.js";
import { clock } from "/page/videos.js";

const NONE = "Drop or choose a video of the anchor’s person";
const MAX_FRAME_HEIGHT = "60svh";
const VIDEO_NAME = /\.(mp4|m4v|mov|mkv|webm|avi|mpe?g|ts|m2ts|mts|wmv|mxf|ogv|3gp|flv)$/i;

export const isVideo = (file) => file.type.startsWith("video/") || VIDEO_NAME.test(file.name);

export class DubVideo {
  constructor({ anchors, failed }) {
    Object.assign(this, { anchors, failed, limits: null, video: null, faces: null });
    this.turn = 0;
    this.images = [];
    $("dub-file").addEventListener("change", () => {
      if ($("dub-file").files.length) this.choose([...$("dub-file").files]);
      $("dub-file").value = ""; // so that a changed file can be chosen again
    });
    $("dub-upload-cancel").addEventListener("click", () => {
      this.#stop();
      $("dub-file").focus();
    });
  }

  // Returns the number of the chosen face; null if it is the only one, and the anchor's person. Throws if there is nothing to dub.
  get face() {
    if (!this.video) {
      $("dub-file").focus();
      throw new Error(this.sending ? t("The video is still being uploaded.") : t("Choose a video first."));
    }
    if (!this.faces) throw new Error(t("The faces in the video are still being looked for."));
    const chosen = document.querySelector("#dub-choices input:checked");
    if (!chosen) {
      document.querySelector("#dub-choices input")?.focus();
      throw new Error(this.faces.length ? t("Choose the face to rewrite.") : t("There is no face in this video. Choose another one."));
    }
    const { number, is_anchor: isAnchor } = this.faces[Number(chosen.value)];
    return isAnchor && this.faces.length === 1 ? null : number;
  }

  async choose(files) {
    this.#stop();
    quiet();
    const turn = this.turn;
    try {
      if (files.length !== 1) throw new Error(t("{count} files were dropped. Drop only one.", { count: files.length }));
      const [file] = files;
      const max = this.limits?.video_bytes ?? Infinity;
      if (file.size > max) {
        throw new Error(t("“{name}” has {size}; the maximum is {max}. Cut it, or compress it.", { name: file.name, size: megabytes(file.size), max: megabytes(max) }));
      }
      await readable(file);
      const video = await this.#upload(file);
      if (turn !== this.turn) api.remove(`/videos/${video.id}`).catch(() => {});
      else await this.#show(video);
    } catch (error) {
      if (turn !== this.turn || error === null) return;
      this.#clear();
      this.failed(error, $("dub-drop"));
    }
  }

  // Shows the video of before a reload, if the studio still has it. A studio that has started again has none.
  async restore() {
    const id = kept("dub-video");
    if (!id || this.sending) return;
    try {
      const video = await api.get(`/videos/${id}`);
      if (!this.video) await this.#show(video);
    } catch (error) {
      const wasShown = this.video !== null;
      if (error.status === 404) this.#clear();
      if (error.status !== 404) this.failed(error, $("dub-drop"));
      else if (wasShown) this.failed(new Error(t("The studio no longer has the video. Choose it again.")), $("dub-drop"));
    }
  }

  // Ends the upload, and removes the video: jobs have their own copy.
  #stop() {
    this.turn += 1;
    this.sending?.abort();
    if (this.video) api.remove(`/videos/${this.video.id}`).catch(() => {});
    this.#clear();
  }

  #clear() {
    this.video = this.faces = this.sending = null;
    keep("dub-video", null);
    $("dub-name").textContent = t(NONE);
    $("dub-upload").hidden = $("dub-faces").hidden = true;
  }

  async #upload(file) {
    this.sending = new AbortController();
    const name = [...file.name].slice(0, 80).join("");
    const show = (part) => {
      $("dub-upload-text").textContent = part < 1 ? `${t("Uploading")}, ${Math.floor(part * 100)} %` : t("Checking the video");
      $("dub-upload").querySelector("progress").value = part;
    };
    $("dub-name").textContent = file.name;
    $("dub-upload").hidden = false;
    show(0);
    try {
      return await api.uploadSlowly(`/videos?${new URLSearchParams({ title: name })}`, file, {
        onProgress: show,
        signal: this.sending.signal,
      });
    } catch (error) {
      if (error) error.message = error.message.replace(/^the (file|video)\b/, `“${file.name}”`).replace(/[^.?!]$/, "$&.");
      throw error;
    }
  }

  async #show(video) {
    this.sending = null;
    this.video = video;
    keep("dub-video", video.id);
    $("dub-upload").hidden = true;
    const rate = Math.round(video.fps * 100) / 100;
    $("dub-name").textContent = `${video.title}, ${clock(video.seconds)}, ${video.width} × ${video.height}, ${rate} fps`;
    await this.findFaces();
  }

  // Finds the faces, again for each anchor.
  async findFaces() {
    if (!this.video || !this.anchors.chosen) return;
    const { turn, video } = this;
    const anchor = this.anchors.chosen;
    const isCurrent = () => turn === this.turn && video === this.video && anchor === this.anchors.chosen;
    this.faces = null;
    $("dub-faces").hidden = true;
    $("dub-upload").hidden = false;
    $("dub-upload").querySelector("progress").removeAttribute("value");
    $("dub-upload-text").textContent = t("Looking for faces");
    try {
      const found = await api.get(`/videos/${video.id}/faces?${new URLSearchParams({ anchor })}`);
      const load = async (item) => ({ ...item, url: await api.blobUrl(item.image) });
      const [faces, frames] = await Promise.all([found.faces, found.frames].map((items) => Promise.all(items.map(load))));
      if (isCurrent()) this.#showFaces(faces, frames);
    } catch (error) {
      if (isCurrent()) this.failed(error, $("dub-drop"));
    } finally {
      if (isCurrent()) $("dub-upload").hidden = true;
    }
  }

  #showFaces(faces, frames) {
    for (const url of this.images) URL.revokeObjectURL(url);
    this.images = [...faces, ...frames].map(({ url }) => url);
    this.faces = faces;
    this.frames = frames;
    if (!faces.length) {
      throw new Error(t("No face was found in this video. Choose one that shows the anchor’s person from the front, well lit."));
    }
    const own = faces.find((face) => face.is_anchor);
    $("dub-choices").replaceChildren(...faces.map((face) => this.#choice(face, face === own)));
    $("dub-faces").hidden = false;
    this.#showFrame(own ?? faces[0]);
    const count = faces.length;
    announce(own ? t("Faces found: {count}; that of the anchor’s person is chosen", { count }) : t("Faces found: {count}", { count }));
    if (!own) {
      if (faces.length === 1) throw new Error(t("This face is not recognised as the anchor’s person. Choose it only if it is, or take another anchor or video."));
      throw new Error(t("None of these faces is recognised as the anchor’s person. Choose one only if it is, or take another anchor or video."));
    }
  }

  #choice(face, checked) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "dub-face", value: face.number, checked });
    const image = Object.assign(document.createElement("img"), { alt: "", src: face.url });
    const text = document.createElement("span");
    const detail = face.is_anchor ? t("the anchor’s person") : t("at {time}", { time: clock(face.seconds) });
    text.append(t("Face {number}", { number: face.number + 1 }), Object.assign(document.createElement("small"), { textContent: detail }));
    label.append(input, image, text);
    input.addEventListener("change", () => {
      quiet();
      this.#showFrame(face);
    });
    return label;
  }

  // Shows the frame with this face, and the boxes of all faces in it.
  #showFrame(face) {
    const frame = this.frames[face.frame];
    const [image] = $("dub-frame").getElementsByTagName("img");
    image.src = frame.url;
    $("dub-frame").style.width = `min(100%, ${MAX_FRAME_HEIGHT} * ${this.video.width / this.video.height})`;
    const boxes = frame.faces.map(({ number, box }) => {
      const mark = Object.assign(document.createElement("span"), { className: "box", textContent: number + 1 });
      const chosen = document.querySelector("#dub-choices input:checked");
      mark.classList.toggle("is-chosen", chosen !== null && Number(chosen.value) === number);
      mark.dataset.face = number;
      Object.assign(mark.style, {
        left: `${(box.left + box.width / 2) * 100}%`,
        top: `${(box.top + box.height / 2) * 100}%`,
        width: `${box.width * 100}%`,
        height: `${box.height * 100}%`,
      });
      mark.addEventListener("click", () => document.querySelector(`#dub-choices input[value="${number}"]`).click());
      return mark;
    });
    $("dub-frame").replaceChildren(image, ...boxes);
  }
}
