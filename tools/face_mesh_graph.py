"""The network of 478 face landmarks, from TensorFlow Lite to standard ONNX operators.

The network finds 468 landmarks first. It then crops three maps of 16 x 16 out of its own features, turned and
scaled to the lips and both eyes, and finds the lips, the eyes and the irises anew there. TensorFlow Lite runs
these parts one after another, and MediaPipe's custom operators crop between them. Here all parts are stacked
along the channels, and run as grouped convolutions: a third of the nodes, most of which are tiny.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from flatbuffers import flexbuffers  # type: ignore[import-untyped]
from onnx import TensorProto
from onnx_graph import GraphBuilder, Shape, frame_shape, padding, scaled
from tflite_file import Operator, TfliteFile, read_tflite

MESH_POINTS, IRIS_POINTS = 468, 5
_MAP, _MAP_CHANNELS, _CROP = 48, 32, 16
"""Side and channels of the feature map that is cropped, and the side of the crops."""
_CROP_SCALE = 1.5
"""Side of a crop in sides of the part's box."""
_MAP_STRIDE = 4
"""Pixels of the frame per pixel of the feature map."""
_EYE_CONTOUR = 16
"""The first points of an eye go round its opening; an iris has their mean depth."""


@dataclass(frozen=True)
class Branches:
    """Values that are stacked along the channels of one ONNX value, and their tensors in the file."""

    value: str
    tensors: tuple[int, ...]
    parts: tuple[int, ...] = (0,)
    """The part of the face of each."""


@dataclass(frozen=True)
class Part:
    """A part of the face: two points that give its angle, and all points it has."""

    left: int
    right: int
    points: tuple[int, ...]


@dataclass(frozen=True)
class Placement:
    """Where the crops of P parts lie on the feature map, as values of the graph: a row (x, y) of a crop,
    measured from its middle, is at ``row @ linear + centre``."""

    linear: str
    """(n, P, 2, 2)"""
    centre: str
    """(n, P, 1, 2)"""


