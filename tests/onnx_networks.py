"""Untrained ONNX networks with the inputs and outputs that an anchor's have: tiny ones for tests, and a U-Net
of a real one's cost for measuring."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, UINT8 = TensorProto.FLOAT, TensorProto.UINT8


class Builder:
    """Collects nodes and weights, and names what is in between."""

    def __init__(self, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.macs = 0

    def weight(self, array: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: object) -> str:
        name = out or f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def conv(
        self, x: str, cin: int, cout: int, *, kernel: int = 3, stride: int = 1, out_side: int = 1
    ) -> str:
        scale = np.sqrt(2 / (cin * kernel * kernel))
        w = self.weight((self.random.standard_normal((cout, cin, kernel, kernel)) * scale).astype(np.float32))
        b = self.weight(np.zeros(cout, np.float32))
        pad = kernel // 2
        self.macs += cin * cout * kernel * kernel * out_side * out_side
        return self.node("Conv", x, w, b, kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[stride] * 2)

    def relu(self, x: str) -> str:
        return self.node("Relu", x)

    def model(self, inputs: dict, outputs: dict) -> bytes:
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info(n, t, s) for n, (t, s) in inputs.items()],
            [helper.make_tensor_value_info(n, t, s) for n, (t, s) in outputs.items()],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        return model.SerializeToString()


def motion_network(*, width: int, coefficients: int, context_steps: int, seed: int = 0) -> bytes:
    """One convolution over time that looks `context_steps` to either side."""
    b = Builder(seed)
    kernel = 2 * context_steps + 1
    x = b.node("Transpose", "features", perm=[0, 2, 1])
    w = b.random.standard_normal((coefficients, width, kernel)) / np.sqrt(width * kernel)
    x = b.node("Conv", x, b.weight(w.astype(np.float32)), kernel_shape=[kernel], pads=[context_steps] * 2)
    b.node("Transpose", b.node("Tanh", x), perm=[0, 2, 1], out="coefficients")
    return b.model(
        {"features": (FLOAT, ["B", "T", width])}, {"coefficients": (FLOAT, ["B", "T", coefficients])}
    )


def renderer_network(*, side: int, map_side: int) -> bytes:
    """The region, with the face map's first channel laid over it."""
    b = Builder()
    crop = b.node("Cast", "region", to=FLOAT)
    inner = b.node(
        "Slice",
        b.node("Cast", "face_map", to=FLOAT),
        b.weight(np.array([0], np.int64)),
        b.weight(np.array([1], np.int64)),
        b.weight(np.array([1], np.int64)),
    )
    scales = b.weight(np.array([1, 1, side / map_side, side / map_side], np.float32))
    inner = b.node("Resize", inner, "", scales, mode="nearest")
    inner = b.node("Transpose", inner, perm=[0, 2, 3, 1])
    both = b.node("Add", crop, inner)
    half = b.node("Mul", both, b.weight(np.array(0.5, np.float32)))
    b.node("Cast", half, to=UINT8, out="rendered")
    return _as_renderer(b, side, map_side)


def unet(
    *, side: int, map_side: int, channels: tuple[int, ...] = (32, 64, 96, 128), stem: int = 2
) -> tuple[bytes, int]:
    """A pixel-unshuffle U-Net with random weights, and its multiply-adds."""
    b = Builder()
    x = b.node("Mul", b.node("Cast", "region", to=FLOAT), b.weight(np.array(1 / 255, np.float32)))
    x = b.node("Transpose", x, perm=[0, 3, 1, 2])
    x = b.node("SpaceToDepth", x, blocksize=stem)
    m = b.node("Mul", b.node("Cast", "face_map", to=FLOAT), b.weight(np.array(1 / 255, np.float32)))
    low = side // stem
    fold = map_side // low
    m = b.node("SpaceToDepth", m, blocksize=fold) if fold > 1 else m
    x = b.node("Concat", x, m, axis=1)
    cin, skips = 3 * stem**2 + 4 * fold**2, []
    for level, c in enumerate(channels):
        s = low >> level
        x = b.relu(b.conv(x, cin, c, stride=1 if level == 0 else 2, out_side=s))
        x = b.relu(b.conv(x, c, c, out_side=s))
        skips.append((x, c))
        cin = c
    for level in range(len(channels) - 2, -1, -1):
        s, (skip, c) = low >> level, skips[level]
        x = b.node("Resize", x, "", b.weight(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
        x = b.relu(b.conv(b.node("Concat", x, skip, axis=1), cin + c, c, out_side=s))
        x = b.relu(b.conv(x, c, c, out_side=s))
        cin = c
    x = b.conv(x, cin, 3 * stem**2, out_side=low)
    x = b.node("DepthToSpace", x, blocksize=stem)
    x = b.node("Mul", b.node("Sigmoid", x), b.weight(np.array(255, np.float32)))
    x = b.node("Transpose", x, perm=[0, 2, 3, 1])
    b.node("Cast", x, to=UINT8, out="rendered")
    return _as_renderer(b, side, map_side), b.macs


def _as_renderer(b: Builder, side: int, map_side: int) -> bytes:
    image = (UINT8, ["B", side, side, 3])
    return b.model({"region": image, "face_map": (UINT8, ["B", 4, map_side, map_side])}, {"rendered": image})
