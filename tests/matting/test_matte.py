from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.matting import Matte, PersonMatte, PersonNetwork, composite, load_person_network
from onnx_networks import motion_network

SKIN, BACKDROP, CLOTHES = (205, 150, 120), (40, 110, 190), (35, 35, 45)


class DrawnNetwork(PersonNetwork):
    """Takes for a person what is not of the backdrop's colour: a drawn one does not fool the real network."""

    def __init__(self) -> None:
        self._real = load_person_network()

    def mask(self, frame: np.ndarray, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
        self._real.mask(frame, box)  # runs, so that threads meet in it
        blue = np.abs(frame.astype(np.int16) - BACKDROP).sum(axis=2) < 120
        image = Image.fromarray(np.where(blue, 0, 1).astype(np.float32))
        return np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR, box=box))


def drawn(
    height: int = 240, width: int = 320, *, x: float = 0.5, noise: float = 1.5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A head and shoulders before a blue backdrop, with soft edges, and its alpha in 0..1."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    unit = height / 240

    def inside(center_x: float, center_y: float, radius_x: float, radius_y: float) -> np.ndarray:
        distance = np.hypot((columns - center_x) / radius_x, (rows - center_y) / radius_y)
        return np.clip((1 - distance) * min(radius_x, radius_y) / (2 * unit) + 0.5, 0, 1)

    head = inside(x * width, 90 * unit, 36 * unit, 46 * unit)
    body = inside(x * width, 245 * unit, 90 * unit, 110 * unit)
    alpha = 1 - (1 - head) * (1 - body)
    person = head[..., None] * np.array(SKIN) + (1 - head[..., None]) * np.array(CLOTHES)
    frame = alpha[..., None] * person + (1 - alpha[..., None]) * np.array(BACKDROP)
    frame += np.random.default_rng(seed).normal(0, noise, frame.shape)
    return np.clip(frame, 0, 255).astype(np.uint8), alpha


def test_a_drawn_person_is_cut_out_without_the_backdrop() -> None:
    frame, alpha = drawn()
    matte = PersonMatte(DrawnNetwork()).push(frame)
    assert matte.found
    assert matte.alpha.dtype == matte.foreground.dtype == np.uint8
    assert matte.alpha.shape == frame.shape[:2]
    assert np.abs(matte.alpha / 255 - alpha).mean() < 0.01
    edge = (alpha > 0.25) & (alpha < 0.9)
    blueness = matte.foreground[edge].astype(float) @ (-1, 0, 1)
    assert np.percentile(blueness, 95) < 30  # the backdrop's is 150, clothes' 10
    assert np.percentile(frame[edge].astype(float) @ (-1, 0, 1), 95) > 90


def test_alpha_is_one_at_the_border_that_cuts_the_person() -> None:
    frame, _ = drawn()
    matte = PersonMatte(DrawnNetwork()).push(frame)
    assert (matte.alpha[-4:, 110:210] == 255).all()
    np.testing.assert_array_equal(matte.foreground[-4:, 110:210], frame[-4:, 110:210])
    assert (matte.alpha[:4] == 0).all()


@pytest.mark.parametrize("size", [(33, 47), (101, 67), (241, 319)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    frame, alpha = drawn(*size)
    matte = PersonMatte(DrawnNetwork()).push(frame)
    assert matte.alpha.shape == size
    assert matte.foreground.shape == (*size, 3)
    assert np.abs(matte.alpha / 255 - alpha).mean() < 0.05


def test_large_frames_are_refined_at_their_own_size() -> None:
    frame, alpha = drawn(1090, 1210)  # masks are half as large, and neither side is a multiple of anything
    matte = PersonMatte(DrawnNetwork()).push(frame)
    assert np.abs(matte.alpha / 255 - alpha).mean() < 0.01


def test_still_frames_with_noise_keep_their_alpha() -> None:
    matting = PersonMatte(DrawnNetwork())
    alphas = [matting.push(drawn(noise=4, seed=seed)[0]).alpha.astype(int) for seed in range(6)]
    assert np.abs(np.diff(alphas, axis=0)).max() <= 1


def test_a_person_who_moves_leaves_no_ghost() -> None:
    matting = PersonMatte(DrawnNetwork())
    for x in (0.3, 0.34, 0.38, 0.5):
        frame, alpha = drawn(x=x)
        matte = matting.push(frame)
        alone = PersonMatte(DrawnNetwork()).push(frame)
        assert np.abs(matte.alpha / 255 - alpha).mean() < 0.012
        assert np.abs(matte.alpha.astype(int) - alone.alpha).mean() < 1.5


def test_nobody_is_an_empty_matte_also_after_somebody() -> None:
    matting = PersonMatte(DrawnNetwork())
    empty = np.full((240, 320, 3), BACKDROP, np.uint8)
    for frame, found in ((empty, False), (drawn()[0], True), (empty, False), (drawn()[0], True)):
        matte = matting.push(frame)
        assert matte.found is found
        assert bool(matte.alpha.any()) is found


def test_noise_and_flat_frames_are_nobody_for_the_packaged_network() -> None:
    matting = PersonMatte()
    assert not matting.push(np.full((96, 128, 3), 90, np.uint8)).found


def test_one_of_two_people_is_kept_by_the_face() -> None:
    left, right = drawn(x=0.25)[0], drawn(x=0.78)[0]
    frame = np.concatenate([left[:, :160], right[:, 160:]], axis=1)
    faces = (50, 60, 110, 125), (220, 60, 280, 125)
    both = PersonMatte(DrawnNetwork()).push(frame)
    one = PersonMatte(DrawnNetwork()).push(frame, face=faces[1], other_faces=[faces[0]])
    assert (both.alpha[90, 80], both.alpha[90, 250]) == (255, 255)
    assert (one.alpha[90, 80], one.alpha[90, 250]) == (0, 255)


def test_results_do_not_depend_on_other_clips_in_other_threads() -> None:
    network = DrawnNetwork()
    clips = [[drawn(x=0.4 + 0.02 * i + 0.1 * k, seed=i)[0] for i in range(3)] for k in range(3)]

    def mattes(clip: list[np.ndarray]) -> list[Matte]:
        matting = PersonMatte(network)
        return [matting.push(frame) for frame in clip]

    alone = [mattes(clip) for clip in clips]
    together: dict[int, list[Matte]] = {}
    threads = [
        threading.Thread(target=lambda k=k: together.__setitem__(k, mattes(clips[k])))  # type: ignore[misc]
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(3):
        for first, second in zip(alone[k], together[k], strict=True):
            np.testing.assert_array_equal(first.alpha, second.alpha)
            np.testing.assert_array_equal(first.foreground, second.foreground)


def test_earlier_mattes_and_frames_are_not_written_to() -> None:
    matting = PersonMatte(DrawnNetwork())
    frame, _ = drawn(x=0.4)
    kept_frame = frame.copy()
    first = matting.push(frame)
    kept = first.alpha.copy(), first.foreground.copy()
    matting.push(drawn(x=0.6)[0])
    np.testing.assert_array_equal(frame, kept_frame)
    np.testing.assert_array_equal(first.alpha, kept[0])
    np.testing.assert_array_equal(first.foreground, kept[1])


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (np.zeros((1, 1, 3), np.uint8), "1x1 pixels.*32x32 or more"),
        (np.zeros((200, 31, 3), np.uint8), "31x200 pixels"),
        (np.zeros((64, 64), np.uint8), r"expected uint8 \(H, W, 3\)"),
        (np.zeros((64, 64, 4), np.uint8), r"expected uint8 \(H, W, 3\)"),
        (np.zeros((64, 64, 3), np.float32), "float32"),
        (np.zeros((0, 64, 3), np.uint8), "64x0 pixels"),
    ],
)
def test_frames_that_are_none(frame: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        PersonMatte(DrawnNetwork()).push(frame)


def test_a_frame_of_another_size_is_refused_and_changes_nothing() -> None:
    matting = PersonMatte(DrawnNetwork())
    frame = drawn()[0]
    first = matting.push(frame)
    with pytest.raises(InputError, match="64x64 pixels, those before 320x240"):
        matting.push(frame[:64, :64])
    np.testing.assert_array_equal(matting.push(frame).alpha, first.alpha)


@pytest.mark.parametrize(
    "box",
    [
        (400, 10, 420, 30),
        (50, 10, 40, 30),
        (10, 10, 10, 30),
        (-30, 5, -1, 20),
        (float("nan"), 0, 10, 10),
        (float("-inf"), 0, 10, 10),
    ],
)
def test_faces_outside_the_frame_are_refused(box: tuple[float, float, float, float]) -> None:
    for faces in ({"face": box}, {"face": (10, 10, 60, 60), "other_faces": [box]}):
        with pytest.raises(InputError, match="expected a box inside the frame of 320x240"):
            PersonMatte(DrawnNetwork()).push(drawn()[0], **faces)  # type: ignore[arg-type]


def test_other_faces_need_a_face() -> None:
    with pytest.raises(InputError, match="other_faces"):
        PersonMatte(DrawnNetwork()).push(drawn()[0], other_faces=[(10, 10, 60, 60)])


def test_another_network_is_refused() -> None:
    with pytest.raises(InputError, match="not a person segmentation network"):
        PersonNetwork(Session(motion_network(width=4, coefficients=2, context_steps=1), trusted=True))


def test_composite_is_exact_at_both_ends_and_rounds_between() -> None:
    rng = np.random.default_rng(0)
    alpha = np.arange(256, dtype=np.uint8).reshape(16, 16)
    foreground, background = rng.integers(0, 256, (2, 16, 16, 3), np.uint8)
    shown = composite(Matte(alpha, foreground, found=True), background)
    fraction = alpha[..., None] / 255
    np.testing.assert_allclose(shown, fraction * foreground + (1 - fraction) * background, atol=0.5)
    np.testing.assert_array_equal(shown[-1, -1], foreground[-1, -1])
    np.testing.assert_array_equal(shown[0, 0], background[0, 0])


def test_composite_accepts_one_color_and_refuses_other_shapes() -> None:
    matte = Matte(np.zeros((4, 6), np.uint8), np.zeros((4, 6, 3), np.uint8), found=False)
    assert (composite(matte, np.array([0, 255, 0], np.uint8)) == (0, 255, 0)).all()
    for background in (np.zeros((6, 4, 3), np.uint8), np.zeros(3), np.zeros((4, 6), np.uint8)):
        with pytest.raises(InputError, match="the background is"):
            composite(matte, background)
