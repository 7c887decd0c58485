from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from newscaster.tracking.sampling import SquareSampler, square_matrix

SIDE = 64


def naive(
    frame: npt.NDArray[np.uint8], matrix: npt.NDArray[np.float64], zeros: bool
) -> npt.NDArray[np.float64]:
    """Pixel by pixel: positions in steps of 1/32 px, results rounded half up."""
    height, width = frame.shape[:2]

    def pixel(x: int, y: int) -> npt.NDArray[np.float64]:
        inside = 0 <= x < width and 0 <= y < height
        if zeros and not inside:
            return np.zeros(3)
        return frame[min(max(y, 0), height - 1), min(max(x, 0), width - 1)].astype(np.float64)

    out = np.empty((3, SIDE, SIDE))
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = (int(v) for v in np.rint(32 * (matrix @ (column, row, 1))))
            (x, right), (y, down) = divmod(x, 32), divmod(y, 32)
            upper = pixel(x, y) * (32 - right) + pixel(x + 1, y) * right
            lower = pixel(x, y + 1) * (32 - right) + pixel(x + 1, y + 1) * right
            out[:, row, column] = np.floor((upper * (32 - down) + lower * down) / 1024 + 0.5)
    return out


@pytest.mark.parametrize("zeros", [False, True], ids=["border repeated", "zeros outside"])
@pytest.mark.parametrize(
    ("center", "side", "angle"),
    [((30, 25), 20, 0.3), ((30, 25), 90, -0.2), ((-40, -40), 20, 0), ((59.5, 44.5), 64, 0), ((1, 44), 7, 3)],
    ids=["inside", "beyond all borders", "outside", "as it is", "at a corner, turned round"],
)
def test_squares_are_those_of_a_plain_loop(
    center: tuple[float, float], side: float, angle: float, zeros: bool
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (45, 60, 3), dtype=np.uint8)
    matrix = square_matrix(center, side, angle, SIDE)
    out = np.empty((3, SIDE, SIDE), np.float32)
    SquareSampler(SIDE).cut(frame, matrix, out, zeros_outside=zeros)
    np.testing.assert_array_equal(out, naive(frame, matrix, zeros))


@pytest.mark.parametrize("kind", ["window", "mirrored", "upside down", "transposed", "one row", "one pixel"])
def test_frames_of_any_layout(kind: str) -> None:
    whole = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    frame = {
        "window": whole[7:40, 11:51],
        "mirrored": whole[:, ::-1],
        "upside down": whole[::-1],
        "transposed": whole.transpose(1, 0, 2),
        "one row": whole[:1],
        "one pixel": whole[:1, :1],
    }[kind]
    matrix = square_matrix((15, 12), 30, 0.1, SIDE)
    found, expected = np.empty((2, 3, SIDE, SIDE), np.float32)
    sampler = SquareSampler(SIDE)
    sampler.cut(frame, matrix, found)
    np.testing.assert_array_equal(found, naive(frame, matrix, False))
    sampler.cut(np.ascontiguousarray(frame), matrix, expected)
    np.testing.assert_array_equal(found, expected)