class MeshConverter:
    """Walks through the blocks of the network, all branches at a time."""

    def __init__(self, file: TfliteFile, graph: GraphBuilder) -> None:
        self.file, self.graph = file, graph

    def conv(self, branches: Branches, operators: list[Operator], *, scale: float = 1.0) -> Branches:
        """Convolutions of equal shape, one of every branch."""
        file = self.file
        weights = [scaled(file.constants[one.inputs[1]], scale) for one in operators]
        depthwise = operators[0].kind == "DEPTHWISE_CONV_2D"
        stacked = np.concatenate(
            [w.transpose(3, 0, 1, 2) if depthwise else w.transpose(0, 3, 1, 2) for w in weights]
        )
        bias = np.concatenate([file.constants[one.inputs[2]] for one in operators])
        first = operators[0]
        stride, kernel = first.option(1), stacked.shape[2:]
        pads = padding(first.option(0, "b"), file.shapes[first.inputs[0]][1:3], kernel, stride)
        groups = len(stacked) if depthwise else len(operators)
        value = self.graph.conv(branches.value, stacked, bias, stride=stride, pads=pads, groups=groups)
        return replace(branches, value=value, tensors=tuple(one.outputs[0] for one in operators))

    def prelu(self, branches: Branches) -> Branches:
        operators = [one for t in branches.tensors for one in self.file.consumers(t, "PRELU")]
        slopes = np.concatenate([self.file.constants[one.inputs[1]].ravel() for one in operators])
        value = self.graph.prelu(branches.value, slopes)
        return replace(branches, value=value, tensors=tuple(one.outputs[0] for one in operators))

    def block(self, branches: Branches) -> Branches | None:
        """One residual block: prelu(pointwise(depthwise(x)) + x); None if there is no further one."""
        file, graph = self.file, self.graph
        depthwise = [one for t in branches.tensors for one in file.consumers(t, "DEPTHWISE_CONV_2D")]
        if not depthwise:
            return None
        sources = tuple(one.inputs[0] for one in depthwise)
        if sources != branches.tensors:  # some branches divide
            branches = self._divide(branches, sources)
        inner = self.conv(branches, depthwise)
        pointwise = [one for t in inner.tensors for one in file.consumers(t, "CONV_2D")]
        inner = self.conv(inner, pointwise)
        skip = branches.value
        if depthwise[0].option(1) == 2:
            skip = graph.add("MaxPool", [skip], kernel_shape=[2, 2], strides=[2, 2])
        channels, more = (file.shapes[t[0]][3] for t in (branches.tensors, inner.tensors))
        if channels != more:  # the missing channels are zeros; a convolution that copies keeps the layout
            copy = np.tile(np.eye(more, channels, dtype=np.float16), (len(sources), 1))[:, :, None, None]
            bias = np.zeros(len(copy), np.float16)
            skip = graph.conv(skip, copy, bias, groups=len(sources))
        sums = [one for t in inner.tensors for one in file.consumers(t, "ADD")]
        value = graph.add("Add", [inner.value, skip])
        return self.prelu(replace(branches, value=value, tensors=tuple(one.outputs[0] for one in sums)))

    def blocks(self, branches: Branches, *, until: str | None = None) -> Branches:
        """All blocks that follow; `until` ends behind the first whose output this kind of operator reads."""
        while (found := self.block(branches)) is not None:
            branches = found
            if until and self.file.consumers(branches.tensors[0], until):
                break
        return branches

    def squeeze(self, branches: Branches) -> Branches:
        """The pointwise convolution and activation that leave 32 channels."""
        operators = [
            one
            for t in branches.tensors
            for one in self.file.consumers(t, "CONV_2D")
            if self.file.shapes[one.inputs[1]][1:3] == (1, 1)
        ]
        return self.prelu(self.conv(branches, operators))

    def heads(self, branches: Branches) -> list[Operator]:
        """The convolutions over the whole map that end the network."""
        return [one for t in branches.tensors for one in self.file.consumers(t, "CONV_2D")]

    def _divide(self, branches: Branches, sources: tuple[int, ...]) -> Branches:
        channels = self.file.shapes[sources[0]][3]
        starts = [branches.tensors.index(t) * channels for t in sources]
        order = np.concatenate([np.arange(start, start + channels) for start in starts])
        parts = tuple(branches.parts[branches.tensors.index(t)] for t in sources)
        return Branches(
            self.graph.add("Gather", [branches.value, self.graph.ints(order)], axis=1), sources, parts
        )


