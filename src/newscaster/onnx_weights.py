"""ONNX graphs that are stored without their weights, and the weights that complete them.

A graph of the package serves any weights of its shape: those of the package and those of an anchor. Protocol
buffers make this simple: the bytes of two messages, one after the other, are the message that has the fields
of both. So weights are appended to a graph without parsing it (*Protocol Buffers Encoding*, "Last One Wins").
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
    return graph + _field(_MODEL_GRAPH, initializers)


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
