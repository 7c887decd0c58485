"""Videos of the bundled anchor's person, for dubbing. They are rendered from the anchor."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from making_media import moving_pattern, tone
from newscaster import Anchor, media

RATE = 16_000


def write_person_video(
    path: Path, anchor: Anchor, *, frames: int = 30, empty: int = 0, twice: bool = False, audio: bool = True
) -> Path:
    """Write a video of the anchor's person.

    Args:
        path: file to write.
        anchor: the bundled anchor.
        frames: with the person.
        empty: frames of a pattern before them.
        twice: whether a second face, smaller and on the left, is beside the person.
        audio: whether it has audio, a tone.
    """
    width, height = anchor.size
    rest = np.repeat(anchor.face.basis.mean[None], frames, axis=0)
    person = [frame.rgb() for frame in anchor.show(rest, target_start=40)]
    images = [*moving_pattern(empty, width=width, height=height), *person]
    if twice:
        images = [np.concatenate([_smaller(image), image], axis=1) for image in images]
    wav = None
    if audio:
        wav = path.with_suffix(".wav")
        media.write_wav(wav, tone(len(images) / float(anchor.fps), rate=RATE), RATE)
    media.write_video(path, images, fps=anchor.fps, audio=wav, crf=8)
    return path


def _smaller(image: np.ndarray) -> np.ndarray:
    """Return a frame with three quarters of the image in its middle."""
    height, width = image.shape[:2]
    rows = (np.arange(height * 3 // 4) * 4 // 3)[:, None]
    columns = (np.arange(width * 3 // 4) * 4 // 3)[None]
    out = np.full_like(image, 90)
    top, left = height // 8, width // 8
    out[top : top + len(rows), left : left + columns.shape[1]] = image[rows, columns]
    return out
