"""Frames with alpha: what VP9, ProRes and PNG store is what was given, in FFmpeg and in Chromium."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from browsing import browser_page, find_chromium, missing_for_browser_tests
from newscaster.media import YuvFrame, write_video, write_wav
from newscaster.media.color import ColourTags, FromRgb

FPS, FRAMES, SIZE = Fraction(25), 8, (160, 96)
RED = (200, 40, 60)


def frames(*, alpha: bool = True) -> Iterator[YuvFrame]:
    """A red square that moves to the right over a transparent background; half of its lower edge shines."""
    width, height = SIZE
    convert = FromRgb(ColourTags.for_height(height))
    for number in range(FRAMES):
        image = YuvFrame(convert(np.full((height, width, 3), RED, np.uint8)))
        if alpha:
            image.alpha = np.zeros((height, width), np.uint8)
            image.alpha[16:64, 32 + 4 * number : 80 + 4 * number] = 255
            image.alpha[64:80, 32 + 4 * number : 80 + 4 * number] = 128
        yield image


def written(path: Path, *, alpha: bool = True) -> Path:
    wav = path.with_name("sound.wav")
    write_wav(wav, np.zeros(FRAMES * 640, np.float32), 16_000)
    assert write_video(path, frames(alpha=alpha), fps=FPS, audio=wav) == FRAMES
    return path


def decoded(path: Path) -> list[np.ndarray]:
    """RGBA of all frames: FFmpeg's own VP9 decoder knows no alpha, libvpx does."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        if stream.codec_context.name != "vp9":
            return [frame.to_ndarray(format="rgba") for frame in file.decode(stream)]
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        packets = [packet for packet in file.demux(stream) if packet.size]
        found = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
        return [frame.to_ndarray(format="rgba") for frame in found]


def check(images: list[np.ndarray], *, tolerance: int) -> None:
    assert len(images) == FRAMES
    for number, image in enumerate(images):
        left = 32 + 4 * number
        assert np.abs(image[20:60, left + 4 : left + 44, 3].astype(int) - 255).max() <= tolerance
        assert np.abs(image[67:77, left + 4 : left + 44, 3].astype(int) - 128).max() <= tolerance
        assert image[20:60, : left - 4, 3].max() <= tolerance
        assert np.abs(image[20:60, left + 4 : left + 44, :3].astype(int) - RED).max() <= 6


@pytest.mark.parametrize(
    ("suffix", "codecs"), [(".webm", {"vp9", "opus"}), (".mov", {"prores", "pcm_s16le"})]
)
def test_ffmpeg_shows_the_transparency(suffix: str, codecs: set[str], tmp_path: Path) -> None:
    path = written(tmp_path / f"x{suffix}")
    with av.open(str(path)) as file:
        assert {stream.codec_context.name for stream in file.streams} == codecs
        assert file.streams.video[0].average_rate == FPS
    check(decoded(path), tolerance=6)


def test_images_have_alpha_and_their_audio_beside_them(tmp_path: Path) -> None:
    written(tmp_path / "shot_%03d.png")
    names = sorted(path.name for path in tmp_path.glob("*.png"))
    assert names == [f"shot_{number:03d}.png" for number in range(1, FRAMES + 1)]
    images = [np.asarray(Image.open(tmp_path / name)) for name in names]
    check(images, tolerance=0)
    with av.open(str(tmp_path / "shot.wav")) as file:
        assert file.streams.audio[0].rate == 16_000


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "vp9"), (".mov", "h264"), (".mp4", "h264")])
def test_opaque_frames_have_the_usual_codec(suffix: str, codec: str, tmp_path: Path) -> None:
    path = written(tmp_path / f"x{suffix}", alpha=False)
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == (codec, "yuv420p")
        image = next(file.decode(stream)).to_ndarray(format="rgb24")
    assert np.abs(image.astype(int) - RED).max() <= 6


def test_opaque_images(tmp_path: Path) -> None:
    written(tmp_path / "%d.png", alpha=False)
    assert (tmp_path / "audio.wav").is_file()
    with Image.open(tmp_path / "1.png") as image:
        assert (image.mode, image.size) == ("RGB", SIZE)


def test_a_container_without_alpha_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mp4 cannot carry alpha"):
        write_video(tmp_path / "x.mp4", frames(), fps=FPS, audio=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.browser
def test_chromium_shows_the_transparency(tmp_path: Path) -> None:
    if (missing := missing_for_browser_tests()) is not None:
        pytest.skip(missing)
    data = base64.b64encode(written(tmp_path / "x.webm").read_bytes()).decode()
    chromium = find_chromium()
    assert chromium is not None
    with browser_page(chromium) as page:
        pixels = page.evaluate(
            """
            async (data) => {
              const video = document.createElement("video");
              video.src = `data:video/webm;base64,${data}`;
              document.body.append(video);
              video.muted = true;
              await new Promise((resolve, reject) => {
                video.requestVideoFrameCallback(resolve);
                video.onerror = () => reject(video.error.message);
                video.play();
              });
              video.pause();
              const canvas = document.createElement("canvas");
              [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
              const brush = canvas.getContext("2d");
              brush.drawImage(video, 0, 0);
              return [[70, 40], [70, 72], [10, 40]].map(([x, y]) => [...brush.getImageData(x, y, 1, 1).data]);
            }
            """,
            data,
        )
    assert np.abs(np.subtract(pixels[0], (*RED, 255))).max() <= 8
    assert abs(pixels[1][3] - 128) <= 8
    assert pixels[2][3] <= 4
