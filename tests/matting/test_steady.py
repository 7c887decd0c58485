"""Steady mattes: still pixels keep alpha and colour, moving edges are not averaged."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.matting.matte import Matte
from newscaster.matting.steady import AHEAD_FRAMES, SteadyMatte

HEIGHT, WIDTH = 40, 64
FRAMES = 40
NOISE = 30


def steadied(frames: list[np.ndarray], mattes: list[Matte]) -> list[Matte]:
    steady = SteadyMatte(mattes[0].alpha.shape)
    out = [done for frame, matte in zip(frames, mattes, strict=True) for done in steady.push(frame, matte)]
    return [*out, *steady.flush()]


def bar(left: float, soft: float = 6.0) -> np.ndarray:
    """Alpha of a person right of a column, with a soft edge, (H, W) uint8."""
    ramp = np.clip((np.arange(WIDTH) + 0.5 - left) / soft + 0.5, 0, 1)
    return np.broadcast_to(np.rint(255 * ramp), (HEIGHT, WIDTH)).astype(np.uint8)


def over(alpha: np.ndarray, person: int, background: int) -> np.ndarray:
    """A grey person before a grey background, (H, W, 3)."""
    weight = alpha[..., None] / 255
    return np.repeat(np.rint(weight * person + (1 - weight) * background), 3, axis=2).astype(np.uint8)


def test_still_pixels_keep_their_alpha_and_colour_if_the_mask_flickers() -> None:
    rng = np.random.default_rng(0)
    alpha = bar(32)
    frame = over(alpha, 200, 40)
    edge = (alpha > NOISE) & (alpha < 255 - NOISE)
    noisy, colours = [], []
    for _ in range(FRAMES):
        noise = rng.integers(-NOISE, NOISE + 1, alpha.shape)
        noisy.append(np.where(edge, alpha + noise, alpha).astype(np.uint8))
        colours.append(np.clip(200 + rng.integers(-20, 21, (*alpha.shape, 3)), 0, 255).astype(np.uint8))
    mattes = [Matte(a, c, True) for a, c in zip(noisy, colours, strict=True)]
    out = steadied([frame] * FRAMES, mattes)
    stack = np.stack([matte.alpha for matte in out]).astype(int)
    changes = np.abs(np.diff(stack[AHEAD_FRAMES:], axis=0))[:, edge]
    assert np.percentile(changes, 99) <= 4
    assert np.median(changes) <= 1
    assert np.abs(stack[AHEAD_FRAMES:] - alpha)[:, edge].mean() < NOISE / 4
    shown = np.stack([matte.foreground for matte in out]).astype(int)[AHEAD_FRAMES:, edge]
    assert np.abs(np.diff(shown, axis=0)).mean() < 2


@pytest.mark.parametrize("pixels", [1, 4])
def test_moving_edges_leave_no_ghost(pixels: int) -> None:
    mattes, frames = [], []
    for index in range(10):
        alpha = bar(10 + pixels * index)
        frames.append(over(alpha, 200, 40))
        mattes.append(Matte(alpha, np.full((HEIGHT, WIDTH, 3), 200, np.uint8), True))
    for before, after in zip(mattes, steadied(frames, mattes), strict=True):
        assert np.abs(before.alpha.astype(int) - after.alpha).max() <= 6
        visible = after.alpha > 0
        assert np.abs(after.foreground[visible].astype(int) - 200).max() <= 1


def test_a_person_who_moves_invisibly_is_followed() -> None:
    frames, mattes, half = [], [], FRAMES // 2
    for index in range(FRAMES):
        alpha = bar(20 if index < half else 44)
        frames.append(np.full((HEIGHT, WIDTH, 3), 20, np.uint8))  # dark clothes before a dark background
        mattes.append(Matte(alpha, frames[-1], True))
    out = steadied(frames, mattes)
    left = np.array([matte.alpha[0, 32] for matte in out])
    assert (left[: half - AHEAD_FRAMES] == 255).all()
    assert (left[half + 1 :] <= 3).all()


def test_every_frame_gets_its_matte_in_order() -> None:
    mattes = [Matte(bar(5 + 5 * i), np.full((HEIGHT, WIDTH, 3), i, np.uint8), i > 0) for i in range(5)]
    frames = [over(matte.alpha, 250, 5) for matte in mattes]
    out = steadied(frames, mattes)
    assert [matte.found for matte in out] == [False, True, True, True, True]
    for before, after in zip(mattes, out, strict=True):
        assert np.array_equal(before.alpha == 255, after.alpha == 255)


def test_an_edge_that_is_faint_in_one_frame_does_not_grow() -> None:
    frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    sharp = np.where(bar(32) > 127, 255, 0).astype(np.uint8)
    blurred = sharp.copy()
    blurred[sharp == 0] = 20
    mattes = [Matte(blurred if index == 20 else sharp, frame, True) for index in range(FRAMES)]
    out = steadied([frame] * FRAMES, mattes)
    assert all(np.array_equal(matte.alpha, sharp) for matte in out)
