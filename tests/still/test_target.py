"""Frames of a photograph whose head moves: what moves, what does not, and where the landmarks are."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from newscaster.errors import InputError
from newscaster.matting.store import MatteStore
from newscaster.media import read_frames
from newscaster.still import HeadMotion, StillTarget, find_face
from newscaster.still.layers import _near, push_pull
from newscaster.still.target import MIN_JACOBIAN
from newscaster.tracking import FaceMesh, FaceRoi
from synthetic_faces import anchor_frames

EXTREMES = [(0, 0, 0), (10, 0, 0), (-10, 0, 0), (0, 10, 0), (0, -10, 0), (7, 7, 7), (-7, 7, -7)]


def moved(angles: list[tuple[int, int, int]], **signals: object) -> HeadMotion:
    motion = replace(HeadMotion.rest(len(angles)), angles=np.array(angles, np.float64))
    return replace(motion, **{name: np.array(values, np.float64) for name, values in signals.items()})  # type: ignore[arg-type]


@cache
def photograph() -> tuple[np.ndarray, np.ndarray]:
    frame = anchor_frames(1)[0]
    image = np.asarray(Image.fromarray(frame).resize((540, 432), Image.Resampling.LANCZOS))
    return image, find_face(image, name="a.png")


@cache
def matte() -> np.ndarray:
    image, landmarks = photograph()
    return StillTarget(image, landmarks, HeadMotion.rest(1)).alpha(0)


def target(motion: HeadMotion, image: np.ndarray | None = None) -> StillTarget:
    original, landmarks = photograph()
    return StillTarget(original if image is None else image, landmarks, motion, alpha=matte())


def detail(image: np.ndarray, landmarks: np.ndarray) -> float:
    """Return the mean gradient within a face."""
    (left, top), (right, bottom) = (
        landmarks[:, :2].min(axis=0).astype(int),
        landmarks[:, :2].max(axis=0).astype(int),
    )
    grey = image[top:bottom, left:right].astype(np.float64).mean(axis=2)
    return float(np.hypot(np.diff(grey, axis=0)[:, 1:], np.diff(grey, axis=1)[1:]).mean())


def test_at_rest_the_frame_is_the_photograph() -> None:
    image, landmarks = photograph()
    still = target(HeadMotion.rest(2))
    assert [(frame == image).all() for frame in still] == [True, True]
    assert still.landmarks[1] == pytest.approx(landmarks, abs=1e-3)
    assert still.notes == []


def test_noise_is_the_photograph_at_rest_although_every_cell_is_sampled() -> None:
    """Sampling and compositing are exact, too, not only the copies of cells that do not move."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, photograph()[0].shape, dtype=np.uint8)
    still = target(HeadMotion.rest(1), image)
    flow = still._flow
    layers = still._layers
    layers._kinds = lambda *_: np.full((len(flow.rows) - 1, len(flow.columns) - 1), 3)  # type: ignore[assignment]
    assert (still.frame(0) == image).all()


def test_the_background_never_moves() -> None:
    """Pixels that the person reaches in no frame are the photograph's in every frame."""
    image, _ = photograph()
    still = target(moved(EXTREMES, breath=np.linspace(0, 1, len(EXTREMES))))
    reached = np.max([still.alpha(number) for number in range(len(still))], axis=0)
    reached = np.maximum(reached, matte())
    grown = np.asarray(Image.fromarray(reached).resize((135, 108), Image.Resampling.BOX)) > 0
    far = ~np.asarray(Image.fromarray(np.pad(grown, 3)).resize((564, 456)))[12:-12, 12:-12]
    grid = np.lib.stride_tricks.sliding_window_view(np.pad(~far, 12), (25, 25))[::1, ::1]
    far = ~grid.any(axis=(2, 3))
    assert far.mean() > 0.2
    for frame in still:
        assert (frame[far] == image[far]).all()


def test_the_flow_never_folds_at_ten_degrees() -> None:
    still = target(moved(EXTREMES))
    assert still.notes == []
    assert (still.motion.angles == EXTREMES).all()
    for number in range(len(still)):
        assert still._flow.min_jacobian(still._flow.grid(still._move(number))) > MIN_JACOBIAN


def test_larger_motion_is_reduced_and_noted() -> None:
    still = target(moved([(0, 0, 0), (60, 0, 0)]))
    assert still._flow.min_jacobian(still._flow.grid(still._move(1))) >= MIN_JACOBIAN
    assert 10 < still.motion.angles[1, 0] < 60
    assert "of the motion requested" in still.notes[0]


def test_landmarks_lie_on_their_pixels() -> None:
    """Dots at landmarks are found where the target puts the landmarks, to 0.3 pixels."""
    image, landmarks = photograph()
    chosen = [4, 61, 291, 152, 50, 280, 10, 17]
    dotted = np.zeros_like(image)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    for point in landmarks[chosen, :2]:
        dot = 200 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / (2 * 1.5**2))
        dotted = np.maximum(dotted, dot[..., None].astype(np.uint8))
    still = target(moved(EXTREMES), dotted)
    for number in range(len(still)):
        frame = still.frame(number)[..., 0].astype(np.float64)
        for point in still.landmarks[number][chosen, :2]:
            near = frame * (np.hypot(x - point[0], y - point[1]) < 6)
            centre = np.array([(near * x).sum(), (near * y).sum()]) / near.sum()
            assert centre == pytest.approx(point, abs=0.3)


