"""The face and person networks that newscaster ships, out of the wheel of the package mediapipe.

Google's networks (Apache License 2.0) lie in a wheel on the Python package index::

    pip download --no-deps mediapipe==0.10.21 -d wheels
    python tools/convert_face_models.py wheels/mediapipe-*.whl
    python tools/convert_face_models.py wheels/mediapipe-*.whl --check

The first form writes the networks into ``src/newscaster/data``, as ONNX with standard operators alone. The
second form compares them with those that are there. Without a wheel, an installed mediapipe 0.10.21 is read.

Inside, all networks are NCHW. Their scaling of the input is part of their first convolution.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from face_mesh_graph import convert_mesh
from onnx import numpy_helper
from onnx_graph import GraphBuilder, Shape, frame_shape, padding, scaled
from tflite_file import Operator, TfliteFile, read_tflite

FOLDER = Path(__file__).resolve().parent.parent / "src/newscaster/data"
VERSION = "0.10.21"
MODULES = "mediapipe/modules"


class Translator:
    """Translates a network operator by operator; every 4D value is NCHW.

    Args:
        file, graph: what is read, and where nodes are added.
        frames: the value of the network's input in the graph, NCHW.
        scale: what the input is to be multiplied by; the first convolution does it.
    """

    def __init__(self, file: TfliteFile, graph: GraphBuilder, frames: str, *, scale: float) -> None:
        self.file, self.graph, self.scale = file, graph, scale
        (self.source,) = file.inputs
        self.values: dict[int, str] = {self.source: frames}
        self._pending: dict[int, tuple[int, tuple[int, int, int, int]]] = {}
        """Padded tensors whose padding the next convolution does: the tensor before, and the pads."""

    def run(self) -> None:
        for operator in self.file.operators:
            value = _TRANSLATIONS[operator.kind](self, operator)
            if value is not None:
                self.values[operator.outputs[0]] = value

    def conv(self, operator: Operator) -> str:
        weights, bias = (self.file.constants[i] for i in operator.inputs[1:])
        depthwise = operator.kind == "DEPTHWISE_CONV_2D"
        stride, kernel, source = operator.option(1), weights.shape[1:3], operator.inputs[0]
        if source in self._pending:
            source, pads = self._pending[source]
        else:
            pads = padding(operator.option(0, "b"), self.file.shapes[source][1:3], kernel, stride)
        if source == self.source:
            weights = scaled(weights, self.scale)
        weights = weights.transpose(3, 0, 1, 2) if depthwise else weights.transpose(0, 3, 1, 2)
        groups = len(weights) if depthwise else 1
        value = self.graph.conv(self.values[source], weights, bias, stride=stride, pads=pads, groups=groups)
        return self.graph.activation(value, operator.option(4 if depthwise else 3, "b"))

    def pad(self, operator: Operator) -> str | None:
        amounts = self.file.constants[operator.inputs[1]]
        source, result = operator.inputs[0], operator.outputs[0]
        if not amounts[[0, 3]].any():  # in space: left to the convolutions that follow
            self._pending[result] = (source, tuple(map(int, amounts[1:3].T.flat)))  # type: ignore[assignment]
            assert all("CONV" in one.kind for one in self.file.consumers(result))
            return None
        # More channels, of zeros: a convolution that copies is faster than a Pad, which changes the layout.
        channels, more = self.file.shapes[source][3], self.file.shapes[result][3]
        copy = np.eye(more, channels, dtype=np.float16)[:, :, None, None]
        return self.graph.conv(self.values[source], copy, np.zeros(more, np.float16))

    def add(self, operator: Operator) -> str:
        value = self.graph.add("Add", [self.values[i] for i in operator.inputs])
        return self.graph.activation(value, operator.option(0, "b"))

    def multiply(self, operator: Operator) -> str:
        return self.graph.add("Mul", [self.values[i] for i in operator.inputs])

    def relu(self, operator: Operator) -> str:
        return self.graph.add("Relu", [self.values[operator.inputs[0]]])

    def hard_swish(self, operator: Operator) -> str:
        return self.graph.add("HardSwish", [self.values[operator.inputs[0]]])

    def logistic(self, operator: Operator) -> str:
        return self.graph.add("Sigmoid", [self.values[operator.inputs[0]]])

    def max_pool(self, operator: Operator) -> str:
        kernel = (operator.option(4), operator.option(3))
        size = self.file.shapes[operator.inputs[0]][1:3]
        pads = padding(operator.option(0, "b"), size, kernel, operator.option(1))
        strides = [operator.option(2), operator.option(1)]
        source = self.values[operator.inputs[0]]
        return self.graph.add("MaxPool", [source], kernel_shape=kernel, strides=strides, pads=pads)

    def average_pool(self, operator: Operator) -> str:
        assert self.file.shapes[operator.outputs[0]][1:3] == (1, 1), "only the mean of the whole map is known"
        return self.graph.add("GlobalAveragePool", [self.values[operator.inputs[0]]])

    def resize(self, operator: Operator) -> str:
        align_corners, half_pixel = operator.option(2, "b"), operator.option(3, "b")
        assert (align_corners, half_pixel) == (0, 1), "only half-pixel centres are known"
        old, new = (self.file.shapes[i][1:3] for i in (operator.inputs[0], operator.outputs[0]))
        scales = self.graph.floats([1, 1, new[0] / old[0], new[1] / old[1]])
        source = self.values[operator.inputs[0]]
        return self.graph.add(
            "Resize", [source, "", scales], mode="linear", coordinate_transformation_mode="half_pixel"
        )

    def depth_to_space(self, operator: Operator) -> str:
        source = self.values[operator.inputs[0]]
        return self.graph.add("DepthToSpace", [source], blocksize=operator.option(0), mode="DCR")

    def reshape(self, operator: Operator) -> str:
        shape = self.file.shapes[operator.outputs[0]]
        flat = self.graph.add("Transpose", [self.values[operator.inputs[0]]], perm=[0, 2, 3, 1])
        return self.graph.add("Reshape", [flat, self.graph.ints([0, *shape[1:]])])

    def concatenate(self, operator: Operator) -> str:
        assert all(len(self.file.shapes[i]) == 3 for i in operator.inputs), "only rows are joined"
        return self.graph.add("Concat", [self.values[i] for i in operator.inputs], axis=operator.option(0))

    def transpose_conv(self, operator: Operator) -> str:
        """MediaPipe's ``Convolution2DTransposeBias``: 2 x 2, stride 2."""
        weights = self.file.constants[operator.inputs[1]]  # out, kh, kw, in
        bias = self.file.constants[operator.inputs[2]]
        constants = [self.graph.constant(weights.transpose(3, 0, 1, 2)), self.graph.constant(bias)]
        source = self.values[operator.inputs[0]]
        return self.graph.add("ConvTranspose", [source, *constants], kernel_shape=[2, 2], strides=[2, 2])


