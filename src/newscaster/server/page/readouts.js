// Statistics of the stream.

import { $ } from "/page/actions.js";

export function clearReadouts() {
  for (const id of ["delay", "rate", "dropped", "waiting"]) $(id).textContent = "–";
}

// `server` is the state from the studio, `figures` the browser's measurements, `hasSpoken` whether the current speech has
// started. Before that no delay is shown: the studio's value is that of earlier speech.
export function showReadouts(server, figures, hasSpoken) {
  const late = figures?.buffer_ms ?? 0;
  const isMeasured = hasSpoken && server.delay_ms !== null;
  $("delay").textContent = isMeasured ? `${Math.round(server.delay_ms + late)} ms` : "–";
  $("rate").textContent = `${(figures?.rate ?? server.frames_per_second).toFixed(0)} fps`;
  const dropped = server.dropped + (figures?.dropped ?? 0);
  const all = server.shown + server.dropped;
  $("dropped").replaceChildren(`${dropped} `, small(`${all ? ((100 * dropped) / all).toFixed(1) : "0.0"} %`));
  $("waiting").textContent = `${server.waiting_seconds.toFixed(1)} s`;
}

function small(text) {
  return Object.assign(document.createElement("small"), { textContent: text });
}
