"""The target video inside an anchor: a video with random access to its frames.

It is H.264 in short closed groups without B-frames, so that each group decodes alone. Reading decodes whole
groups and caches the last ones. Playing forwards and backwards decodes each frame once each way. The entropy
code is CAVLC: a seventh more bytes than CABAC, decoded in two thirds of the time.
"""

from __future__ import annotations

import io
import itertools
import mmap
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from newscaster.errors import MediaError
from newscaster.media.background import in_background
from newscaster.media.color import ToRgb
from newscaster.media.containers import MP4
from newscaster.media.frame import FrameCopier, YuvFrame, is_plain, small_rgb
from newscaster.media.probe import native_fps
from newscaster.media.reader import has_decoder, open_container, reason
from newscaster.media.target_file import check_target_file
from newscaster.media.writer import FILE_X264, Writer
from newscaster.safety.readers import MAX_PIXELS, open_regular_file
from newscaster.types import ImageU8

MAX_GROUP_BYTES = 384 << 20
"""Maximum size of the decoded frames of a group: seven frames of 8K."""
_CACHE_BYTES = 192 << 20
_MIN_GROUPS_CACHED = 2


def encode_target(
    frames: Iterable[ImageU8 | YuvFrame],
    fps: Fraction,
    *,
    crf: int = 12,
    group: int = 12,
    preset: str = "fast",
    compact: bool = False,
) -> bytes:
    """Encode (H, W, 3) uint8 RGB frames or plain YUV frames, all of one size, as a target video.

    Args:
        frames: the images; odd sides grow by one pixel, the edge repeated (see `TargetVideo.size`).
        fps: frames per second.
        crf: x264's quality; 12 is better than that of the output, since a target video is encoded twice.
        group: frames in a group, the maximum cost of a seek; fewer if frames are large.
        preset: x264's trade of speed for size. "superfast" gets the macroblock tree of "veryfast".
        compact: use CABAC, for a video that is decoded once.

    Returns:
        An MP4 file.

    Raises:
        MediaError: there are no frames, or they have more than `MAX_PIXELS`.
    """
    options = {
        "crf": str(crf),
        "preset": preset,
        "bf": "0",
        "g": str(group),
        "keyint_min": str(group),
        "sc_threshold": "0",
        "coder": "ac" if compact else "vlc",
    }
    if preset == FILE_X264["preset"]:
        options |= FILE_X264

    def encode(images: Iterator[ImageU8 | YuvFrame]) -> bytes:
        first = next(images, None)
        if first is None:
            raise MediaError("there are no frames for a target video. Give footage with at least one frame")
        width, height = first.padded_size if isinstance(first, YuvFrame) else first.shape[1::-1]
        if width * height > MAX_PIXELS:
            raise MediaError(
                f"the frames have {width}x{height} pixels; a target video accepts {MAX_PIXELS} in all "
                "at most. Give smaller footage"
            )
        fits = MAX_GROUP_BYTES // _decoded_bytes(width + 1, height + 1)
        if fits < group:
            options.update(g=str(fits), keyint_min=str(fits))
        buffer = io.BytesIO()
        with Writer(buffer, first, container=MP4, fps=Fraction(fps), x264=options) as writer:
            for image in itertools.chain([first], images):
                writer.write(image)
        return buffer.getvalue()

    return in_background(frames, encode)


def join_targets(first: bytes, second: bytes) -> bytes | None:
    """Return two target videos as one, without encoding them again.

    Returns:
        An MP4 file; None if they were encoded with different settings or in different sizes.

    Raises:
        MediaError: one is damaged.
    """
    with _reading(first) as a, _reading(second) as b:
        sources = [container.streams.video[0] for container in (a, b)]
        if len({(s.codec_context.extradata, s.width, s.height, native_fps(s)) for s in sources}) > 1:
            return None
        return _copied(sources[0], (*_packets(a), *_packets(b)))


def cut_target(video: bytes, start: int, stop: int) -> bytes:
    """Return a target video without the frames from `start` to `stop`, which begin where a part was joined.

    Raises:
        MediaError: it is damaged.
    """
    with _reading(video) as container:
        packets = list(_packets(container))
        return _copied(container.streams.video[0], [*packets[:start], *packets[stop:]])


