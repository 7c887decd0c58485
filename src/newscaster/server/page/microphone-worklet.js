// Runs in the audio thread: posts blocks of 20 ms as 16-bit PCM.

class Pieces extends AudioWorkletProcessor {
  constructor() {
    super();
    this.size = Math.round(sampleRate / 50);
    this.piece = new Int16Array(this.size);
    this.filled = 0;
    this.energy = 0;
  }

  process([[samples]]) {
    for (const sample of samples ?? []) {
      const limited = Math.max(-1, Math.min(1, sample));
      this.energy += limited * limited;
      this.piece[this.filled++] = limited * 32767;
      if (this.filled === this.size) {
        const pcm = this.piece.buffer;
        this.port.postMessage({ pcm, level: Math.sqrt(this.energy / this.size) }, [pcm]);
        this.piece = new Int16Array(this.size);
        this.filled = this.energy = 0;
      }
    }
    return true;
  }
}

registerProcessor("pieces", Pieces);
