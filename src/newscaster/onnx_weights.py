"""Weights of ONNX networks: graphs that are stored without them, and weights in half precision.

A graph of the package serves any weights of its shape: those of the package and those of an anchor. Protocol
buffers make this simple: the bytes of two messages, one after the other, are the message that has the fields
of both (*Protocol Buffers Encoding*, "Last One Wins"). So weights are appended to the graph within a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from newscaster.safety.protobuf import Reader, bytes_field, number_field, numbers

_MODEL_GRAPH = 7
"""Field numbers of onnx.proto."""
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9
_INPUT, _OUTPUT, _NODE_NAME, _OPERATOR, _ATTRIBUTE = 1, 2, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_NUMBER, _ATTRIBUTE_KIND = 1, 3, 20
_FLOAT, _INT64, _HALF = 1, 7, 10
CHANNEL_MULTIPLE = 4
"""ONNX Runtime computes a convolution in blocks of channels, which is faster, if its input has a multiple of
these; or fewer than a block."""
_KIND_NUMBER = 2
_MIN_ELEMENTS = 256
"""Arrays with fewer elements, such as biases, keep their precision."""
_HALF_SUFFIX = ".half"


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


def with_unused_inputs(kernel: NDArray[Any]) -> NDArray[Any]:
    """Return the weights (O, I, h, w) of a convolution, and zeros for inputs up to `CHANNEL_MULTIPLE`."""
    unused = -kernel.shape[1] % CHANNEL_MULTIPLE
    return np.pad(kernel, ((0, 0), (0, unused), (0, 0), (0, 0)))


def _tensor(name: str, array: NDArray[Any], kind: int | None = None) -> bytes:
    if kind is None:
        kind = _FLOAT if array.dtype.kind == "f" else _INT64
    dtype = {_FLOAT: "<f4", _INT64: "<i8", _HALF: "<f2"}[kind]
    return b"".join(
        [
            *(number_field(_DIMS, length) for length in array.shape),
            number_field(_DATA_TYPE, kind),
            bytes_field(_NAME, name.encode()),
            bytes_field(_RAW_DATA, np.ascontiguousarray(array, dtype).tobytes()),
        ]
    )


def in_half(model: bytes) -> bytes:
    """Return an ONNX network whose large float32 weights are stored in half precision.

    Each is stored as float16 under another name, and a `Cast` gives it the old one, which engines compute
    once when they load the network. What is computed with the weights stays float32. Weights beyond the
    range of half precision are left as they are.
    """
    return b"".join(
        bytes_field(number, b"".join(_graph_in_half(value)))
        if number == _MODEL_GRAPH and isinstance(value, memoryview)
        else bytes(whole)
        for number, value, whole in Reader().fields(memoryview(model))
    )


def _graph_in_half(graph: memoryview) -> Iterator[bytes]:
    fields, casts = [], []
    for number, value, whole in Reader().fields(graph):
        half = None
        if number == _GRAPH_INITIALIZER and isinstance(value, memoryview):
            half = _halved(value)
        if half is None:
            fields.append(bytes(whole))
            continue
        name, tensor = half
        fields.append(bytes_field(_GRAPH_INITIALIZER, tensor))
        casts.append(bytes_field(_GRAPH_NODE, _cast(name)))
    # Nodes are sorted: whoever makes a value comes before those that need it.
    yield from casts
    yield from fields


def _halved(initializer: memoryview) -> tuple[bytes, bytes] | None:
    """Return the name of a large float32 array, and the array in half precision; None for any other."""
    dims: list[int] = []
    parts: dict[int, Any] = {}
    for number, value, _ in Reader().fields(initializer):
        if number == _DIMS:
            dims += numbers(value)
        else:
            parts[number] = value
    if parts.get(_DATA_TYPE) != _FLOAT or _RAW_DATA not in parts:
        return None
    array = np.frombuffer(parts[_RAW_DATA], "<f4").reshape(dims)
    if array.size < _MIN_ELEMENTS or not np.abs(array).max() <= np.finfo(np.float16).max:
        return None
    name = bytes(parts[_NAME])
    return name, _tensor(name.decode() + _HALF_SUFFIX, array, _HALF)


def _cast(name: bytes) -> bytes:
    """Return the node that turns the array of half precision into the one that the network names."""
    to_float = b"".join(
        [
            bytes_field(_ATTRIBUTE_NAME, b"to"),
            number_field(_ATTRIBUTE_NUMBER, _FLOAT),
            number_field(_ATTRIBUTE_KIND, _KIND_NUMBER),
        ]
    )
    return b"".join(
        [
            bytes_field(_INPUT, name + _HALF_SUFFIX.encode()),
            bytes_field(_OUTPUT, name),
            bytes_field(_NODE_NAME, name + b".cast"),
            bytes_field(_OPERATOR, b"Cast"),
            bytes_field(_ATTRIBUTE, to_float),
        ]
    )
