"""ONNX graphs that are stored without their weights, and the weights that complete them.

A graph of the package serves any weights of its shape: those of the package and those of an anchor. Protocol
buffers make this simple: the bytes of two messages, one after the other, are the message that has the fields
of both (*Protocol Buffers Encoding*, "Last One Wins"). So weights are appended to the graph within a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MODEL_GRAPH = 7
"""Field numbers of onnx.proto."""
_GRAPH_INITIALIZER = 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT, _INT64 = 1, 7
_VARINT, _BYTES = 0, 2


def with_weights(graph: bytes, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an ONNX network: a graph, and its initializers.

    Args:
        graph: an ONNX model that names initializers which it does not contain.
        weights: these initializers; floats of any precision become float32, integers int64.
    """
    initializers = b"".join(
        _field(_GRAPH_INITIALIZER, _tensor(name, array)) for name, array in weights.items()
    )
    return b"".join(
        _field(number, content + initializers) if number == _MODEL_GRAPH else whole
        for number, content, whole in _fields(graph)
    )


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield number, content and all bytes of the fields of a message that has integers and bytes alone."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        length, at = _read_varint(message, at)
        end = at if tag & 7 == _VARINT else at + length
        yield tag >> 3, message[at:end], message[start:end]
        at = end


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the integer that starts at an offset, and the offset behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    kind, dtype = (_FLOAT, "<f4") if array.dtype.kind == "f" else (_INT64, "<i8")
    return b"".join(
        [
            *(_varint(_DIMS << 3 | _VARINT) + _varint(length) for length in array.shape),
            _varint(_DATA_TYPE << 3 | _VARINT) + _varint(kind),
            _field(_NAME, name.encode()),
            _field(_RAW_DATA, np.ascontiguousarray(array, dtype).tobytes()),
        ]
    )


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    return bytes(_groups(value))


def _groups(value: int) -> Iterator[int]:
    """Yield groups of 7 bits, the lowest first; all but the last are marked."""
    while value > 0x7F:
        yield value & 0x7F | 0x80
        value >>= 7
    yield value
