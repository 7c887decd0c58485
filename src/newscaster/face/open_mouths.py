"""Open mouths of a person of whom there is one photo: what a renderer copies from, made from it.

Lips are moved apart by the flow of `face.reference_flow`, which keeps their own pixels. Between them a
photo of a closed mouth has nothing: `inner_mouth` draws teeth and tongue in the light of the photo.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from newscaster.face.inner_mouth import ENAMEL, draw_inner_mouth
from newscaster.face.landmark_map import fill_polygon
from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.face.reference_flow import coarse_flow
from newscaster.face.references import References, spread_mouths
from newscaster.face.topology import INNER_RING, JAW_LINE, MOUTH_POINTS, RING
from newscaster.types import ArrayBool, ArrayF64, ArrayFloat, ArrayI64, ImageU8

COUNT = 60
"""Mouths that are made of one photo."""
_DRAWN = 4000
_DIRECTIONS = 6
"""Directions of the basis along which mouths vary: beyond them are details that no single photo tells."""
_MAX_STDS = 2.2
_MIN_GAP = -0.004
"""Inner lips may cross by so much, in IOD: the basis is linear, and closed lips press."""
_SMALLEST_OPENING = 0.01
"""In IOD; with less, there is no inner mouth to be seen."""
_LIP_EDGE, _BLUR_PX = 0.025, 1.0
"""What is skipped at the inner border of parted lips: in IOD, and in pixels."""
_MAX_OF_LIP = 0.35
"""The same, of the lip's height, at most."""
_FLOW_CELLS = 64
_BLOCK = 4
"""Cells to a side of a block that may become one tile."""
_BILINEAR_PX = 0.1
"""The flow of such a block may differ from a bilinear one by so much."""
_OVERSAMPLING = 4
_WITH_UPPER, _WITH_LOWER = (
    [point for point in range(MOUTH_POINTS) if point not in between]
    for between in (
        range(INNER_RING.start + RING // 2 + 1, INNER_RING.stop),
        range(INNER_RING.start + 1, INNER_RING.start + RING // 2),
    )
)
"""The points of the mouth without the inner border of the other lip."""
_MAX_REFLECTANCE = 0.8
"""Brightest channel of skin over that of white in the same light."""
_HIGHLIGHTS = 0.95
"""White over the highlights of skin."""
_SAME_HUE = 0.02
"""Difference from one hue, relative to the brightness, up to which a photo is monochrome. Portraits in
colour have 0.05 or more."""
_SKIN = np.array([1.315, 0.94, 0.81])
"""Chromaticity of skin in ordinary light: each channel over the geometric mean of all. Mean of 40 videos."""
_TINT = 0.9
"""How much of the difference from it is due to the light: slope of the teeth's chromaticities (logarithms)
over the skin's. It is 1 in nine videos of large faces, and 0.7 in 24 of small ones, in which pixels of teeth
are mixed with lips. The rest is that of the skin itself."""


def natural_shapes(basis: MouthBasis, count: int = COUNT) -> ArrayF64:
    """Return mouths that speech may make, (count, 57, 2) in head units; the first is at rest.

    They are spread over a normal distribution along the strongest directions of the basis, whose unit is the
    standard deviation in speech.
    """
    generator = np.random.default_rng(0)
    coefficients = np.zeros((_DRAWN, basis.size))
    used = min(_DIRECTIONS, basis.size)
    coefficients[1:, :used] = generator.standard_normal((_DRAWN - 1, used)).clip(-_MAX_STDS, _MAX_STDS)
    shapes = basis.reconstruct(coefficients)
    shapes = shapes[_gap(shapes) >= min(_MIN_GAP, float(_gap(shapes[:1])[0]))]
    others = spread_mouths(shapes[1:], count - 1) + 1
    return np.concatenate([shapes[:1], shapes[others]])


def opened_mouths(
    photo: ImageU8,
    mouth: ArrayFloat,
    *,
    points: ArrayFloat,
    rest: ArrayFloat,
    pixels_per_unit: float,
) -> References:
    """Return photos of a person with other mouths.

    Args:
        photo: face crop (S, S, 3).
        mouth: (57, 2), where its mouth is, in crop widths.
        points: (N, 57, 2), where the mouths to make are, in crop widths.
        rest: (57, 2), where the mouth is at rest, in crop widths.
        pixels_per_unit: pixels of the crop per IOD.
    """
    side = len(photo)
    monochrome = is_monochrome(photo)
    light = white_light(photo, mouth, monochrome=monochrome)
    edge = (_LIP_EDGE * pixels_per_unit + _BLUR_PX) / side
    lips = _lips_alone(np.asarray(mouth, np.float64), edge=edge)
    crops = []
    for place in points:
        moved = moved_mouth(photo, lips, place)
        if float(opening(place)) * side > _SMALLEST_OPENING * pixels_per_unit:
            moved = draw_inner_mouth(
                moved,
                side * place,
                side * rest,
                pixels_per_unit=pixels_per_unit,
                light=light,
                monochrome=monochrome,
            )
        crops.append(moved)
    return References(crops, np.asarray(points, np.float32))


def _lips_alone(mouth: ArrayF64, *, edge: float) -> ArrayF64:
    """Return a mouth (57, 2) whose inner border lies in the lips, at most by ``edge``.

    Pixels at the border of parted lips show teeth, too, and the wet part of the lips: both are hidden where
    they meet. Lips that touch stay as they are.
    """
    half = RING // 2
    lips = mouth.copy()
    outer, inner = mouth[:RING], mouth[INNER_RING]
    gaps = np.linalg.norm(inner - inner[-np.arange(RING)], axis=1)
    gaps[[0, half]] = 0
    outwards = outer - inner
    thickness = np.linalg.norm(outwards, axis=1)
    moved = np.minimum(np.minimum(edge, gaps / 2), _MAX_OF_LIP * thickness)
    lips[INNER_RING] += outwards * (moved / np.maximum(thickness, 1e-9))[:, None]
    return lips


def moved_mouth(photo: ImageU8, mouth: ArrayFloat, place: ArrayFloat) -> ImageU8:
    """Move the mouth of a photo (S, S, 3) to another place (57, 2), both in crop widths; bilinear.

    Each lip has a flow of its own, up to the line between them: lips that touch in one mouth and are apart in
    the other would fold a common one.
    """
    side = len(photo)
    mouth, place = np.asarray(mouth, np.float64), np.asarray(place, np.float64)
    line = _line_between(place, side)
    # Below `first` and above `last`, a row belongs to one lip alone.
    first, last = (int(np.clip(end, 0, side)) for end in (np.floor(line.min()) - 1, np.ceil(line.max()) + 1))
    upper = _sampled(photo, mouth[_WITH_UPPER], place[_WITH_UPPER], rows=(0, last))
    moved = _sampled(photo, mouth[_WITH_LOWER], place[_WITH_LOWER], rows=(first, side))
    moved[:first] = upper[:first]
    weight = np.clip(np.arange(first, last)[:, None] + 1 - line, 0, 1).astype(np.float32)
    both = upper[first:last] + (moved[first:last].astype(np.float32) - upper[first:last]) * weight[..., None]
    moved[first:last] = both + 0.5
    return moved


def _sampled(photo: ImageU8, mouth: ArrayFloat, place: ArrayFloat, *, rows: tuple[int, int]) -> ImageU8:
    """Return a photo (S, S, 3) whose points (P, 2) are moved to their places, in crop widths; bilinear.

    Only `rows`, from the first to before the second, are valid.
    """
    side = len(photo)
    cell = max(4, side // _FLOW_CELLS)
    flow = side * coarse_flow(place, np.asarray(mouth)[None], cells=side // cell)[0]
    # The flow is known at the centres of cells; at the edges it is that of the nearest one.
    flow = np.pad(flow, ((0, 0), (1, 1), (1, 1)), mode="edge")
    at = np.concatenate([[0], np.arange(cell // 2, side, cell), [side]])
    x, y = np.broadcast_to(at, flow[0].shape) + flow[0], at[:, None] + flow[1]
    mesh = [
        tile
        for tile in _tiles(at, np.stack([x, y], axis=-1))
        if tile[0][3] > rows[0] and tile[0][1] < rows[1]
    ]
    moved = Image.fromarray(photo).transform(
        (side, side), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR
    )
    return np.array(moved)


_Tile = tuple[tuple[int, ...], tuple[float, ...]]


def _tiles(at: ArrayI64, sources: ArrayF64) -> list[_Tile]:
    """Return Pillow's mesh for places `at` (N,) in both directions, and their sources (N, N, 2).

    Where the sources are nearly bilinear, one tile covers a block of cells: each costs Pillow more than its
    pixels.
    """
    ends = np.unique([*range(0, len(at) - 1, _BLOCK), len(at) - 1])
    hats = np.stack([np.interp(at, at[ends], one) for one in np.eye(len(ends))], axis=1)
    bilinear = np.einsum("ia,jb,abk->ijk", hats, hats, sources[ends][:, ends], optimize=True)
    error = np.abs(sources - bilinear).max(axis=-1)
    for _ in range(2):  # the largest of each block, both of its edges included
        error = np.maximum(np.maximum.reduceat(error, ends[:-1]), error[ends[1:]]).T
    whole = error < _BILINEAR_PX
    blocks = _quads(at, sources, ends, whole)
    fine = ~np.repeat(np.repeat(whole, np.diff(ends), axis=0), np.diff(ends), axis=1)
    return blocks + _quads(at, sources, np.arange(len(at)), fine)


def _quads(at: ArrayI64, sources: ArrayF64, ends: ArrayI64, wanted: ArrayBool) -> list[_Tile]:
    """Return the wanted ones (n, n) of the tiles that end at the places number `ends` (n + 1,)."""
    top, left = np.nonzero(wanted)
    (top, bottom), (left, right) = ((ends[first], ends[first + 1]) for first in (top, left))
    boxes = np.stack([at[left], at[top], at[right], at[bottom]], axis=1).tolist()
    corners = [sources[i, j] for i, j in ((top, left), (bottom, left), (bottom, right), (top, right))]
    quads = np.concatenate(corners, axis=1).tolist()
    return [(tuple(box), tuple(quad)) for box, quad in zip(boxes, quads, strict=True)]


def _line_between(mouth: ArrayFloat, side: int) -> ArrayF64:
    """Return the height of the line between the lips in each column, (S,) pixels."""
    half = RING // 2
    inner = np.asarray(mouth[INNER_RING] * side, np.float64)
    upper, lower = inner[: half + 1], np.concatenate([inner[:1], inner[: half - 1 : -1]])
    middle = (upper + lower) / 2
    order = np.argsort(middle[:, 0])
    return np.asarray(np.interp(np.arange(side) + 0.5, middle[order, 0], middle[order, 1]))


def white_light(crop: ImageU8, mouth: ArrayFloat, *, monochrome: bool = False) -> ArrayF64:
    """Return the light at the mouth of a crop (S, S, 3), (3,): 255 times a reflectance of 1; a guess.

    Skin reflects at most four fifths of the light, dark skin less: its highlights tell. The colour of the
    light is guessed from the skin's, and is the skin's in a monochrome photo. Enamel is as bright as white.
    """
    side, points = len(crop), np.asarray(mouth)
    lips = np.asarray(_polygon(points[:RING], side).filter(ImageFilter.MaxFilter(7))) > 0
    face: ArrayBool = np.asarray(_polygon(points[JAW_LINE], side)) > 127
    ring = face & ~lips
    pixels = crop[ring if ring.any() else ~lips].astype(np.float64)
    skin = pixels.mean(axis=0)
    brightest = max(skin.max() / _MAX_REFLECTANCE, _HIGHLIGHTS * np.percentile(pixels.max(axis=1), 98))
    colour = np.maximum(skin, 1) / np.exp(np.log(np.maximum(skin, 1)).mean())
    if monochrome:
        return np.asarray(min(brightest, 255) * colour / colour.max())
    tint = (colour / _SKIN) ** _TINT
    return np.asarray(min(brightest, 255) * tint / (tint * ENAMEL / ENAMEL.max()).max())


def is_monochrome(crop: ImageU8) -> bool:
    """Return whether a crop (S, S, 3) has one hue, as in a black and white or sepia photo."""
    pixels = crop.reshape(-1, 3).astype(np.float64)
    grey = pixels.mean(axis=1)
    power = float(grey @ grey)
    hue = grey @ pixels / max(power, 1.0)
    return float(((pixels - grey[:, None] * hue) ** 2).sum()) <= 3 * _SAME_HUE**2 * power


def _polygon(points: ArrayFloat, side: int) -> Image.Image:
    """Return the coverage of a polygon, in crop widths, by each pixel, as an image."""
    large = side * _OVERSAMPLING
    return fill_polygon(points * large, (large, large)).reduce(_OVERSAMPLING)


def _gap(shapes: ArrayF64) -> ArrayF64:
    """Return the smallest distance from upper to lower inner lip, negative where they cross, (N,)."""
    half = RING // 2
    inner = shapes[:, INNER_RING, 1]
    upper, lower = inner[:, 1:half], inner[:, :half:-1]
    return np.asarray((lower - upper).min(axis=1))
