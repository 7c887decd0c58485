"""Blinks and saccades, drawn into the photograph before the head turns.

Three layers: the eyeball, over it the lower lid, over both the upper lid. An upper lid that closes takes the
lash line down to the lower lid. The skin between the lash line and the brow is extended; near the lashes it
moves as one. The lower lid rises a little. The eyeball moves by the gaze, its white is stretched or squeezed
between iris and corners. Lids and eyes are the person's own pixels, so glasses in front of them are moved
where they cross a lid: only above the eye opening and inside it.

Often the lash line, or the fold of a hooded lid, continues outwards beyond the outer corner. If it stayed,
the line of a closed lid would rise to the corner and fall again. So it belongs to the upper lid, as far as it
can be traced, and closes to the chord from its end to the lower lid.

Coordinates of an eye: x along the line through its corners, y across it, downwards, in pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from newscaster.face.geometry import smoothstep
from newscaster.media.doubling import bilinear, doubled
from newscaster.still.lash_line import trace_lash_line
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, ArrayI64, ImageU8, Landmarks

MIN_OPENING = 0.13
"""Minimum height of an open eye, as a fraction of its width: a smaller one does not blink."""
EYEBALL_IOD = 0.133
"""Radius of the eyeball: 12 mm of 90."""
_RISE = 0.12
"""How much of the opening the lower lid closes."""
_LASH_IOD = 0.014
"""Thickness of the strip below the edge of the lid that moves along: the lash line."""
_LASH_OPENING = 0.22
"""The same, at most, as a fraction of the opening."""
_FEATHER_IOD, _MIN_FEATHER_PX = 0.01, 1.2
_ZONE = 0.8
"""The skin that is extended, as a fraction of the distance from lid to brow."""
_ZONE_IOD = (0.08, 0.26)
_PLACES, _PLACE_WIDTH = (-0.35, -0.18, 0.0, 0.18, 0.35), 0.12
"""Places along the eye, in its widths, at which the skin above the lid is measured, and their extent."""
_DARK = 0.5
"""Brightness, relative to the cheeks, of what is no skin: a rim of glasses, a brow."""
_EVEN = 0.75
"""Minimum height of the skin at one place, relative to the median: lashes at a corner end it too early."""
_CHEEKS = (50, 280)
_EDGE_REACH = 0.08
"""How far beyond its landmarks the edge of a lid is searched, in widths of the eye."""
_EDGE_CONTRAST = 0.15
"""Minimum fall of the whiteness from eye to lid."""
_EDGE_LEVEL = 0.25
"""How white the edge is, from the darkest point, 0, to the brightest, 1."""
_EDGE_PLACES, _EDGE_STEPS = 41, 24
_EDGE_SMOOTHING = 0.12
"""Standard deviation of the smoothing of that edge along the eye, in its widths."""
_CORNER_SMOOTHING = 0.05
"""Standard deviation of the smoothing of the upper edge about the corner, in widths of the eye."""
_CHORD = 0.3
"""Where the chord meets the lower lid, in widths of the eye from the outer corner."""
_LOWER_ZONE_IOD = 0.14
_BISECTIONS = 12


class _EyePoints(NamedTuple):
    upper: tuple[int, ...]
    """The edge of the upper lid from the image's left to its right, both corners included."""
    lower: tuple[int, ...]
    brow: tuple[int, ...]
    """The lower edge of the brow."""
    iris: tuple[int, ...]
    """Its centre, then four points of its edge."""


EYES = (
    _EyePoints(
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
        (46, 53, 52, 65, 55),
        (468, 469, 470, 471, 472),
    ),
    _EyePoints(
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
        (285, 295, 282, 283, 276),
        (473, 474, 475, 476, 477),
    ),
)
"""The eye at the image's left, and that at its right."""


class Patch(NamedTuple):
    """Pixels that replace a part of the photograph."""

    left: int
    top: int
    pixels: ImageU8
    """(h, w, 3)."""

    @property
    def box(self) -> tuple[slice, slice]:
        """Its rows and columns in the photograph."""
        height, width = self.pixels.shape[:2]
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


