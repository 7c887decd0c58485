"""Cache of the whole frames of a dataset: the dataset stores crops alone, so its footage is read again.

Selects frames, downscales them, and writes the cache::

    FOLDER/
      pictures.npy     (N, H, W, 3) uint8 RGB, memory-mapped
      pictures.json    fingerprint of their source; written last

``models.portrait.data`` makes training data of them.
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
_FRAMES, _METADATA = "pictures.npy", "pictures.json"
RUN = 8
"""Number of successive frames that stay together if footage is thinned."""
MAX_BYTES = 6_000_000_000
MAX_PIXELS = 640 * 480

Size = tuple[int, int]


def reduced_size(size: Size, *, max_pixels: int = MAX_PIXELS) -> Size:
    """Return width and height after downscaling to at most about ``max_pixels``."""
    factor = min(1.0, math.sqrt(max_pixels / (size[0] * size[1])))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def of_one_size(clips: Sequence[Clip]) -> list[Clip]:
    """Return the clips of the most common frame size: a full-frame network renders one size."""
    frames: Counter[Size] = Counter()
    for clip in clips:
        frames[clip.record.frame_size] += clip.frames
    if not frames:
        return []
    ((size, _),) = frames.most_common(1)
    kept = [clip for clip in clips if clip.record.frame_size == size]
    if len(kept) < len(clips):
        _LOG.warning(
            "skipped %d of %d clips for the full-frame network: their frames are not %dx%d",
            *(len(clips) - len(kept), len(clips), *size),
        )
    return kept


def chosen_frames(seen: Sequence[ArrayBool], *, most: int) -> list[ArrayI64]:
    """Select frames of each clip: all that show the person (``seen``, (F,) bool), at most ``most`` of them.

    Longer footage is thinned to runs of :data:`RUN` successive frames, evenly spread over all clips.
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
    """Split frame numbers into runs of successive ones."""
    return np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)


def whole_images(clips: Sequence[Clip], chosen: Sequence[ArrayI64], folder: Path, *, size: Size) -> ImageU8:
    """Return the chosen frames, clip after clip, as one (N, H, W, 3) uint8 array on disk.

    Args:
        clips: all of one frame size.
        chosen: frame numbers of each clip, ascending.
        folder: of the cache; a finished cache of the same frames is reused, any other is replaced.
        size: width and height after downscaling.

    Raises:
        FootageError: a source is missing or has changed since preparation.
        MediaError: a source is truncated.
        OutputError: the folder is full or cannot be written.
    """
    path, metadata_path = folder / _FRAMES, folder / _METADATA
    count = sum(map(len, chosen))
    metadata = {"format": _FORMAT, "frames": count, "size": list(size), "of": _fingerprint(clips, chosen)}
    shape = (count, size[1], size[0], 3)
    if (cached := _read_cache(path, metadata_path, metadata, shape)) is not None:
        return cached
    sources = [_check_source(clip) for clip in clips]
    make_run_folder(folder)
    metadata_path.unlink(missing_ok=True)
    # Written through a file, not a memory map: a full disk raises an error instead of a crash.
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call,unused-ignore]
        for clip, source, frames in zip(clips, sources, chosen, strict=True):
            for image in _read_clip(clip, source, frames, size):
                file.write(image.tobytes())
    with atomic_write(metadata_path) as temporary:
        temporary.write_text(json.dumps(metadata), encoding="utf-8")
    written = _read_cache(path, metadata_path, metadata, shape)
    assert written is not None
    return written


def _read_cache(
    path: Path, metadata_path: Path, metadata: dict[str, Any], shape: tuple[int, ...]
) -> ImageU8 | None:
    try:
        if json.loads(metadata_path.read_text(encoding="utf-8")) != metadata:
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


def _check_source(clip: Clip) -> Path:
    """Return the source of a clip; raise ``FootageError`` unless it is the file that was prepared."""
    record = clip.record
    source = Path(record.source)
    stat = source.stat() if source.is_file() else None
    if stat is None or (stat.st_size, stat.st_mtime_ns) != (record.size_bytes, record.mtime_ns):
        problem = "no longer exists" if stat is None else "has changed since it was prepared"
        raise FootageError(
            f"'{source}' {problem}; whole frames are read from it. Restore the file that was prepared, or "
            f"prepare the footage again in a new folder"
        )
    return source


def _read_clip(clip: Clip, source: Path, frames: ArrayI64, size: Size) -> Iterator[ImageU8]:
    """Yield the frames of one clip in one pass: the frames in between have to be decoded anyway."""
    if not len(frames):
        return
    chosen, count = set(frames.tolist()), 0
    first, stop, start = int(frames[0]), int(frames[-1]) + 1, clip.record.start_frame
    images = read_frames(
        source, fps=Fraction(clip.record.fps), start_frame=start + first, stop_frame=start + stop
    )
    for number, image in enumerate(images, first):
        if number in chosen:
            count += 1
            yield _downscale(image, size)
    if count != len(frames):
        raise FootageError(
            f"'{source}' has {count} of the {len(frames)} frames that were prepared. Prepare the footage "
            f"again in a new folder"
        )


def _downscale(image: ImageU8, size: Size) -> ImageU8:
    if image.shape[:2] == size[::-1]:
        return image
    small = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small)
