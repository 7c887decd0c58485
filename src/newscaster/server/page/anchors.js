// The choice of an anchor. A live anchor hands over when nothing is spoken or recorded. The other one needs its own session,
// since its frame size may differ.

import { $, message, quiet } from "/page/actions.js";
import * as api from "/page/api.js";
import { keep, kept } from "/page/keep.js";
import { t } from "/page/texts.js";

export class Anchors {
  // `isOccupied` returns whether speech or a recording is in progress. `handOver` ends the session, calls its argument, and
  // starts another session with the chosen anchor.
  // `onChosen` is called after each choice.
  constructor(live, { isOccupied, handOver, onChosen, failed }) {
    Object.assign(this, { live, isOccupied, handOver, onChosen, failed });
    this.all = [];
    this.isNext = false; // another one is chosen, and is waiting
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

  // Chooses an anchor that is shown, as a click on it does.
  choose(id) {
    const input = [...document.querySelectorAll("#anchors input")].find(({ value }) => value === id);
    if (!input) return;
    input.checked = true;
    input.dispatchEvent(new Event("change"));
  }

  #choice(anchor, checked) {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "anchor", value: anchor.id, checked });
    const image = Object.assign(document.createElement("img"), { alt: "" });
    const name = document.createElement("span");
    const size = document.createElement("small");
    name.append(anchor.name, size);
    label.append(input, image, name);
    input.addEventListener("change", () => {
      quiet();
      keep("anchor", anchor.id);
      this.change();
      this.onChosen();
    });
    // An anchor in an object store is fetched when it is chosen.
    anchor.load = async () => {
      if (anchor.width === null) Object.assign(anchor, await api.get(`/anchors/${anchor.id}`));
      size.textContent = `${anchor.width} × ${anchor.height}, ${Math.round(anchor.fps * 100) / 100} fps`;
      image.src = anchor.image = await api.blobUrl(anchor.poster);
      if (anchor.id === this.chosen && !this.live.on) this.#present();
    };
    const load = () => (anchor.loading ??= anchor.load()).catch((error) => {
      anchor.loading = null;
      this.failed(error, label);
    });
    input.addEventListener("change", load);
    if (anchor.width !== null || checked) load();
    return label;
  }

  // Shows the poster, shape and attribution of the chosen anchor.
  #present() {
    const anchor = this.all.find(({ id }) => id === this.chosen);
    if (!anchor) return;
    if (anchor.width !== null) $("screen").style.aspectRatio = `${anchor.width} / ${anchor.height}`;
    if (anchor.image) $("poster").src = anchor.image;
    $("credit").textContent = anchor.attribution.join(" ");
  }

  // Switches to the chosen anchor, now or when nothing is spoken or recorded.
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
        message(t("{name} will appear after the current speech or recording.", { name }), $("anchors"), { role: "status", kind: "note" });
        return;
      }
      await this.handOver(() => this.#present());
      quiet();
    }
    this.isNext = false;
    this.#present();
  }
}
