"""Whole pictures of a take, on disk: the take keeps crops alone, so its footage is read once more.

Knows which frames are taken, how they are reduced, and the cache::

    FOLDER/
      pictures.npy     (N, H, W, 3) uint8 RGB, memory-mapped
      pictures.json    what they are of; written last

Leaves what is learnt from them to ``models.portrait.data``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from newscaster.errors import FootageError
from newscaster.formats.dataset import Clip
from newscaster.media import read_frames
from newscaster.system.files import atomic_write
from newscaster.training.checkpoints import make_run_folder
from newscaster.types import ArrayBool, ArrayI64, ImageU8

_LOG = logging.getLogger("newscaster.training")
_FORMAT = 1
_FRAMES, _FACTS = "pictures.npy", "pictures.json"
RUN = 8
"""Successive frames that stay together where footage is thinned."""
MAX_BYTES = 6_000_000_000
MAX_PIXELS = 640 * 480

Size = tuple[int, int]


def reduced_size(size: Size, *, max_pixels: int = MAX_PIXELS) -> Size:
    """Width and height of pictures of this size after they are reduced to about so many pixels at most."""
    factor = min(1.0, math.sqrt(max_pixels / (size[0] * size[1])))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def of_one_size(clips: Sequence[Clip]) -> list[Clip]:
    """The clips of the commonest size of picture: a full-frame network paints pictures of one size."""
    frames: Counter[Size] = Counter()
    for clip in clips:
        frames[clip.record.frame_size] += clip.frames
    if not frames:
        return []
    ((size, _),) = frames.most_common(1)
    kept = [clip for clip in clips if clip.record.frame_size == size]
    if len(kept) < len(clips):
        _LOG.warning(
            "%d of %d clips are left out of the full-frame network's footage: their pictures are not %dx%d",
            *(len(clips) - len(kept), len(clips), *size),
        )
    return kept


def chosen_frames(seen: Sequence[ArrayBool], *, most: int) -> list[ArrayI64]:
    """Which frames of each clip are taken: all that show the person, (F,) bool, or ``most`` of them.

    Footage that is longer is thinned to runs of :data:`RUN` successive frames, evenly spread over all clips.
    """
    if sum(int(present.sum()) for present in seen) <= most:
        return [np.flatnonzero(present) for present in seen]
    runs = [
        (index, start)
        for index, present in enumerate(seen)
        for segment in _segments(np.flatnonzero(present))
        for start in segment[: len(segment) - RUN + 1 : RUN]
    ]
    count = min(len(runs), max(1, most // RUN))
    spread = np.linspace(0, len(runs) - 1, count).round().astype(int)
    kept = np.unique(spread).tolist() if runs else []
    chosen: list[list[ArrayI64]] = [[] for _ in seen]
    for index, start in (runs[number] for number in kept):
        chosen[index].append(np.arange(start, start + RUN))
    return [np.concatenate([np.empty(0, np.int64), *parts]) for parts in chosen]


def _segments(frames: ArrayI64) -> list[ArrayI64]:
    """Frames cut where one is missing."""
    return np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)


def whole_images(clips: Sequence[Clip], chosen: Sequence[ArrayI64], folder: Path, *, size: Size) -> ImageU8:
    """The chosen frames of clips, one clip after the other, as one (N, H, W, 3) uint8 array on disk.

    Args:
        clips: of one size of picture.
        chosen: frames of each clip, rising.
        folder: where the cache is; a finished one of the same frames is used again, any other replaced.
        size: width and height that pictures are reduced to.

    Raises:
        FootageError: a source is missing, or was changed since it was prepared.
        MediaError: a source breaks off.
        OutputError: the folder is full or cannot be written.
    """
    path, facts = folder / _FRAMES, folder / _FACTS
    count = sum(map(len, chosen))
    wanted = {"format": _FORMAT, "frames": count, "size": list(size), "of": _fingerprint(clips, chosen)}
    shape = (count, size[1], size[0], 3)
    if (found := _cached(path, facts, wanted, shape)) is not None:
        return found
    sources = [_unchanged(clip) for clip in clips]
    make_run_folder(folder)
    facts.unlink(missing_ok=True)
    # Written in order through a file: a full disk is an error then, and under a memory map a crash.
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call,unused-ignore]
        for clip, source, frames in zip(clips, sources, chosen, strict=True):
            for image in _read(clip, source, frames, size):
                file.write(image.tobytes())
    with atomic_write(facts) as temporary:
        temporary.write_text(json.dumps(wanted), encoding="utf-8")
    written = _cached(path, facts, wanted, shape)
    assert written is not None
    return written


def _cached(path: Path, facts: Path, wanted: dict[str, Any], shape: tuple[int, ...]) -> ImageU8 | None:
    try:
        if json.loads(facts.read_text(encoding="utf-8")) != wanted:
            return None
        array: ImageU8 = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _fingerprint(clips: Sequence[Clip], chosen: Sequence[ArrayI64]) -> str:
    digest = hashlib.sha256()
    for clip, frames in zip(clips, chosen, strict=True):
        record = clip.record
        origin = (record.source, record.size_bytes, record.mtime_ns, record.start_frame, record.fps)
        digest.update(repr(origin).encode() + frames.astype("<i8").tobytes())
    return digest.hexdigest()[:32]


def _unchanged(clip: Clip) -> Path:
    record = clip.record
    source = Path(record.source)
    found = source.stat() if source.is_file() else None
    if found is None or (found.st_size, found.st_mtime_ns) != (record.size_bytes, record.mtime_ns):
        what = "is not there any more" if found is None else "was changed since it was prepared"
        raise FootageError(
            f"'{source}' {what}, and whole pictures are read from it. Put the file that was prepared "
            f"back, or prepare the footage again, into a new folder"
        )
    return source


def _read(clip: Clip, source: Path, frames: ArrayI64, size: Size) -> Iterator[ImageU8]:
    """The frames of one clip, read in one go: what lies between them has to be decoded anyway."""
    if not len(frames):
        return
    wanted, given = set(frames.tolist()), 0
    first, stop, start = int(frames[0]), int(frames[-1]) + 1, clip.record.start_frame
    images = read_frames(
        source, fps=Fraction(clip.record.fps), start_frame=start + first, stop_frame=start + stop
    )
    for number, image in enumerate(images, first):
        if number in wanted:
            given += 1
            yield _reduced(image, size)
    if given != len(frames):
        raise FootageError(
            f"'{source}' gave {given} of the {len(frames)} frames that were prepared. Prepare the footage "
            f"again, into a new folder"
        )


def _reduced(image: ImageU8, size: Size) -> ImageU8:
    if image.shape[:2] == size[::-1]:
        return image
    reduced = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(reduced)
