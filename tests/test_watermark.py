"""The watermark on small synthetic videos: embedding, detection and false positives."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from newscaster import media
from newscaster.errors import InputError, MediaError
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb, Orientation
from newscaster.media.sampling import PlaneSampler
from newscaster.watermark import FoundMark, Watermark, find_mark, id_of
from newscaster.watermark.marking import _LEAK
from newscaster.watermark.pattern import BLUE, CELLS, LUMA, field, id_at, sync_signs, weights
from newscaster.watermark.reading import (
    PLACES,
    _correlated,
    _phases,
    _sync,
    aligned,
    averaged,
    averaged_planes,
    mark_of,
    threshold,
)

IDENTITY = "5eed1e" + "0" * 58
SIZE = (320, 240)


def frame_of(image: np.ndarray) -> YuvFrame:
    return YuvFrame(FromRgb(ColourTags.for_height(len(image)))(image), (image.shape[1], image.shape[0]))


def images(count: int = 25, *, seed: int = 0, size: tuple[int, int] = SIZE) -> list[YuvFrame]:
    """A textured ground with a flat left edge, and a square that moves over it."""
    width, height = size
    noise = np.random.default_rng(seed).normal(0, 25, (height // 16, width // 16))
    ground = np.asarray(Image.fromarray(noise.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    ground = np.clip(125 + ground, 30, 220)
    ground[:, : width // 4] = 120
    made = []
    for index in range(count):
        image = np.repeat(ground[:, :, None], 3, axis=2).astype(np.uint8)
        left, top = 3 * index % (width - 60), 2 * index % (height - 60)
        image[top : top + 60, left : left + 60] = (190, 170, 150)
        made.append(frame_of(image))
    return made


def marked(made: list[YuvFrame], identity: str = IDENTITY) -> list[YuvFrame]:
    mark = Watermark(identity, like=made[0])
    for image in made:
        mark.put_on(image)
    return made


def written(path: Path, made: list[YuvFrame], **options: int) -> Path:
    media.write_video(path, made, fps=Fraction(25), audio=None, **options)  # type: ignore[arg-type]
    return path


def again(path: Path, change: Callable[[np.ndarray], np.ndarray], *, crf: int) -> Path:
    """Return the video, changed and encoded again."""
    out = path.with_name(f"again-{path.name}")
    frames = (np.ascontiguousarray(change(frame)) for frame in media.read_frames(path))
    media.write_video(out, frames, fps=Fraction(25), audio=None, crf=crf)
    return out


LARGE = (480, 360)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("large") / "large.mp4", marked(images(size=LARGE)))


@pytest.fixture(scope="module")
def news(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("news") / "news.mp4", marked(images()))


def test_the_pattern_is_a_format() -> None:
    # Files that are made already are found by it: this must not change.
    assert hashlib.sha256((sync_signs() > 0).tobytes()).hexdigest()[:16] == "432d79684c181f9d"
    assert (
        hashlib.sha256(np.sign(field("5eed1e")).astype(np.int8).tobytes()).hexdigest()[:16]
        == "118b107110b89121"
    )


def test_in_small_frames_it_is_in_luma_and_fainter_in_flat_areas() -> None:
    made, plain = images(3), images(3)
    mark = Watermark(IDENTITY, like=made[0])
    levels = mark.levels.astype(float)
    assert 10 * np.log10(255**2 / (levels**2).mean()) > 45
    assert np.sqrt((levels[:, :60] ** 2).mean()) < 0.75 * np.sqrt((levels[:, 100:] ** 2).mean())
    assert abs(levels.mean()) < 0.05
    for image, before in zip(made, plain, strict=True):
        mark.put_on(image)
        luma, *chroma = image.planes
        np.testing.assert_array_equal(luma, before.planes[0] + levels)
        for plane, same in zip(chroma, before.planes[1:], strict=True):
            np.testing.assert_array_equal(plane, same)


def test_larger_frames_carry_it_in_the_blue_difference_alone() -> None:
    for size, rms in (((480, 360), 1.56), ((640, 512), 1.09), ((1920, 1080), 0.52)):
        (image,) = images(1, size=size)
        before = [plane.copy() for plane in image.planes]
        mark = Watermark(IDENTITY, like=image)
        levels = mark.levels.astype(float)
        assert levels.shape == (size[1] // 2, size[0] // 2)
        assert np.sqrt((levels**2).mean()) == pytest.approx(rms, abs=0.12)
        assert abs(levels.mean()) < 0.05
        mark.put_on(image)
        np.testing.assert_array_equal(image.planes[0], before[0])
        np.testing.assert_array_equal(image.planes[1], before[1] + levels)
        np.testing.assert_array_equal(image.planes[2], before[2])


def grey(made: list[YuvFrame]) -> list[YuvFrame]:
    """The same frames in black and white."""
    for image in made:
        for plane in image.planes[1:]:
            plane[:] = 128
    return made


def test_black_and_white_video_stays_black_and_white(tmp_path: Path) -> None:
    made, plain = grey(images(size=LARGE)), grey(images(size=LARGE))
    marked(made)
    for image, before in zip(made, plain, strict=True):
        assert (image.planes[0] != before.planes[0]).any()
        assert all((plane == 128).all() for plane in image.planes[1:])
    path = written(tmp_path / "news.mp4", made)
    for change, crf in ((lambda image: image, 28), (lambda image: image[:, ::-1], 23)):
        found = find_mark(again(path, change, crf=crf))
        assert found is not None
        assert found.id == "5eed1e"


def test_a_black_frame_may_begin_a_video_in_colour() -> None:
    black = frame_of(np.zeros((*LARGE[::-1], 3), np.uint8))
    assert Watermark(IDENTITY, like=black).plane == BLUE
    assert Watermark(IDENTITY, like=grey(images(1, size=LARGE))[0]).plane == LUMA


def test_it_is_fainter_in_saturated_blue() -> None:
    image = np.full((*LARGE[::-1], 3), 128, np.uint8)
    image[:, LARGE[0] // 2 :] = (10, 40, 160)
    levels = Watermark(IDENTITY, like=frame_of(image)).levels.astype(float)
    grey, blue = np.sqrt((levels[:, :100] ** 2).mean()), np.sqrt((levels[:, -100:] ** 2).mean())
    assert grey == pytest.approx(1.56, abs=0.12)
    assert 0.45 * grey < blue < 0.7 * grey


def test_steps_of_the_blue_difference_change_luminance_as_stated() -> None:
    # U + 1 as RGB by the matrix of BT.709, to light by a power of 2.4.
    def luminance(rgb: tuple[float, ...]) -> float:
        return float(np.dot([0.2126, 0.7152, 0.0722], np.power(rgb, 2.4)))

    for red, green, blue in ((0.5, 0.5, 0.5), (0.04, 0.16, 0.63), (0.9, 0.7, 0.6)):
        changed = luminance((red, green - 0.1873 / 224, blue + 1.8556 / 224))
        stated = _LEAK * (blue**1.4 - green**1.4)
        assert changed - luminance((red, green, blue)) == pytest.approx(stated, abs=3e-5)


@pytest.mark.parametrize("size", [SIZE, LARGE])
@pytest.mark.parametrize("level", [0, 1, 254, 255])
def test_extreme_samples_do_not_wrap(level: int, size: tuple[int, int]) -> None:
    (image,) = images(1, size=size)
    mark = Watermark(IDENTITY, like=image)
    image.planes[mark.plane][:] = level
    mark.put_on(image)
    assert np.abs(image.planes[mark.plane].astype(int) - level).max() <= 6


def test_odd_sizes(tmp_path: Path) -> None:
    frames = [frame_of(np.full((121, 161, 3), 90, np.uint8)) for _ in range(2)]
    mark = Watermark(IDENTITY, like=frames[0])
    assert mark.levels.shape == (122, 162)
    mark.put_on(frames[1])
    assert (frames[1].planes[0] != frames[0].planes[0]).any()


@pytest.mark.parametrize(
    ("change", "crf", "scale", "mirrored"),
    [
        (lambda image: image, 28, 1.0, False),
        (lambda image: np.asarray(Image.fromarray(image).resize((160, 120))), 18, 1.0, False),
        (lambda image: np.asarray(Image.fromarray(image).resize((500, 376))), 23, 1.0, False),
        (lambda image: image[12:-12, 16:-16], 23, 0.9, False),
        (lambda image: image[20:-4, 6:-34], 23, 0.9, False),
        (lambda image: image[24:-24, 32:-32], 23, 0.8, False),
        (lambda image: image[:, ::-1], 23, 1.0, True),
        (lambda image: np.pad(image, ((0, 0), (40, 40), (0, 0))), 23, 1.0, False),
    ],
    ids=["crf 28", "half", "larger", "5 %", "off centre", "10 %", "mirrored", "padded"],
)
def test_it_is_found_again(
    news: Path, change: Callable[[np.ndarray], np.ndarray], crf: int, scale: float, mirrored: bool
) -> None:
    found = find_mark(again(news, change, crf=crf))
    assert found is not None
    assert (found.id, found.mirrored, found.pieces, found.marked) == ("5eed1e", mirrored, 1, 1)
    assert found.scale == pytest.approx(scale, abs=0.01)


@pytest.mark.parametrize(
    ("change", "crf", "scale", "mirrored"),
    [
        (lambda image: image, 28, 1.0, False),
        (lambda image: np.asarray(Image.fromarray(image).resize((240, 180))), 18, 1.0, False),
        (lambda image: np.asarray(Image.fromarray(image).resize((640, 480))), 23, 1.0, False),
        (lambda image: image[36:-36, 48:-48], 23, 0.8, False),
        (lambda image: image[:, ::-1], 23, 1.0, True),
        (lambda image: np.clip(0.7 * image + 40, 0, 255).astype(np.uint8), 23, 1.0, False),
    ],
    ids=["crf 28", "half", "larger", "10 %", "mirrored", "contrast 0.7"],
)
def test_it_is_found_again_in_the_blue_difference(
    large: Path, change: Callable[[np.ndarray], np.ndarray], crf: int, scale: float, mirrored: bool
) -> None:
    found = find_mark(again(large, change, crf=crf))
    assert found is not None
    assert (found.id, found.mirrored, found.marked) == ("5eed1e", mirrored, 1)
    assert found.scale == pytest.approx(scale, abs=0.01)


def test_marks_of_large_frames_in_luma_are_read(tmp_path: Path) -> None:
    # Earlier versions marked luma at every size.
    cell = LARGE[1] / 56
    made = images(size=LARGE)
    pattern = weights(LARGE[1], cell, CELLS) @ field("abc123") @ weights(LARGE[0], cell, CELLS).T
    for image in made:
        image.planes[0][:] += np.rint(pattern).astype(np.uint8)
    found = find_mark(written(tmp_path / "x.mp4", made, crf=23))
    assert found == FoundMark(id="abc123", pieces=1, marked=1, scale=1.0, mirrored=False)


def test_a_new_mark_over_one_in_luma(tmp_path: Path) -> None:
    cell = LARGE[1] / 56
    made = images(size=LARGE)
    pattern = weights(LARGE[1], cell, CELLS) @ field("abc123") @ weights(LARGE[0], cell, CELLS).T
    for image in made:
        image.planes[0][:] += np.rint(0.5 * pattern).astype(np.uint8)
    found = find_mark(written(tmp_path / "x.mp4", marked(made), crf=18))
    assert found is not None
    assert found.id == "5eed1e"


def test_two_marks_of_like_strength_have_no_id(tmp_path: Path) -> None:
    """As in a dub of a marked video: parts of both would give an id that is neither's."""
    other = "9" * 64
    for seed in range(3):
        made = marked(marked(images(seed=seed)), other)
        found = find_mark(written(tmp_path / f"{seed}.mp4", made, crf=18))
        assert found is not None
        assert found.id in (None, id_of(IDENTITY), id_of(other))


