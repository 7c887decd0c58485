"""Images and videos behind a person: how they are fitted, turned, converted and repeated."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from newscaster.errors import MediaError
from newscaster.media import YuvFrame, write_video
from newscaster.media.backdrop import constant_planes, open_backdrop
from newscaster.media.color import ColourTags, FromRgb

FPS = Fraction(25)
RED, BLUE = (210, 30, 40), (20, 40, 220)


def like(width: int = 96, height: int = 64) -> YuvFrame:
    return YuvFrame(FromRgb(ColourTags.for_height(height))(np.zeros((height, width, 3), np.uint8)))


def rgb(path: Path, frame: YuvFrame, number: int = 0, *, fps: Fraction = FPS) -> np.ndarray:
    """What is behind frame `number`, as RGB."""
    for plane, behind in zip(
        frame.planes, open_backdrop(path, like=frame, fps=fps).planes(number), strict=True
    ):
        plane[:] = behind
    return frame.rgb()


def halves(width: int, height: int) -> np.ndarray:
    image = np.full((height, width, 3), RED, np.uint8)
    image[:, width // 2 :] = BLUE
    return image


def close(pixels: np.ndarray, colour: tuple[int, int, int], tolerance: int = 6) -> bool:
    return bool(np.abs(pixels.astype(int) - colour).max() <= tolerance)


def test_an_image_covers_the_frame(tmp_path: Path) -> None:
    image = halves(400, 100)
    image[:, :100] = image[:, 300:] = 255  # cut at both sides
    Image.fromarray(image).save(tmp_path / "x.png")
    shown = rgb(tmp_path / "x.png", like())
    assert close(shown[:, :44], RED)
    assert close(shown[:, 52:], BLUE)


def test_exif_turns_an_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    Image.fromarray(halves(96, 96)).save(tmp_path / "x.jpg", exif=exif, quality=95)
    shown = rgb(tmp_path / "x.jpg", like(64, 64))
    assert close(shown[:28, :], RED, 12)
    assert close(shown[36:, :], BLUE, 12)


def test_profiles_are_converted(tmp_path: Path) -> None:
    """In this profile, the values of a pixel stand for another colour."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
    try:
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    except ImageCms.PyCMSError:
        pytest.skip("no such profile")
    image = Image.new("LAB", (96, 64), (160, 128, 128))
    image.save(tmp_path / "x.tif", icc_profile=lab.tobytes())
    shown = rgb(tmp_path / "x.tif", like())
    assert np.ptp(shown[20, 20].astype(int)) <= 4  # grey
    assert 120 < shown[20, 20].mean() < 190
    Image.new("RGB", (96, 64), RED).save(tmp_path / "y.png", icc_profile=profile.tobytes())
    assert rgb(tmp_path / "y.png", like()).shape == (64, 96, 3)  # of no use, and no fault


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1"])
def test_modes(mode: str, tmp_path: Path) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((64, 96), 128 * 257, np.uint16))
    elif mode == "RGBA":
        image = Image.new("RGBA", (96, 64), (128, 128, 128, 255))
    else:
        image = Image.new("RGB", (96, 64), (128, 128, 128)).convert(mode)
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image.save(path)
    shown = rgb(path, like())
    assert 100 < shown.mean() < 160
    assert np.ptp(shown.mean(axis=(0, 1))) < 8


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    Image.new("RGBA", (96, 64), (200, 200, 200, 0)).save(tmp_path / "x.png")
    assert rgb(tmp_path / "x.png", like()).max() <= 2


def video(path: Path, count: int, *, fps: int = 25, size: tuple[int, int] = (96, 64)) -> Path:
    """Grey frames: number i has the value 40 + 10 i."""
    width, height = size
    frames = (np.full((height, width, 3), 40 + 10 * i, np.uint8) for i in range(count))
    write_video(path, frames, fps=Fraction(fps), audio=None, crf=4)
    return path


@pytest.mark.parametrize("size", [(96, 64), (200, 64), (130, 300)])
def test_a_video_repeats(size: tuple[int, int], tmp_path: Path) -> None:
    frame = like()
    backdrop = open_backdrop(video(tmp_path / "x.mp4", 5, size=size), like=frame, fps=FPS)
    values = []
    for number in [*range(12), 3, 11, 0]:
        for plane, behind in zip(frame.planes, backdrop.planes(number), strict=True):
            plane[:] = behind
        values.append(float(frame.rgb().mean()))
    wanted = [40 + 10 * (number % 5) for number in [*range(12), 3, 11, 0]]
    np.testing.assert_allclose(values, wanted, atol=2)


def test_a_long_video_is_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.media.backdrop._CACHE_BYTES", 2 * 96 * 64 * 3 // 2)
    frame = like()
    backdrop = open_backdrop(video(tmp_path / "x.mp4", 4), like=frame, fps=FPS)
    values = [float(backdrop.planes(number)[0].mean()) for number in range(10)]
    np.testing.assert_allclose(values[:2], values[4:6], atol=0.1)
    np.testing.assert_allclose(values[:2], values[8:], atol=0.1)
    assert values[0] < values[1] < values[2] < values[3]


def test_a_video_has_the_rate_of_the_result(tmp_path: Path) -> None:
    path = video(tmp_path / "x.mp4", 6, fps=50)
    values = [round(float(rgb(path, like(), number).mean())) for number in range(3)]
    np.testing.assert_allclose(values, [40, 60, 80], atol=2)


def test_constants_have_the_colour_space_of_the_frame() -> None:
    for height in (64, 720):
        frame = like(64, height)
        for plane, value in zip(frame.planes, constant_planes((0, 255, 0), frame), strict=True):
            plane[:] = value
        assert close(frame.rgb()[10, 10], (0, 255, 0), 3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.png", None, "no such file"),
        ("x.png", b"\x89PNG\r\n\x1a\n" + bytes(40), "cannot be read|neither an image"),
        ("x.txt", b"Good evening.", "neither an image nor a readable video"),
        ("x.mp4", b"", "neither an image nor a readable video"),
    ],
)
def test_files_that_are_no_backgrounds(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=message):
        open_backdrop(tmp_path / name, like=like(), fps=FPS)


def test_damaged_and_huge_images(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(MediaError, match="cannot be read"):
        open_backdrop(path, like=like(), fps=FPS)
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    with pytest.raises(MediaError, match=r"9000x9000|cannot be read"):
        open_backdrop(tmp_path / "huge.png", like=like(), fps=FPS)


def test_a_sound_is_no_background(wav: Path) -> None:
    with pytest.raises(MediaError, match="no video track"):
        open_backdrop(wav, like=like(), fps=FPS)
