"""MPEG audio headers: the length of an MP3 or AAC frame, and the length that an MP3 file states."""

from __future__ import annotations

from typing import BinaryIO

SYNC_BYTES = 6
"""First bytes of an MP3 or AAC frame, which determine its length."""
_ID3_BYTES = 10
_COUNT_OFFSETS = (13, 21, 36)
"""Offsets of the counts of frames and bytes in the first frame, after its side information."""
_HAS_FRAMES, _HAS_BYTES = 1, 2
_MAX_FRAME_BYTES = 8191
_MPEG_RATES = (44_100, 48_000, 32_000)
_KBITS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of the codes 1 to 14, by whether it is MPEG-1 (ISO 11172-3) or MPEG-2 (13818-3), and by layer."""


def mpeg_frame_bytes(head: bytes) -> int | None:
    """Return the length of the MPEG audio or ADTS frame with these first 6 bytes; None if it is none."""
    if len(head) < SYNC_BYTES or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:  # ADTS (ISO 13818-7)
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return length if 7 < length <= _MAX_FRAME_BYTES and head[2] >> 2 & 15 < 13 else None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    code, rate = head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 != 0xE0 or version == 1 or layer == 4 or code in (0, 15) or rate == 3:
        return None
    hz = _MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _KBITS[version == 3, layer][code - 1]
    padding = head[2] >> 1 & 1
    if layer == 1:
        return 4 * (12 * bits // hz + padding)
    return (144 if layer == 2 or version == 3 else 72) * bits // hz + padding


def mp3_bytes(file: BinaryIO) -> int:
    """Return the length of an MP3 file from the count in its first frame ("Xing", "Info"); 0 if none."""
    file.seek(0)
    head = file.read(_ID3_BYTES)
    start = 0
    if head[:3] == b"ID3" and len(head) == _ID3_BYTES:
        length = sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
        start = _ID3_BYTES + length + (_ID3_BYTES if head[5] & 16 else 0)
    file.seek(start)
    frame = file.read(64)
    if mpeg_frame_bytes(frame[:SYNC_BYTES]) is None:
        return 0
    for at in _COUNT_OFFSETS:
        if frame[at : at + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(frame[at + 4 : at + 8], "big")
            at += 12 if flags & _HAS_FRAMES else 8
            return start + int.from_bytes(frame[at : at + 4], "big") if flags & _HAS_BYTES else 0
    return 0