_TRANSLATIONS: dict[str, Callable[[Translator, Operator], str | None]] = {
    "CONV_2D": Translator.conv,
    "DEPTHWISE_CONV_2D": Translator.conv,
    "PAD": Translator.pad,
    "ADD": Translator.add,
    "MUL": Translator.multiply,
    "RELU": Translator.relu,
    "HARD_SWISH": Translator.hard_swish,
    "LOGISTIC": Translator.logistic,
    "MAX_POOL_2D": Translator.max_pool,
    "AVERAGE_POOL_2D": Translator.average_pool,
    "RESIZE_BILINEAR": Translator.resize,
    "DEPTH_TO_SPACE": Translator.depth_to_space,
    "RESHAPE": Translator.reshape,
    "CONCATENATION": Translator.concatenate,
    "Convolution2DTransposeBias": Translator.transpose_conv,
}


def convert_detector(data: bytes, origin: str) -> bytes:
    """A face detector: frames (n, 3, H, W) from 0 to 255, to boxes (n, anchors, 16), not decoded, and scores
    (n, anchors, 1) before the sigmoid."""
    file, graph = read_tflite(data), GraphBuilder()
    middle = graph.add("Sub", ["frames", graph.floats(127.5)])
    translator = Translator(file, graph, middle, scale=1 / 127.5)
    translator.run()
    outputs = dict(zip(("boxes", "scores"), file.outputs, strict=True))
    for name, number in outputs.items():
        graph.name_output(translator.values[number], name)
    shapes: dict[str, Shape] = {name: ("n", *file.shapes[number][1:]) for name, number in outputs.items()}
    return graph.model({"frames": frame_shape(file)}, shapes, origin=origin)


