from __future__ import annotations

import pytest

from newscaster.media.pixel_layout import PLAIN, describe_change, layout_of


@pytest.mark.parametrize(
    ("pixels", "kept", "lost"),
    [
        ("yuv420p", "yuv420p", None),
        ("yuvj422p", "yuv422p", None),
        ("nv12", "yuv420p", None),
        ("p010le", "yuv420p10le", None),
        ("gray", "yuv420p", None),
        ("yuv422p10le", "yuv422p10le", None),
        ("yuv444p12le", "yuv444p10le", "12 bits"),
        ("gbrp", "yuv444p", "RGB"),
        ("yuva420p", "yuv420p", "transparency"),
        ("yuv411p", "yuv420p", "chroma subsampling"),
        ("yuv440p", "yuv444p", "chroma subsampling"),
    ],
)
def test_the_nearest_layout_is_kept_and_losses_are_named(pixels: str, kept: str, lost: str | None) -> None:
    assert layout_of(pixels).name == kept
    note = describe_change(pixels)
    assert note is None if lost is None else lost in str(note)


def test_the_plain_layout() -> None:
    assert (PLAIN.name, PLAIN.peak, str(PLAIN)) == ("yuv420p", 255, "4:2:0 of 8 bits")
    assert layout_of("yuv420p10le").peak == 1023
