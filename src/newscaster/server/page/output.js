// The output page, /output/SESSION: video and audio of a live session alone. A green background becomes transparent.

import { $ } from "/page/actions.js";
import { withoutGreen } from "/page/chroma-key.js";
import { Live } from "/page/live.js";

const AGAIN_MS = 2_000;
const KEYS = ["#00ff00", "green", "lime"];

const session = location.pathname.split("/").at(-1);
const live = new Live($("video"));

async function connect() {
  try {
    await live.watch(session);
    const isKeyed = KEYS.includes(live.session.background);
    $("keyed").hidden = !isKeyed;
    $("video").classList.toggle("is-source", isKeyed); // hidden, it would have no frames
    if (isKeyed) key();
  } catch {
    setTimeout(connect, AGAIN_MS);
  }
}

// Draws each frame without its green.
function key() {
  const [video, canvas] = [$("video"), $("keyed")];
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const draw = () => {
    if (canvas.hidden) return;
    if (video.videoWidth) {
      if (canvas.width !== video.videoWidth) [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      brush.drawImage(video, 0, 0);
      const image = brush.getImageData(0, 0, canvas.width, canvas.height);
      withoutGreen(image.data);
      brush.putImageData(image, 0, 0);
    }
    video.requestVideoFrameCallback(draw);
  };
  video.requestVideoFrameCallback(draw);
}

live.addEventListener("lost", connect);
connect();
