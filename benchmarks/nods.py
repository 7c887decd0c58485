"""Nods of a photograph's anchor against stressed syllables of speech.

    python benchmarks/nods.py ANCHOR AUDIO...

For each recording: the fraction of nods within 100 ms of a stressed syllable, in the order that follows the
speech and in the plain loop, from ten first frames; and the fraction of all moments that lie so close, which
chance would reach. Renders nothing. Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.formats.anchor import AnchorFile
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.stress import stressed_times
from newscaster.synthesis.nods import NodOrder

_NEAR_SECONDS = 0.1
_STARTS = 10
_MOMENT_SECONDS = 0.01


def measured(order: NodOrder, audio: Path) -> dict[str, float]:
    """Return the figures of one recording."""
    blocks = list(media.read_audio_blocks(audio, rate=SAMPLE_RATE, block_samples=SAMPLE_RATE))
    seconds = sum(map(len, blocks)) / SAMPLE_RATE
    stresses = stressed_times(blocks)
    count, loop = int(seconds * order.fps), len(order.calm)
    starts = np.linspace(0, loop, _STARTS, endpoint=False).astype(int).tolist()
    followed = [np.array(list(islice(order.frames(stresses, start=start), count))) for start in starts]
    plain = [(np.arange(count) + start) % loop for start in starts]
    moments = np.arange(0, seconds, _MOMENT_SECONDS)
    return {
        "seconds": seconds,
        "stresses per second": len(stresses) / seconds,
        "following": _near(followed, order, stresses),
        "loop": _near(plain, order, stresses),
        "chance": float((_distance(moments, stresses) <= _NEAR_SECONDS).mean()),
        "changed frames": float(np.mean([((np.diff(frames) % loop) != 1).mean() for frames in followed])),
    }


def _near(orders: list[np.ndarray], order: NodOrder, stresses: np.ndarray) -> float:
    """Return the fraction of nods within 100 ms of a stress."""
    near = []
    for frames in orders:
        is_new = np.diff(frames, prepend=-1) != 0
        times = np.flatnonzero(np.isin(frames, order.nods) & is_new) / order.fps
        near += (_distance(times, stresses) <= _NEAR_SECONDS).tolist()
    return float(np.mean(near))


def _distance(times: np.ndarray, stresses: np.ndarray) -> np.ndarray:
    return np.abs(np.asarray(times)[:, None] - stresses).min(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("anchor", type=Path)
    parser.add_argument("audio", type=Path, nargs="+")
    options = parser.parse_args()
    file = AnchorFile(options.anchor)
    order = NodOrder.of(file.face(), file.info)
    rows = {path.stem: measured(order, path) for path in options.audio}
    names = list(next(iter(rows.values())))
    print("| speech | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
    for speech, figures in rows.items():
        print(f"| {speech} | " + " | ".join(f"{figures[name]:.2g}" for name in names) + " |")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
