"""Convolutional motion networks as ONNX: time first, matrices in 8 bits.

A dilated convolution is one matrix product over shifted copies of its input, side by side::

    steps            x0 x1 x2 x3 x4
    tap 0, d = 2      0  0 x0 x1 x2
    tap 1            x0 x1 x2 x3 x4
    tap 2            x2 x3 x4  0  0

The graph holds the weights of PyTorch in float32 under their own names, so that one graph serves any weights
of its shape (`newscaster.onnx_weights`). It quantises them itself, once, when a session folds its constants:
each output channel to 7 bits, which every processor multiplies without overflow. Inputs of products are
quantised to 8 bits at run time; the steps depend on the largest values of a call. So calls of the same steps
give equal outputs, and other chunks of the same audio give slightly different ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from newscaster.models.motion.network import MotionConfig, MotionNetwork

if TYPE_CHECKING:
    import onnx

OPSET = 18
TOLERANCE = 0.05
"""Maximum difference between a coefficient of the exported network and PyTorch's: in standard deviations of
the training data, or relative to the largest coefficient."""
_MAX_WEIGHT = 63.0
_FIRST, _LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max


def motion_to_onnx(network: MotionNetwork, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return a network as ONNX, `features` (B, T, D) to `coefficients` (B, T, K), weights included."""
    import onnx

    weights = {name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}
    graph = _Graph(weights)
    graph.network(network.config)
    config = network.config
    inputs, outputs = (
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["B", "T", width])]
        for name, width in (("features", config.inputs), ("coefficients", config.coefficients))
    )
    made = onnx.helper.make_graph(graph.nodes, "motion", inputs, outputs, graph.initializers)
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(made, opset_imports=[opset], ir_version=9, producer_name="newscaster")
    onnx.helper.set_model_props(model, dict(metadata or {}))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


class _Graph:
    """Nodes and initializers; methods add nodes and return the name of their output."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        import onnx

        self._onnx = onnx
        self.nodes: list[onnx.NodeProto] = []
        self.initializers = [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()]
        self._constants: dict[tuple[str, bytes, tuple[int, ...]], str] = {}

    def network(self, config: MotionConfig) -> None:
        centred = self._op("Sub", "features", "feature_mean")
        x = self._op("Div", centred, "feature_deviation")
        x = self._convolution(x, "enter", 1, 1, causal=False)
        for block, dilation in enumerate(config.dilations):
            y = x
            for layer in (0, 3):
                path = f"blocks.{block}.layers.{layer}"
                y = self._convolution(y, path, config.kernel, dilation, causal=config.causal)
                y = self._op("Relu", y)
            x = self._op("Add", x, y)
        x = self._convolution(x, "leave", 1, 1, causal=False)
        if config.smoothing:
            x = self._smoothed(x, config.smoothing)
        self._op("Identity", x, output="coefficients")

    def _convolution(self, x: str, path: str, kernel: int, dilation: int, *, causal: bool) -> str:
        values, step, zero = self._quantised_input(x)
        reach = dilation * (kernel - 1)
        if reach:
            before, after = (reach, 0) if causal else (reach // 2, reach // 2)
            values = self._op("Pad", values, self._constant([0, before, 0, 0, after, 0]), zero)
            taps = [
                self._slice(values, tap * dilation, tap * dilation - reach or _LAST) for tap in range(kernel)
            ]
            values = self._op("Concat", *taps, axis=-1)
        matrix, scale = self._quantised_weight(f"{path}.weight")
        product = self._op("MatMulInteger", values, matrix, zero)
        scales = self._op("Mul", step, scale)
        floats = self._op("Mul", self._op("Cast", product, to=self._onnx.TensorProto.FLOAT), scales)
        return self._op("Add", floats, f"{path}.bias")

    def _quantised_input(self, x: str) -> tuple[str, str, str]:
        """Return `x` in 8 bits, the size of their step, and the zero."""
        outputs = (f"{x}/8", f"{x}/step", f"{x}/zero")
        self.nodes.append(self._onnx.helper.make_node("DynamicQuantizeLinear", [x], outputs))
        return outputs

    def _quantised_weight(self, name: str) -> tuple[str, str]:
        """Return a matrix (taps * inputs, outputs), int8, and the scale of each output.

        Args:
            name: of the weights of a convolution, (outputs, inputs, taps).
        """
        taps_first = self._op("Transpose", name, perm=[2, 1, 0])
        matrix = self._op("Flatten", self._op("Transpose", taps_first, perm=[2, 0, 1]), axis=1)
        largest = self._op("ReduceMax", self._op("Abs", matrix), self._constant([1]), keepdims=1)
        least = self._constant(np.float32(1e-12))
        scale = self._op("Div", self._op("Max", largest, least), self._constant(np.float32(_MAX_WEIGHT)))
        rounded = self._op("Round", self._op("Div", matrix, scale))
        columns = self._op("Transpose", rounded, perm=[1, 0])
        return (
            self._op("Cast", columns, to=self._onnx.TensorProto.INT8),
            self._op("Flatten", scale, axis=0),
        )

    def _smoothed(self, x: str, fraction: float) -> str:
        """Return the mean over three steps; the first and the last are repeated beyond the ends."""
        around = self._op("Concat", self._slice(x, 0, 1), x, self._slice(x, -1, _LAST), axis=1)
        neighbours = self._op("Add", self._slice(around, 0, -2), self._slice(around, 2, _LAST))
        return self._op(
            "Add",
            self._op("Mul", neighbours, self._constant(np.float32(fraction))),
            self._op("Mul", x, self._constant(np.float32(1 - 2 * fraction))),
        )

    def _slice(self, x: str, start: int, end: int) -> str:
        bounds = [self._constant([number]) for number in (start, end, 1)]
        return self._op("Slice", x, *bounds)

    def _constant(self, values: Sequence[int] | np.float32) -> str:
        array = np.asarray(values) if isinstance(values, np.float32) else np.asarray(values, np.int64)
        key = (array.dtype.str, array.tobytes(), array.shape)
        if key not in self._constants:
            self._constants[key] = f"constant_{len(self._constants)}"
            self.initializers.append(self._onnx.numpy_helper.from_array(array, self._constants[key]))
        return self._constants[key]

    def _op(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._onnx.helper.make_node(kind, inputs, [output], output, **attributes))
        return output
