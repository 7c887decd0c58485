from __future__ import annotations

import pytest

from newscaster.media.subtitle_text import from_text, text_of


@pytest.mark.parametrize(
    ("packet", "codec", "text"),
    [
        (b"<i>Good</i> evening.\r\nThe news.", "subrip", "Good evening.\nThe news."),
        (b"1 < 2", "subrip", "1 < 2"),
        (b"<c.red>Q &amp; A</c>", "webvtt", "Q & A"),
        (rb"1,0,Default,,0,0,0,,{\i1}Yes, good\Nevening{\i0}", "ass", "Yes, good\nevening"),
        (b"\x00\x05Hello\x00\x00\x00\x0cstyl", "mov_text", "Hello"),
        (b"\x00\x00", "mov_text", ""),
    ],
)
def test_text_is_found_without_its_styles(packet: bytes, codec: str, text: str) -> None:
    assert text_of(packet, codec) == text


def test_text_comes_back_from_each_format() -> None:
    for codec in ("mov_text", "subrip"):
        assert text_of(from_text("Grüß\nGott", codec), codec) == "Grüß\nGott"  # type: ignore[arg-type]
