"""The person matte: what is left of the old background at the edge, flicker on still frames, lag, and speed.

For the first frames of every video:

* fringe: the share of the old background's colour in the foreground where alpha is between 0.1 and 0.95,
  along the line from the background's mean colour nearby (0: none of it; 1: all of it). The same is
  measured of the raw network's mask with the frame's own pixels, which is what a matte without estimated
  colours shows;
* known: the matted person is put over a photograph-like background, with alpha as the truth, and matted
  again: mean and 99th percentile of alpha's error in levels of 255 in the edge's band, and the error of the
  foreground's colour there, each beside the raw network's;
* flicker: one frame repeated with sensor noise, and encoded again at crf 23: alpha's change from frame to
  frame;
* lag: the frame is shifted by 4 pixels per frame: the shift between alpha and one made of that frame alone;
* speed: processor time per frame on one thread.

With `--images DIR`, composites over green, white and black are written there, to be looked at.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import time
from itertools import islice
from pathlib import Path

import av
import numpy as np
from PIL import Image

from newscaster.matting import Matte, PersonMatte, PersonNetwork, composite, load_person_network
from newscaster.matting.filters import box_mean, resize
from newscaster.media import read_frames

GREEN, WHITE, BLACK = ((0, 255, 0), (255, 255, 255), (0, 0, 0))


def raw_matte(network: PersonNetwork, frame: np.ndarray) -> Matte:
    """The network's mask of the whole frame, enlarged, with the frame's own colours."""
    mask = resize(network.mask(frame), frame.shape[:2])
    return Matte((np.clip(mask, 0, 1) * 255 + 0.5).astype(np.uint8), frame, found=True)


def fringe(frame: np.ndarray, matte: Matte, sure: np.ndarray) -> float:
    """Mean share of the background's colour in what is shown at the edge.

    Args:
        sure: alpha that decides what is surely person and surely background, the same for all that are
            compared.
    """
    radius = max(frame.shape[1] // 24, 8)
    values = np.moveaxis(frame.astype(np.float32), 2, 0)

    def mean_of(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sums = box_mean(np.concatenate([weight[None], weight * values]).astype(np.float32), radius)
        return sums[1:] / np.maximum(sums[0], 1e-6), sums[0] > 0.02

    front, has_front = mean_of(sure >= 254)
    back, has_back = mean_of(sure <= 1)
    alpha = matte.alpha / 255
    line = back - front
    length = (line**2).sum(axis=0)
    edge = (alpha > 0.1) & (alpha < 0.95) & has_front & has_back & (length > 50**2)
    if not edge.any():
        return 0.0
    shown = np.moveaxis(matte.foreground.astype(np.float32), 2, 0) - front
    fraction = np.clip((shown * line).sum(axis=0) / np.maximum(length, 1), 0, 1)
    return float((alpha * fraction)[edge].sum() / alpha[edge].sum())


def photograph(height: int, width: int) -> np.ndarray:
    """A soft, coloured background as of a room out of focus."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(30, 220, (max(height // 90, 2), max(width // 90, 2), 3), np.uint8)
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    noise = rng.normal(0, 2, (height, width, 3))
    return np.clip(np.asarray(soft, np.float32) + noise, 0, 255).astype(np.uint8)


