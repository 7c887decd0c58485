from __future__ import annotations

import numpy as np

from newscaster.matting.temporal import MotionGain, hold

SIZE = 48


def scene(x: int) -> tuple[np.ndarray, np.ndarray]:
    """A bright square at column x before grey, and its alpha."""
    alpha = np.zeros((SIZE, SIZE), np.float32)
    alpha[16:32, x : x + 16] = 1
    frame = np.full((3, SIZE, SIZE), 0.4, np.float32) + 0.4 * alpha
    return frame, alpha


def test_noise_changes_alpha_by_less_than_a_level() -> None:
    rng = np.random.default_rng(0)
    frame, alpha = scene(16)
    motion, held, history = MotionGain(), np.zeros((SIZE, SIZE), np.float32), []
    for _ in range(30):
        noisy = frame + rng.normal(0, 3 / 255, frame.shape).astype(np.float32)
        estimate = np.clip(alpha + rng.normal(0, 0.15, alpha.shape), 0, 1).astype(np.float32)
        hold(held, estimate, motion.push(noisy, estimate))
        history.append(held.copy())
    assert np.abs(np.diff(np.stack(history)[1:], axis=0)).max() < 1 / 255


def test_what_moves_has_its_new_alpha_at_once_and_leaves_nothing_behind() -> None:
    motion, held = MotionGain(), np.zeros((SIZE, SIZE), np.float32)
    for x in (4, 7, 10, 20):
        frame, alpha = scene(x)
        hold(held, alpha, motion.push(frame, alpha))
        np.testing.assert_allclose(held, alpha, atol=1e-6)


def test_slow_drift_adds_up_until_it_counts() -> None:
    """A person who moves by a fifth of a pixel per frame: never more than 1.5 pixels behind."""
    motion, held = MotionGain(), np.zeros((SIZE, SIZE), np.float32)
    for step in range(40):
        place = 8 + step / 5
        columns = np.arange(SIZE)
        row = np.clip(columns - place + 0.5, 0, 1) * np.clip(place + 16.5 - columns, 0, 1)
        alpha = np.zeros((SIZE, SIZE), np.float32)
        alpha[16:32] = row
        hold(held, alpha, motion.push(np.stack([0.4 + 0.4 * alpha] * 3).astype(np.float32), alpha))
        assert np.abs(held[24] - row).sum() < 2 * 1.5


def test_unseen_motion_near_seen_motion_is_followed_after_some_frames() -> None:
    """Dark clothes before dark: the estimate moves, the colours do not."""
    motion, held = MotionGain(), np.zeros((SIZE, SIZE), np.float32)
    before, after = scene(8)[1], scene(16)[1]
    dark = np.full((3, SIZE, SIZE), 0.1, np.float32)
    head = dark.copy()
    head[:, 10:16, 14:20] = 0.6  # just above: it moves
    seen = before.copy()
    seen[10:16, 14:20] = 1
    hold(held, seen, motion.push(head, seen))
    for _ in range(6):
        hold(held, after, motion.push(dark, after))
    np.testing.assert_allclose(held, after, atol=0.02)


def test_a_speck_that_motion_left_behind_fades_in_some_frames() -> None:
    motion, held = MotionGain(), np.zeros((SIZE, SIZE), np.float32)
    frame, alpha = scene(4)
    specked = alpha.copy()
    specked[20:22, 40:42] = 0.15
    hold(held, specked, motion.push(frame, specked))
    frame, alpha = scene(8)
    for _ in range(15):
        hold(held, alpha, motion.push(frame, alpha))
    assert held[20:22, 40:42].max() < 2 / 255


def test_disagreement_without_any_motion_drifts_by_less_than_a_level_per_frame() -> None:
    motion, held = MotionGain(), np.zeros((SIZE, SIZE), np.float32)
    frame, alpha = scene(16)
    hold(held, alpha, motion.push(frame, alpha))
    before = held.copy()
    for _ in range(10):
        hold(held, 1 - alpha, motion.push(frame, 1 - alpha))
    change = np.abs(held - before)
    assert 5 / 255 < change.min() <= change.max() < 10 / 255


def test_a_cut_replaces_everything() -> None:
    motion, held = MotionGain(), np.zeros((SIZE, SIZE), np.float32)
    frame, alpha = scene(4)
    hold(held, alpha, motion.push(frame, alpha))
    hold(held, 1 - alpha, motion.push(1 - frame, 1 - alpha))
    np.testing.assert_allclose(held, 1 - alpha, atol=1e-6)
