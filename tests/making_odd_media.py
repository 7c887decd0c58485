"""Unusual media files: many formats of video and audio, and files that no encoder makes.

Frames have either four fields of known colours, or a grey level that encodes their number. Features that no
encoder writes are patched into the bytes of a finished file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from PIL import Image

from making_media import tone

YuvFrame = npt.NDArray[np.uint8]
AudioLevels = npt.NDArray[np.float32]

WIDTH, HEIGHT = 64, 48
FIELDS = {
    "top left": (200, 60, 50),
    "top right": (50, 180, 70),
    "bottom left": (60, 70, 190),
    "bottom right": (150, 150, 150),
}
BT601, BT709, BT2020 = (6, 6, 6), (1, 1, 1), (9, 9, 14)
PQ, HLG = (9, 9, 16), (9, 9, 18)
"""Matrix, primaries, transfer: codes of ITU-T H.273."""
_MATRICES = {6: Colorspace.ITU601, 1: Colorspace.ITU709, 9: Colorspace.BT2020}
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


def fields(*, width: int = WIDTH, height: int = HEIGHT) -> YuvFrame:
    """Four fields of known colours, (H, W, 3)."""
    image = np.zeros((height, width, 3), np.uint8)
    for name, colour in FIELDS.items():
        rows = slice(0, height // 2) if name.startswith("top") else slice(height // 2, height)
        columns = slice(0, width // 2) if name.endswith("left") else slice(width // 2, width)
        image[rows, columns] = colour
    return image


def levels(count: int, *, width: int = WIDTH, height: int = HEIGHT) -> list[YuvFrame]:
    """Frames whose grey level encodes their number, modulo 50."""
    return [np.full((height, width, 3), 30 + 4 * (i % 50), np.uint8) for i in range(count)]


def level_of(image: YuvFrame) -> int:
    """The number, modulo 50, of a frame of :func:`levels`."""
    return round((float(image.mean()) - 30) / 4)


def write_frames(
    path: Path,
    images: Sequence[YuvFrame],
    *,
    codec: str = "libx264",
    layout: str = "yuv420p",
    fps: Fraction | int = 25,
    times: Sequence[Fraction | float] | None = None,
    tags: tuple[int, int, int] | None = None,
    full: bool = False,
    options: dict[str, str] | None = None,
    container_format: str | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    audio: AudioLevels | None = None,
    audio_codec: str = "aac",
    audio_rate: int = 48_000,
    audio_layout: str = "mono",
    audio_start: Fraction | int = 0,
    stamp: Callable[[av.VideoFrame, int], None] = lambda frame, index: None,
) -> Path:
    """Write a video of (H, W, 3) uint8 or uint16 RGB images, and optional audio (N,) in all channels."""
    fps = Fraction(fps)
    clock = 1 / fps if times is None else Fraction(1, 90_000)
    reformatter = VideoReformatter()
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        quality = {"crf": "8"} if codec in ("libx264", "libx265") else {}
        stream: Any = container.add_stream(codec, rate=fps, options={**quality, **(options or {})})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = layout
        context = stream.codec_context
        context.time_base = clock
        if aspect is not None:
            context.sample_aspect_ratio = aspect
        if tags is not None:
            context.colorspace, context.color_primaries, context.color_trc = tags
        if full:
            context.color_range = 2
        if rotation:
            stream.set_display_rotation(rotation)
        track = None
        if audio is not None:
            track = container.add_stream(audio_codec, rate=audio_rate, layout=audio_layout)
        for index, image in enumerate(images):
            frame = as_frame(image, layout, tags=tags, full=full, reformatter=reformatter)
            frame.pts = index if times is None else round(Fraction(times[index]) / clock)
            frame.time_base = clock
            stamp(frame, index)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None and track is not None:
            channels = {"mono": 1, "stereo": 2, "5.1": 6}[audio_layout]
            planes = np.repeat(audio[None], channels, axis=0)
            for packet in _encoded(track, planes, audio_rate, audio_layout, start=audio_start):
                container.mux(packet)
    return path


def as_frame(
    image: npt.NDArray[Any],
    layout: str,
    *,
    tags: tuple[int, int, int] | None = None,
    full: bool = False,
    reformatter: VideoReformatter | None = None,
) -> av.VideoFrame:
    """An RGB image in another layout, by the matrix and in the range that is asked for.

    A `reformatter` that is used for one frame after the other is set up once, which takes most of the time.
    """
    deep = image.dtype == np.uint16
    frame = av.VideoFrame.from_ndarray(image, format="rgb48le" if deep else "rgb24")
    frame = (reformatter or VideoReformatter()).reformat(
        frame,
        format=layout,
        dst_colorspace=_MATRICES[tags[0] if tags else 6],
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        interpolation=_EXACT,
    )
    if tags is not None:
        frame.colorspace, frame.color_primaries, frame.color_trc = tags
    frame.color_range = ColorRange.JPEG if full else ColorRange.MPEG
    return frame


def in_pq(image: YuvFrame, *, white_nits: float = 203.0) -> npt.NDArray[np.uint16]:
    """An SDR image (BT.709, gamma 2.4) as BT.2020 in PQ (SMPTE ST 2084), its white at so many cd/m²."""
    light = _wide(image) * white_nits / 10_000
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    return _coded(((c1 + c2 * light**m1) / (1 + c3 * light**m1)) ** m2)


def in_hlg(image: YuvFrame) -> npt.NDArray[np.uint16]:
    """The same in HLG (ITU-R BT.2100), for a display of 1000 cd/m², its white at 203 of them."""
    display = _wide(image) * 203 / 1000
    luma = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * np.maximum(luma, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return _coded(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


def _wide(image: YuvFrame) -> npt.NDArray[np.float64]:
    """Linear light in BT.2020's primaries, 1 = white (ITU-R BT.2087)."""
    to_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    linear: npt.NDArray[np.float64] = (image / 255.0) ** 2.4 @ to_2020.T
    return linear