def known(network: PersonNetwork, frame: np.ndarray, truth: Matte) -> dict[str, float]:
    """Errors where the truth is known: a matted person over another background, matted again."""
    shown = composite(truth, photograph(*frame.shape[:2]))
    edge = box_mean((truth.alpha / np.float32(255)).astype(np.float32), max(frame.shape[1] // 60, 4))
    band = (edge > 0.01) & (edge < 0.99)
    opaque = band & (truth.alpha > 60)
    errors = {}
    for name, matte in (
        ("ours", PersonMatte(network).push(shown)),
        ("raw", raw_matte(network, shown)),
    ):
        alpha = np.abs(matte.alpha.astype(np.float32) - truth.alpha)[band]
        color = np.abs(matte.foreground.astype(np.float32) - truth.foreground)[opaque]
        errors[f"{name} alpha mean"] = float(alpha.mean())
        errors[f"{name} alpha p99"] = float(np.percentile(alpha, 99))
        errors[f"{name} color mean"] = float(color.mean())
    return errors


def encoded(frames: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """The frames after H.264, a key frame every 12."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf), "preset": "veryfast", "g": "12"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), "rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def flicker(network: PersonNetwork, frames: list[np.ndarray]) -> dict[str, float]:
    """Change of alpha from frame to frame in levels of 255."""
    matte = PersonMatte(network)
    alphas = np.stack([matte.push(frame).alpha for frame in frames]).astype(np.int16)
    change = np.abs(np.diff(alphas, axis=0))
    return {
        "max": int(change.max()),
        "p99.9": float(np.percentile(change, 99.9)),
        "mean": float(change.mean()),
        "percent over 1": float(100 * (change > 1).mean()),
    }


def lag_px(network: PersonNetwork, frame: np.ndarray, *, shift: int = 4, frames: int = 6) -> float:
    """Mean difference of alpha in a moving clip to that of its last frame alone, as pixels of shift."""
    matte = PersonMatte(network)
    for index in range(frames):
        last = np.ascontiguousarray(np.roll(frame, shift * index, axis=1))
        moving = matte.push(last).alpha.astype(np.float32)
    alone = PersonMatte(network).push(last).alpha.astype(np.float32)
    one_pixel = np.abs(alone - np.roll(alone, 1, axis=1)).mean()
    return float(np.abs(moving - alone).mean() / max(one_pixel, 1e-6))


def measured(network: PersonNetwork, path: Path, *, count: int, images: Path | None) -> dict[str, object]:
    frames = list(islice(read_frames(path), count))
    frames = [np.ascontiguousarray(f[: f.shape[0] // 2 * 2, : f.shape[1] // 2 * 2]) for f in frames]
    matte, seconds, network_seconds, results = PersonMatte(network), [], [], []
    for frame in frames:
        began = time.process_time()
        results.append(matte.push(frame))
        seconds.append(time.process_time() - began)
        began = time.process_time()
        network.mask(frame)
        network_seconds.append(time.process_time() - began)
    frame, last = frames[-1], results[-1]
    raw = raw_matte(network, frame)
    if images is not None:
        for name, color in (("green", GREEN), ("white", WHITE), ("black", BLACK)):
            Image.fromarray(composite(last, np.array(color, np.uint8))).save(
                images / f"{path.stem}-{name}.png"
            )
        Image.fromarray(composite(raw, np.array(GREEN, np.uint8))).save(images / f"{path.stem}-raw.png")
        Image.fromarray(composite(last, photograph(*frame.shape[:2]))).save(images / f"{path.stem}-photo.png")
    rng = np.random.default_rng(0)
    noisy = [np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8) for _ in range(8)]
    return {
        "video": path.stem,
        "size": f"{frame.shape[1]}x{frame.shape[0]}",
        "ms": 1e3 * statistics.median(seconds[1:]),
        "ms of the network, once": 1e3 * statistics.median(network_seconds),
        "fringe": fringe(frame, last, last.alpha),
        "raw fringe": fringe(frame, raw, last.alpha),
        "known": known(network, frame, last),
        "noise": flicker(network, noisy),
        "crf23": flicker(network, encoded([frame] * 14, 23)),
        "lag px": lag_px(network, frame),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--images", type=Path)
    options = parser.parse_args()
    if options.images is not None:
        options.images.mkdir(parents=True, exist_ok=True)
    network = load_person_network()
    rows = []
    for path in options.videos:
        row = measured(network, path, count=options.frames, images=options.images)
        rows.append(row)
        errors = row["known"]
        print(
            f"{row['video']:28} {row['size']:>9}  {row['ms']:4.0f} ms "
            f"(network once {row['ms of the network, once']:.0f})  "
            f"fringe {row['fringe']:.2f} (raw {row['raw fringe']:.2f})  "
            f"known: alpha {errors['ours alpha mean']:.1f} (raw {errors['raw alpha mean']:.1f}), "
            f"colour {errors['ours color mean']:.1f} (raw {errors['raw color mean']:.1f})  "
            f"noise max {row['noise']['max']}  crf 23 max {row['crf23']['max']}, "
            f"{row['crf23']['percent over 1']:.4f} % over 1  lag {row['lag px']:.2f} px",
            flush=True,
        )
    print(json.dumps({"benchmark": "matting", "rows": rows}))


if __name__ == "__main__":
    main()