@contextmanager
def _reading(video: bytes) -> Iterator[InputContainer]:
    """Open a target video.

    Raises:
        MediaError: it is damaged, now or while it is read.
    """
    try:
        with av.open(io.BytesIO(video), "r", "mp4") as container:
            yield container
    except (av.FFmpegError, OSError, IndexError) as error:
        raise MediaError(f"the target video is damaged ({reason(error)}). Copy or make it again") from error


def _packets(container: InputContainer) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in container.demux(video=0) if packet.size)


def _copied(like: VideoStream, packets: Iterable[Packet[VideoStream]]) -> bytes:
    """Return an MP4 file of packets, each a frame, of streams that were encoded alike."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", "mp4") as copied:
        stream, time_base = copied.add_stream_from_template(like), 1 / native_fps(like)
        for number, packet in enumerate(packets):
            packet.stream, packet.time_base = stream, time_base
            packet.pts = packet.dts = number
            packet.duration = 1
            copied.mux(packet)
    return buffer.getvalue()


class TargetVideo:
    """Random access to the frames of a target video; for one thread at a time.

    Args:
        source: an MP4 made by `encode_target`: its bytes, or the path of the file.
        name: for error messages.

    Raises:
        MediaError: it is damaged, or not such a video.
    """

    def __init__(
        self, source: bytes | memoryview | io.BytesIO | Path, *, name: str = "the target video"
    ) -> None:
        self._name = name
        self._data = _view(source, name)
        check_target_file(self._data, name)
        self._packets: list[tuple[int, int]] = []  # offset and length in the data
        self._groups: list[int] = []  # the first frame of each
        self.fps, self.size, extradata = self._index()
        self._decoder = _decoder(extradata)
        self._to_rgb = ToRgb()
        self._copier = FrameCopier(*self.size)
        self._cache: OrderedDict[int, list[VideoFrame]] = OrderedDict()

    @property
    def frame_count(self) -> int:
        """Number of frames."""
        return len(self._packets)

    def frames(self, indices: Iterable[int]) -> Iterator[ImageU8]:
        """Yield the frames with these indices, in their order.

        Yields:
            (H, W, 3) uint8 RGB, which the caller may modify.

        Raises:
            IndexError: an index is not in 0 ... frame_count - 1.
            MediaError: the video is damaged.
        """
        for index in indices:
            yield self.frame(index)

    def frame(self, index: int) -> ImageU8:
        """Return one frame: (H, W, 3) uint8 RGB."""
        return self._to_rgb(self._decode_frame(index))

    def image(self, index: int) -> YuvFrame:
        """Return a copy of one decoded frame, which the caller may modify."""
        return YuvFrame(self._copier.copy(self._decode_frame(index)))

    def load(self, index: int) -> None:
        """Decode a frame, and those of its group, unless they are kept."""
        self._decode_frame(index)

    def release(self) -> None:
        """Free the decoded frames, which are decoded again when they are needed."""
        self._cache.clear()

    def images(self, indices: Iterable[int]) -> Iterator[YuvFrame]:
        """Yield copies of the decoded frames with these indices, in their order."""
        return map(self.image, indices)

    def part(self, index: int, box: tuple[int, int, int, int], *, factor: int = 1) -> ImageU8:
        """Return a part of a frame, RGB: columns left to right, rows top to bottom.

        The two outermost pixels lack neighbours for their chroma; all others equal those of `frame`.

        Args:
            index: of the frame.
            box: left, top, right, bottom; even.
            factor: 1, or a power of 2: by so much the part is reduced, see :func:`small_rgb`.
        """
        frame = self._decode_frame(index)
        if factor > 1:
            return small_rgb(YuvFrame(frame), box, factor, self._copier)
        return ToRgb()(self._copier.part(frame, box))

    def _decode_frame(self, index: int) -> VideoFrame:
        if not 0 <= index < self.frame_count:
            raise IndexError(f"frame {index} of {self._name}: it has frames 0 to {self.frame_count - 1}")
        group = int(np.searchsorted(self._groups, index, side="right")) - 1
        return self._group(group)[index - self._groups[group]]

    def _index(self) -> tuple[Fraction, tuple[int, int], bytes | None]:
        """Find all packets and groups; return the frame rate, the size and the decoder's extradata."""
        try:
            with open_container(io.BytesIO(self._data), format="mp4", options=_LIMITS) as container:
                stream = container.streams.video[0]
                if not has_decoder(stream):
                    raise self._damage_error("its codec cannot be decoded")
                self._index_packets(container.demux(stream))
                metadata = native_fps(stream), (stream.width, stream.height), stream.codec_context.extradata
        except (av.FFmpegError, OSError, IndexError) as error:
            raise self._damage_error(reason(error)) from error
        self._check_groups(*metadata[1])
        return metadata

    def _index_packets(self, packets: Iterable[Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.size and packet.pos is not None:
                if packet.is_keyframe:
                    self._groups.append(len(self._packets))
                self._packets.append((packet.pos, packet.size))

    def _check_groups(self, width: int, height: int) -> None:
        if not self._groups or self._groups[0] != 0:
            raise self._damage_error("it does not start with a key frame")
        if min(width, height) < 2 or width * height > MAX_PIXELS:
            raise self._damage_error(f"it states frames of {width}x{height} pixels")
        longest = int(np.diff([*self._groups, len(self._packets)]).max())
        if longest * _decoded_bytes(width, height) > MAX_GROUP_BYTES:
            raise self._damage_error(
                f"a group has {longest} frames of {width}x{height}; accepted are groups of up to "
                f"{MAX_GROUP_BYTES >> 20} MB"
            )

    def _group(self, group: int) -> list[VideoFrame]:
        frames = self._cache.get(group)
        if frames is not None:
            self._cache.move_to_end(group)
            return frames
        frames = self._decode_group(group)
        width, height = self.size
        room = max(_MIN_GROUPS_CACHED, _CACHE_BYTES // (width * height * 3 // 2 * len(frames)))
        while len(self._cache) >= room:
            self._cache.popitem(last=False)
        self._cache[group] = frames
        return frames

    def _decode_group(self, group: int) -> list[VideoFrame]:
        first = self._groups[group]
        last = self._groups[group + 1] if group + 1 < len(self._groups) else self.frame_count
        frames: list[VideoFrame] = []
        try:
            for index in range(first, last):
                offset, length = self._packets[index]
                # Not Packet(bytes): the decoder's threads would free those bytes, which needs the GIL. This
                # thread holds the GIL and waits for them.
                packet = Packet(length)
                packet.update(bytes(self._data[offset : offset + length]))
                packet.pts = packet.dts = index
                frames += self._decoder.decode(packet)
            frames += self._decoder.decode(None)
        except av.FFmpegError as error:
            raise self._damage_error(reason(error)) from error
        finally:
            self._decoder.flush_buffers()
        if len(frames) != last - first:
            raise self._damage_error(
                f"{len(frames)} of the {last - first} frames from {first} on can be decoded"
            )
        if not all(map(is_plain, frames)):
            raise self._damage_error(f"it is {frames[0].format.name}, and not yuv420p in limited range")
        if sizes := {(frame.width, frame.height) for frame in frames} - {self.size}:
            raise self._damage_error(f"it has frames of {sizes} pixels, but states {self.size}")
        return frames

    def _damage_error(self, why: str) -> MediaError:
        return MediaError(f"{self._name} is damaged ({why}). Copy or make the file again")


_LIMITS = {"max_pixels": str(MAX_PIXELS)}
"""For decoders: the size in the header of a stream may differ from that of its container."""


def _decoded_bytes(width: int, height: int) -> int:
    return width * height * 3 // 2


def _view(source: bytes | memoryview | io.BytesIO | Path, name: str) -> memoryview:
    if isinstance(source, Path):
        try:
            with open_regular_file(source, follow_links=False) as file:
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError) as error:
            raise MediaError(
                f"{name}: '{source}' cannot be read ({reason(error)}). Give an existing file"
            ) from error
    return source.getbuffer() if isinstance(source, io.BytesIO) else memoryview(source)


def _decoder(extradata: bytes | None) -> VideoCodecContext:
    decoder = CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.options = dict(_LIMITS)
    decoder.extradata = extradata
    decoder.thread_type = "AUTO"
    return decoder
