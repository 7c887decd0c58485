"""Live frames with their audio: recorded to a file, sent in fragments, or passed to another encoder.

Handles fragments, and a full disk. Leaves clients, and those that are too slow, to `server`.

::

    frame          |  frame k     |  frame k+1   |  (dropped)   |      a dropped frame: the previous one
    audio          |  1/fps       |  1/fps       |  1/fps       |      is shown again, its audio is played
"""

from __future__ import annotations

import io
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
from newscaster.media.fragments import FragmentFile, cut_to_whole_fragments
from newscaster.media.frame import FrameCopier, YuvFrame
from newscaster.media.reader import reason
from newscaster.media.writer import FILE_CRF, FILE_X264, LIVE_X264, Writer, key_interval
from newscaster.safety.bmff import boxes
from newscaster.system.files import atomic_write, check_output
from newscaster.system.os_errors import why
from newscaster.types import AudioF32

LiveItem = tuple[YuvFrame | None, AudioF32]
"""A frame, or None if it was dropped, and its audio (n,) float32 mono."""

_WHOLE_FRAGMENTS = {"movflags": "empty_moov+default_base_moof+frag_keyframe"}
"""A fragment begins at each key frame."""
_FRAGMENTS = {**_WHOLE_FRAGMENTS, "frag_duration": "200000"}
_SEGMENT_FRAGMENTS = {"movflags": _WHOLE_FRAGMENTS["movflags"] + "+skip_trailer"}
"""No index of random access (mfra), which would follow the last fragment."""
_SEGMENTS = replace(MP4, segment_seconds=Fraction(1))
_RECORDING = {"movflags": "hybrid_fragmented+delay_moov", "frag_duration": "1000000"}
"""A recording that breaks off loses at most its last fragment, 1 s, and the frames that x264 buffers."""
MIN_FREE_BYTES = 64 << 20
"""Minimum free space beyond a second copy of the recording, the signed one. With less, it ends."""
_FRAMES_PER_CHECK = 25


def own_frames(items: Iterable[LiveItem]) -> Iterator[tuple[YuvFrame, AudioF32]]:
    """Copy frames, since another encoder may set the time stamps of the same ones.

    The previous frame replaces a dropped one. Items before the first frame are skipped.
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
    """The result of a recording."""

    seconds: float
    """Duration of the encoded frames; a truncated file is some 2 s shorter."""
    cut_because: str | None = None
    """Why it ended before its frames did."""
    is_broken: bool = False
    """Whether the file had to be truncated to its last complete fragment."""
    unfinished_because: str | None = None
    """Why `finish` failed: the file is kept, for example without a signature."""


def record_video(
    path: Path,
    frames: Iterable[LiveItem],
    *,
    fps: Fraction,
    rate: int,
    metadata: Mapping[str, str],
    finish: Callable[[Path], None] | None = None,
) -> RecordedVideo:
    """Record frames to an MP4 file, in the quality of `write_video`.

    The recording ends while there is still room to sign it. If a write fails nevertheless, the file is
    truncated after its last complete fragment, and kept.

    Args:
        path: .mp4 to write; it has a temporary name beside it until it is finished.
        frames: frames of one size, each with its audio: see `own_frames`.
        fps: frames per second.
        rate: of the audio, in Hz.
        metadata: tags, such as title and comment.
        finish: called with the finished file under its temporary name, for example to sign it. If it raises a
            `NewscasterError`, the file is kept as it is.

    Raises:
        OutputError: it cannot be written, and no part of it is playable.
        MediaError: there was no frame.
        Exception: any exception of `frames`, and any other of `finish`; no partial file is left then.
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
                cause = "the disk is full" if full else str(error)
                return replace(recorded, unfinished_because=cause)
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
    """Write frames until the last one, or until the disk is nearly full."""
    frames = own_frames(items)
    first = next(frames, None)
    if first is None:
        raise MediaError("nothing was recorded: there was no frame. Record for at least a second")
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
        cause = reason(error) if file.error is None else why(file.error)
        cut_because = f"writing its file failed ({cause})"
    return RecordedVideo(seconds=float(seconds), cut_because=cut_because, is_broken=is_broken)


