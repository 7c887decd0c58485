"""Small plots over time as inline SVG, without scripts or libraries.

Colours are CSS classes of the page's style sheet. Plots therefore follow its light and dark themes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from newscaster.face.geometry import runs
from newscaster.texts import escaped
from newscaster.types import ArrayBool, ArrayF64

_WIDTH, _HEIGHT = 720, 130
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 16, 10, 20
_MAX_POINTS = 700


@dataclass(frozen=True)
class Line:
    """A series over time; NaN leaves a gap."""

    label: str
    values: ArrayF64
    colour: str
    """CSS class of the style sheet: "c1", "c2" or "c3"."""


@dataclass(frozen=True)
class Plot:
    """A finished plot."""

    title: str
    lines: tuple[Line, ...]
    svg: str


def plot(
    title: str,
    lines: Sequence[Line],
    *,
    seconds: float,
    limits: tuple[float, float] | None = None,
    shade: ArrayBool | None = None,
) -> Plot:
    """Draw lines over time.

    Args:
        title: quantity and unit.
        lines: each spans all of ``seconds``.
        seconds: length of the time axis.
        limits: minimum and maximum of the value axis; None fits the lines.
        shade: True tints the background; spans all of ``seconds``.
    """
    low, high = limits or _fit(lines)
    ticks = _ticks(low, high)

    def x_of(fraction: float) -> float:
        return _LEFT + fraction * (_WIDTH - _LEFT - _RIGHT)

    def y_of(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    label = escape(escaped(title))
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}, over time">']
    for start, stop in runs(shade) if shade is not None else []:
        assert shade is not None
        x, end = x_of(start / len(shade)), x_of(stop / len(shade))
        height = _HEIGHT - _TOP - _BOTTOM
        parts.append(f'<rect class="shade" x="{x:.1f}" y="{_TOP}" width="{end - x:.1f}" height="{height}"/>')
    for tick in ticks:
        y = y_of(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for tick in (t for t in _ticks(0, seconds) if 0 <= t <= seconds):
        x, y_label = x_of(tick / seconds), _HEIGHT - 5
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y_label}" text-anchor="middle">{tick:g} s</text>')
    for line in lines:
        parts += [
            f'<path class="line {line.colour}" d="{d}"/>' for d in _paths(line.values, x_of, y_of, low, high)
        ]
    return Plot(title, tuple(lines), "".join([*parts, "</svg>"]))


def _paths(
    values: ArrayF64, x_of: Callable[[float], float], y_of: Callable[[float], float], low: float, high: float
) -> list[str]:
    stride = -(-len(values) // _MAX_POINTS)
    paths = []
    for start, stop in runs(np.isfinite(values)):
        points = (
            f"{x_of((i + 0.5) / len(values)):.1f} {y_of(float(np.clip(values[i], low, high))):.1f}"
            for i in range(start, stop, stride)
        )
        paths.append("M" + "L".join(points))
    return paths


def _fit(lines: Sequence[Line]) -> tuple[float, float]:
    finite = [line.values[np.isfinite(line.values)] for line in lines]
    values = np.concatenate([*finite, np.zeros(0)])
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    margin = max(0.06 * (high - low), 1e-3)
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Return three to six round values."""
    raw = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(next(m for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999) * power)
    first = np.ceil(low / step - 1e-9) * step
    return [round(float(v), 10) + 0.0 for v in np.arange(first, high + 1e-9, step)]
