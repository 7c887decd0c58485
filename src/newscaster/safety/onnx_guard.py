"""Validation of ONNX files before an engine loads them: a plain network of bounded cost, or an error.

Engines trust their files: a network may name other files to read, code to load, endless loops, and arrays of
any size. So this module parses the file itself (protobuf's wire format, and those ONNX messages that
newscaster's own networks use) and refuses everything else. The cost in bytes and steps is known only after an
engine has inferred the shapes: `outlined` makes the file for the inference, and `check_cost` checks the
result. The module does not depend on an engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from newscaster.safety.protobuf import MAX_FIELDS as MAX_FIELDS  # re-exported
from newscaster.safety.protobuf import Reader, Value, bytes_field, numbers, varint
from newscaster.safety.protobuf import RefusedError as RefusedError

Shape = tuple[int, ...]

MAX_BYTES = 256 << 20
"""Of one file. The largest network that newscaster writes has 16 MB."""
MAX_NODES = 4_000
"""A renderer has 135."""
MAX_VALUE_BYTES = 1 << 30
"""All values together, for `TRIAL_BATCH` and `TRIAL_STEPS`."""
MAX_STEPS = 30_000_000_000
"""Multiplications and similar operations, for the same."""
TRIAL_BATCH = 2
"""Length of a free first axis of an input: the batch of the renderer."""
TRIAL_STEPS = 1000
"""Length of its other free axes, and the limit of a session: 10 s of audio for the speech encoder, 40 s of
motion."""

_OPERATORS = """
    Abs Add And AveragePool Cast Ceil Clip Concat Constant ConstantOfShape Conv DepthToSpace Div
    DynamicQuantizeLinear Equal Erf Exp Expand Flatten Floor Gather GatherND Gelu Gemm Greater GridSample
    Identity LayerNormalization LeakyRelu Less Log MatMul MatMulInteger Max Min Mul Neg Not Or Pad Pow
    Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Resize Round Shape Sigmoid Slice Softmax
    SpaceToDepth Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where
"""
OPERATORS = frozenset(_OPERATORS.split())
"""Of the domain ai.onnx: the operators of newscaster's exports, and similar ones. None has a subgraph, reads
a file or is random."""

ITEM_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8}
"""Bytes of an element, by the number of its type: float, uint8, int8, int32, int64, bool, half, double."""

_PER_ELEMENT = {
    "Resize": 16,
    "Softmax": 4,
    "LayerNormalization": 4,
    "Gelu": 8,
    "Erf": 8,
    "Pow": 8,
    "GridSample": 16,
}
"""Steps per element of an output, if more than one."""


@dataclass(frozen=True)
class _Kind:
    """Fields that one kind of message may have: at most once, or repeated."""

    name: str
    once: frozenset[int]
    often: frozenset[int] = frozenset()


_MODEL = _Kind("model", frozenset({1, 2, 3, 4, 5, 6, 7}), frozenset({8, 14}))
_OPSET = _Kind("operator set", frozenset({1, 2}))
_GRAPH = _Kind("graph", frozenset({2, 10}), frozenset({1, 5, 11, 12, 13, 16}))
_NODE = _Kind("node", frozenset({3, 4, 6, 7}), frozenset({1, 2, 5, 9}))
_ATTRIBUTE = _Kind("attribute", frozenset({1, 2, 3, 4, 5, 13, 20}), frozenset({7, 8, 9}))
_TENSOR = _Kind("array", frozenset({2, 8, 9, 12, 14}), frozenset({1, 4, 5, 7, 10, 16}))
_INPUT = _Kind("input", frozenset({1, 2, 3}), frozenset({4}))
_TYPE = _Kind("type", frozenset({1, 6}))
_TENSOR_TYPE = _Kind("array's type", frozenset({1, 2}))
_SHAPE = _Kind("shape", frozenset(), frozenset({1}))
_AXIS = _Kind("axis", frozenset({1, 2, 3}))


@dataclass(frozen=True)
class Node:
    """One step of a network."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    window: int = 1
    """Input elements of a pool per output element."""


@dataclass(frozen=True)
class OnnxFile:
    """A valid network, whose cost is not checked yet."""

    nodes: tuple[Node, ...]
    weights: Mapping[str, Shape]
    inputs: Mapping[str, Shape]
    """Free axes have their trial lengths."""
    free: Mapping[str, int]
    """Names of the free axes, and their trial lengths."""
    _parts: tuple[bytes, ...] = field(repr=False)

    def outlined(self) -> bytes:
        """Return the network with all nodes' outputs as its own outputs, without their declared shapes.

        An engine that loads it infers the shapes.
        """
        return b"".join(self._parts)


