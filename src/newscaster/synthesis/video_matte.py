"""The matte of a given video: computed once, and kept in the cache of its tracks.

All people in the shots of the anchor's person stay. Other shots keep every decoded sample.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import MediaError
from newscaster.matting.clips import matte_clip
from newscaster.matting.store import CACHE_FAST_BYTES, MATTE_VERSION, MatteStore, MatteWriter
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.background import Background, Compositor, open_compositor
from newscaster.system.folders import make_cache_folder
from newscaster.types import ArrayBool, Progress


def video_compositor(
    background: Background | None,
    tracks: Sequence[VideoTrack],
    stack: ExitStack,
    *,
    like: media.YuvFrame,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Compositor | None:
    """Return what puts a background behind the people in a video; None without a background.

    Args:
        background: what is shown.
        tracks: of the anchors' people in the video.
        stack: removes a matte that is not cached.
        like: the first frame of the video.
        cache: folder for the matte; None: it is not kept.
        progress: called with the phase "matte", the frames done and their number.

    Raises:
        MediaError: the background cannot be read, or the video has changed.
        OutputError: the cache cannot be written.
    """
    if background is None:
        return None
    track, shown = tracks[0], np.logical_or.reduce([shots_with_person(track) for track in tracks])

    def load() -> MatteStore:
        path = (cache or stack.enter_context(media.scratch_folder())) / _name(track, shown)
        return _read(path, len(track)) or _compute(path, track, shown, progress)

    return open_compositor(background, load, like=like, fps=track.fps)


def shots_with_person(track: VideoTrack) -> ArrayBool:
    """Return which frames belong to a shot that shows the person, (F,)."""
    shown = np.zeros(len(track), np.bool_)
    for start, stop in track.shots:
        shown[start:stop] = track.present[start:stop].any()
    return shown


def _name(track: VideoTrack, shown: ArrayBool) -> str:
    """Return the name of the file of a matte, which depends on all that it is computed from."""
    key = hashlib.sha256(f"{MATTE_VERSION} {track.sha256} {track.fps} {track.cuts}".encode())
    key.update(np.packbits(shown).tobytes())
    return f"{key.hexdigest()[:32]}.matte"


def _read(path: Path, frames: int) -> MatteStore | None:
    """Return a cached matte; None if there is none, or if it is damaged."""
    try:
        store = MatteStore(path)
    except (OSError, ValueError):
        return None
    return store if len(store) == frames else None


def _compute(path: Path, track: VideoTrack, shown: ArrayBool, progress: Progress | None) -> MatteStore:
    total, count = len(track), 0
    make_cache_folder(path.parent)
    decoded = media.read_yuv_frames(track.path, fps=track.fps, stop_frame=total, plain=True)
    with media.made_ahead(decoded) as frames:
        first = next(frames)
        size = first.frame.width, first.frame.height
        mattes = matte_clip(
            itertools.chain([first], frames),
            [None] * total,
            starts=frozenset(track.cuts),
            keep=lambda i: not shown[i],
        )
        with (
            media.atomic_write(path) as temporary,
            temporary.open("wb") as file,
            MatteWriter(file, size=size, fast_bytes=CACHE_FAST_BYTES) as writer,
        ):
            for count, matte in enumerate(mattes, 1):
                writer.add(matte)
                if progress is not None:
                    progress("matte", count, total)
            if count != total:
                raise MediaError(
                    f"'{track.path}' has {count} frames, and had {total} when its face was tracked. Run this "
                    "again when the file no longer changes"
                )
    return MatteStore(path)
