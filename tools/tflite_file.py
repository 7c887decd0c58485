"""Reads TensorFlow Lite networks: tensors, constants and operators of one subgraph.

Knows the FlatBuffers encoding and the fields of TensorFlow's ``schema.fbs`` that face networks use. What the
operators mean is left to the caller. Constants that are stored as float16 or sparse are expanded here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_DTYPES = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8", 9: "i1"}
_SEGMENT_DTYPES = {1: "<i4", 2: "<u2", 3: "u1"}
"""Dtypes of the members of the union ``SparseIndexVector``."""
_OPERATORS = {
    0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D",
    5: "DEPTH_TO_SPACE", 6: "DEQUANTIZE", 14: "LOGISTIC", 17: "MAX_POOL_2D", 18: "MUL", 19: "RELU",
    22: "RESHAPE", 23: "RESIZE_BILINEAR", 32: "CUSTOM", 34: "PAD", 45: "STRIDED_SLICE", 54: "PRELU",
    117: "HARD_SWISH", 124: "DENSIFY",
}  # fmt: skip


class Table:
    """One FlatBuffers table; fields are addressed by their number in the schema."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        self._vtable_bytes = struct.unpack_from("<H", data, self._vtable)[0]

    def scalar(self, number: int, kind: str = "i", default: int = 0) -> int:
        """A scalar of a `struct` format character; the default if the field is absent."""
        place = self._place(number)
        return default if place is None else int(struct.unpack_from("<" + kind, self._data, place)[0])

    def table(self, number: int) -> Table | None:
        place = self._target(number)
        return None if place is None else Table(self._data, place)

    def tables(self, number: int) -> list[Table]:
        start = self._target(number)
        if start is None:
            return []
        (count,) = struct.unpack_from("<I", self._data, start)
        places = [start + 4 * (1 + i) for i in range(count)]
        return [Table(self._data, p + struct.unpack_from("<I", self._data, p)[0]) for p in places]

    def vector(self, number: int, dtype: str) -> Array:
        start = self._target(number)
        if start is None:
            return np.zeros(0, dtype)
        (count,) = struct.unpack_from("<I", self._data, start)
        return np.frombuffer(self._data, dtype, count, start + 4)

    def text(self, number: int) -> str:
        return self.vector(number, "u1").tobytes().decode()

    def _place(self, number: int) -> int | None:
        entry = 4 + 2 * number
        if entry >= self._vtable_bytes:
            return None
        (offset,) = struct.unpack_from("<H", self._data, self._vtable + entry)
        return self._at + offset if offset else None

    def _target(self, number: int) -> int | None:
        place = self._place(number)
        return None if place is None else place + struct.unpack_from("<I", self._data, place)[0]


@dataclass(frozen=True)
class Operator:
    """One operator: its name (a custom operator's own), tensor numbers, and options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Table | None
    custom: bytes

    def option(self, number: int, kind: str = "i", default: int = 0) -> int:
        return default if self.options is None else self.options.scalar(number, kind, default)


@dataclass(frozen=True)
class TfliteFile:
    """A network with one subgraph. Tensors are numbered; shapes are NHWC."""

    shapes: dict[int, tuple[int, ...]]
    names: dict[int, str]
    constants: dict[int, Array]
    operators: list[Operator]
    """In the order of execution, without those that expand constants."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    _consumers: dict[int, list[Operator]] = field(default_factory=dict)

    def consumers(self, tensor: int, kind: str | None = None) -> list[Operator]:
        """The operators that read a tensor, in order; of one kind only, if given."""
        if not self._consumers:
            for operator in self.operators:
                for number in dict.fromkeys(operator.inputs):
                    self._consumers.setdefault(number, []).append(operator)
        return [one for one in self._consumers.get(tensor, []) if kind in (None, one.kind)]


def read_tflite(data: bytes) -> TfliteFile:
    """Parse a TensorFlow Lite file.

    Raises:
        ValueError: it is none, or has another layout than one subgraph of known operators.
    """
    if data[4:8] != b"TFL3":
        raise ValueError(f"not a TensorFlow Lite file: identifier {data[4:8]!r}, expected b'TFL3'")
    model = Table(data, struct.unpack_from("<I", data, 0)[0])
    (graph,) = model.tables(2)
    tensors, buffers = graph.tables(0), model.tables(4)
    shapes = {i: tuple(map(int, tensor.vector(0, "<i4"))) for i, tensor in enumerate(tensors)}
    constants = {i: array for i, t in enumerate(tensors) if (array := _constant(t, buffers)) is not None}
    kinds = [_kind(code) for code in model.tables(1)]
    operators = []
    for table in graph.tables(3):
        operator = Operator(
            kinds[table.scalar(0, "I")],
            tuple(map(int, table.vector(1, "<i4"))),
            tuple(map(int, table.vector(2, "<i4"))),
            table.table(4),
            table.vector(5, "u1").tobytes(),
        )
        if operator.kind in ("DEQUANTIZE", "DENSIFY") and operator.inputs[0] in constants:
            constants[operator.outputs[0]] = constants[operator.inputs[0]]
        else:
            operators.append(operator)
    return TfliteFile(
        shapes=shapes,
        names={i: tensor.text(3) for i, tensor in enumerate(tensors)},
        constants=constants,
        operators=operators,
        inputs=tuple(map(int, graph.vector(1, "<i4"))),
        outputs=tuple(map(int, graph.vector(2, "<i4"))),
    )


def _kind(code: Table) -> str:
    number = max(code.scalar(0, "b"), code.scalar(3))  # the older, narrow field, and the newer one
    if number not in _OPERATORS:
        raise ValueError(f"operator {number} is not known; known are {', '.join(_OPERATORS.values())}")
    return code.text(1) if _OPERATORS[number] == "CUSTOM" else _OPERATORS[number]


def _constant(tensor: Table, buffers: list[Table]) -> Array | None:
    data = buffers[tensor.scalar(2, "I")].vector(0, "u1")
    if not len(data):
        return None
    values = np.frombuffer(data.tobytes(), _DTYPES[tensor.scalar(1, "b")])
    shape = tuple(map(int, tensor.vector(0, "<i4")))
    sparsity = tensor.table(6)
    return values.reshape(shape) if sparsity is None else _dense(values, shape, sparsity)


def _dense(values: Array, shape: tuple[int, ...], sparsity: Table) -> Array:
    """Expand values that are stored by rows of the last axis (CSR), all other axes dense and in order."""
    axes = sparsity.tables(2)
    order = sparsity.vector(0, "<i4").tolist()
    formats = [axis.scalar(0, "b") for axis in axes]
    if order != list(range(len(shape))) or formats != [0] * (len(shape) - 1) + [1]:
        raise ValueError(f"sparse constant of order {order} and formats {formats}: only rows are known")
    last = axes[-1]
    segments, indices = (
        vector.vector(0, _SEGMENT_DTYPES[last.scalar(kind, "b")]).astype(np.int64)
        for kind, at in ((2, 3), (4, 5))
        if (vector := last.table(at)) is not None
    )
    rows = np.repeat(np.arange(len(segments) - 1), np.diff(segments))
    dense = np.zeros((len(segments) - 1, shape[-1]), values.dtype)
    dense[rows, indices] = values[: len(indices)]
    return dense.reshape(shape)
