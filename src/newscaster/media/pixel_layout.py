"""Pixel layouts: bits per sample and chroma subsampling of the frames that are kept as decoded.

Names FFmpeg's pixel formats, and for every other format the nearest kept one. Leaves samples to `frame`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from av.video.format import VideoFormat

_NAMES = {(2, 2): "4:2:0", (2, 1): "4:2:2", (1, 1): "4:4:4"}
_WIDE = 1024


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """A planar YUV layout."""

    depth: int
    """Bits per sample: 8 or 10."""
    across: int
    """Columns of luma per sample of chroma: 1 or 2."""
    down: int
    """Rows of luma per sample of chroma: 1 or 2."""

    @property
    def name(self) -> str:
        """FFmpeg's pixel format."""
        return f"yuv{_NAMES[self.across, self.down].replace(':', '')}p" + ("10le" if self.depth > 8 else "")

    @property
    def peak(self) -> int:
        """The largest sample value."""
        return (1 << self.depth) - 1

    def __str__(self) -> str:
        """Return the layout in words."""
        return f"{_NAMES[self.across, self.down]} of {self.depth} bits"


PLAIN = PixelLayout(8, 2, 2)
"""The layout that every player shows."""


@cache
def layout_of(name: str) -> PixelLayout:
    """Return the kept layout that loses least of a pixel format.

    >>> layout_of("nv12").name, layout_of("yuvj422p").name, layout_of("yuv420p12le").name
    ('yuv420p', 'yuv422p', 'yuv420p10le')

    RGB has no subsampling. 4:4:0 becomes 4:4:4, 4:1:1 and 4:1:0 become 4:2:0, and so does grey.
    """
    pixels = VideoFormat(name)
    depth = 8 if _bits(pixels) <= 8 else 10
    across, down = _sampling(pixels)
    if across > 2 or down > 2:
        return PixelLayout(depth, 2, 2)
    return PixelLayout(depth, 1, 1) if (across, down) == (1, 2) else PixelLayout(depth, across, down)


def describe_change(name: str) -> str | None:
    """Return what a pixel format loses in its kept layout, in words; None if nothing."""
    pixels, kept = VideoFormat(name), layout_of(name)
    losses = {
        f"{_bits(pixels)} bits": _bits(pixels) > kept.depth,
        "transparency": any(part.is_alpha for part in pixels.components),
        "RGB": _is_rgb(pixels),
        "its chroma subsampling": _sampling(pixels) != (kept.across, kept.down),
    }
    lost = [text for text, is_lost in losses.items() if is_lost]
    return f"pixel format {name} becomes {kept}: {', '.join(lost)} cannot be kept" if lost else None


def _bits(pixels: VideoFormat) -> int:
    return max(part.bits for part in pixels.components)


def _is_rgb(pixels: VideoFormat) -> bool:
    return pixels.is_rgb or pixels.has_palette


def _sampling(pixels: VideoFormat) -> tuple[int, int]:
    """Return columns and rows of luma per sample of chroma."""
    if _is_rgb(pixels):
        return 1, 1
    if len(pixels.components) < 3:  # grey
        return 2, 2
    return _WIDE // pixels.chroma_width(_WIDE), _WIDE // pixels.chroma_height(_WIDE)