def convert_mesh(data: bytes, origin: str) -> bytes:
    """Crops (n, 3, 192, 192) from 0 to 255, to landmarks (n, 478, 3) in pixels of the crop, and the face flag
    (n,) before the sigmoid."""
    file, graph = read_tflite(data), GraphBuilder()
    converter = MeshConverter(file, graph)
    (source,) = file.inputs
    features = converter.conv(Branches("frames", (source,)), file.consumers(source), scale=1 / 255)
    features = converter.blocks(converter.prelu(features), until="TransformTensorBilinear")
    trunk = converter.squeeze(converter.blocks(features))
    trunk = converter.block(trunk) or trunk
    mesh_head, flag_head = sorted(converter.heads(trunk), key=lambda one: -file.shapes[one.inputs[1]][0])
    points = graph.add("Reshape", [converter.conv(trunk, [mesh_head]).value, graph.ints([0, MESH_POINTS, 3])])
    flag = graph.add("Reshape", [converter.conv(trunk, [flag_head]).value, graph.ints([-1])])
    xy = graph.add("Slice", [points, graph.ints([0]), graph.ints([2]), graph.ints([2])])
    z = graph.add("Slice", [points, graph.ints([2]), graph.ints([3]), graph.ints([2])])

    crops = [one for one in file.operators if one.kind == "TransformTensorBilinear"]
    parts = [_part(file, one.inputs[1]) for one in crops]
    placement = _placement(graph, xy, parts)
    tensors = tuple(one.outputs[0] for one in crops)
    cropped = _crop(graph, features.value, placement, len(parts))
    branches = converter.blocks(Branches(cropped, tensors, tuple(range(len(parts)))))
    branches = converter.squeeze(branches)
    branches = converter.block(branches) or branches
    heads = converter.heads(branches)
    refined, longest = _refined(converter, branches, heads, placement)
    counts = [file.shapes[one.inputs[1]][0] // 2 for one in heads]
    order, iris_depths = _assembly(parts, branches.parts, counts, longest)
    every = graph.add("Concat", [xy, refined], axis=1)
    final_xy = graph.add("Gather", [every, graph.ints(order)], axis=1)
    contours = graph.add("Gather", [z, graph.ints(iris_depths)], axis=1)
    iris_z = graph.add("ReduceMean", [contours], axes=[2], keepdims=0)
    final_z = graph.add("Concat", [z, iris_z], axis=1)
    graph.name_output(graph.add("Concat", [final_xy, final_z], axis=2), "landmarks")
    graph.name_output(flag, "flag")
    shapes: dict[str, Shape] = {"landmarks": ("n", MESH_POINTS + 2 * IRIS_POINTS, 3), "flag": ("n",)}
    return graph.model({"frames": frame_shape(file)}, shapes, origin=origin)


def _part(file: TfliteFile, matrix: int) -> Part:
    (operator,) = [one for one in file.operators if matrix in one.outputs]
    assert operator.kind == "Landmarks2TransformMatrix", operator.kind
    options = flexbuffers.Loads(operator.custom)
    sizes = options["output_width"], options["output_height"]
    scales = options["scale_x"], options["scale_y"]
    assert (*sizes, *scales) == (_CROP, _CROP, _CROP_SCALE, _CROP_SCALE), options
    assert options["target_rotation_radians"] == 0, options
    return Part(options["left_rotation_idx"], options["right_rotation_idx"], tuple(options["subset_idxs"]))


def _placement(graph: GraphBuilder, xy: str, parts: list[Part]) -> Placement:
    """MediaPipe's ``Landmarks2TransformMatrix``: the box of a part that is turned like it, and scaled.

    With u = (c, s), the direction from the part's left to its right, ``p @ [[c, -s], [s, c]]`` turns rows
    upright, and ``p @ [[c, s], [-s, c]]`` turns them back.
    """
    points = graph.add("Mul", [xy, graph.floats(1 / _MAP_STRIDE)])
    left = graph.add("Gather", [points, graph.ints([part.left for part in parts])], axis=1)
    right = graph.add("Gather", [points, graph.ints([part.right for part in parts])], axis=1)
    along = graph.add("Sub", [right, left])
    direction = graph.add("Div", [along, graph.add("ReduceL2", [along], axes=[2], keepdims=1)])
    square = graph.ints([0, 0, 2, 2])
    upright = graph.add("MatMul", [direction, graph.floats([[1, 0, 0, 1], [0, -1, 1, 0]])])
    upright = graph.add("Reshape", [upright, square])
    back = graph.add("MatMul", [direction, graph.floats([[1, 0, 0, 1], [0, 1, -1, 0]])])
    back = graph.add("Reshape", [back, square])
    most = max(len(part.points) for part in parts)
    rows = [part.points + part.points[-1:] * (most - len(part.points)) for part in parts]
    turned = graph.add("MatMul", [graph.add("Gather", [points, graph.ints(rows)], axis=1), upright])
    high = graph.add("ReduceMax", [turned], axes=[2], keepdims=1)
    low = graph.add("ReduceMin", [turned], axes=[2], keepdims=1)
    middle = graph.add("Mul", [graph.add("Add", [high, low]), graph.floats(0.5)])
    scale = graph.add("Mul", [graph.add("Sub", [high, low]), graph.floats(_CROP_SCALE / _CROP)])
    scale = graph.add("Reshape", [scale, graph.ints([0, 0, 2, 1])])
    return Placement(graph.add("Mul", [back, scale]), graph.add("MatMul", [middle, back]))


def _crop(graph: GraphBuilder, features: str, placement: Placement, parts: int) -> str:
    """MediaPipe's ``TransformTensorBilinear``: crops (n, P C, 16, 16) of a map (n, C, 48, 48).

    Outside the centres of the map's outer pixels a crop is zero, without a transition.
    """
    centres = np.arange(_CROP, dtype=np.float32) + 0.5 - _CROP / 2
    rows = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    places = graph.add("Add", [graph.add("MatMul", [graph.floats(rows), placement.linear]), placement.centre])
    grid = graph.add("Sub", [graph.add("Mul", [places, graph.floats(2 / _MAP)]), graph.floats(1)])
    beyond = graph.add("Greater", [graph.add("Abs", [grid]), graph.floats(1 - 1 / _MAP)])
    far = graph.add("Mul", [graph.add("Cast", [beyond], to=TensorProto.FLOAT), graph.floats(10)])
    grid = graph.add("Add", [grid, far])
    grid = graph.add("Reshape", [grid, graph.ints([0, parts * _CROP, _CROP, 2])])
    crops = graph.add("GridSample", [features, grid], mode="bilinear", padding_mode="zeros", align_corners=0)
    crops = graph.add("Reshape", [crops, graph.ints([0, 0, parts, _CROP * _CROP])])
    crops = graph.add("Transpose", [crops], perm=[0, 2, 1, 3])
    return graph.add("Reshape", [crops, graph.ints([-1, parts * _MAP_CHANNELS, _CROP, _CROP])])


def _refined(
    converter: MeshConverter, branches: Branches, heads: list[Operator], placement: Placement
) -> tuple[str, int]:
    """Landmarks of all branches (n, branches * longest, 2) in pixels of the frame, and `longest`."""
    graph, file = converter.graph, converter.file
    weights = [file.constants[one.inputs[1]].transpose(0, 3, 1, 2) for one in heads]
    biases = [file.constants[one.inputs[2]] for one in heads]
    most = max(map(len, biases))
    weights = [np.pad(w, ((0, most - len(w)), (0, 0), (0, 0), (0, 0))) for w in weights]
    biases = [np.pad(b, (0, most - len(b))) for b in biases]
    rows = graph.conv(branches.value, np.concatenate(weights), np.concatenate(biases), groups=len(heads))
    rows = graph.add("Reshape", [rows, graph.ints([0, len(heads), most // 2, 2])])
    rows = graph.add("Sub", [rows, graph.floats(_CROP * _MAP_STRIDE / 2)])
    owner = graph.ints(branches.parts)
    rows = graph.add("MatMul", [rows, graph.add("Gather", [placement.linear, owner], axis=1)])
    centre = graph.add("Mul", [placement.centre, graph.floats(_MAP_STRIDE)])
    rows = graph.add("Add", [rows, graph.add("Gather", [centre, owner], axis=1)])
    return graph.add("Reshape", [rows, graph.ints([0, -1, 2])]), most // 2


def _assembly(
    parts: list[Part], owners: tuple[int, ...], counts: list[int], longest: int
) -> tuple[list[int], list[list[int]]]:
    """Which of the mesh's points and the refined ones, in this order, the 478 landmarks are; and the points
    whose mean depth each point of the irises has."""
    order = list(range(MESH_POINTS + 2 * IRIS_POINTS))
    depths, iris = [], MESH_POINTS
    for branch, (owner, count) in enumerate(zip(owners, counts, strict=True)):
        points, start = parts[owner].points, MESH_POINTS + branch * longest
        if count == IRIS_POINTS:
            points, iris = tuple(range(iris, iris + IRIS_POINTS)), iris + IRIS_POINTS
            depths += [list(parts[owner].points[:_EYE_CONTOUR])] * IRIS_POINTS
        assert len(points) == count, (len(points), count)
        for place, point in enumerate(points):
            order[point] = start + place
    assert iris == len(order), "two irises"
    return order, depths
