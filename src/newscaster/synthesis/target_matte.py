"""The matte of an anchor's target: stored in the anchor, or computed at first use and cached.

`matting` computes it. `background` uses it.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from newscaster.errors import AnchorError, OutputError
from newscaster.formats.anchor import MATTE
from newscaster.matting.clips import face_box, matte_clip
from newscaster.matting.packed import is_packed, unpack
from newscaster.matting.steady import AHEAD_FRAMES
from newscaster.matting.store import CACHE_FAST_BYTES, MATTE_VERSION, MatteStore, MatteWriter
from newscaster.media import TargetVideo, YuvFrame
from newscaster.system.files import atomic_write
from newscaster.system.folders import cache_folder
from newscaster.types import ArrayF32, ArrayI64, FrameProgress

_log = logging.getLogger("newscaster.synthesis")
_RUN_UP_FRAMES = 12
"""Frames at the end of a loop that are looked at before its first one, so that the seam does not flicker.
As many of its start as are looked ahead follow its last one."""


def write_target_matte(
    file: BinaryIO,
    image: Callable[[int], YuvFrame],
    landmarks: ArrayF32,
    *,
    segment: ArrayI64 | None = None,
    loops: bool = False,
    fast_bytes: int = 0,
    progress: FrameProgress | None = None,
) -> None:
    """Compute and write the matte of a target.

    Args:
        file: open for writing, at its start.
        image: returns a frame by its number.
        landmarks: (F, L, 2 or more) pixels of the person's face.
        segment: (F,) number of the segment of footage of each frame; None: one segment.
        loops: whether the first frame follows the last one.
        fast_bytes: see `MatteWriter`.
        progress: called with the frames done and their number.
    """
    total = len(landmarks)
    run_up, ahead = (min(count, total - 1) if loops else 0 for count in (_RUN_UP_FRAMES, AHEAD_FRAMES))
    order = [*range(total - run_up, total), *range(total), *range(ahead)]
    starts: frozenset[int] = frozenset()
    if segment is not None and not loops:
        starts = frozenset((np.flatnonzero(np.diff(segment)) + 1).tolist())
    first = image(0)
    size = first.frame.width, first.frame.height
    mattes = matte_clip(map(image, order), [face_box(landmarks[index]) for index in order], starts=starts)
    with MatteWriter(file, size=size, fast_bytes=fast_bytes) as writer:
        for done, matte in enumerate(mattes, 1 - run_up):
            if not 1 <= done <= total:
                continue
            writer.add(matte)
            if progress is not None:
                progress(done, total)


def video_matte(
    video: TargetVideo,
    landmarks: ArrayF32,
    *,
    size: tuple[int, int],
    first: int = 0,
    segment: ArrayI64 | None = None,
    loops: bool = False,
    progress: FrameProgress | None = None,
) -> bytes:
    """Return the matte of a target video, or of its end, not packed.

    Args:
        video: the target.
        landmarks: as for :func:`write_target_matte`; see there for the other arguments.
        size: width and height of the frames as shown.
        first: frame of the first landmarks.
        segment: the segments.
        loops: whether it loops.
        progress: of the frames.
    """

    def image(index: int) -> YuvFrame:
        frame = video.image(first + index)
        frame.size = size
        return frame

    buffer = io.BytesIO()
    write_target_matte(buffer, image, landmarks, segment=segment, loops=loops, progress=progress)
    return buffer.getvalue()


class TargetMatte:
    """The matte of one anchor's target. Thread-safe.

    Args:
        name: of the anchor, for messages.
        compute: writes the matte to a file, see :func:`write_target_matte`.
        frames: number of frames of the target.
        size: width and height of its planes.
        stored: reads what the anchor stores; None: it stores none.
        key: identifies the target in the cache; None: it is not cached.
    """

    def __init__(
        self,
        *,
        name: str,
        compute: Callable[[BinaryIO], None],
        frames: int,
        size: tuple[int, int],
        stored: Callable[[], bytes] | None,
        key: str | None,
    ) -> None:
        self._name, self._compute = name, compute
        self._frames, self._size = frames, size
        self._stored, self._key = stored, key
        self._store: MatteStore | None = None
        self._lock = threading.Lock()

    def load(self) -> MatteStore:
        """Return the matte; compute it if neither the anchor nor the cache has it.

        Raises:
            AnchorError: the stored matte does not fit the target.
        """
        with self._lock:
            if self._store is None:
                self._store = self._read_stored() or self._read_cache() or self._make()
            return self._store

    def _read_stored(self) -> MatteStore | None:
        if self._stored is None:
            return None
        try:
            data = self._stored()
            return self._unpacked(data) if is_packed(data) else self._checked(MatteStore(data))
        except ValueError as error:
            raise AnchorError(
                f"the anchor '{self._name}' cannot be used with a background: {MATTE}: {error}. Train it "
                "again"
            ) from error

    def _unpacked(self, data: bytes) -> MatteStore:
        """Return a packed matte, from the cache if it is there."""
        path = self._path(None if self._key is None else hashlib.sha256(data).hexdigest())
        return self._read(path) or self._written(
            path, lambda file: unpack(data, file, fast_bytes=CACHE_FAST_BYTES)
        )

    def _read_cache(self) -> MatteStore | None:
        return self._read(self._path(self._key))

    def _read(self, path: Path | None) -> MatteStore | None:
        if path is None:
            return None
        try:
            return self._checked(MatteStore(path))
        except (OSError, ValueError):  # missing, damaged or of an interrupted version
            return None

    def _make(self) -> MatteStore:
        path = self._path(self._key)
        kept = "" if path is None else f", and kept in '{path.parent}'"
        _log.warning(
            "the anchor '%s' has no matte yet: it is computed once, for %d frames%s",
            self._name,
            self._frames,
            kept,
        )
        return self._written(path, self._compute)

    def _written(self, path: Path | None, write: Callable[[BinaryIO], None]) -> MatteStore:
        """Return a matte that is written to a file of the cache, or to memory if there is no room."""
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as temporary, temporary.open("wb") as file:
                    write(file)
                return self._checked(MatteStore(path))
            except (OSError, OutputError) as error:
                _log.warning("the matte is not kept: %s", error)
        buffer = io.BytesIO()
        write(buffer)
        return self._checked(MatteStore(buffer.getvalue()))

    def _path(self, key: str | None) -> Path | None:
        """Return the file of a key in the cache; None if there is no folder for it."""
        folder = matte_folder()
        if key is None or folder is None:
            return None
        return folder / f"{key[:40]}-{MATTE_VERSION}.matte"

    def _checked(self, store: MatteStore) -> MatteStore:
        """Return the matte. Raise ValueError if it is that of another target."""
        if len(store) != self._frames or store.size != self._size:
            raise ValueError(
                f"it has {len(store)} frames of {store.size[0]}x{store.size[1]} pixels; expected "
                f"{self._frames} of {self._size[0]}x{self._size[1]}"
            )
        return store


def matte_folder() -> Path | None:
    """Return the folder of mattes in the user's cache; None if the user has no home folder."""
    try:
        return cache_folder() / "mattes"
    except RuntimeError:
        return None
