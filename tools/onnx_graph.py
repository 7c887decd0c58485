"""Builds ONNX graphs of standard operators, NCHW, for the converters of networks.

Knows how padding, layout and storage of TensorFlow Lite become ONNX. Which operators a network has is left to
the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tflite_file import TfliteFile

OPSET = 17
_SAME, _VALID = 0, 1
_ACTIVATIONS = {0: None, 1: "Relu"}
"""TensorFlow Lite's fused activations, as ONNX operators."""

Array = NDArray[Any]
Shape = tuple[int | str, ...]
"""Lengths of axes; a name if any length will do."""


class GraphBuilder:
    """Collects nodes and constants; values are named by number."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._names: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def add(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add a node of one output; its name."""
        name = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def name_output(self, value: str, name: str) -> None:
        """Let a value be known by this name outside."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def constant(self, array: Array) -> str:
        """The name of a constant; float16 is stored as such and expanded once, when the network is loaded."""
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._names:
            name = f"c{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
            is_half = array.dtype == np.float16
            self._names[key] = self.add("Cast", [name], to=TensorProto.FLOAT) if is_half else name
        return self._names[key]

    def floats(self, values: Any) -> str:
        return self.constant(np.asarray(values, np.float32))

    def ints(self, values: Any) -> str:
        return self.constant(np.asarray(values, np.int64))

    def conv(
        self,
        value: str,
        weights: Array,
        bias: Array,
        *,
        stride: int = 1,
        pads: Sequence[int] = (0, 0, 0, 0),
        groups: int = 1,
    ) -> str:
        """A convolution; weights are (out, in of a group, kh, kw), pads are top, left, bottom, right."""
        return self.add(
            "Conv",
            [value, self.constant(weights), self.constant(bias)],
            kernel_shape=weights.shape[2:],
            strides=[stride, stride],
            pads=list(pads),
            group=groups,
        )

    def activation(self, value: str, number: int) -> str:
        kind = _ACTIVATIONS[number]
        return value if kind is None else self.add(kind, [value])

    def prelu(self, value: str, slopes: Array) -> str:
        """PRelu as x + s Relu(-|1 - a| x), s the sign of 1 - a; 1 x 1 convolutions scale the channels.

        ONNX Runtime keeps these operators in its blocked layout, and fuses both the activation and the sum
        into the convolutions. Its own PRelu takes six times as long, for it changes the layout twice.
        """
        rest = (1 - slopes.astype(np.float32)).reshape(-1, 1, 1, 1)
        count, zeros = len(rest), np.zeros(len(rest), np.float16)
        negative = self.add("Relu", [self.conv(value, -np.abs(rest), zeros, groups=count)])
        signs = np.where(rest < 0, -1, 1).astype(np.float16)
        return self.add("Add", [self.conv(negative, signs, zeros, groups=count), value])

    def model(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape], *, origin: str) -> bytes:
        """The network, checked; inputs and outputs are float32."""
        graph = helper.make_graph(
            self._nodes,
            "network",
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in inputs.items()],
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, s) for k, s in outputs.items()],
            self._constants,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="newscaster", ir_version=8
        )
        helper.set_model_props(model, {"origin": origin})
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString())


def padding(
    scheme: int, size: Sequence[int], kernel: Sequence[int], stride: int
) -> tuple[int, int, int, int]:
    """ONNX pads of TensorFlow's padding: what SAME cannot share equally goes below and to the right."""
    if scheme == _VALID:
        return 0, 0, 0, 0
    missing = [max(0, (-(-s // stride) - 1) * stride + k - s) for s, k in zip(size, kernel, strict=True)]
    before = [m // 2 for m in missing]
    return before[0], before[1], missing[0] - before[0], missing[1] - before[1]


def scaled(weights: Array, scale: float) -> Array:
    """Weights for an input that is to be multiplied by `scale`; as they are for 1."""
    return weights if scale == 1 else (weights.astype(np.float64) * scale).astype(np.float32)


def frame_shape(file: TfliteFile) -> Shape:
    """The shape of the network's one input as NCHW, for batches of any size."""
    (number,) = file.inputs
    height, width, channels = file.shapes[number][1:]
    return "n", channels, height, width
