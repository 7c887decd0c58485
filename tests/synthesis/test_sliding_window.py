from __future__ import annotations

import numpy as np
import pytest

from newscaster.synthesis.sliding_window import SlidingWindow


@pytest.mark.parametrize("ends_last", [True, False])
@pytest.mark.parametrize(("behind", "ahead"), [(0, 0), (2, 3), (3, 0), (0, 4)])
@pytest.mark.parametrize("steps", [1, 2, 20])
@pytest.mark.parametrize("piece", [1, 3, 50])
def test_every_step_has_its_neighbours(
    behind: int, ahead: int, ends_last: bool, steps: int, piece: int
) -> None:
    values = np.random.default_rng(0).standard_normal((steps, 2))
    windows = SlidingWindow(behind=behind, ahead=ahead, channels=2, ends_last=ends_last)
    parts = [windows.push(values[i : i + piece]) for i in range(0, steps, piece)]
    found = np.concatenate([*parts, windows.flush()])
    padded = np.pad(values, ((behind, ahead), (0, 0)), mode="edge" if ends_last else "constant")
    expected = [padded[j : j + behind + 1 + ahead].T for j in range(steps)]
    np.testing.assert_array_equal(found, expected)


def test_nothing_and_memory() -> None:
    windows = SlidingWindow(behind=2, ahead=1, channels=3, ends_last=True)
    assert windows.push(np.zeros((0, 3))).shape == windows.flush().shape == (0, 3, 4)
    for _ in range(20):
        windows.push(np.zeros((100, 3)))
    assert windows._held is not None
    assert len(windows._held) == 3