@pytest.mark.parametrize("pixels", ["yuv422p", "yuv444p", "yuv420p10le", "yuvj420p"])
@pytest.mark.parametrize("turned", [False, True])
def test_other_layouts_and_turned_frames(pixels: str, turned: bool) -> None:
    frames = [image.frame.reformat(format=pixels) for image in images(6, size=LARGE)]
    orientation = Orientation(transpose=True, mirror_x=True) if turned else Orientation()
    made = [YuvFrame(frame, orientation=orientation) for frame in frames]
    plain = made[0].planes[0].copy()
    mark = Watermark(IDENTITY, like=made[0])
    for image in made:
        mark.put_on(image)
    np.testing.assert_array_equal(made[0].planes[0], plain)
    sampler = PlaneSampler(288)
    sampled = [sampler(image.frame) for image in made]
    upright = [tuple(orientation.view(plane) for plane in planes) for planes in sampled]
    assert mark_of([averaged_planes(upright)]) == FoundMark(
        id="5eed1e", pieces=1, marked=1, scale=1.0, mirrored=False
    )


@pytest.mark.parametrize("identity", ["000000", "ffffff", "00000f", "abc000"])
def test_ids(tmp_path: Path, identity: str) -> None:
    found = find_mark(written(tmp_path / "x.mp4", marked(images(12), identity)))
    assert found == FoundMark(id=identity, pieces=1, marked=1, scale=1.0, mirrored=False)
    assert id_at([int(identity, 16) >> 12, int(identity, 16) & 4095]) == identity


