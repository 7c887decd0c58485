"""Headers of MPEG audio: how long a frame of MP3 or AAC is, and how long an MP3 file says that it is."""

from __future__ import annotations

from typing import BinaryIO

SYNC_BYTES = 6
"""Of a frame of MP3 or AAC, which say how long it is."""
_ID3_BYTES = 10
_COUNT_OFFSETS = (13, 21, 36)
"""Of the count of frames and bytes in the first frame, behind its side information, by its kind."""
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


def mpeg_frame_bytes(begin: bytes) -> int | None:
    """Length of the MPEG audio or ADTS frame with these first 6 bytes; None if it is not one."""
    if len(begin) < SYNC_BYTES or begin[0] != 0xFF:
        return None
    if begin[1] & 0xF6 == 0xF0:  # ADTS (ISO 13818-7)
        length = (begin[3] & 3) << 11 | begin[4] << 3 | begin[5] >> 5
        return length if 7 < length <= _MAX_FRAME_BYTES and begin[2] >> 2 & 15 < 13 else None
    version, layer = begin[1] >> 3 & 3, 4 - (begin[1] >> 1 & 3)
    code, rate = begin[2] >> 4, begin[2] >> 2 & 3
    if begin[1] & 0xE0 != 0xE0 or version == 1 or layer == 4 or code in (0, 15) or rate == 3:
        return None
    hz = _MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    bits = 1000 * _KBITS[version == 3, layer][code - 1]
    padding = begin[2] >> 1 & 1
    if layer == 1:
        return 4 * (12 * bits // hz + padding)
    return (144 if layer == 2 or version == 3 else 72) * bits // hz + padding


def mp3_bytes(file: BinaryIO) -> int:
    """The length of an MP3 file by the count in its first frame ("Xing", "Info"); 0 if it has none."""
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
