"""Draw the image of the README: frames of a bundled anchor that reads a sentence, and its mouths.

    python tools/bundled_image.py --out docs/builtin.jpg

Three whole frames, and below them the mouth of every second frame from the first word on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

import newscaster
from newscaster.speech.voices import synthesize

TEXT = "Good evening. Here is the news, read by someone who never read it."
WIDTH, FRAMES, COLUMNS, ROWS = 1440, 3, 10, 2
FIRST, EVERY = 8, 2


def tiled(images: list[np.ndarray], columns: int, *, width: int) -> Image.Image:
    """Return images of one size in rows, `width` pixels wide."""
    rows = [np.concatenate(images[k : k + columns], axis=1) for k in range(0, len(images), columns)]
    sheet = Image.fromarray(np.concatenate(rows))
    return sheet.resize((width, round(sheet.height * width / sheet.width)), Image.Resampling.LANCZOS)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--anchor", default="builtin")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    anchor = newscaster.open(given.anchor)
    samples, rate = synthesize(TEXT)
    frames, points = list(anchor.render(samples, rate)), anchor.motion(samples, rate)
    lips = points[:, :40]
    wide = float(np.median(np.ptp(lips[..., 0], axis=1)))
    half_width, half_height = round(0.9 * wide), round(0.6 * wide)
    mouths = []
    for number in range(FIRST, FIRST + EVERY * COLUMNS * ROWS, EVERY):
        x, y = lips[number].mean(axis=0).round().astype(int)
        mouths.append(frames[number][y - half_height : y + half_height, x - half_width : x + half_width])
    gaps = np.ptp(lips[..., 1], axis=1)
    shown = [int(part[gaps[part].argmax()]) for part in np.array_split(np.arange(FIRST, len(gaps)), FRAMES)]
    top = tiled([frames[number] for number in shown], FRAMES, width=WIDTH)
    bottom = tiled(mouths, COLUMNS, width=WIDTH)
    picture = Image.new("RGB", (WIDTH, top.height + bottom.height))
    picture.paste(top, (0, 0))
    picture.paste(bottom, (0, top.height))
    picture.save(given.out, quality=88)


if __name__ == "__main__":
    main()
