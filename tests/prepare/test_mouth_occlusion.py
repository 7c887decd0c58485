"""Covered mouths: the packaged network on the bundled anchor's face, and what is made of its cells."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from newscaster.errors import InputError
from newscaster.face.geometry import Similarity
from newscaster.face.topology import OUTER_LIPS
from newscaster.formats.anchor import TARGET, AnchorFile
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.inference import Session
from newscaster.media import TargetVideo, read_frames
from newscaster.prepare.clips import read_footage
from newscaster.prepare.mouth_occlusion import (
    SIDE,
    OcclusionMeter,
    OcclusionNetwork,
    can_measure,
    covered_fractions,
    covered_frames,
    crop_window,
    cut_crop,
    describe_times,
    leaves_too_little,
)
from newscaster.prepare.people import choose_person
from newscaster.prepare.tracking import FaceTracker
from newscaster.prepare.work import look
from onnx_networks import motion_network

FPS = 25.0
Drawing = Callable[[ImageDraw.ImageDraw, float, float, float], None]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of the bundled anchor, and their landmarks."""
    anchor = AnchorFile(anchor_path("grid-s1"))
    path = tmp_path_factory.mktemp("target") / "target.mp4"
    path.write_bytes(anchor.read(TARGET))
    landmarks = anchor.face().landmarks
    chosen = list(range(0, len(landmarks), len(landmarks) // 20))
    return list(zip(TargetVideo(path).frames(chosen), landmarks[chosen], strict=True))


def box(colour: tuple[int, int, int]) -> Drawing:
    def draw(canvas: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
        canvas.rectangle([x - 0.35 * unit, y - 0.2 * unit, x + 0.35 * unit, y + 0.2 * unit], fill=colour)

    return draw


def half(colour: tuple[int, int, int], side: str) -> Drawing:
    """A box over one half of the lips."""
    reach = {"upper": (-1, -1, 1, 0), "lower": (-1, 0, 1, 1), "left": (-1, -1, 0, 1), "right": (0, -1, 1, 1)}
    left, top, right, bottom = reach[side]

    def draw(canvas: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
        width, height = 0.38 * unit, 0.2 * unit
        canvas.rectangle(
            [x + left * width, y + top * height, x + right * width, y + bottom * height], fill=colour
        )

    return draw


def upright_finger(canvas: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
    for k, shade in enumerate((0.7, 0.85, 1.0)):
        width = (0.1 - 0.02 * k) * unit
        canvas.rounded_rectangle(
            [x - width, y - 0.4 * unit - width, x + width, y + 2 * unit],
            radius=width,
            fill=tuple(int(v * shade) for v in (214, 172, 150)),
        )


def microphone(canvas: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
    radius = 0.35 * unit
    canvas.rectangle([x - 0.1 * unit, y, x + 0.1 * unit, y + 2 * unit], fill=(30, 30, 34))
    canvas.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(45, 45, 48))
    for step in np.arange(-radius, radius, 0.06 * unit):
        reach = np.sqrt(radius**2 - step**2)
        canvas.line([x + step, y - reach, x + step, y + reach], fill=(20, 20, 22))
        canvas.line([x - reach, y + step, x + reach, y + step], fill=(95, 95, 98))


def fingers(canvas: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
    for k in range(4):
        top = y + (k - 2) * 0.12 * unit
        for shade, inset in ((0.7, 0.0), (0.85, 0.02), (1.0, 0.04)):
            inner = [x - 0.45 * unit, top + inset * unit, x + 0.6 * unit, top + (0.12 - inset) * unit]
            canvas.rounded_rectangle(
                inner, radius=0.05 * unit, fill=tuple(int(v * shade) for v in (214, 172, 150))
            )


def caption(canvas: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
    canvas.rectangle([0, y - 0.16 * unit, 10 * x, y + 0.16 * unit], fill=(15, 25, 90))
    canvas.text((x - unit, y - 0.1 * unit), "the news at eight, with the weather", fill="white")


def over_mouth(image: np.ndarray, landmarks: np.ndarray, draw: Drawing, *, down: float = 0.0) -> np.ndarray:
    """The frame with something drawn over the middle of the lips, or so many inter-ocular distances below."""
    canvas = Image.fromarray(image.copy())
    x, y = landmarks[list(OUTER_LIPS), :2].mean(axis=0).tolist()
    unit = float(np.linalg.norm(landmarks[263, :2] - landmarks[33, :2]))
    draw(ImageDraw.Draw(canvas), x, y + down * unit, unit)
    return np.asarray(canvas)


def measured(faces: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    meter = OcclusionMeter()
    for index, (image, landmarks) in enumerate(faces):
        meter.add(index, image, landmarks)
    return meter.fractions(len(faces))


def flags(fractions: np.ndarray) -> list[bool]:
    return covered_frames(fractions, np.ones(len(fractions), bool), FPS).tolist()


def test_a_free_mouth_is_free(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert not any(flags(measured(faces)))


@pytest.mark.parametrize(
    "draw",
    [
        box((0, 0, 0)),
        box((250, 250, 250)),
        box((30, 190, 60)),
        box((205, 165, 145)),
        microphone,
        fingers,
        caption,
    ],
    ids=["black", "white", "green", "skin", "microphone", "fingers", "caption"],
)
def test_a_mouth_that_is_covered_in_all_frames_is_found(
    faces: list[tuple[np.ndarray, np.ndarray]], draw: Drawing
) -> None:
    assert all(flags(measured([(over_mouth(*face, draw), face[1]) for face in faces])))


BLACK, BLUE, SKIN = (0, 0, 0), (40, 60, 200), (205, 165, 145)
PLAIN_SKIN = pytest.mark.xfail(reason="plain skin over the lower lip is mostly missed")


@pytest.mark.parametrize(
    ("colour", "side"),
    [
        pytest.param(
            colour, side, id=f"{name}-{side}", marks=PLAIN_SKIN if (name, side) == ("skin", "lower") else ()
        )
        for name, colour in (("black", BLACK), ("blue", BLUE), ("skin", SKIN))
        for side in ("upper", "lower", "left", "right")
    ],
)
def test_a_mouth_half_of_which_is_covered_is_found(
    faces: list[tuple[np.ndarray, np.ndarray]], colour: tuple[int, int, int], side: str
) -> None:
    assert all(flags(measured([(over_mouth(*f, half(colour, side)), f[1]) for f in faces])))


def test_an_upright_finger_is_found(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert all(flags(measured([(over_mouth(*f, upright_finger), f[1]) for f in faces])))


def test_what_comes_and_goes_is_found_while_it_is_there(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    film = [(over_mouth(*f, microphone), f[1]) if 5 <= i < 17 else f for i, f in enumerate(faces)]
    found = flags(measured(film))
    assert found == [5 <= i < 17 for i in range(len(faces))]


def test_what_is_beside_the_mouth_covers_nothing(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    assert not any(flags(measured([(over_mouth(*f, box((0, 0, 0)), down=1.1), f[1]) for f in faces])))


def test_turned_and_enlarged_faces_are_measured_alike(
    faces: list[tuple[np.ndarray, np.ndarray]],
) -> None:
    image, landmarks = over_mouth(*faces[0], box((30, 190, 60))), faces[0][1]
    turned = np.asarray(Image.fromarray(image).rotate(90, expand=True))
    around = landmarks.copy()
    around[:, 0], around[:, 1] = landmarks[:, 1], image.shape[1] - landmarks[:, 0]
    large = np.asarray(Image.fromarray(image).resize((2 * image.shape[1], 2 * image.shape[0])))
    plain = measured([(image, landmarks)])
    np.testing.assert_allclose(measured([(turned, around)]), plain, atol=0.05)
    np.testing.assert_allclose(measured([(large, landmarks * 2)]), plain, atol=0.05)


def test_crops_are_upright_and_continue_the_border() -> None:
    ys, xs = np.mgrid[0:200, 0:300]
    image = np.stack([xs % 256, ys, 0 * xs], axis=-1).astype(np.uint8)
    landmarks = np.zeros((478, 3))
    landmarks[33, :2], landmarks[263, :2] = (120, 60), (180, 60)
    window = crop_window(landmarks)
    np.testing.assert_allclose(window.apply(np.array([[150.0, 60 + 0.9 * 60]])), [[SIDE / 2, SIDE / 2]])
    crop = cut_crop(image, window).astype(int)
    inside = Similarity(np.linalg.inv(np.vstack([window.matrix, [0, 0, 1]]))[:2])
    for x, y in ((5, 9), (40, 20), (60, 60)):
        wanted = inside.apply(np.array([[x + 0.5, y + 0.5]]))[0] - 0.5
        assert np.abs(crop[y, x, :2] - wanted).max() < 1.5
    landmarks[:, 1] += 150  # the crop's lower half is outside of the image
    below = cut_crop(image, crop_window(landmarks)).astype(int)
    assert (below[-1, :, 1] == 199).all()
    assert np.abs(below[-1, :, 0] - crop[-1, :, 0]).max() <= 1


def test_small_dark_and_bright_mouths_are_not_measured(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    image, landmarks = faces[0]
    unit = float(np.linalg.norm(landmarks[263, :2] - landmarks[33, :2]))
    scale = 15 / unit
    small = np.asarray(Image.fromarray(image).reduce(int(1 / scale)))
    assert np.isnan(measured([(small, landmarks / int(1 / scale))])).all()
    assert np.isnan(measured([(image // 40, landmarks)])).all()
    assert np.isnan(measured([(np.full_like(image, 255), landmarks)])).all()
    assert can_measure(np.full((SIDE, SIDE, 3), 128, np.uint8), 100.0)  # something before all of it
    assert flags(np.full((3, 2), np.nan)) == [False] * 3


def test_skipped_frames_get_the_mean_of_their_neighbours(faces: list[tuple[np.ndarray, np.ndarray]]) -> None:
    film = [(over_mouth(*f, microphone), f[1]) if i >= 8 else f for i, f in enumerate(faces[:15])]
    every = OcclusionMeter(every=2)
    for index, (image, landmarks) in enumerate(film):
        if index != 4:  # no face
            every.add(index, image, landmarks)
    fractions = every.fractions(15)
    assert np.isnan(fractions[4]).all()
    full = measured(film)
    np.testing.assert_allclose(fractions[2], full[2], atol=1e-6)
    np.testing.assert_allclose(fractions[9], (full[8] + full[10]) / 2, atol=1e-6)
    np.testing.assert_allclose(fractions[3], full[2], atol=1e-6)


def test_fractions_are_those_of_lips_and_lower_face() -> None:
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    lips = np.stack([32 + 10 * np.cos(turn), 32 + 4 * np.sin(turn)], axis=1)[None]
    cells = np.zeros((1, 16, 16))
    assert covered_fractions(cells, lips).tolist() == [[0, 0]]
    cells[0, 9:] = 1  # from 4 pixels below the middle of the lips on
    lip, lower = covered_fractions(cells, lips)[0]
    assert lip < 0.15
    assert 0.4 < lower < 0.8
    cells[0, 8:] = 1
    assert covered_fractions(cells, lips)[0, 0] == pytest.approx(0.5, abs=0.1)


def test_a_slip_of_one_frame_is_no_cover_and_edges_belong_to_one() -> None:
    lips = np.zeros(40)
    lips[5] = 0.4
    lips[10:16] = [0.3, 0.9, 1, 1, 0.9, 0.3]
    lips[30] = 0.9
    fractions = np.stack([lips, 0 * lips], axis=1)
    assert np.flatnonzero(flags(fractions)).tolist() == [*range(10, 16), 30]
    present = np.ones(40, bool)
    present[12] = False
    assert not covered_frames(fractions, present, FPS)[12]


def test_times_are_those_of_the_file() -> None:
    one, other = np.zeros(100, bool), np.zeros(100, bool)
    one[25:50] = True
    other[:5] = other[10:15] = other[20:24] = True
    times = describe_times([("b.mp4", one, 50, 25.0), ("a.mp4", other, 0, 25.0)])
    assert times == "'a.mp4' 0.0 to 0.2 s, 'a.mp4' 0.4 to 0.6 s, 'b.mp4' 3.0 to 4.0 s and 1 more"


def test_what_leaves_too_little() -> None:
    assert leaves_too_little(0.4, 9.0)
    assert not leaves_too_little(0.4, 11.0)
    assert not leaves_too_little(0.01, 9.9)


def test_another_network_is_refused() -> None:
    with pytest.raises(InputError, match="is not an occlusion network"):
        OcclusionNetwork(Session(motion_network(width=4, coefficients=2, context_steps=1), name="x"))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "draw"),
    [
        ("portrait_512_25fps_15s", microphone),
        ("portrait_512_25fps_15s", fingers),
        ("talk_700_30fps_6s", microphone),
        ("talk_700_30fps_6s", fingers),
    ],
)
def test_real_mouths_are_free_until_something_comes(data_folder: Path, name: str, draw: Drawing) -> None:
    file = read_footage(data_folder / "hd" / f"{name}.mp4")
    frames = list(read_frames(file.path, fps=Fraction(25), stop_frame=50))
    people = choose_person(look(file, frames[::25]), None, file.path)
    landmarks, present = FaceTracker(people, fps=FPS).follow(frames)
    assert present.all()
    film = [
        over_mouth(image, points, draw) if i >= 30 else image
        for i, (image, points) in enumerate(zip(frames, landmarks, strict=True))
    ]
    points, seen = FaceTracker(people, fps=FPS).follow(film)
    meter = OcclusionMeter()
    for i in np.flatnonzero(seen):
        meter.add(int(i), film[i], points[i])
    found = covered_frames(meter.fractions(len(film)), seen, FPS)
    assert not found[:29].any()
    assert found[31:][seen[31:]].all()