def test_frames_without_it(tmp_path: Path, news: Path) -> None:
    assert find_mark(written(tmp_path / "x.mp4", images())) is None
    black = [frame_of(np.zeros((48, 64, 3), np.uint8)) for _ in range(3)]
    assert find_mark(written(tmp_path / "black.mp4", black)) is None
    with pytest.raises(MediaError, match="no such file"):
        find_mark(tmp_path / "missing.mp4")


def test_pieces_of_others_in_between(tmp_path: Path) -> None:
    made = [*marked(images(125)), *images(125, seed=1), *marked(images(125))]
    found = find_mark(written(tmp_path / "x.mp4", made, crf=23))
    assert found is not None
    assert (found.id, found.pieces, found.marked) == ("5eed1e", 3, 2)


def test_without_a_mark_scores_are_normal() -> None:
    scores = []
    for seed in range(20):
        piece = averaged([image.planes[0] for image in images(3, seed=seed)])
        scores.append(_correlated(_phases(piece, 1.0), _sync(False), 2 * CELLS))
        assert aligned(piece) is None
    flat = np.concatenate(scores).ravel()
    assert flat.std() == pytest.approx(1, abs=0.01)
    for least, fraction in ((1.0, 0.1587), (2.0, 0.02275), (3.0, 0.00135)):
        assert (flat > least).mean() == pytest.approx(fraction, rel=0.1)
    assert threshold(PLACES[0]) == pytest.approx(5.555, abs=0.005)
    assert threshold(PLACES[1]) == pytest.approx(7.327, abs=0.005)


def test_weights_interpolate() -> None:
    # A ramp on the torus, sampled: naive linear interpolation, one pixel after the other.
    values = np.random.default_rng(0).normal(size=CELLS)
    for length, cell in ((30, 2.5), (101, 0.7), (200, 7.0)):
        drawn = weights(length, cell, CELLS) @ values
        for pixel in range(length):
            at = (pixel + 0.5 - length / 2) / cell
            low = int(np.floor(at))
            wanted = (low + 1 - at) * values[low % CELLS] + (at - low) * values[(low + 1) % CELLS]
            assert drawn[pixel] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("identity", ["", "12345", "not hex", "xyzxyz"])
def test_identities_that_are_none(identity: str) -> None:
    with pytest.raises(InputError, match="expected at least 6 hexadecimal digits"):
        id_of(identity)
