"""An anchor of the made-up face, and clips of it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from faces import talking
from footage import HEIGHT, WIDTH, babble, write_footage
from newscaster.face.head_pose import Head
from newscaster.formats.dataset import Clip, ClipRecord
from newscaster.formats.dataset_writer import write_track
from newscaster.synthesis.anchor import Anchor
from tiny_anchor import write_tiny_anchor


def talker(folder: Path) -> Anchor:
    """An anchor whose head is that of :func:`faces.talking`; its renderer darkens what is not lips."""
    return Anchor.open(write_tiny_anchor(folder / "talker.anchor", person=Head.fit(talking(60))), workers=1)


def clip_of(
    folder: Path,
    *,
    name: str = "clip",
    frames: int = 50,
    absent: tuple[int, ...] = (),
    audio: bool = True,
    first: int = 0,
) -> Clip:
    """A tracked clip of footage that shows a moving pattern where the face is said to be."""
    source = write_footage(folder / f"{name}.mp4", seconds=(frames + first) / 25, audio=audio)
    found = source.stat()
    record = ClipRecord(
        *(str(source), found.st_size, found.st_mtime_ns, first, None, Fraction(25)),
        *((WIDTH, HEIGHT), None, 0, 1),
    )
    landmarks, present = talking(frames), np.ones(frames, bool)
    landmarks[list(absent)], present[list(absent)] = np.nan, False
    speech = babble(frames / 25) if audio else np.zeros(0, np.float32)
    place = folder / "tracks" / name
    place.mkdir(parents=True)
    return Clip(place, write_track(place, record, landmarks=landmarks, present=present, speech=speech))
