from __future__ import annotations

import numpy as np
import numpy.typing as npt

from making_faces import moving_faces
from newscaster.face.full_face_map import CHANNELS, draw_full_face_map

FACE = moving_faces(1, place=(48.0, 32.0), eyes_px=28.0)[0]


def drawn(landmarks: npt.NDArray[np.float32], *, cell: int = 2) -> npt.NDArray[np.float64]:
    return draw_full_face_map(landmarks, size=(96, 96), cell=cell) / 255


def centre(channel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ys, xs = np.mgrid[: channel.shape[0], : channel.shape[1]] + 0.5
    return np.array([(channel * xs).sum(), (channel * ys).sum()]) / channel.sum()


def test_every_part_is_drawn_at_its_cells() -> None:
    maps = drawn(FACE)
    assert maps.shape == (len(CHANNELS), 48, 48)
    areas = dict(zip(CHANNELS, maps.sum(axis=(1, 2)), strict=True))
    assert areas["face oval"] > areas["eyes"] > areas["irises"] > 2
    fine = drawn(FACE, cell=1)
    for coarse, one in zip(maps, fine, strict=True):
        assert np.abs(one.sum() / 4 - coarse.sum()) < 0.2 * coarse.sum() + 8
        if coarse.sum() > 30:
            assert np.abs(centre(coarse) * 2 - centre(one)).max() < 0.75


def test_maps_move_with_landmarks_by_parts_of_a_pixel() -> None:
    places = []
    for step in np.linspace(0, 4, 17):
        moved = FACE.copy()
        moved[:, 0] += np.float32(step)
        places.append(centre(drawn(moved)[CHANNELS.index("face oval")])[0] * 2)
    gone = np.array(places) - places[0]
    assert np.abs(gone - np.linspace(0, 4, 17)).max() < 0.5
    assert (np.diff(gone) > -0.01).all()
    assert len(np.unique(gone.round(3))) > 8


def test_a_whole_cell_moves_the_map_exactly() -> None:
    moved = FACE + np.array([2, 4, 0], np.float32)
    np.testing.assert_allclose(drawn(moved)[:, 2:, 1:], drawn(FACE)[:, :-2, :-1], atol=1e-9)


def test_irises_lie_inside_eyes() -> None:
    maps = drawn(FACE)
    eyes, irises = (maps[CHANNELS.index(name)] for name in ("eyes", "irises"))
    assert (irises <= eyes).all()
    closed = FACE.copy()
    for lids in ((159, 145), (160, 144), (158, 153), (161, 163), (157, 154), (173, 155), (246, 7)):
        closed[list(lids), 1] = closed[33, 1]
    assert drawn(closed)[CHANNELS.index("irises")][:, :24].sum() < 0.6 * irises[:, :24].sum()
