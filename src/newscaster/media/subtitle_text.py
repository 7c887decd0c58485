"""Text of subtitle packets, between the formats of containers: SubRip, WebVTT, ASS and MP4's timed text."""

from __future__ import annotations

import html
import re
from typing import Literal

TextCodec = Literal["mov_text", "subrip", "webvtt"]
"""Formats that text can be converted to."""
TEXT_CODECS = frozenset({"subrip", "srt", "text", "webvtt", "ass", "ssa", "mov_text"})
"""FFmpeg's names of the text formats that can be converted."""

_ASS_FIELDS = 8
"""Fields of an ASS event before its text, in a packet."""
_ASS_CODE = re.compile(r"\{[^}]*\}")
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


def text_of(packet: bytes, codec: str) -> str:
    """Return the plain text of a packet, lines separated by a line feed; empty if it shows nothing."""
    if codec == "mov_text":  # a length, the text, then boxes with styles (3GPP TS 26.245)
        return packet[2 : 2 + int.from_bytes(packet[:2], "big")].decode("utf-8", "replace").strip()
    text = packet.decode("utf-8", "replace").replace("\r\n", "\n")
    if codec in ("ass", "ssa"):
        text = text.split(",", _ASS_FIELDS)[-1]
        text = _ASS_CODE.sub("", text).replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    else:
        text = _TAG.sub("", text)
        text = html.unescape(text) if codec == "webvtt" else text
    return text.strip()


def from_text(text: str, codec: TextCodec) -> bytes:
    """Return plain text as a packet."""
    data = (html.escape(text, quote=False) if codec == "webvtt" else text).encode()
    return len(data).to_bytes(2, "big") + data if codec == "mov_text" else data