class Eyes:
    """Both eyes of a photograph.

    Args:
        photo: (H, W, 3).
        landmarks: (478, 3).
        iod: inter-ocular distance in pixels.
    """

    def __init__(self, photo: ImageU8, landmarks: Landmarks, *, iod: float) -> None:
        self._eyes = [
            _Eye(photo, landmarks, points, iod, outwards=side)
            for points, side in zip(EYES, (-1, 1), strict=True)
        ]
        self._iod = iod

    @property
    def can_blink(self) -> bool:
        """Whether both eyes are open in the photograph."""
        return all(eye.aspect >= MIN_OPENING for eye in self._eyes)

    def patches(self, closure: float, gaze: tuple[float, float]) -> Iterator[Patch]:
        """Yield what changes in the photograph.

        Args:
            closure: of the lids, 0 as in the photograph to 1 closed; ignored if the eyes cannot blink.
            gaze: rotation of the eyeballs relative to the photograph, in degrees, right and down.
        """
        closure, shift = self._checked(closure, gaze)
        if closure > 0 or any(shift):
            for eye in self._eyes:
                yield eye.patch(closure, shift)

    def move(self, landmarks: ArrayFloat, closure: float, gaze: tuple[float, float]) -> ArrayF64:
        """Return the photograph's landmarks (478, >=2) with the lids and irises of :meth:`patches`."""
        out = landmarks.astype(np.float64)
        closure, shift = self._checked(closure, gaze)
        for eye in self._eyes:
            eye.move(out, closure, shift)
        return out

    def _checked(self, closure: float, gaze: tuple[float, float]) -> tuple[float, tuple[float, float]]:
        right, down = EYEBALL_IOD * self._iod * np.sin(np.radians(gaze))
        return (min(max(closure, 0.0), 1.0) if self.can_blink else 0.0), (float(right), float(down))


class _Lids(NamedTuple):
    """Heights of an eye's lids at places (P,) along the eye, in its coordinates."""

    upper: ArrayF64
    lower: ArrayF64
    zone: ArrayF64
    """Height of the skin above the upper lid that is extended."""

    @property
    def opening(self) -> ArrayF64:
        return np.asarray(self.lower - self.upper)


