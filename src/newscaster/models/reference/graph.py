"""The reference renderer as an ONNX graph without weights, for boxes of any size.

It computes what :class:`newscaster.models.reference.network.BlendingUNet` does, in the order that is the
fastest on a CPU: pixels are gathered as rows of four neighbours, which the caller prepares once per
reference. `synthesis.reference_network` completes the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from newscaster.face.crop import SIDES
from newscaster.face.landmark_map import CHANNELS
from newscaster.face.reference_flow import GRID
from newscaster.face.references import CELLS
from newscaster.models.reference.network import (
    CONTRAST,
    CORRECTION,
    FAR,
    MAX_FLOW,
    MIN_PRIOR,
    TEMPERATURE,
    ReferenceConfig,
    seen_channels,
)
from newscaster.onnx_weights import CHANNEL_MULTIPLE
from newscaster.training.onnx_export import OPSET

_FOUR = 4
"""A pixel and its neighbours to the right, below, and both."""
_IR_VERSION = 10


def reference_graph(config: ReferenceConfig, side: int) -> bytes:
    """Return the graph for crops of a side S, a model in ONNX's format whose initializers are missing.

    A box has h x w cells of S / CELLS pixels, H x W pixels. The inputs:

    - ``context`` (1, h, w, 3) uint8: the sum of each cell's visible pixels over the number of all its pixels.
    - ``hidden`` (1, 1, h, w): the share of each cell that is hidden.
    - ``landmark_map`` (1, 4, h, w) uint8.
    - ``flow`` (K, 2, h / 2, w / 2) and ``distance`` (1, K): of the references.
    - ``small`` (K CELLS², 12) uint8: the reduced references, as rows of four neighbours.
    - ``large`` (S², 12) uint8: the first of them at full size, likewise.
    - ``cell_columns`` (w,), ``cell_rows`` (h, 1), ``columns`` (W,), ``rows`` (H, 1): of the box in the crop.

    The output ``rendered`` is (H, W, 3) uint8.
    """
    writer = _Writer(config, side)
    writer.write()
    return _serialized(writer.graph())


def plane_graph(config: ReferenceConfig, side: int) -> bytes:
    """Return a graph that renders planes Y, U and V (4:2:0) of a part of the box, for frames of such planes.

    All after the convolutions is linear, so that it is the same in either colour space except for rounding.
    A sixth of the samples of :func:`reference_graph` is left where the mask fills half of the box.

    Inputs as there, but in place of ``large``, ``columns`` and ``rows``, for a part of P x Q pixels:

    - ``luma`` (S², 4) and ``chroma`` (S² / 4, 8) uint8: the first reference, as rows of four neighbours.
    - ``matrix`` (3, 3, 1, 1) and ``offset`` (1, 3, 1, 1): Y, U and V of R, G and B.
    - ``first`` and ``last`` (2,) int64: row and column of the part's cells in the box, the last excluded.
    - ``columns`` (Q,), ``rows`` (P, 1), ``half_columns`` (Q / 2,), ``half_rows`` (P / 2, 1): of the part in
      the planes of the crop.

    The outputs ``luma_rendered`` (P, Q) and ``chroma_rendered`` (2, P / 2, Q / 2) are uint8.
    """
    writer = _PlaneWriter(config, side)
    writer.write()
    return _serialized(writer.graph())


def _serialized(graph: onnx.GraphProto) -> bytes:
    # The caller's arrays prove the axes; weights are appended later, so ONNX's own checks cannot pass here.
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
    return bytes(model.SerializeToString(deterministic=True))


def write_graphs(folder: Path, config: ReferenceConfig) -> None:
    """Write the graphs for all sides of crops, as the package has them."""
    for side in SIDES:
        (folder / f"reference_renderer_{side}.onnx").write_bytes(reference_graph(config, side))
        (folder / f"reference_planes_{side}.onnx").write_bytes(plane_graph(config, side))


_Value = tuple[str, int, list[int | str]]


class _Mixed(NamedTuple):
    """Names of what is known of each cell of the box, (1, C, h, w)."""

    flow: str
    """Of the first reference, in crop widths."""
    own: str
    """Its weight."""
    low: str
    """The sum of the others, weighted, and of the correction; R, G and B of 0 to 255."""


class _Writer:
    """Writes nodes; values are known by their names."""

    def __init__(self, config: ReferenceConfig, side: int) -> None:
        self._config, self._side = config, side
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[bytes, str] = {}
        self._initializers: list[onnx.TensorProto] = []

    def graph(self) -> onnx.GraphProto:
        return helper.make_graph(
            self._nodes,
            "reference renderer",
            [helper.make_tensor_value_info(*one) for one in self.inputs()],
            [helper.make_tensor_value_info(*one) for one in self.outputs()],
            self._initializers,
        )

    def inputs(self) -> list[_Value]:
        """Return name, type and shape of each input."""
        floating, byte = TensorProto.FLOAT, TensorProto.UINT8
        return [
            *self._box_inputs(),
            ("large", byte, [self._side**2, _FOUR * 3]),
            ("columns", floating, ["W"]),
            ("rows", floating, ["H", 1]),
        ]

    def outputs(self) -> list[_Value]:
        """Return name, type and shape of each output."""
        return [("rendered", TensorProto.UINT8, ["H", "W", 3])]

    def _box_inputs(self) -> list[_Value]:
        count, floating, byte = self._config.references, TensorProto.FLOAT, TensorProto.UINT8
        return [
            ("context", byte, [1, "h", "w", 3]),
            ("hidden", floating, [1, 1, "h", "w"]),
            ("landmark_map", byte, [1, len(CHANNELS), "h", "w"]),
            ("flow", floating, [count, 2, "h/2", "w/2"]),
            ("distance", floating, [1, count]),
            ("small", byte, [count * CELLS**2, _FOUR * 3]),
            ("cell_columns", floating, ["w"]),
            ("cell_rows", floating, ["h", 1]),
        ]

    def write(self) -> None:
        cell = self._side // CELLS
        mixed = self._mixed()
        flow = self._enlarged(mixed.flow, cell)
        copied = self._warped("large", flow, "columns", "rows", self._side)
        reduced = self._reduced(copied, cell)
        # The first reference's low band counts by its weight, but its high band in whole.
        own = self.add("Sub", mixed.own, "detail_gain")
        low = self.add("Add", mixed.low, self.add("Mul", own, reduced))
        levels = self._levels(copied, low, cell)
        squeezed = self.add("Squeeze", levels, self.constant([0], np.int64))
        self.add("Transpose", squeezed, perm=[1, 2, 0], name="rendered")

    def _levels(self, copied: str, low: str, factor: int) -> str:
        """Write the sum of high and low band as uint8."""
        image = self.add("Add", self.add("Mul", copied, "detail_gain"), self._enlarged(low, factor))
        rounded = self.add("Add", image, self.constant(0.5))
        return self.add("Cast", self.add("Clip", rounded, self.constant(0.0), self.constant(255.0)), to=2)

    def _reduced(self, x: str, factor: int) -> str:
        """Write the mean of each square of pixels."""
        if factor == 1:
            return x
        return self.add("AveragePool", x, kernel_shape=[factor] * 2, strides=[factor] * 2)

    def _mixed(self) -> _Mixed:
        """Write all that is computed for cells."""
        count = self._config.references
        coarse = self._enlarged("flow", CELLS // GRID)
        warped = self._warped("small", coarse, "cell_columns", "cell_rows", CELLS, count=count)
        warped = self.add("Mul", warped, self.constant(1 / 255))  # (K, 3, h, w)
        prior = self.add(
            "Softmax", self.add("Mul", "distance", self.add("Neg", self.add("Exp", "trust"))), axis=1
        )
        by_reference = self.add("Reshape", prior, self.constant([count, 1, 1, 1], np.int64))
        convolved = self._convolved(self._seen(warped, by_reference))
        logits, shift, correction = self.split(convolved, [count, 2, 3])
        known = self.add("Log", self.add("Add", by_reference, self.constant(MIN_PRIOR)))
        known = self.add("Reshape", known, self.constant([1, count, 1, 1], np.int64))
        weights = self.add(
            "Softmax", self.add("Add", self.add("Mul", logits, self.constant(TEMPERATURE)), known), axis=1
        )
        weights = self.add("Transpose", weights, perm=[1, 0, 2, 3])  # (K, 1, h, w)
        refinement = self.add("Tanh", self.add("Mul", shift, self.constant(0.5)))
        refinement = self.add("Mul", refinement, self.constant(MAX_FLOW))
        first, _ = self.split(coarse, [1, count - 1], axis=0)
        own, others = self.split(weights, [1, count - 1], axis=0)
        _, other = self.split(warped, [1, count - 1], axis=0)
        mixed = self._sum(self.add("Mul", others, other))
        low = self.add("Add", mixed, self.add("Mul", correction, self.constant(CORRECTION)))
        low = self.add("Mul", low, self.constant(255.0))
        return _Mixed(self.add("Add", first, refinement), own, low)

    def _seen(self, warped: str, prior: str) -> str:
        """Write the input of the U-Net, (1, C, h, w); see `network._seen`.

        Channels of weight 0 follow: see `onnx_weights.CHANNEL_MULTIPLE`.
        """
        count = self._config.references
        mean = self._sum(self.add("Mul", warped, prior))
        others = self.add("Mul", self.add("Sub", warped, mean), self.constant(CONTRAST))
        grid = self.add("Shape", "hidden", start=2)
        shape = self.add("Concat", self.constant([1, 3 * count], np.int64), grid, axis=0)
        far = self.add("Mul", "distance", self.constant(FAR))
        far = self.add("Reshape", far, self.constant([1, count, 1, 1], np.int64))
        context = self.add("Cast", self.add("Transpose", "context", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
        maps = self.add("Cast", "landmark_map", to=TensorProto.FLOAT)
        unused = -seen_channels(count) % CHANNEL_MULTIPLE
        return self.add(
            "Concat",
            self.add("Mul", context, self.constant(1 / 255)),
            "hidden",
            mean,
            self.add("Reshape", others, shape),
            self.add("Mul", maps, self.constant(1 / 255)),
            self.add("Expand", far, self.add("Concat", self.constant([1, count], np.int64), grid, axis=0)),
            *["hidden"] * unused,
            axis=1,
        )

    def _convolved(self, seen: str) -> str:
        channels = self._config.channels
        levels, skips = range(len(channels)), []
        x = self.add("Relu", self._convolution(seen, "enter", 3))
        for level in levels:
            x = self._residual(x, f"encoder.{level}")
            if level < len(channels) - 1:
                skips.append(x)
                x = self.add("Relu", self._convolution(x, f"down.{level}", 3, stride=2))
        for level, skip in reversed(list(enumerate(skips))):
            x = self._convolution(x, f"up.{level}", 1)
            x = self._resized(x, 2, mode="nearest", coordinates="asymmetric", nearest_mode="floor")
            x = self._residual(self.add("Relu", self.add("Add", x, skip)), f"decoder.{level}")
        return self._convolution(x, "leave", 3)

    def _residual(self, x: str, name: str) -> str:
        first = self.add("Relu", self._convolution(x, f"{name}.0.first", 3))
        return self.add("Relu", self.add("Add", self._convolution(first, f"{name}.0.second", 3), x))

    def _convolution(self, x: str, name: str, kernel: int, *, stride: int = 1) -> str:
        return self.add(
            "Conv",
            x,
            f"{name}.weight",
            f"{name}.bias",
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2] * 4,
        )

    def _warped(
        self, data: str, flow: str, columns: str, rows: str, side: int, *, count: int = 1, channels: int = 3
    ) -> str:
        """Write the sampling of rows of neighbours, (count, C, h, w) of 0 to 255; see `network._warp`."""
        shift = self.add("Mul", flow, self.constant(float(side)))
        end = self.constant(side - 1.001)
        x, y = (
            self.add("Clip", self.add("Add", moved, still), self.constant(0.0), end)
            for moved, still in zip(self.split(shift, [1, 1]), (columns, rows), strict=True)
        )
        left, top = self.add("Floor", x), self.add("Floor", y)
        place = self.add("Add", self.add("Mul", top, self.constant(float(side))), left)
        if count > 1:
            starts = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1) * side**2
            place = self.add("Add", place, self.constant(starts))
        place = self.add("Cast", place, to=TensorProto.INT32)
        taken = self.add("Gather", data, self.add("Reshape", place, self.constant([-1], np.int64)), axis=0)
        # Reshaped at once, or ONNX Runtime moves the transposition behind the interpolation, which it slows.
        four = self.constant([_FOUR * channels], np.int64)
        shape = self.add("Concat", four, self.add("Shape", place), axis=0)
        planes = self.add("Reshape", self.add("Transpose", taken, perm=[1, 0]), shape)
        planes = self.add("Cast", planes, to=TensorProto.FLOAT)  # (4 C, count, 1, h, w)
        corners = self.split(planes, [channels] * 4, axis=0)
        across, along = self.add("Sub", x, left), self.add("Sub", y, top)
        upper_left, upper_right, lower_left, lower_right = corners
        upper = self._between(upper_left, upper_right, across)
        lower = self._between(lower_left, lower_right, across)
        sampled = self._between(upper, lower, along)  # (C, count, 1, h, w)
        sampled = self.add("Squeeze", sampled, self.constant([2], np.int64))
        return self.add("Transpose", sampled, perm=[1, 0, 2, 3])

    def _between(self, first: str, last: str, fraction: str) -> str:
        return self.add("Add", first, self.add("Mul", self.add("Sub", last, first), fraction))

    def _sum(self, x: str) -> str:
        """Write the sum over references, (1, C, h, w)."""
        return self.add("ReduceSum", x, self.constant([0], np.int64), keepdims=1)

    def _enlarged(self, x: str, factor: int) -> str:
        if factor == 1:
            return x
        return self._resized(x, factor, mode="linear", coordinates="half_pixel")

    def _resized(self, x: str, factor: int, *, mode: str, coordinates: str, **attributes: str) -> str:
        scales = self.constant([1.0, 1.0, factor, factor])
        return self.add(
            "Resize", x, "", scales, mode=mode, coordinate_transformation_mode=coordinates, **attributes
        )

    def split(self, x: str, lengths: Sequence[int], *, axis: int = 1) -> list[str]:
        names = [f"{len(self._nodes)}.{index}" for index in range(len(lengths))]
        inputs = [x, self.constant(list(lengths), np.int64)]
        self._nodes.append(helper.make_node("Split", inputs, names, axis=axis))
        return names

    def add(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        """Write a node; return the name of its output."""
        output = name or str(len(self._nodes))
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(value, dtype)
        key = repr((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._constants:
            self._constants[key] = f"constant.{len(self._constants)}"
            self._initializers.append(numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]


class _PlaneWriter(_Writer):
    """Writes planes instead of RGB pixels; see :func:`plane_graph`."""

    def inputs(self) -> list[_Value]:
        floating, byte, integer = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
        return [
            *self._box_inputs(),
            ("luma", byte, [self._side**2, _FOUR]),
            ("chroma", byte, [self._side**2 // 4, _FOUR * 2]),
            ("matrix", floating, [3, 3, 1, 1]),
            ("offset", floating, [1, 3, 1, 1]),
            ("first", integer, [2]),
            ("last", integer, [2]),
            ("columns", floating, ["Q"]),
            ("rows", floating, ["P", 1]),
            ("half_columns", floating, ["Q/2"]),
            ("half_rows", floating, ["P/2", 1]),
        ]

    def outputs(self) -> list[_Value]:
        byte = TensorProto.UINT8
        return [("luma_rendered", byte, ["P", "Q"]), ("chroma_rendered", byte, [2, "P/2", "Q/2"])]

    def write(self) -> None:
        cell, side = self._side // CELLS, self._side
        mixed = self._mixed()
        flow, own, low = (self._part(name) for name in mixed)
        own = self.add("Sub", own, "detail_gain")
        # In RGB: image = gain copied + enlarged(low + own reduced). With Y = M R + o for copied and reduced:
        # gain copied + enlarged(M low + own reduced + o (1 - gain - own)).
        whole = self.add("Sub", self.constant(1.0), self.add("Add", own, "detail_gain"))
        low = self.add("Conv", low, "matrix", kernel_shape=[1, 1])
        low = self.add("Add", low, self.add("Mul", whole, "offset"))
        parts = self.split(low, [1, 2])
        for index, (name, channels, more) in enumerate((("luma", 1, ""), ("chroma", 2, "half_"))):
            factor, width = cell >> index, side >> index
            places = f"{more}columns", f"{more}rows"
            copied = self._warped(name, self._enlarged(flow, factor), *places, width, channels=channels)
            of_first = self.add("Mul", own, self._reduced(copied, factor))
            levels = self._levels(copied, self.add("Add", parts[index], of_first), factor)
            leading = self.constant([0] if index else [0, 1], np.int64)
            self.add("Squeeze", levels, leading, name=f"{name}_rendered")

    def _part(self, x: str) -> str:
        return self.add("Slice", x, "first", "last", self.constant([2, 3], np.int64))