def convert_segmentation(data: bytes, origin: str) -> bytes:
    """The segmentation of people: a frame (1, H, W, 3) from 0 to 1, to the person's share (1, H, W, 1)."""
    file, graph = read_tflite(data), GraphBuilder()
    translator = Translator(file, graph, graph.add("Transpose", ["frame"], perm=[0, 3, 1, 2]), scale=1)
    translator.run()
    (source,), (result,) = file.inputs, file.outputs
    graph.name_output(graph.add("Transpose", [translator.values[result]], perm=[0, 2, 3, 1]), "person")
    return graph.model({"frame": file.shapes[source]}, {"person": file.shapes[result]}, origin=origin)


NETWORKS: dict[str, tuple[str, Callable[[bytes, str], bytes]]] = {
    "face_detector_full.onnx": ("face_detection/face_detection_full_range_sparse.tflite", convert_detector),
    "face_detector_short.onnx": ("face_detection/face_detection_short_range.tflite", convert_detector),
    "face_mesh.onnx": ("face_landmark/face_landmark_with_attention.tflite", convert_mesh),
    "person_mask.onnx": ("selfie_segmentation/selfie_segmentation.tflite", convert_segmentation),
}
"""Files of newscaster: the file of MediaPipe below its modules, and what converts it."""


def convert_all(source: Path) -> dict[str, bytes]:
    """Every network by its file's name, from a wheel or from the folder of an installed package."""
    networks = {}
    for name, (path, convert) in NETWORKS.items():
        origin = f"{Path(path).name} of mediapipe {VERSION}, Google, Apache-2.0"
        networks[name] = convert(_read(source, f"{MODULES}/{path}"), origin)
    return networks


def find_installed() -> Path | None:
    """The folder that holds an installed mediapipe; None without one."""
    spec = find_spec("mediapipe")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent.parent


def difference(one: bytes, other: bytes) -> str | None:
    """What two networks differ in; None if nodes and constants are the same."""
    first, second = (onnx.load_from_string(data).graph for data in (one, other))
    if list(first.node) != list(second.node):
        return "nodes"
    for a, b in zip(first.initializer, second.initializer, strict=True):
        if a.dims != b.dims or not np.array_equal(numpy_helper.to_array(a), numpy_helper.to_array(b)):
            return f"constant {a.name}"
    return None


def _read(source: Path, name: str) -> bytes:
    if source.is_dir():
        path = source / name
        if not path.is_file():
            raise SystemExit(f"{path} is missing; expected mediapipe {VERSION}, later ones lack it")
        return path.read_bytes()
    with zipfile.ZipFile(source) as archive:
        if name not in archive.namelist():
            raise SystemExit(f"{source} holds no {name}; expected the wheel of mediapipe {VERSION}")
        return archive.read(name)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, nargs="?", help="by default the installed package")
    parser.add_argument("--check", action="store_true", help="compare with the files that are there")
    options = parser.parse_args()
    source = options.wheel or find_installed()
    if source is None:
        parser.error(f"name a wheel, or install mediapipe {VERSION}")
    failed = False
    for name, network in convert_all(source).items():
        path = FOLDER / name
        if not options.check:
            path.write_bytes(network)
            print(f"{path.name}: {len(network):,} bytes")
            continue
        found = difference(network, path.read_bytes())
        failed |= found is not None
        print(f"{path.name}: {'the same' if found is None else 'differs in ' + found}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
