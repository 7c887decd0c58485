"""Pictures and sound that come in together, as they are made: to a file, in fragments, to another encoder.

Knows fragments, and what is done when the disk is full. Leaves to `serving` who is listening, and what
happens if they are too slow.

::

    frame k        |  picture k   |  picture k+1 |  (dropped)   |      a dropped picture: the one before
    sound          |  1/fps of it |  1/fps of it |  1/fps of it |      is shown again, its sound is heard
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import PictureType, VideoFrame

from newscaster.errors import MediaError, NewscasterError, OutputError
from newscaster.media.containers import MP4
from newscaster.media.downmix import Samples
from newscaster.media.fragments import FragmentFile, cut_to_whole_fragments
from newscaster.media.frame import FrameCopier, YuvFrame
from newscaster.media.reader import reason
from newscaster.media.writer import FILE_CRF, FILE_X264, LIVE_X264, Writer
from newscaster.system.files import atomic_write, check_output
from newscaster.system.os_errors import why

LiveItem = tuple[YuvFrame | None, Samples]
"""A frame's picture, or None where it was left out, and its sound (n,) float32 mono."""

_FRAGMENTS = {"movflags": "empty_moov+default_base_moof+frag_keyframe", "frag_duration": "200000"}
_RECORDING = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
"""A recording that breaks off loses at most such a fragment, 1 s, of its end, and what x264 holds."""
MIN_FREE_BYTES = 64 << 20
"""A recording ends while this, and its own size once more for the signed copy, is free on its disk."""
_FRAMES_PER_CHECK = 25


def own_frames(items: Iterable[LiveItem]) -> Iterator[tuple[YuvFrame, Samples]]:
    """Copy frames: others may be encoding the same ones, and set their time stamps.

    The frame before is shown again where one was dropped. Items before the first frame are left out.
    """
    copier: FrameCopier | None = None
    shown: YuvFrame | None = None
    for image, audio in items:
        shown = shown if image is None else image
        if shown is None:
            continue
        if copier is None:
            copier = FrameCopier(shown.frame.width, shown.frame.height)
        shown = YuvFrame(copier.copy(shown.frame), shown.size)
        yield shown, audio


@dataclass(frozen=True, kw_only=True)
class RecordedVideo:
    """What has become of a recording."""

    seconds: float
    """How far the frames reach that were encoded; a file that had to be cut is some 2 s shorter."""
    cut_because: str | None = None
    """Why it ended before its frames did."""
    is_broken: bool = False
    """Whether what was written last had to be cut off."""
    unfinished_because: str | None = None
    """Why `finish` failed: the file is kept without what that does, such as a signature."""


def record_video(
    path: Path,
    frames: Iterable[LiveItem],
    *,
    fps: Fraction,
    rate: int,
    metadata: Mapping[str, str],
    finish: Callable[[Path], None] | None = None,
) -> RecordedVideo:
    """Write what comes in to an MP4 file of the quality that `write_video` has.

    The recording ends while there is room to sign it. If the disk takes no more all the same, the file is cut
    behind its last whole fragment, and kept.

    Args:
        path: .mp4 to write; under another name beside it until all has come in.
        frames: pictures of one size, each with its sound: see `own_frames`.
        fps: pictures per second.
        rate: of the sound, in Hz.
        metadata: tags, such as title and comment.
        finish: called with the finished file while it still has another name, such as to sign it. If it
            raises a `NewscasterError`, the file is kept as it is.

    Raises:
        OutputError: it cannot be written, and nothing of it can be played.
        MediaError: no picture came in.
        Exception: whatever `frames` raises, and whatever else `finish` raises; no half file is left then.
    """
    check_output(path, suffixes=(".mp4",))
    with atomic_write(path) as temporary:
        with closing(FragmentFile(temporary)) as file:
            recorded = _record(path.parent, file, frames, fps=fps, rate=rate, metadata=metadata)
        if recorded.is_broken and not cut_to_whole_fragments(temporary):
            raise OutputError(
                f"cannot write '{path}': {recorded.cut_because}. Free some space, or write elsewhere"
            )
        if finish is not None:
            try:
                finish(temporary)
            except NewscasterError as error:
                full = not has_room(path.parent, temporary.stat().st_size)
                said = "the disk is full" if full else str(error)
                return replace(recorded, unfinished_because=said)
        return recorded