def has_room(folder: Path, written_bytes: int = 0) -> bool:
    """Return whether a recording of this size may go on: whether a signed copy would still fit."""
    try:
        return shutil.disk_usage(folder).free >= written_bytes + MIN_FREE_BYTES
    except OSError:
        return True  # the next write reports the error


def write_fragments(
    items: Iterable[LiveItem], *, fps: Fraction, rate: int, metadata: Mapping[str, str], crf: int = 20
) -> Iterator[bytes]:
    """Encode fragmented MP4 for playback while it arrives. No frame waits for a later one.

    Args:
        items: frames of one size, each with its audio: see `own_frames`.
        fps: frames per second.
        rate: of the audio, in Hz.
        metadata: tags, such as title and comment.
        crf: x264's quality.

    Yields:
        The bytes of each frame: a header (ftyp, moov), then fragments (moof, mdat) of 0.2 s, with a
        key frame every two seconds.
    """
    writer = partial(Writer, container=MP4, fps=fps, options=_FRAGMENTS, tags=metadata, audio=(rate, 1))
    for data, _ in _encode(items, writer, crf=crf):
        yield data


def write_segments(
    items: Iterable[LiveItem], *, fps: Fraction, rate: int, metadata: Mapping[str, str], crf: int = 20
) -> Iterator[tuple[bytes, float]]:
    """Encode fragmented MP4 in segments of at most a second, each of which starts with its only key frame.

    Args: as for `write_fragments`.

    Yields:
        The header (ftyp, moov) and 0; then each segment (moof, mdat), and its length in seconds. The last
        segment may be shorter than the others.
    """
    writer = partial(Writer, container=_SEGMENTS, fps=fps, options=_SEGMENT_FRAGMENTS, tags=metadata)
    longest = key_interval(fps, _SEGMENTS) / fps
    start: Fraction | None = None  # of the next segment; None before the header
    for data, seconds in _encode(items, partial(writer, audio=(rate, 1)), crf=crf):
        for part in _split_at_fragments(data):
            if start is None:
                start = Fraction(0)
                yield part, 0.0
            else:
                yield part, float(min(longest, seconds - start))
                start += longest


def _encode(
    items: Iterable[LiveItem], open_writer: Callable[..., Writer], *, crf: int
) -> Iterator[tuple[bytes, Fraction]]:
    """Yield the bytes that each frame adds, then those of the end, and the duration of the frames so far."""
    frames = own_frames(items)
    first = next(frames, None)
    if first is None:
        return
    buffer = _WriteBuffer()
    with open_writer(buffer, first[0], x264={"crf": str(crf), **LIVE_X264}) as writer:
        for image, audio in itertools.chain([first], frames):
            writer.write(image, audio)
            yield buffer.drain(), writer.seconds
    yield buffer.drain(), writer.seconds


def _split_at_fragments(data: bytes) -> list[bytes]:
    """Cut whole boxes before each fragment: the end of a stream may have two."""
    starts = [box.start for box in boxes(io.BytesIO(data)) if box.kind == b"moof" or box.start == 0]
    return [data[start:end] for start, end in itertools.pairwise([*starts, len(data)])]


class _WriteBuffer:
    """A write-only file in memory."""

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
    """Makes frames for an external encoder, such as that of a WebRTC library; each has its own memory.

    Args:
        fps: frames per second.
        rate: of the audio, in Hz.
    """

    def __init__(self, *, fps: Fraction, rate: int) -> None:
        self._time_base, self._rate = 1 / fps, rate
        self._copier: FrameCopier | None = None

    def image(self, image: YuvFrame, number: int) -> VideoFrame:
        """Return frame `number` of the stream, at number / fps."""
        if self._copier is None:
            self._copier = FrameCopier(image.frame.width, image.frame.height)
        frame = self._copier.copy(image.frame)
        frame.pict_type = PictureType.NONE
        frame.pts, frame.time_base = number, self._time_base
        return frame

    def audio(self, samples: AudioF32, first: int) -> AudioFrame:
        """Convert (n,) float32 mono in [-1, 1] to 16-bit; `first` is the number of the first sample."""
        pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = first, Fraction(1, self._rate)
        return frame