def _coded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint16]:
    return np.round(np.clip(values, 0, 1) * 65535).astype(np.uint16)


def interlaced(count: int) -> list[YuvFrame]:
    """Frames of two fields each, the upper one earlier, of a bright bar that moves 3 pixels per field."""

    def field(at: int) -> YuvFrame:
        image = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
        image[:, 4 + 3 * at % 40 :][:, :12] = 200
        return image

    frames = []
    for index in range(count):
        frame = field(2 * index)
        frame[1::2] = field(2 * index + 1)[1::2]
        frames.append(frame)
    return frames


def combing(image: YuvFrame) -> float:
    """How much neighbouring rows differ where each is unlike both of its neighbours: 0 without comb teeth."""
    grey = image.astype(np.float64).mean(axis=2)
    above, row, below = grey[:-2], grey[1:-1], grey[2:]
    teeth = (row - above) * (row - below)
    return float(np.sqrt(np.clip(teeth, 0, None)).max())


# -- audio --


def write_audio(
    path: Path,
    samples: AudioLevels,
    rate: int,
    *,
    codec: str = "pcm_s16le",
    layout: str = "mono",
    container_format: str | None = None,
    starts: Iterable[Fraction | int] = (0,),
) -> Path:
    """Write audio (N,) or (C, N); several `starts` in seconds split it into parts that start then."""
    planes = np.atleast_2d(samples)
    begins = list(starts)
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for part, start in zip(np.array_split(planes, len(begins), axis=1), begins, strict=True):
            for packet in _encoded(stream, part, rate, layout, start=start, last=False):
                container.mux(packet)
        container.mux(stream.encode(None))
    return path


def _encoded(
    stream: Any, planes: AudioLevels, rate: int, layout: str, *, start: Fraction | int = 0, last: bool = True
) -> Iterable[av.Packet]:
    for begin in range(0, planes.shape[1], 1024):
        block = np.ascontiguousarray(planes[:, begin : begin + 1024].T, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
        frame.sample_rate = rate
        frame.pts, frame.time_base = begin + round(Fraction(start) * rate), Fraction(1, rate)
        yield from stream.encode(frame)
    if last:
        yield from stream.encode(None)


LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def chord(channels: int, *, seconds: float = 1.0, rate: int = 48_000) -> AudioLevels:
    """(C, N): one tone in all channels, louder from one to the next; their mean has an amplitude of 0.3."""
    amplitudes = np.arange(1, channels + 1) / (channels + 1) * 2 * 0.3
    return (amplitudes[:, None] * 2 * tone(seconds, rate=rate, hz=440.0)[None]).astype(np.float32)


# -- bytes --


def patched(path: Path, place: int, data: bytes) -> Path:
    """The file with some of its bytes replaced."""
    whole = bytearray(path.read_bytes())
    whole[place : place + len(data)] = data
    path.write_bytes(whole)
    return path


def box(path: Path, kind: bytes, *, which: int = 0) -> int:
    """Where the content of an MP4's box begins."""
    data, place = path.read_bytes(), -1
    for _ in range(which + 1):
        place = data.index(kind, place + 1)
    return place + 4


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """An MP4 whose video track is shown turned or mirrored, in units of 1/65536."""
    # version and flags 4, times and identifier 16, duration 4, reserved 8, layer to volume 8: then the matrix
    values = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return patched(path, box(path, b"tkhd") + 40, values)


def with_edit(path: Path, *, first: Fraction | float, seconds: Fraction | float) -> Path:
    """An MP4 whose one edit shows the video track from `first` on, for so many seconds."""
    data, place = path.read_bytes(), box(path, b"elst")
    assert struct.unpack(">II", data[place : place + 8]) == (0, 1), "one edit of version 0"
    (scale,) = struct.unpack(">I", data[box(path, b"mvhd") + 12 :][:4])
    (media_scale,) = struct.unpack(">I", data[box(path, b"mdhd") + 12 :][:4])
    (old,) = struct.unpack(">i", data[place + 12 :][:4])
    edit = struct.pack(">Ii", round(Fraction(seconds) * scale), old + round(Fraction(first) * media_scale))
    return patched(path, place + 8, edit)


def mp3_with_cover(path: Path) -> Path:
    """An MP3 with an image in its ID3 tag, which FFmpeg reports as a video stream."""
    write_audio(path, tone(1.0), 16_000, codec="libmp3lame")
    image = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 20, 20)).save(image, "PNG")
    body = b"\0image/png\0\x03\0" + image.getvalue()
    apic = b"APIC" + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = len(apic)
    header = b"ID3\x03\0\0" + bytes([size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127])
    path.write_bytes(header + apic + path.read_bytes().split(b"TSSE")[-1])
    return path
