from __future__ import annotations

import numpy as np
import pytest

from making_mouths import mouth, talking_clip
from newscaster.face import open_mouths
from newscaster.face.inner_mouth import ENAMEL, draw_inner_mouth
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.face.open_mouths import is_monochrome, moved_mouth, natural_shapes, opened_mouths, white_light
from newscaster.face.topology import RING
from newscaster.models.renderer.data import RenderingClip

SIDE, UNIT = 256, 128.0
LIGHT = np.array([235.0, 230.0, 225.0])


def clip() -> RenderingClip:
    return talking_clip(30, side=SIDE)


def closed() -> tuple[np.ndarray, np.ndarray]:
    made = clip()
    number = int(np.argmin(opening(made.points)))
    return made.crops[number], made.points[number]


def inside(points: np.ndarray) -> np.ndarray:
    return draw_landmark_map(points, side=SIDE, map_side=SIDE)[0] > 250


def test_teeth_and_tongue_are_drawn_between_the_lips_alone() -> None:
    photo, rest = closed()
    place = mouth(1.0, side=SIDE)
    moved = moved_mouth(photo, rest / SIDE, place / SIDE)
    made = draw_inner_mouth(moved, place, rest, pixels_per_unit=UNIT, light=LIGHT)
    within = draw_landmark_map(place, side=SIDE, map_side=SIDE)[0] > 0
    grown = np.asarray(
        [
            [within[max(0, y - 4) : y + 5, max(0, x - 4) : x + 5].any() for x in range(SIDE)]
            for y in range(SIDE)
        ]
    )
    assert (made[~grown] == moved[~grown]).all()
    column = made[:, SIDE // 2 + 3][inside(place)[:, SIDE // 2 + 3]].astype(int)
    brightness = column.max(axis=1)
    upper = brightness[: len(brightness) // 2].max()
    middle = brightness[len(brightness) // 2 : 3 * len(brightness) // 4].min()
    assert upper > 170, "upper teeth"
    assert middle < 90, "the dark"
    assert (column[:, 0] >= column[:, 2] - 1).all(), "nothing in a mouth is blue"


def test_upper_teeth_stay_and_lower_teeth_follow_the_jaw() -> None:
    photo, rest = closed()

    def edge_of_upper(place: np.ndarray) -> int:
        moved = moved_mouth(photo, rest / SIDE, place / SIDE)
        made = draw_inner_mouth(moved, place, rest, pixels_per_unit=UNIT, light=LIGHT)
        rows = np.flatnonzero(inside(place)[:, SIDE // 2 + 3])
        bright = rows[made[rows, SIDE // 2 + 3].max(axis=1) > 180]
        return int(bright[bright < rows.mean() + 8].max())

    half, full = (mouth(amount, side=SIDE) for amount in (0.7, 1.0))
    assert edge_of_upper(half) == pytest.approx(edge_of_upper(full), abs=2)


@pytest.mark.parametrize("monochrome", [False, True])
@pytest.mark.parametrize("amount", [0.3, 0.35, 0.4])
def test_rows_of_teeth_that_nearly_meet_leave_no_black_specks(amount: float, monochrome: bool) -> None:
    place, rest = mouth(amount, side=SIDE), mouth(0.0, side=SIDE)
    plain = np.full((SIDE, SIDE, 3), 150, np.uint8)
    made = draw_inner_mouth(plain, place, rest, pixels_per_unit=UNIT, light=LIGHT, monochrome=monochrome)
    middle = slice(SIDE // 2 - 22, SIDE // 2 + 22)
    teeth = made[:, middle][inside(place)[:, middle]].max(axis=1)
    assert teeth.min() > 0.6 * np.median(teeth)


def test_lips_that_are_little_apart_let_little_light_in() -> None:
    photo, rest = closed()

    def brightest(amount: float) -> float:
        place = mouth(amount, side=SIDE)
        moved = moved_mouth(photo, rest / SIDE, place / SIDE)
        made = draw_inner_mouth(moved, place, rest, pixels_per_unit=UNIT, light=LIGHT)
        return float(np.percentile(made[inside(place)].max(axis=1), 95))

    narrow, half, wide = (brightest(amount) for amount in (0.15, 0.4, 1.0))
    assert narrow < 0.75 * half
    assert half < wide


def test_teeth_in_a_narrow_mouth_have_the_colour_of_lips() -> None:
    plain = np.full((SIDE, SIDE, 3), 150, np.uint8)

    def chromaticity(amount: float) -> np.ndarray:
        place = mouth(amount, side=SIDE)
        made = draw_inner_mouth(plain, place, mouth(0.0, side=SIDE), pixels_per_unit=UNIT, light=LIGHT)
        pixels = made[inside(place)].astype(float)
        teeth = pixels[pixels.mean(axis=1) >= np.percentile(pixels.mean(axis=1), 80)].mean(axis=0)
        return np.log(teeth / np.exp(np.log(teeth).mean()))

    narrow, half, wide = (chromaticity(amount) for amount in (0.15, 0.3, 1.0))
    assert narrow[0] > half[0] + 0.03
    assert half[0] > wide[0]
    # Redder than in wide mouths by about as much as in videos, and neither bluer nor greener.
    assert 0.1 < narrow[0] - wide[0] < 0.5
    assert (narrow[1:] < wide[1:]).all()
    enamel = np.log(ENAMEL * LIGHT) - np.log(ENAMEL * LIGHT).mean()
    np.testing.assert_allclose(wide, enamel, atol=0.04)


def test_a_dimmer_light_is_seen_in_the_mouth() -> None:
    photo, rest = closed()
    bright = white_light(photo, rest / SIDE)
    dim = white_light(photo // 3, rest / SIDE)
    np.testing.assert_allclose(dim * 3, bright, rtol=0.05)
    assert (bright * ENAMEL / ENAMEL.max()).max() <= 255


def test_a_yellow_light_makes_teeth_yellow() -> None:
    photo, rest = closed()
    cast = np.array([1.0, 0.8, 0.4])
    plain = white_light(photo, rest / SIDE)
    yellow = white_light((photo * cast).astype(np.uint8), rest / SIDE)
    seen = np.log(yellow / plain)
    # Nine tenths of the cast, in logarithms; the rest may be the skin's own colour.
    np.testing.assert_allclose(seen - seen.mean(), 0.9 * (np.log(cast) - np.log(cast).mean()), atol=0.02)


@pytest.mark.parametrize("hue", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.6)])
def test_a_photo_of_one_hue_gets_a_mouth_of_that_hue(hue: tuple[float, float, float]) -> None:
    photo, rest = closed()
    grey = (photo.mean(axis=2, keepdims=True) * np.array(hue)).astype(np.uint8)
    assert is_monochrome(grey)
    assert not is_monochrome(photo)
    made = opened_mouths(
        grey,
        rest / SIDE,
        points=np.stack([mouth(0.8, side=SIDE) / SIDE]),
        rest=rest / SIDE,
        pixels_per_unit=UNIT,
    )
    assert is_monochrome(made.crops[0])


def test_lips_keep_their_pixels_and_part() -> None:
    photo, rest = closed()
    place = mouth(0.8, side=SIDE)
    moved = moved_mouth(photo, rest / SIDE, place / SIDE)
    maps = draw_landmark_map(place, side=SIDE, map_side=SIDE)
    lips = (maps[1] > 250) | (maps[2] > 250)
    red = moved[..., 0].astype(int) - moved[..., 1]
    assert np.median(red[lips]) > 80
    assert (moved_mouth(photo, rest / SIDE, rest / SIDE) == photo).mean() > 0.999


def test_blocks_of_cells_are_moved_as_their_cells_are(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    rest, place = closed()[1], mouth(0.8, side=SIDE) / SIDE
    fast = moved_mouth(photo, rest / SIDE, place)
    monkeypatch.setattr(open_mouths, "_BILINEAR_PX", -1.0)
    exact = moved_mouth(photo, rest / SIDE, place)
    off = np.abs(fast.astype(int) - exact)
    assert 0 < off.max() < 40
    assert off.mean() < 2


def test_shapes_are_spread_and_lips_do_not_cross() -> None:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((114, 8))
    components = np.linalg.qr(flat)[0].T.reshape(8, 57, 2)
    rest = (mouth(0.0) / 32 - 0.5) * 2
    basis = MouthBasis(rest, components, np.full(8, 0.15))
    shapes = natural_shapes(basis, 30)
    assert 10 < len(shapes) <= 30
    np.testing.assert_allclose(shapes[0], rest)
    inner = shapes[:, RING : 2 * RING, 1]
    gaps = inner[:, 11:][:, ::-1] - inner[:, 1:10]
    assert gaps.min() >= -0.0041
    apart = np.linalg.norm((shapes[:, None] - shapes).reshape(len(shapes), len(shapes), -1), axis=2)
    assert apart[~np.eye(len(shapes), dtype=bool)].min() > 0


def test_photos_are_made_for_every_mouth() -> None:
    photo, rest = closed()
    places = np.stack([rest, mouth(0.5, side=SIDE), mouth(1.0, side=SIDE)]) / SIDE
    made = opened_mouths(photo, rest / SIDE, points=places, rest=rest / SIDE, pixels_per_unit=UNIT)
    assert len(made) == 3
    assert made.points.dtype == np.float32
    assert np.abs(made.crops[0].astype(int) - photo).mean() < 0.5
    assert (made.crops[2][inside(places[2] * SIDE)].max(axis=1) > 170).any(), "teeth"


def test_an_open_mouth_is_closed_without_a_slit_of_teeth() -> None:
    shown, rest = mouth(0.9, side=SIDE), mouth(0.0, side=SIDE)
    made = clip()
    photo = made.crops[int(np.argmin(opening(made.points)))].astype(np.float64)
    maps = draw_landmark_map(shown, side=SIDE, map_side=SIDE)[..., None] / 255.0
    for part, colour in zip(maps[:3], ((235, 230, 220), (170, 70, 80), (180, 80, 90)), strict=True):
        photo += (np.array(colour) - photo) * part
    closed_mouths = opened_mouths(
        photo.round().astype(np.uint8),
        shown / SIDE,
        points=rest[None] / SIDE,
        rest=rest / SIDE,
        pixels_per_unit=UNIT,
    )
    across = slice(SIDE // 2 - 25, SIDE // 2 + 25)
    middle = round(0.6 * SIDE)
    assert closed_mouths.crops[0][middle - 12 : middle + 12, across, 1].max() < 110