def test_poses_turn_as_requested() -> None:
    still = target(moved(EXTREMES))
    turned = still.poses.angles - still.poses.angles[0]
    assert turned == pytest.approx(np.array(EXTREMES), abs=2.5)
    assert (np.abs(turned[1:]).max(axis=1) > 5).all()


def test_frames_are_as_sharp_as_the_photograph() -> None:
    image, landmarks = photograph()
    still = target(moved([(3, 1, 1), (-2, 2, -1), (1, -3, 2)]))
    for number, frame in enumerate(still):
        assert 0.9 < detail(frame, still.landmarks[number]) / detail(image, landmarks) < 1.1
        assert abs(frame.mean() - image.mean()) < 1


def test_shoulders_breathe_and_the_head_hardly() -> None:
    image, landmarks = photograph()
    taller, alpha = (np.pad(a, ((0, 200), *[(0, 0)] * (a.ndim - 1)), mode="edge") for a in (image, matte()))
    still = StillTarget(taller, landmarks, moved([(0, 0, 0)], breath=[1.0]), alpha=alpha)
    assert (still.frame(0) != taller).any()
    chin = landmarks[152, :2]
    points = chin + np.array([(0, -40), (0, 120)])
    head, shoulders = -still._flow.displacement(points, still._move(0))[:, 1]
    assert shoulders > 2.5 * head > 0
    iod = np.linalg.norm(landmarks[263, :2] - landmarks[33, :2])
    assert np.abs(still.landmarks[0] - landmarks).max() < 0.01 * iod


def test_a_photograph_without_a_person_moves_as_a_whole() -> None:
    image, landmarks = photograph()
    everything = np.full(image.shape[:2], 255, np.uint8)
    still = StillTarget(image, landmarks, moved([(5, 0, 0)]), alpha=everything)
    frame = still.frame(0)
    assert (frame != image).any(axis=2).mean() > 0.2
    assert (frame[:, 0] != 0).any()  # no black border comes in


def test_a_margin_is_that_of_a_filter() -> None:
    mask = np.random.default_rng(0).random((31, 40)) > 0.99
    filtered = Image.fromarray((mask * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(7))
    np.testing.assert_array_equal(_near(mask, 3)[3:-3, 3:-3], np.asarray(filtered)[3:-3, 3:-3] > 0)
    assert mask.any()


def test_unusable_input_is_refused() -> None:
    image, landmarks = photograph()
    rest = HeadMotion.rest(1)
    with pytest.raises(InputError, match="expected uint8"):
        StillTarget(image.astype(np.float32), landmarks, rest)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="even sides"):
        StillTarget(image[:-1], landmarks, rest)
    with pytest.raises(InputError, match="finite"):
        StillTarget(image, landmarks[:468], rest)
    with pytest.raises(InputError, match="outside the photograph"):
        StillTarget(image, landmarks + np.float32(2000), rest)
    with pytest.raises(InputError, match="alpha is"):
        StillTarget(image, landmarks, rest, alpha=matte()[:10])


def test_filling_keeps_known_pixels_and_constants() -> None:
    rng = np.random.default_rng(1)
    known = rng.random((37, 50)) < 0.2
    flat = np.full((37, 50, 3), 77, np.float32)
    assert push_pull(flat, known) == pytest.approx(flat, abs=1e-2)
    ramp = np.broadcast_to(np.arange(50, dtype=np.float32)[None, :, None], (37, 50, 3)).copy()
    filled = push_pull(ramp, known)
    assert filled[known] == pytest.approx(ramp[known], abs=1e-3)
    assert np.abs(filled - ramp).mean() < 2


@pytest.mark.data
def test_the_mesh_finds_a_real_face_where_its_landmarks_are(data_folder: Path) -> None:
    (image,) = islice(read_frames(next((data_folder / "hd").glob("anchor_*"))), 1)
    landmarks = find_face(image, name="anchor")
    still = StillTarget(image, landmarks, moved([(0, 0, 0), (3, 2, 1), (-3, 1, -2)]))
    mesh = FaceMesh()

    def tracked(number: int) -> np.ndarray:
        points = still.landmarks[number]
        for _ in range(3):
            points = mesh.find([(still.frame(number), FaceRoi.of_landmarks(points))])[0][0]
        return points[:, :2] - still.landmarks[number][:, :2]

    for number in (1, 2):
        error = tracked(number) - tracked(0)
        assert np.abs(error.mean(axis=0)).max() < 0.7
        assert np.median(np.linalg.norm(error, axis=1)) < 1.3  # the mesh's own noise in frames of 512 pixels


def test_the_stored_matte_is_that_of_the_frames() -> None:
    """Alpha as the frames are composited with it; in a tenth of the bytes of one matte per frame."""
    image, landmarks = photograph()
    still = StillTarget(image, landmarks, moved(EXTREMES, breath=np.linspace(0, 1, len(EXTREMES))))
    data = still.matte()
    assert data is not None
    store = MatteStore(data)
    assert (len(store), store.size) == (len(EXTREMES), (540, 432))
    for number in range(len(EXTREMES)):
        luma = store.frame(number).luma
        assert luma is not None
        difference = np.abs(luma.full_alpha().astype(int) - still.alpha(number))
        assert difference.max() <= 6, number
        assert difference.mean() < 0.05, number


def test_without_a_person_there_is_no_matte() -> None:
    """Also if the caller gives alpha: the person's own colours are unknown."""
    assert target(HeadMotion.rest(1)).matte() is None