class _Eye:
    def __init__(
        self, photo: ImageU8, landmarks: Landmarks, points: _EyePoints, iod: float, *, outwards: int
    ) -> None:
        """``outwards`` is the direction of the outer corner along the eye, -1 or 1."""
        self._points, self._iod, self._outwards = points, iod, outwards
        flat = landmarks[:, :2].astype(np.float64)
        left, right = flat[points.upper[0]], flat[points.upper[-1]]
        self._width = max(float(np.linalg.norm(right - left)), 1e-3)
        along = (right - left) / self._width
        self._axes = np.array([along, [-along[1], along[0]]])
        self._middle = (left + right) / 2
        self._upper, self._lower, self._brow = (
            self._to_eye(flat[list(line)]) for line in (points.upper, points.lower, points.brow)
        )
        iris = self._to_eye(flat[list(points.iris)])
        self._iris: tuple[float, float] = (float(iris[0, 0]), float(iris[0, 1]))
        self._iris_radius = float(np.linalg.norm(iris[1:] - iris[0], axis=1).mean())
        cheeks = float(_luma(photo, flat[list(_CHEEKS)]).mean())
        self._skin = self._skin_height(photo, cheeks)
        opening = self._lids(np.linspace(-0.25, 0.25, 9) * self._width).opening
        self.aspect: float = float(opening.max()) / self._width
        self._feather = max(_MIN_FEATHER_PX, _FEATHER_IOD * iod)
        self._edges = [
            self._seen_edge(photo, line, away) for line, away in ((self._upper, -1), (self._lower, 1))
        ]
        self._add_tail(self._tail(photo))
        self._cut(photo)

    def _cut(self, photo: ImageU8) -> None:
        """Cut the part of the photograph out that may change, and measure the lids at its pixels."""
        first, last = self._edges[0][[0, -1], 0].tolist()
        above = float(-(self._upper[:, 1].min())) + _ZONE_IOD[1] * self._iod
        below = max(float(self._lower[:, 1].max()), float(self._edges[1][:, 1].max()))
        below += _LOWER_ZONE_IOD * self._iod
        corners = (
            np.array([(x, y) for x in (first, last) for y in (-above, below)]) @ self._axes + self._middle
        )
        size = photo.shape[1::-1]
        low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 1, 0, np.array(size) - 1)
        high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, low + 1, size)
        self._left, self._top = map(int, low)
        self._pixels: ImageU8 = photo[low[1] : high[1], low[0] : high[0]]
        self._doubled: ArrayF32 = doubled(self._pixels).astype(np.float32)
        shape = self._pixels.shape[:2]
        rows, columns = np.mgrid[: shape[0], : shape[1]].reshape(2, -1) + 0.5
        x, y = self._to_eye(np.stack([columns + self._left, rows + self._top], axis=1)).T
        inside = (x > first) & (x < last)
        self._inside = np.flatnonzero(inside)
        self._x, self._y = x[inside], y[inside]
        self._at = self._lids(self._x, *self._edges)

    def patch(self, closure: float, shift: tuple[float, float]) -> Patch:
        at, y = self._at, self._y
        lash = np.minimum(_LASH_IOD * self._iod, _LASH_OPENING * at.opening)
        drop, rise = self._travel(at, closure)
        upper = 1 - smoothstep((y - at.upper - drop - 0.5 * lash) / self._feather)
        lower = smoothstep((y - at.lower + rise + 0.5 * lash) / self._feather + 1) * (1 - upper)
        ball = 1 - upper - lower
        changes = (upper > 0) * (drop > 0) + (lower > 0) * (rise > 0) + (ball > 0) * any(shift) > 0
        out = np.zeros((len(y), 3), np.float32)
        for weight, source in (
            (upper, lambda part: (0.0, self._before_closing(part, drop))),
            (lower, lambda part: (0.0, self._before_rising(part, rise))),
            (ball, lambda part: self._before_looking(part, shift)),
        ):
            part = np.flatnonzero((weight > 0) & changes)
            across, down = source(part)
            out[part] += weight[part, None].astype(np.float32) * self._sample(part, across, down)
        pixels = self._pixels.copy()
        where = self._inside[changes]
        pixels.reshape(-1, 3)[where] = np.rint(out[changes].clip(0, 255)).astype(np.uint8)
        rows, columns = (
            slice(int(at.min()), int(at.max()) + 1) if len(at) else slice(0, 1)
            for at in np.divmod(where, pixels.shape[1])
        )
        return Patch(self._left + columns.start, self._top + rows.start, pixels[rows, columns])

    def _travel(self, at: _Lids, closure: float) -> tuple[ArrayF64, ArrayF64]:
        """Return how far the edges of the upper lid go down and of the lower lid up."""
        return closure * (1 - _RISE) * at.opening, closure * _RISE * at.opening

    def _before_closing(self, part: ArrayI64, drop: ArrayF64) -> ArrayF64:
        """Return the offsets (P,) down to the source of pixels of the upper lid."""
        at, zone = self._at, self._at.zone[part]
        height = (self._y[part] - at.upper[part] + zone) / zone
        ratio = drop[part] / zone
        low, high = height - ratio, height
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            is_above = middle + ratio * smoothstep(middle) < height
            low, high = np.where(is_above, middle, low), np.where(is_above, high, middle)
        return np.asarray(((low + high) / 2 - height) * zone)

    def _before_rising(self, part: ArrayI64, rise: ArrayF64) -> ArrayF64:
        zone = _LOWER_ZONE_IOD * self._iod
        below = (self._y[part] - self._at.lower[part] + rise[part]) / (zone + rise[part])
        return np.asarray(rise[part] * (1 - smoothstep(below)))

    def _before_looking(self, part: ArrayI64, shift: tuple[float, float]) -> tuple[ArrayF64, ArrayF64]:
        x, at = self._x[part], self._at
        height = (self._y[part] - at.upper[part]) / np.maximum(at.opening[part], 1e-6)
        across = self._ball_weight(x)
        down = across * smoothstep(height / 0.3) * smoothstep((1 - height) / 0.3)
        return -shift[0] * across, -shift[1] * down

    def _ball_weight(self, x: ArrayF64) -> ArrayF64:
        half, radius = self._width / 2, 0.9 * self._iris_radius
        left = (x + half) / max(self._iris[0] - radius + half, 1e-3)
        right = (half - x) / max(half - self._iris[0] - radius, 1e-3)
        return np.asarray(np.clip(left, 0, 1) * np.clip(right, 0, 1))

    def _sample(self, part: ArrayI64, across: ArrayF64 | float, down: ArrayF64) -> ArrayF32:
        """Return the photograph's colours (P, 3) beside pixels of the patch, offsets in eye coordinates."""
        width = self._pixels.shape[1]
        offsets = np.stack(np.broadcast_arrays(across, down), axis=1) @ self._axes
        row, column = np.divmod(self._inside[part], width)
        return bilinear(self._doubled, 2 * (column + offsets[:, 0]), 2 * (row + offsets[:, 1]))

    def move(self, landmarks: ArrayF64, closure: float, shift: tuple[float, float]) -> None:
        """Move the lids' and the iris's points of landmarks (478, >=2), in place."""
        points = self._to_eye(landmarks[:, :2])
        x, y = points.T
        at = self._lids(x)
        drop, rise = self._travel(at, closure)
        near = np.abs(x) < self._width / 2
        near[[i for eye in EYES for i in eye.iris]] = False
        down = drop * smoothstep((y - at.upper + at.zone) / at.zone)
        up = rise * (1 - smoothstep((y - at.lower) / (_LOWER_ZONE_IOD * self._iod)))
        is_upper = y < (at.upper + at.lower) / 2
        points[:, 1] += np.where(near, np.where(is_upper, down, -up), 0)
        iris = list(self._points.iris)
        points[iris] += np.array(shift)
        landmarks[:, :2] = points @ self._axes + self._middle

    def _lids(self, x: ArrayF64, *edges: ArrayF64) -> _Lids:
        """Return the lids at places (P,), by their landmarks or by edges (n, 2), the upper and the lower."""
        lines = edges or (self._upper, self._lower)
        upper, lower = (np.interp(x, line[:, 0], line[:, 1]) for line in lines)
        zone = np.interp(x, np.array(_PLACES) * self._width, self._skin)
        if edges:
            raised = np.interp(x, self._upper[:, 0], self._upper[:, 1]) - upper
            zone = np.maximum(zone - raised, _ZONE_IOD[0] * self._iod)
        return _Lids(upper, np.maximum(lower, upper), zone)

    def _skin_height(self, photo: ImageU8, skin: float) -> ArrayF64:
        """Return the height of the skin above the upper lid that can be extended, at :data:`_PLACES`."""
        limits = _ZONE_IOD[0] * self._iod, _ZONE_IOD[1] * self._iod
        heights = np.arange(4.5 * _LASH_IOD * self._iod, limits[1])
        ends_at, brows = [], []
        for place in np.array(_PLACES) * self._width:
            x = place + np.linspace(-0.5, 0.5, 7) * _PLACE_WIDTH * self._width
            upper = np.interp(x, self._upper[:, 0], self._upper[:, 1])
            at = np.stack(np.broadcast_arrays(x, upper - heights[:, None]), axis=-1)
            ends = np.flatnonzero(_luma(photo, at @ self._axes + self._middle).mean(axis=1) < _DARK * skin)
            ends_at.append(float(heights[ends[0]]) if len(ends) else limits[1])
            brows.append(float(upper.mean() - np.interp(place, self._brow[:, 0], self._brow[:, 1])))
        usual = float(np.median(ends_at))
        free = np.clip(np.array(ends_at), _EVEN * usual, usual)
        return np.asarray(np.clip(np.minimum(free, _ZONE * np.array(brows)), *limits))

    def _seen_edge(self, photo: ImageU8, line: ArrayF64, away: int) -> ArrayF64:
        """Return points (P, 2) of the edge of a lid, as the photograph shows it.

        The landmarks (n, 2) lie a few percent of the eye's width off. White beyond them would move with the
        lid, and stay visible when it is closed. So the edge is where the white ends: where the darkest of the
        three colours falls, which is darker in skin and lashes. Along the iris, which is no brighter than
        they are, the edge is interpolated.

        Args:
            photo: (H, W, 3).
            line: the landmarks in the eye's coordinates, from left to right.
            away: the direction out of the eye, -1 above and 1 below.
        """
        half = self._width / 2
        x = np.linspace(-half, half, _EDGE_PLACES)
        y = np.interp(x, line[:, 0], line[:, 1])
        steps = np.linspace(0, _EDGE_REACH * self._width, _EDGE_STEPS)
        places = np.stack(np.broadcast_arrays(x, y + away * steps[:, None]), axis=-1)
        white = _whiteness(photo, places @ self._axes + self._middle)
        is_before = np.arange(_EDGE_STEPS)[:, None] <= white.argmin(axis=0)
        darkest, brightest = white.min(axis=0), np.where(is_before, white, 0).max(axis=0)
        is_white = is_before & (white > darkest + _EDGE_LEVEL * (brightest - darkest))
        width = steps[_EDGE_STEPS - 1 - is_white[::-1].argmax(axis=0)]
        is_seen = (brightest - darkest >= _EDGE_CONTRAST * brightest) & is_white.any(axis=0)
        covers = (x - self._iris[0]) ** 2 + (y - self._iris[1]) ** 2 <= self._iris_radius**2
        if not (is_seen & ~covers).any():
            return np.stack([x, y], axis=1)
        width = np.interp(x, x[~covers], (width * is_seen)[~covers])
        width = np.maximum.reduce([np.roll(width, k) for k in range(-2, 3)])
        weights = np.exp(-(((x[:, None] - x) / (_EDGE_SMOOTHING * self._width)) ** 2) / 2)
        strip = 0.5 * _LASH_IOD * self._iod + 0.5 * self._feather  # it moves with the lid
        width = weights @ width / weights.sum(axis=1) + strip
        width *= smoothstep((half - np.abs(x)) / (0.4 * half))  # the corners stay
        return np.stack([x, y + away * width], axis=1)

    def _tail(self, photo: ImageU8) -> ArrayF64:
        """Return the lash line beyond the outer corner, (n, 2) from the corner outwards; n may be 0."""
        corner = self._upper[0 if self._outwards < 0 else -1]
        scale = np.array([self._outwards * self._width, self._width])

        def light(places: ArrayF64) -> ArrayF64:
            points = (corner + places * scale) @ self._axes + self._middle
            return np.asarray(_colours(photo, points).mean(axis=-1))

        line = trace_lash_line(light)
        return np.asarray(corner + line * scale)

    def _add_tail(self, tail: ArrayF64) -> None:
        """Continue the edges of the lids along the lash line (n, 2); the lower one is a chord to its end."""
        if len(tail) == 0:
            return
        end, upper, lower = tail[-1], *self._edges
        meets = self._outwards * (self._width / 2 - _CHORD * self._width)
        lash = np.array([0.0, 0.5 * _LASH_IOD * self._iod])
        chord = np.array([end, (meets, np.interp(meets, lower[:, 0], lower[:, 1]))])[:: -self._outwards]
        x = np.sort(np.concatenate([upper[:, 0], tail[:, 0]]))
        high, low = (
            np.interp(x, *edge[np.argsort(edge[:, 0], kind="stable")].T)
            for edge in (
                np.concatenate([each, tail + shift]) for each, shift in ((upper, lash), (lower, 0.0))
            )
        )
        beyond = self._outwards * (x - meets) > 0
        low = np.where(beyond, np.maximum(low, np.interp(x, *chord.T)), low)
        weights = np.exp(-(((x[:, None] - x) / (_CORNER_SMOOTHING * self._width)) ** 2) / 2)
        near = np.clip(1 - np.abs(x - self._outwards * self._width / 2) / (_CHORD * self._width), 0, 1)
        high += near * (weights @ high / weights.sum(axis=1) - high)
        self._edges = [np.stack([x, high], axis=1), np.stack([x, low], axis=1)]

    def _to_eye(self, points: ArrayF64) -> ArrayF64:
        return np.asarray((points - self._middle) @ self._axes.T)


def _luma(photo: ImageU8, points: ArrayF64) -> ArrayF64:
    """Return the brightness (...) of the pixels at points (..., 2), 0 to 255."""
    column, row = np.moveaxis(np.floor(points).astype(np.int64), -1, 0)
    column, row = np.clip(column, 0, photo.shape[1] - 1), np.clip(row, 0, photo.shape[0] - 1)
    return np.asarray(photo[row, column].mean(axis=-1))


def _whiteness(photo: ImageU8, points: ArrayF64) -> ArrayF64:
    """Return the darkest of the three colours (...) at points (..., 2), between pixels, 0 to 255."""
    return np.asarray(_colours(photo, points).min(axis=-1))


def _colours(photo: ImageU8, points: ArrayF64) -> ArrayF64:
    """Return the colours (..., 3) at points (..., 2), between pixels, 0 to 255."""
    x, y = points.reshape(-1, 2).T - 0.5
    colours = bilinear(photo.astype(np.float32), x, y)
    return np.asarray(colours, np.float64).reshape(*points.shape[:-1], 3)
