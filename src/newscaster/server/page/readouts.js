// How the stream is doing, in figures.

import { $ } from "/page/actions.js";

export function clearReadouts() {
  for (const id of ["delay", "rate", "dropped", "waiting"]) $(id).textContent = "–";
}

// `server` is the studio's description of the session, `figures` what the browser measures; `hasSpoken`: since something
// began to be said. Without that there is no delay: the studio's is that of the speech before.
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