def read_onnx(data: bytes) -> OnnxFile:
    """Parse a file, and refuse everything but a plain network.

    Raises:
        RefusedError: it is damaged, too large, or has parts that newscaster's networks do not use.
    """
    if len(data) > MAX_BYTES:
        raise RefusedError(f"it has {len(data)} bytes; accepted are {MAX_BYTES}")
    reader = _Reader()
    model = reader.message(memoryview(data), _MODEL)
    if 7 not in model:
        raise RefusedError("it has no graph")
    for opset in model.get(8, []):
        domain = _text(reader.message(opset, _OPSET), 1)
        if domain not in ("", "ai.onnx"):
            raise RefusedError(f"it needs the operators of {domain!r}; accepted are those of ai.onnx")
    graph = reader.message(model[7][0], _GRAPH)
    nodes = graph.get(1, [])
    if not 1 <= len(nodes) <= MAX_NODES:
        raise RefusedError(f"it has {len(nodes)} nodes; accepted are 1 to {MAX_NODES}")
    parsed = tuple(_node(reader, node) for node in nodes)
    weights = dict(_tensor(reader, weight) for weight in graph.get(5, []))
    free: dict[str, int] = {}
    inputs = dict(_input(reader, value, free) for value in graph.get(11, []))
    return OnnxFile(parsed, weights, inputs, free, tuple(_outline(data, model[7][0], parsed)))


def check_cost(file: OnnxFile, values: Mapping[str, tuple[Shape, int]]) -> None:
    """Refuse a network that is too expensive.

    Args:
        file: the network.
        values: shape and bytes per element of every node's outputs, as an engine has inferred them.

    Raises:
        RefusedError: a shape is unknown, or the values or the steps exceed their limit.
    """
    shapes = {**file.weights, **file.inputs, **{name: shape for name, (shape, _) in values.items()}}
    value_bytes, steps = sum(8 * math.prod(shape) for shape in file.inputs.values()), 0
    for node in file.nodes:
        for name in node.outputs:
            if name not in values or any(length < 0 for length in values[name][0]):
                raise RefusedError(f"the size of {name!r} depends on the input, which is not accepted")
            value_bytes += math.prod(values[name][0]) * values[name][1]
        steps += _steps(node, shapes)
    if value_bytes > MAX_VALUE_BYTES:
        raise RefusedError(f"its values take {value_bytes:,} bytes; accepted are {MAX_VALUE_BYTES:,}")
    if steps > MAX_STEPS:
        raise RefusedError(f"it takes {steps:,} steps; accepted are {MAX_STEPS:,}")


def _steps(node: Node, shapes: Mapping[str, Shape]) -> int:
    input_shapes = [shapes.get(name, ()) for name in node.inputs]
    output_elements = max((math.prod(shapes[name]) for name in node.outputs), default=0)
    per_element = _PER_ELEMENT.get(node.operator, node.window)
    if node.operator == "Conv" and len(input_shapes) > 1:
        per_element = math.prod(input_shapes[1][1:])
    elif node.operator in ("MatMul", "MatMulInteger", "Gemm") and input_shapes:
        per_element = max(input_shapes[0], default=1)
    input_elements = max((math.prod(shape) for shape in input_shapes), default=0)
    return output_elements * per_element + input_elements


class _Reader(Reader):
    def message(self, data: Value, kind: _Kind) -> dict[int, list[Value]]:
        """Return the fields of a message by number; refuse unknown ones."""
        if isinstance(data, int):
            raise RefusedError(f"it has a number in place of the {kind.name}")
        message: dict[int, list[Value]] = {}
        for number, value, _ in self.fields(data):
            if number not in kind.once and number not in kind.often:
                content = _REFUSED.get((kind.name, number), f"field {number}")
                raise RefusedError(f"its {kind.name} has {content}, which is not accepted")
            if number in message and number in kind.once:
                raise RefusedError(f"field {number} of its {kind.name} occurs twice")
            message.setdefault(number, []).append(value)
        return message


_REFUSED = {
    ("model", 20): "training information",
    ("model", 25): "functions",
    ("graph", 15): "sparse arrays",
    ("attribute", 6): "a graph within it",
    ("attribute", 10): "arrays",
    ("attribute", 11): "graphs within it",
    ("attribute", 21): "a function's argument",
    ("attribute", 22): "a sparse array",
    ("array", 13): "data in another file",
    ("array", 6): "texts",
    ("type", 4): "a sequence",
}
"""Contents of the refused fields of ONNX, for messages."""


