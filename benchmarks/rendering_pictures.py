"""Mouths side by side, as ``rendering.py`` had them painted. They show footage: for looking at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from newscaster.face.mouth_basis import opening
from newscaster.formats.dataset import Dataset
from newscaster.system.files import atomic_write

if TYPE_CHECKING:
    from rendering import Setup

SHOWN = 8
MOMENTS = 3
ENLARGED = 3
APART_FRAMES = 6
MARGIN = 0.04
LABEL_PX = 70
Place = tuple[str, int]
"""A clip's name, and a frame of it."""


class Sheet:
    """Regions of the footage and of every rival, cut to the mask."""

    def __init__(self, setup: Setup, names: Sequence[str]) -> None:
        self.dataset, self.setup, self.names = Dataset.open(setup.dataset), setup, names
        self.clips = {clip.name: clip for clip in self.dataset.clips if clip.name in setup.shown}
        self.order = list(self.clips)
        self.frames = {name: dict(np.load(setup.folder(name) / "frames.npz")) for name in names}
        hidden = self.dataset.mask.hidden
        margin = round(MARGIN * len(hidden))
        rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
        self.box = tuple(
            slice(max(0, int(where[0]) - margin), int(where[-1]) + 1 + margin) for where in (rows, columns)
        )

    def crops(self, name: str, clip: str) -> np.ndarray:
        """(F, h, w, 3) of a rival; None of the footage."""
        rows, columns = self.box
        if name == "real":
            return self.clips[clip].crops[:, rows, columns]
        made = np.load(self.setup.folder(name) / "painted" / f"{clip}.npy", mmap_mode="r")
        # Pasted in with the soft edge, as a video shows it.
        soft = (self.dataset.mask.soft[rows, columns] / 255.0)[..., None]
        real = self.clips[clip].crops[:, rows, columns]
        return np.rint(real + soft * (made[:, rows, columns].astype(np.float32) - real)).astype(np.uint8)

    def worst(self, name: str, values: np.ndarray, count: int) -> list[Place]:
        """Places spread over the worst tenth of a rival's frames, not two of one moment."""
        frames = self.frames[name]
        clips, numbers = frames["clip"].astype(int), frames["frame"].astype(int)
        ranked = np.argsort(np.where(np.isfinite(values), -values, np.inf), kind="stable")
        tenth = ranked[: max(count, int(np.isfinite(values).sum()) // 10)]
        chosen: list[tuple[int, int]] = []
        for index in tenth:
            clip, frame = int(clips[index]), int(numbers[index])
            if all(c != clip or abs(f - frame) >= APART_FRAMES for c, f in chosen):
                chosen.append((clip, frame))
        spread = np.unique(np.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().astype(int))
        return [(self.order[chosen[i][0]], chosen[i][1]) for i in spread]

    def by_opening(self, count: int) -> list[Place]:
        """Places from the most closed mouth to the widest open one."""
        found = [
            (float(o), name, i)
            for name, clip in self.clips.items()
            for i, o in enumerate(opening(clip.mouth_shapes(self.dataset.head)))
            if np.isfinite(o)
        ]
        found.sort()
        spread = np.linspace(0, len(found) - 1, count).round().astype(int)
        return [(found[i][1], found[i][2]) for i in spread]

    def write(self, path: Path, places: Sequence[Place]) -> None:
        """One row for the footage and one for every rival, one column for every place."""
        cache: dict[tuple[str, str], np.ndarray] = {}
        rows = []
        for name in ("real", *self.names):
            cells = []
            for clip, frame in places:
                if (name, clip) not in cache:
                    cache[name, clip] = self.crops(name, clip)
                cells.append(cache[name, clip][frame])
            rows.append((name, np.concatenate(cells, axis=1)))
        write_rows(path, rows)

    def write_course(self, path: Path, clip: str) -> None:
        """The column of pixels through the middle of the mouth, over the time of a clip."""
        rows = []
        for name in ("real", *self.names):
            crops = self.crops(name, clip)
            rows.append((name, crops[:, :, crops.shape[2] // 2].transpose(1, 0, 2)))
        write_rows(path, [(name, np.repeat(row, 6, axis=1)) for name, row in rows])


def write_rows(path: Path, rows: Sequence[tuple[str, np.ndarray]]) -> None:
    font = ImageFont.load_default()
    height, width = rows[0][1].shape[:2]
    sheet = Image.new("RGB", (LABEL_PX + ENLARGED * width, (ENLARGED * height + 2) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (name, row) in enumerate(rows):
        top = index * (ENLARGED * height + 2)
        large = Image.fromarray(np.ascontiguousarray(row)).resize(
            (ENLARGED * width, ENLARGED * height), Image.Resampling.BICUBIC
        )
        sheet.paste(large, (LABEL_PX, top))
        draw.text((4, top + 4), name, fill="black", font=font)
    with atomic_write(path) as temporary:
        sheet.save(temporary, format="PNG")


def draw_pictures(setup: Setup, names: Sequence[str], out: Path) -> None:
    """Write sheets: ordinary mouths, the worst tenth of every rival, and courses over time.

    The worst are so by error and by flicker; of the latter the frames before and after are shown, too.
    """
    out.mkdir(parents=True, exist_ok=True)
    sheet = Sheet(setup, names)
    sheet.write(out / "mouths.png", sheet.by_opening(SHOWN))
    for name in names:
        frames = sheet.frames[name]
        sheet.write(out / f"worst_error_{name}.png", sheet.worst(name, frames["error"], SHOWN))
        excess = frames["flicker"] - frames["real flicker"]
        similarity = sheet.worst(name, excess, MOMENTS)
        around = [(clip, frame + step) for clip, frame in similarity for step in (-1, 0, 1)]
        sheet.write(out / f"worst_flicker_{name}.png", around)
    for clip in sheet.order[:2]:
        sheet.write_course(out / f"course_{clip}.png", clip)
    print(f"side-by-side pictures, which show footage, are in '{out}'", flush=True)
