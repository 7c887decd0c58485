// The choice of an anchor. One that is live hands over when nothing is being said or recorded: their pictures may differ in
// size, so that the other takes a session of its own.

import { $, message, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { keep, kept } from "/page/keep.js";

export class Anchors {
  // `isOccupied` says whether something is being said or recorded; `handOver` ends the session, calls its argument, and
  // begins another with the anchor that is chosen then.
  constructor(live, { isOccupied, handOver, failed }) {
    Object.assign(this, { live, isOccupied, handOver, failed });
    this.all = [];
    this.isNext = false; // another one is chosen, and waits for its turn
  }

  get chosen() {
    return document.querySelector("#anchors input:checked")?.value ?? null;
  }

  async show() {
    this.all = await api.get("/anchors");
    const before = this.chosen ?? kept("anchor");
    const chosen = this.all.find(({ id }) => id === before) ?? this.all[0];
    $("anchors").replaceChildren(...this.all.map((anchor) => this.#choice(anchor, anchor === chosen)));
  }

  #choice(anchor, checked) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "anchor", value: anchor.id, checked });
    const picture = Object.assign(document.createElement("img"), { alt: "" });
    const name = document.createElement("span");
    const size = `${anchor.width} × ${anchor.height}, ${Math.round(anchor.fps * 100) / 100} fps`;
    name.append(anchor.name, Object.assign(document.createElement("small"), { textContent: size }));
    label.append(input, picture, name);
    input.addEventListener("change", () => {
      quiet();
      keep("anchor", anchor.id);
      this.change();
    });
    const loaded = api.blobUrl(anchor.poster).then((url) => (picture.src = anchor.picture = url));
    loaded.then(() => anchor.id === this.chosen && !this.live.on && this.#present()).catch((error) => this.failed(error, label));
    return label;
  }

  // The chosen one's still picture, shape and attribution.
  #present() {
    const anchor = this.all.find(({ id }) => id === this.chosen);
    if (!anchor) return;
    $("screen").style.aspectRatio = `${anchor.width} / ${anchor.height}`;
    if (anchor.picture) $("poster").src = anchor.picture;
    $("credit").textContent = anchor.attribution.join(" ");
  }

  // Brings on the chosen one, now or when nothing is being said or recorded.
  change() {
    this.changing ??= this.#change()
      .catch((error) => this.failed(error, $("anchors")))
      .finally(() => (this.changing = null));
    return this.changing;
  }

  async #change() {
    while (this.live.on && this.live.session.anchor !== this.chosen) {
      this.isNext = this.isOccupied();
      if (this.isNext) {
        const { name } = this.all.find(({ id }) => id === this.chosen);
        message(`${name} comes on when what is being said or recorded has ended.`, $("anchors"), { role: "status", kind: "note" });
        return;
      }
      await this.handOver(() => this.#present());
      quiet();
    }
    this.isNext = false;
    this.#present();
  }
}
