"""Pictures and sound that come in together, as they are made: to a file, in fragments, to another encoder.

Knows containers, time stamps and x264's options for both. Who is listening, and what happens where they are
too slow, is left to `serving`.

::

    frame k        |  picture k   |  picture k+1 |  (dropped)   |      a dropped picture: the one before
    sound          |  1/fps of it |  1/fps of it |  1/fps of it |      is shown again, its sound is heard
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame

from newscaster.errors import MediaError, NewscasterError, OutputError
from newscaster.media.container import reason
from newscaster.media.downmix import Samples
from newscaster.media.fragments import FragmentFile, cut_to_whole_fragments
from newscaster.media.frame import FrameCopier, YuvFrame
from newscaster.media.write import LOOK_AHEAD, VideoTrack, add_audio
from newscaster.system.files import atomic_write, check_output
from newscaster.system.os_errors import why

_FRAGMENT_SECONDS = 0.2
_KEPT_SECONDS = 1
"""A recording that breaks off loses at most so much of its end, and what x264 holds."""
MIN_FREE_BYTES = 64 << 20
"""A recording ends while this, and its own size once more for the signed copy, is free on its disk."""
_FRAMES_PER_CHECK = 25


class StreamWriter:
    """H.264 and AAC of pictures and mono sound that come in together; from one thread at a time.

    Nothing is written before the first picture, whose sound is the first that is heard.

    Args:
        fps: pictures per second.
        rate: of the sound, in Hz.
        metadata: tags, such as title and comment.
        crf: x264's quality; 18 is what `write_video` takes.
    """

    def __init__(self, *, fps: Fraction, rate: int, metadata: Mapping[str, str], crf: int = 18) -> None:
        self._fps, self._rate = fps, rate
        self._metadata, self._crf = metadata, crf
        self._container: OutputContainer | None = None
        self._video: VideoTrack | None = None
        self._copier: FrameCopier | None = None
        self._held: VideoFrame | None = None
        self._audio: Any = None
        self._samples = 0
        self._size = (0, 0)
        self._broken = False

    @property
    def seconds(self) -> float:
        """How much has been written."""
        return 0.0 if self._video is None else float(self._video.seconds)

    def write(self, image: YuvFrame | None, audio: Samples) -> None:
        """Encode one frame.

        Args:
            image: None where it was dropped. It is copied.
            audio: (n,) float32 in [-1, 1] that is heard while it is shown.
        """
        with self._breaking():
            self._write(image, audio)

    def _write(self, image: YuvFrame | None, audio: Samples) -> None:
        if self._video is None:
            if image is None:
                return
            self._begin(image)
        assert self._video is not None
        self._video.write(self._own(image))
        block = AudioFrame.from_ndarray(np.ascontiguousarray(audio[None]), format="fltp", layout="mono")
        block.sample_rate = self._rate
        block.pts, block.time_base = self._samples, Fraction(1, self._rate)
        self._samples += len(audio)
        self._mux(self._audio.encode(block))

    def close(self) -> None:
        """Write what the encoders still hold; harmless if nothing was written, or twice.

        After a failure nothing more is written: FFmpeg does not survive the end of a file without header.
        """
        if self._container is None:
            return
        if not self._broken:
            with self._breaking():
                self._finish()
        container, self._container = self._container, None
        with suppress(av.FFmpegError, OSError) if self._broken else nullcontext():
            container.close()

    def _finish(self) -> None:
        if self._video is not None:
            self._video.finish()
            self._mux(self._audio.encode(None))

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        """Whatever fails in the block makes the file one that nothing more is written to."""
        try:
            yield
        except BaseException:
            self._broken = True
            raise

    def _open(self) -> OutputContainer:
        raise NotImplementedError

    def _options(self) -> Mapping[str, str]:
        raise NotImplementedError

    def _begin(self, image: YuvFrame) -> None:
        self._container = container = self._open()
        container.metadata.update(self._metadata)
        options = {"crf": str(self._crf), "preset": "superfast", **self._options()}
        self._video = VideoTrack(container, fps=self._fps, like=image, options=options)
        self._audio = add_audio(container, rate=self._rate, channels=1)
        self._copier = FrameCopier(image.frame.width, image.frame.height)
        self._size = image.size

    def _own(self, image: YuvFrame | None) -> YuvFrame:
        """A frame of our own: others may be encoding the same one, and set its time stamp too."""
        assert self._copier is not None
        if image is not None:
            self._held = self._copier.copy(image.frame)
        assert self._held is not None
        return YuvFrame(self._held if image is not None else self._copier.copy(self._held), self._size)

    def _mux(self, packets: Any) -> None:
        assert self._container is not None
        self._container.mux(packets)


class _FileWriter(StreamWriter):
    """As `write_video` has it, and playable at any time: in fragments, until it is finished."""

    def __init__(self, file: FragmentFile, *, fps: Fraction, rate: int, metadata: Mapping[str, str]) -> None:
        super().__init__(fps=fps, rate=rate, metadata=metadata)
        self._file = file

    def close(self) -> None:
        if self._broken:
            self._file.close()  # first: what has been written stays as it is
        self._file.hold_back()
        super().close()
        if not self._broken:
            self._file.commit()

    def _open(self) -> OutputContainer:
        options = {
            "movflags": "hybrid_fragmented+delay_moov",
            "frag_duration": str(_KEPT_SECONDS * 1_000_000),
        }
        return av.open(self._file, mode="w", format="mp4", options=options)

    def _options(self) -> Mapping[str, str]:
        return LOOK_AHEAD


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
    frames: Iterable[tuple[YuvFrame | None, Samples]],
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
        frames: as `StreamWriter.write` takes them.
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
        if not recorded.seconds:
            raise MediaError("nothing was recorded: no picture came in. Record for a second at least")
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
    frames: Iterable[tuple[YuvFrame | None, Samples]],
    *,
    fps: Fraction,
    rate: int,
    metadata: Mapping[str, str],
) -> RecordedVideo:
    """Write frames until there are no more, or no room for more."""
    writer = _FileWriter(file, fps=fps, rate=rate, metadata=metadata)
    cut_because = None
    is_broken = False
    try:
        with closing(writer):
            for number, (image, audio) in enumerate(frames, 1):
                writer.write(image, audio)
                if number % _FRAMES_PER_CHECK == 0 and not has_room(folder, file.size):
                    cut_because = "the disk is nearly full"
                    break
    except (av.FFmpegError, OSError) as error:
        is_broken = True
        said = reason(error) if file.error is None else why(file.error)
        cut_because = f"its file cannot be written any further ({said})"
    return RecordedVideo(seconds=writer.seconds, cut_because=cut_because, is_broken=is_broken)


def has_room(folder: Path, written_bytes: int = 0) -> bool:
    """Whether a recording of so many bytes may go on: whether it could still be copied for its signature."""
    try:
        return shutil.disk_usage(folder).free >= written_bytes + MIN_FREE_BYTES
    except OSError:
        return True  # then a write will say what is wrong


class FragmentWriter(StreamWriter):
    """Fragmented MP4 that can be shown while it comes in: `take` gives the bytes so far.

    The first bytes are the header (ftyp, moov), then fragments (moof, mdat) of 0.2 s, with a key frame every
    two seconds. No picture waits for a later one.
    """

    def __init__(self, *, fps: Fraction, rate: int, metadata: Mapping[str, str], crf: int = 20) -> None:
        super().__init__(fps=fps, rate=rate, metadata=metadata, crf=crf)
        self._bytes = _Collected()

    def drain(self) -> bytes:
        """What has been written since the last call."""
        return self._bytes.drain()

    def _open(self) -> OutputContainer:
        flags = "empty_moov+default_base_moof+frag_keyframe"
        options = {"movflags": flags, "frag_duration": str(round(_FRAGMENT_SECONDS * 1e6))}
        return av.open(self._bytes, mode="w", format="mp4", options=options)

    def _options(self) -> Mapping[str, str]:
        return {"tune": "zerolatency", "threads": "1"}


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
