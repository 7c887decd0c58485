from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from newscaster.inference import Session
from newscaster.onnx_weights import in_half, with_weights


def graph() -> bytes:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 300])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])]
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"]),
        helper.make_node("Mul", ["product", "scale"], ["scaled"]),
        helper.make_node("Reshape", ["scaled", "shape"], ["y"]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    return bytes(model.SerializeToString())


def test_a_graph_is_completed() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((300, 4))
    arrays = {
        "weight": weight.astype(np.float16),
        "scale": np.array(3.0),  # a scalar, in double precision
        "shape": np.array([2, 4], np.int32),
    }
    model = with_weights(graph(), arrays)
    onnx.checker.check_model(onnx.load_from_string(model))
    x = rng.standard_normal((2, 300)).astype(np.float32)
    made = Session(model, trusted=True).run(x=x)["y"]
    np.testing.assert_allclose(made, x @ weight.astype(np.float16).astype(np.float32) * 3, rtol=1e-4)


def test_large_weights_are_stored_in_half() -> None:
    rng = np.random.default_rng(1)
    weight = rng.standard_normal((300, 4)).astype(np.float32)
    arrays = {"weight": weight, "scale": np.array(1 / 3), "shape": np.array([2, 4])}
    model = with_weights(graph(), arrays)
    half = in_half(model)
    onnx.checker.check_model(onnx.load_from_string(half), full_check=True)
    assert len(model) - len(half) == pytest.approx(weight.nbytes / 2, abs=100)
    assert in_half(half) == half
    x = rng.standard_normal((2, 300)).astype(np.float32)
    rounded = with_weights(graph(), {**arrays, "weight": weight.astype(np.float16)})
    made, expected = (Session(one).run(x=x)["y"] for one in (half, rounded))  # a stranger's: it is checked
    np.testing.assert_array_equal(made, expected)
    assert (made != Session(model).run(x=x)["y"]).any()


def test_weights_beyond_half_precision_stay() -> None:
    weight = np.full((300, 4), 1e5, np.float32)
    model = with_weights(graph(), {"weight": weight, "scale": np.array(1.0), "shape": np.array([2, 4])})
    assert in_half(model) == model
