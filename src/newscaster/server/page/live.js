// A live session: video and audio over WebRTC, text and states over a WebSocket.

import * as api from "/page/api.js";
import { t } from "/page/texts.js";

const CONNECT_MS = 15_000;
const HUSH_MS = 350; // audio may still be in transit when the studio has stopped

export class Live extends EventTarget {
  constructor(video) {
    super();
    this.video = video;
    this.session = null;
    this.muted = false;
    this.isOwner = true; // whether this page has started the session
  }

  get on() {
    return this.session !== null;
  }

  // Whether it accepts messages.
  get ready() {
    return this.on && this.socket?.readyState === WebSocket.OPEN;
  }

  async start(options) {
    this.session = await api.post("/sessions", options);
    const { id } = this.session;
    try {
      await Promise.all([this.#connectVideo(), this.#connectSocket()]);
      if (this.session?.id !== id) throw new Error(t("The session was ended while it connected."));
    } catch (error) {
      await this.end();
      throw error;
    }
    this.watching = setInterval(() => this.#measure(), 500);
  }

  // Watches a session of another page, whose video and audio alone are received; ending it here does not end the session.
  async watch(id) {
    this.isOwner = false;
    const session = await api.get(`/sessions/${encodeURIComponent(id)}`);
    this.session = session;
    try {
      await this.#connectVideo();
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  // Whether the session still exists.
  async exists() {
    try {
      await api.get(`/sessions/${this.session.id}`);
      return true;
    } catch (error) {
      if (error.status === 404) return false;
      throw error;
    }
  }

  // Changes how the anchor speaks, from the next sentence on.
  change(values) {
    return api.patch(`/sessions/${this.session.id}`, values);
  }

  async #connectVideo() {
    const session = this.session;
    const iceServers = await api.get(`/sessions/${encodeURIComponent(session.id)}/ice_servers`); // each time: passwords expire
    if (this.session !== session) return;
    const connection = (this.connection = new RTCPeerConnection({ iceServers }));
    const stream = new MediaStream();
    for (const kind of ["audio", "video"]) {
      const { receiver } = connection.addTransceiver(kind, { direction: "recvonly" });
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      stream.addTrack(receiver.track);
    }
    this.video.srcObject = stream;
    await connection.setLocalDescription();
    const { type, sdp } = connection.localDescription;
    const answer = await api.post(`/sessions/${this.session.id}/webrtc`, { type, sdp });
    await connection.setRemoteDescription(answer);
    await this.#connected(connection);
    connection.addEventListener("connectionstatechange", () => {
      if (["failed", "closed"].includes(connection.connectionState)) this.#lost(session, "The video connection was lost.");
    });
    await this.video.play().catch(() => {});
  }

  #connected(connection) {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (connection.connectionState === "connected") resolve();
        if (connection.connectionState === "failed") reject(new Error(t("No video connection (WebRTC) could be made.")));
      };
      connection.addEventListener("connectionstatechange", check);
      setTimeout(() => reject(new Error(t("The video connection (WebRTC) takes too long."))), CONNECT_MS);
      check();
    });
  }

  #connectSocket() {
    const session = this.session;
    const socket = (this.socket = api.socket(`/sessions/${this.session.id}/socket?captions=true`));
    socket.addEventListener("message", ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "stopped") setTimeout(() => (this.video.muted = this.muted), HUSH_MS);
      this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
      if (message.type === "state" && message.errors.length) this.#emit("refused", { error: message.errors.join("\n") });
    });
    socket.addEventListener("close", ({ reason }) => {
      this.#lost(session, reason);
    });
    return new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", () => reject(new Error(api.SILENT)));
    });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  send(message) {
    if (!this.ready) throw new Error(t("The studio is not connected. Nothing was sent; try again."));
    this.socket.send(message instanceof ArrayBuffer ? message : JSON.stringify(message));
  }

  say(text) {
    this.send({ type: "say", text });
  }

  play(file) {
    return api.upload(`/sessions/${this.session.id}/audio`, file);
  }

  // Mutes at once; the mouth follows.
  stop() {
    if (!this.ready) return;
    this.video.muted = true;
    this.send({ type: "stop" });
  }

  mute(on) {
    this.muted = this.video.muted = on;
  }

  async record(on) {
    const path = `/sessions/${this.session.id}/recording`;
    return on ? api.post(path) : api.post(`${path}/stop`);
  }

  async end() {
    const { session } = this;
    this.session = null;
    clearInterval(this.watching);
    this.socket?.close();
    this.connection?.close();
    this.video.srcObject = null;
    this.video.muted = this.muted;
    if (session && this.isOwner) await api.remove(`/sessions/${session.id}`, { keepalive: true }).catch(() => {});
  }

  async #lost(session, reason) {
    if (this.session !== session) return; // it was ended here
    await this.end();
    this.#emit("lost", { reason });
  }

  // Measures in the browser: buffer delay, frame rate and dropped frames.
  async #measure() {
    if (this.connection?.connectionState !== "connected") return;
    const figures = { rate: null, dropped: 0, received: 0, buffer_ms: 0 };
    for (const entry of (await this.connection.getStats()).values()) {
      if (entry.type === "inbound-rtp" && entry.kind === "video") {
        figures.rate = entry.framesPerSecond ?? null;
        figures.dropped = (entry.framesDropped ?? 0) + Math.max(0, (entry.framesReceived ?? 0) - (entry.framesDecoded ?? 0) - 3);
        figures.received = entry.framesReceived ?? 0;
      }
      if (entry.type === "inbound-rtp" && entry.kind === "audio" && entry.jitterBufferEmittedCount) {
        const { jitterBufferDelay: delay, jitterBufferEmittedCount: count } = entry;
        const last = this.buffered ?? { delay: 0, count: 0 };
        if (count > last.count) figures.buffer_ms = ((delay - last.delay) / (count - last.count)) * 1000;
        this.buffered = { delay, count };
      }
    }
    this.#emit("figures", figures);
  }
}
