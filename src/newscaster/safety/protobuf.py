"""The wire format of protocol buffers: the fields of a message, and how a field is written.

Reference: *Protocol Buffers Encoding*. What the fields mean is left to others: `onnx_guard`, `onnx_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator

Value = int | memoryview
"""Value of a field: a number, or the bytes of anything else."""
MAX_FIELDS = 200_000
"""In a file; a renderer has about 4000."""


class RefusedError(ValueError):
    """The reason to refuse a file: the problem, and what is accepted."""


class Reader:
    """A parser, with a limit on the fields of the whole file."""

    def __init__(self) -> None:
        self._left = MAX_FIELDS

    def fields(self, data: memoryview) -> Iterator[tuple[int, Value, memoryview]]:
        """Yield number, value and all bytes of each field of a message.

        Raises:
            RefusedError: it is damaged, or has too many fields.
        """
        at = 0
        while at < len(data):
            self._left -= 1
            if self._left < 0:
                raise RefusedError(f"it has more than {MAX_FIELDS} fields")
            start = at
            key, at = read_varint(data, at)
            number, wire = key >> 3, key & 7
            value: Value
            if wire == 0:
                value, at = read_varint(data, at)
            elif wire in (1, 5):
                length = 8 if wire == 1 else 4
                value, at = data[at : at + length], at + length
            elif wire == 2:
                length, at = read_varint(data, at)
                value, at = data[at : at + length], at + length
            else:
                raise RefusedError(f"it is damaged: wire type {wire} at byte {start}")
            if at > len(data):
                raise RefusedError("it is cut short")
            yield number, value, data[start:at]


def read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at an offset, and the offset behind it."""
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise RefusedError("it is cut short or damaged")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def numbers(value: Value) -> Iterator[int]:
    """Yield the numbers of one field of a repeated number, packed or not."""
    if isinstance(value, int):
        yield value
        return
    at = 0
    while at < len(value):
        number, at = read_varint(value, at)
        yield number


def bytes_field(number: int, content: bytes) -> bytes:
    """Return a field whose value is bytes: a text, an array, or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def number_field(number: int, value: int) -> bytes:
    """Return a field whose value is a number, 0 or more."""
    return varint(number << 3) + varint(value)


def varint(value: int) -> bytes:
    """Return a number, 0 or more, in groups of 7 bits, the lowest first; all but the last are marked."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
