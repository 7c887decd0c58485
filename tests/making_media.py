"""Small media for tests: patterns, tones, clicks, and files with unusual time stamps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

SPEECH_RATE = 16_000
CLICK_SAMPLES = 64


@dataclass(frozen=True)
class Kind:
    """A container with the encoders that are usual in it."""

    suffix: str
    video: str
    audio: str
    sample_format: str
    rate: int = 44_100


_QUALITY = {"libvpx": {"crf": "4", "b": "4M"}, "libx264": {"crf": "12"}}
KINDS = {
    "mp4-aac": Kind(".mp4", "libx264", "aac", "fltp"),
    "mkv-pcm": Kind(".mkv", "libx264", "pcm_s16le", "s16", 48_000),
    "mpg-mp2": Kind(".mpg", "mpeg1video", "mp2", "s16"),
    "ts-aac": Kind(".ts", "libx264", "aac", "fltp", 48_000),
    "webm-opus": Kind(".webm", "libvpx", "libopus", "flt", 48_000),
}


def moving_pattern(count: int, *, width: int = 96, height: int = 64) -> Iterator[npt.NDArray[np.uint8]]:
    """A smooth gradient with a bright square that moves on by a step each frame: no two frames are alike."""
    y, x = np.mgrid[:height, :width]
    ground = np.stack([40 + x * 100 // width, 40 + y * 100 // height, np.full_like(x, 90)], axis=-1)
    side = max(4, min(width, height) // 4)
    for index in range(count):
        image = ground.astype(np.uint8)
        left = index * 3 % (width - side)
        top = index * 2 % (height - side)
        image[top : top + side, left : left + side] = (230, 200, 40)
        yield image


def tone(seconds: float, *, rate: int = SPEECH_RATE, hz: float = 220.0) -> npt.NDArray[np.float32]:
    """A tone at half of full scale."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def grey(
    count: int, *, flash_at: int | None = None, width: int = 64, height: int = 48
) -> list[npt.NDArray[np.uint8]]:
    """Dark frames, the one at `flash_at` white."""
    frames = [np.full((height, width, 3), 40, np.uint8) for _ in range(count)]
    if flash_at is not None:
        frames[flash_at][:] = 220
    return frames


def numbered(count: int, *, width: int = 64, height: int = 48) -> list[npt.NDArray[np.uint8]]:
    """Frames whose grey level encodes their number: 20 + 3 i (up to 75 frames)."""
    return [np.full((height, width, 3), 20 + 3 * i, np.uint8) for i in range(count)]


def number_of(image: npt.NDArray[np.uint8]) -> int:
    """The number of a frame made by `numbered`."""
    return round((float(image.mean()) - 20) / 3)


def click(seconds: float, at: float, rate: int) -> npt.NDArray[np.float32]:
    """Silence with one short click at `at` seconds."""
    samples = np.zeros(round(seconds * rate), np.float32)
    start = round(at * rate)
    samples[start : start + CLICK_SAMPLES] = 0.8
    return samples


def click_seconds(samples: npt.NDArray[np.float32], rate: int) -> float:
    """Where the click is: the middle of its energy, less half its length at the rate it was made."""
    energy = samples.astype(np.float64) ** 2
    return float((energy * np.arange(len(samples))).sum() / energy.sum() / rate)


def write_media(
    path: Path,
    kind: Kind,
    frames: Sequence[npt.NDArray[np.uint8]],
    frame_times: Sequence[Fraction],
    audio: npt.NDArray[np.float32] | None,
    *,
    audio_start: Fraction = Fraction(0),
    fps: int = 25,
    rotation: int = 0,
    gop: int = 12,
) -> Path:
    """Write `frames` at `frame_times`, and mono `audio` from `audio_start` on."""
    clock = Fraction(1, 90_000 if kind.video != "mpeg1video" else fps)
    reformatter = VideoReformatter()
    with av.open(str(path), "w") as container:
        video = container.add_stream(
            kind.video, rate=fps, options={"g": str(gop), **_QUALITY.get(kind.video, {})}
        )
        video.height, video.width = frames[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = clock
        if rotation:
            video.set_display_rotation(rotation)
        track = None
        if audio is not None:
            track = container.add_stream(kind.audio, rate=kind.rate, layout="mono")
        for image, time in zip(frames, frame_times, strict=True):
            frame = reformatter.reformat(av.VideoFrame.from_ndarray(image, format="rgb24"), format="yuv420p")
            frame.pts, frame.time_base = round(time / clock), clock
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if track is not None and audio is not None:
            for begin in range(0, len(audio), 1024):
                block = av.AudioFrame.from_ndarray(
                    audio[None, begin : begin + 1024], format="flt", layout="mono"
                )
                block.sample_rate = kind.rate
                block.pts, block.time_base = begin + round(audio_start * kind.rate), Fraction(1, kind.rate)
                container.mux(track.encode(block))
            container.mux(track.encode(None))
    return path