def _text(message: Mapping[int, list[Value]], number: int) -> str:
    return _decoded(message[number][0]) if number in message else ""


def _decoded(value: Value) -> str:
    if isinstance(value, int):
        raise RefusedError("it has a number in place of a name")
    try:
        return bytes(value).decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"a name in it is not UTF-8 ({error})") from error


def _number(message: Mapping[int, list[Value]], number: int) -> int:
    value = message.get(number, [0])[0]
    if not isinstance(value, int):
        raise RefusedError("it has bytes in place of a number")
    return value


def _numbers(values: list[Value]) -> Iterator[int]:
    """Yield repeated numbers, packed or not."""
    for value in values:
        yield from numbers(value)


def _node(reader: _Reader, data: Value) -> Node:
    node = reader.message(data, _NODE)
    operator, domain = _text(node, 4), _text(node, 7)
    if domain not in ("", "ai.onnx") or operator not in OPERATORS:
        origin = f" of {domain!r}" if domain else ""
        raise RefusedError(
            f"it uses the operator {operator!r}{origin}; accepted are {', '.join(sorted(OPERATORS))}"
        )
    window = 1
    for field_data in node.get(5, []):
        attribute = reader.message(field_data, _ATTRIBUTE)
        for tensor in attribute.get(5, []):
            _tensor(reader, tensor)
        if _text(attribute, 1) == "kernel_shape" and operator != "Conv":
            window = math.prod(_numbers(attribute.get(8, [])))
    inputs, outputs = (tuple(_decoded(name) for name in node.get(number, [])) for number in (1, 2))
    return Node(operator, inputs, tuple(filter(None, outputs)), window)


def _tensor(reader: _Reader, data: Value) -> tuple[str, Shape]:
    """Return name and shape of an array, after a check that it is complete."""
    tensor = reader.message(data, _TENSOR)
    name, shape = _text(tensor, 8), tuple(_numbers(tensor.get(1, [])))
    kind = _number(tensor, 2)
    if kind not in ITEM_BYTES:
        raise RefusedError(f"the array {name!r} has the ONNX type {kind}; accepted are {sorted(ITEM_BYTES)}")
    if _number(tensor, 14) != 0:
        raise RefusedError(f"the array {name!r} has its data in another file, which is not accepted")
    elements = math.prod(shape) if len(shape) <= 16 else -1
    if 9 in tensor:
        raw = tensor[9][0]
        stored = -1 if isinstance(raw, int) else len(raw) // ITEM_BYTES[kind]
        fits = elements == stored
    else:  # in a list of numbers, each of at least a byte
        stored = sum(1 if isinstance(v, int) else len(v) for n in (4, 5, 7, 10) for v in tensor.get(n, []))
        fits = 0 <= elements <= stored
    if not fits:
        raise RefusedError(
            f"the array {name!r} has the shape {shape}, but data for at most {stored} elements"
        )
    return name, shape


def _input(reader: _Reader, data: Value, free: dict[str, int]) -> tuple[str, Shape]:
    """Return name and shape of an input, and add its free axes to `free`."""
    message = reader.message(data, _INPUT)
    name = _text(message, 1)
    kind = reader.message(reader.message(message.get(2, [0])[0], _TYPE).get(1, [0])[0], _TENSOR_TYPE)
    shape = []
    for index, axis_data in enumerate(reader.message(kind.get(2, [0])[0], _SHAPE).get(1, [])):
        axis = reader.message(axis_data, _AXIS)
        length = _number(axis, 1)
        if free_name := _text(axis, 2):
            length = free.setdefault(free_name, TRIAL_STEPS if index else TRIAL_BATCH)
        if not 1 <= length <= MAX_VALUE_BYTES:
            raise RefusedError(f"axis {index} of the input {name!r} has the length {length} and no name")
        shape.append(length)
    return name, tuple(shape)


def _outline(data: bytes, graph: Value, nodes: tuple[Node, ...]) -> Iterator[bytes]:
    assert isinstance(graph, memoryview)
    kept = [field_data for number, _, field_data in _Reader().fields(graph) if number not in (12, 13)]
    outputs = [bytes_field(12, bytes_field(1, name.encode())) for node in nodes for name in node.outputs]
    for number, _, field_data in _Reader().fields(memoryview(data)):
        if number != 7:
            yield bytes(field_data)
    yield bytes([7 << 3 | 2]) + varint(sum(map(len, kept)) + sum(map(len, outputs)))
    yield from map(bytes, kept)
    yield from outputs
