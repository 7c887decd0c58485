// The microphone: 16-bit PCM in blocks of 20 ms, and its level. One stream at a time, and always closed.

import { t } from "/page/texts.js";

const REASONS = {
  NotFoundError: "No microphone was found. Connect one, and try again.",
  NotAllowedError: "The microphone is blocked. Allow it for this page in the browser's settings, and try again.",
  NotReadableError: "The microphone cannot be used. Close other programs that use it, and try again.",
};

export class Microphone {
  constructor({ onAudio, onLevel, onGone }) {
    Object.assign(this, { onAudio, onLevel, onGone });
    this.turn = 0; // each start and stop increments it: code that finds it changed was stopped
  }

  get on() {
    return this.context !== undefined;
  }

  // Returns the sample rate in Hz; null if it was stopped while the browser asked for permission.
  async start() {
    this.stop();
    const turn = this.turn;
    const stream = await open();
    let context;
    try {
      if (turn !== this.turn) return close(stream);
      context = new AudioContext();
      await context.audioWorklet.addModule("/page/microphone-worklet.js");
      if (turn !== this.turn) return close(stream, context);
      const node = new AudioWorkletNode(context, "pieces", { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => {
        if (turn !== this.turn) return;
        this.onAudio(data.pcm);
        this.onLevel(data.level);
      };
      context.createMediaStreamSource(stream).connect(node);
    } catch {
      close(stream, context);
      throw new Error(t("This browser cannot use the microphone here. Reload the page, and try again."));
    }
    for (const track of stream.getTracks()) track.addEventListener("ended", () => turn === this.turn && this.onGone());
    Object.assign(this, { stream, context });
    return context.sampleRate;
  }

  stop() {
    this.turn += 1;
    if (this.stream) close(this.stream, this.context);
    this.context = this.stream = undefined;
    this.onLevel(0);
  }
}

async function open() {
  if (!navigator.mediaDevices) throw new Error(t("Browsers allow the microphone only on https and localhost pages."));
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    throw new Error(REASONS[error.name] ?? `The microphone cannot be used (${error.name}).`);
  }
}

function close(stream, context) {
  stream.getTracks().forEach((track) => track.stop());
  context?.close();
  return null;
}
