"""ONNX graphs that are stored without their weights, and the weights that complete them.

A graph of the package serves any weights of its shape: those of the package and those of an anchor. Protocol
buffers make this simple: the bytes of two messages, one after the other, are the message that has the fields
of both (*Protocol Buffers Encoding*, "Last One Wins"). So weights are appended to the graph within a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newscaster.safety.protobuf import Reader, bytes_field, number_field

_MODEL_GRAPH = 7
"""Field numbers of onnx.proto."""
_GRAPH_INITIALIZER = 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT, _INT64 = 1, 7


def with_weights(graph: bytes, weights: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an ONNX network: a graph, and its initializers.

    Args:
        graph: an ONNX model that names initializers which it does not contain.
        weights: these initializers; floats of any precision become float32, integers int64.
    """
    initializers = b"".join(
        bytes_field(_GRAPH_INITIALIZER, _tensor(name, array)) for name, array in weights.items()
    )
    return b"".join(
        bytes_field(number, bytes(value) + initializers)
        if number == _MODEL_GRAPH and isinstance(value, memoryview)
        else bytes(whole)
        for number, value, whole in Reader().fields(memoryview(graph))
    )


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    kind, dtype = (_FLOAT, "<f4") if array.dtype.kind == "f" else (_INT64, "<i8")
    return b"".join(
        [
            *(number_field(_DIMS, length) for length in array.shape),
            number_field(_DATA_TYPE, kind),
            bytes_field(_NAME, name.encode()),
            bytes_field(_RAW_DATA, np.ascontiguousarray(array, dtype).tobytes()),
        ]
    )
