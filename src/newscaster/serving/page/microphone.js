// The microphone: 16-bit PCM in pieces of 20 ms, and how loud it is.

export class Microphone {
  constructor(onSound, onLevel) {
    this.onSound = onSound;
    this.onLevel = onLevel;
  }

  get on() {
    return this.context !== undefined;
  }

  // The rate of what will come, in Hz.
  async start() {
    if (!navigator.mediaDevices) throw new Error("Browsers give the microphone to https and localhost pages alone.");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Error(error.name === "NotFoundError" ? "There is no microphone." : "The microphone was not allowed.");
    }
    this.stream = stream;
    this.context = new AudioContext();
    await this.context.audioWorklet.addModule("/page/microphone-worklet.js");
    const node = new AudioWorkletNode(this.context, "pieces", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => {
      this.onSound(data.pcm);
      this.onLevel(data.level);
    };
    this.context.createMediaStreamSource(stream).connect(node);
    return this.context.sampleRate;
  }

  stop() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.context?.close();
    this.context = this.stream = undefined;
    this.onLevel(0);
  }
}