def _record(
    folder: Path,
    file: FragmentFile,
    items: Iterable[LiveItem],
    *,
    fps: Fraction,
    rate: int,
    metadata: Mapping[str, str],
) -> RecordedVideo:
    """Write frames until there are no more, or no room for more."""
    frames = own_frames(items)
    first = next(frames, None)
    if first is None:
        raise MediaError("nothing was recorded: no picture came in. Record for a second at least")
    seconds = Fraction(0)
    cut_because = None
    is_broken = False
    writer = partial(Writer, container=MP4, fps=fps, options=_RECORDING, tags=metadata, audio=(rate, 1))
    x264 = {"crf": str(FILE_CRF), **FILE_X264}
    try:
        with writer(file, first[0], x264=x264) as output, file.kept_whole():
            for number, (image, audio) in enumerate(itertools.chain([first], frames), 1):
                output.write(image, audio)
                seconds = output.seconds
                if number % _FRAMES_PER_CHECK == 0 and not has_room(folder, file.size):
                    cut_because = "the disk is nearly full"
                    break
        file.commit()
    except (av.FFmpegError, OSError) as error:
        is_broken = True
        said = reason(error) if file.error is None else why(file.error)
        cut_because = f"its file cannot be written any further ({said})"
    return RecordedVideo(seconds=float(seconds), cut_because=cut_because, is_broken=is_broken)


def has_room(folder: Path, written_bytes: int = 0) -> bool:
    """Whether a recording of so many bytes may go on: whether it could still be copied for its signature."""
    try:
        return shutil.disk_usage(folder).free >= written_bytes + MIN_FREE_BYTES
    except OSError:
        return True  # then a write will say what is wrong


def write_fragments(
    items: Iterable[LiveItem], *, fps: Fraction, rate: int, metadata: Mapping[str, str], crf: int = 20
) -> Iterator[bytes]:
    """Encode fragmented MP4 that can be shown while it comes in. No frame waits for a later one.

    Args:
        items: pictures of one size, each with its sound: see `own_frames`.
        fps: frames per second.
        rate: of the sound, in Hz.
        metadata: tags, such as title and comment.
        crf: x264's quality.

    Yields:
        The bytes that each frame adds: a header (ftyp, moov), then fragments (moof, mdat) of 0.2 s, with a
        key frame every two seconds.
    """
    frames = own_frames(items)
    first = next(frames, None)
    if first is None:
        return
    written = _Collected()
    with Writer(
        written,
        first[0],
        container=MP4,
        fps=fps,
        x264={"crf": str(crf), **LIVE_X264},
        options=_FRAGMENTS,
        tags=metadata,
        audio=(rate, 1),
    ) as writer:
        for image, audio in itertools.chain([first], frames):
            writer.write(image, audio)
            yield written.drain()
    yield written.drain()


class _Collected:
    """A file that can only be written to."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


class FrameMaker:
    """Frames for an encoder outside, such as a WebRTC library's, each in memory of its own.

    Args:
        fps: pictures per second.
        rate: of the sound, in Hz.
    """

    def __init__(self, *, fps: Fraction, rate: int) -> None:
        self._time_base, self._rate = 1 / fps, rate
        self._copier: FrameCopier | None = None

    def image(self, image: YuvFrame, number: int) -> VideoFrame:
        """Picture `number` of the stream, at number / fps."""
        if self._copier is None:
            self._copier = FrameCopier(image.frame.width, image.frame.height)
        frame = self._copier.copy(image.frame)
        frame.pict_type = PictureType.NONE
        frame.pts, frame.time_base = number, self._time_base
        return frame

    def audio(self, samples: Samples, first: int) -> AudioFrame:
        """(n,) float32 mono in [-1, 1] as 16-bit, the stream's samples from `first` on."""
        pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = first, Fraction(1, self._rate)
        return frame
