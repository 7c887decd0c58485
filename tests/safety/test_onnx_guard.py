from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.safety.onnx_guard import MAX_FIELDS, OPERATORS, RefusedError, read_onnx
from newscaster.speech.encoder import packaged_encoder
from onnx_networks import motion_network, renderer_network, unet

FLOAT = TensorProto.FLOAT


def model(nodes: list, weights: list = [], *, shape: tuple = (1, 4), **more: object) -> onnx.ModelProto:  # noqa: B006
    """A network from `x` to `y`, of any nodes."""
    given = helper.make_tensor_value_info("x", FLOAT, shape)
    made = helper.make_tensor_value_info("y", FLOAT, None)
    graph = helper.make_graph(nodes, "network", [given], [made], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, **more)


def relu() -> onnx.ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])])


def refused(made: onnx.ModelProto, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Session(made.SerializeToString(), name="motion.onnx")


def long_array(name: str = "w", elements: int = 4) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ones((1, elements), np.float32), name)


@pytest.mark.parametrize(
    "network",
    [
        packaged_encoder(),
        motion_network(width=320, coefficients=4, context_steps=3),
        renderer_network(side=128, map_side=64),
        unet(side=256, map_side=128)[0],
    ],
    ids=["encoder", "motion", "renderer", "unet"],
)
def test_what_is_read_is_what_onnx_reads(network: bytes) -> None:
    found, theirs = read_onnx(network), onnx.load_from_string(network).graph
    assert [node.operator for node in found.nodes] == [node.op_type for node in theirs.node]
    assert [node.inputs for node in found.nodes] == [tuple(node.input) for node in theirs.node]
    assert dict(found.weights) == {weight.name: tuple(weight.dims) for weight in theirs.initializer}
    assert list(found.inputs) == [given.name for given in theirs.input]
    outlined = onnx.load_from_string(found.outlined()).graph
    assert [value.name for value in outlined.output] == [name for node in theirs.node for name in node.output]
    assert not outlined.value_info
    assert outlined.node == theirs.node
    assert outlined.initializer == theirs.initializer
    Session(network)


def test_operators_are_onnx_s_own_and_hold_no_graph() -> None:
    for operator in OPERATORS:
        schema = onnx.defs.get_schema(operator, 20)
        kinds = {attribute.type for attribute in schema.attributes.values()}
        assert onnx.defs.OpSchema.AttrType.GRAPH not in kinds, operator
        assert "Random" not in operator


def test_data_in_another_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(16))
    outside = long_array()
    outside.ClearField("raw_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value=str(secret))
    refused(model([helper.make_node("Add", ["x", "w"], ["y"])], [outside]), "data in another file")
    outside.ClearField("external_data")
    refused(model([helper.make_node("Add", ["x", "w"], ["y"])], [outside]), "data in another file")
    constant = helper.make_node("Constant", [], ["w"], value=outside)
    refused(model([constant, helper.make_node("Add", ["x", "w"], ["y"])]), "data in another file")


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            helper.make_node("Relu", ["x"], ["y"], domain="com.microsoft"),
            "operator 'Relu' of 'com.microsoft'",
        ),
        (helper.make_node("EyeLike", ["x"], ["y"]), "operator 'EyeLike'; accepted are Abs, Add"),
        (helper.make_node("RandomNormalLike", ["x"], ["y"]), "operator 'RandomNormalLike'"),
        (helper.make_node("Relu", ["x"], ["y"], body=relu().graph), "attribute has a graph within it"),
    ],
)
def test_foreign_operators(node: onnx.NodeProto, words: str) -> None:
    refused(model([node]), words)


def test_loops_that_never_end() -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("Identity", ["v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", FLOAT, None),
        ],
    )
    refused(model([helper.make_node("Loop", ["", "", "x"], ["y"], body=body)]), "operator 'Loop'")


def test_functions_training_sparse_arrays_and_other_operator_sets() -> None:
    function = helper.make_function(
        "own", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    refused(model([helper.make_node("Relu", ["x"], ["y"])], functions=[function]), "its model has functions")
    trained = relu()
    trained.training_info.add()
    refused(trained, "training information")
    sparse = relu()
    values = helper.make_tensor("s", FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [0])
    sparse.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [10**9]))
    refused(sparse, "sparse arrays")
    other = relu()
    other.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    refused(other, "operators of 'ai.onnx.ml'")


@pytest.mark.parametrize("dims", [[1 << 40], [1 << 20, 1 << 20], [-1], [1, 5], [1] * 20, [1 << 62, 4]])
def test_arrays_that_promise_more_than_is_there(dims: list[int]) -> None:
    for raw in (True, False):
        lying = numpy_helper.from_array(np.ones((1, 4), np.float32), "w")
        if not raw:
            lying = helper.make_tensor("w", FLOAT, [1, 1], [1.0])
        del lying.dims[:]
        lying.dims.extend(dims)
        if raw or max(dims) > 4:
            refused(model([helper.make_node("Add", ["x", "w"], ["y"])], [lying]), "array 'w' has the shape")


def test_small_files_of_large_cost() -> None:
    size = numpy_helper.from_array(np.array([1 << 15, 1 << 15], np.int64), "n")
    refused(
        model([helper.make_node("Expand", ["x", "n"], ["y"])], [size], shape=(1, 1)),
        r"values take [\d,]+ bytes",
    )
    size = numpy_helper.from_array(np.array([8000, 8000], np.int64), "n")
    nodes = [helper.make_node("Expand", ["x", "n"], ["a"]), helper.make_node("MatMul", ["a", "a"], ["y"])]
    refused(model(nodes, [size], shape=(1, 1)), r"it takes [\d,]+ steps")
    zeros = [helper.make_node("ConstantOfShape", ["n"], ["z"]), helper.make_node("MatMul", ["z", "z"], ["y"])]
    refused(model(zeros, [size]), r"it takes [\d,]+ steps")


def test_sizes_that_depend_on_the_input_or_are_only_claimed() -> None:
    shape = helper.make_node("Cast", ["x"], ["n"], to=TensorProto.INT64)
    made = model([shape, helper.make_node("ConstantOfShape", ["n"], ["y"])], shape=(4,))
    refused(made, "depends on the input")
    made.graph.value_info.append(helper.make_tensor_value_info("y", FLOAT, [1, 1, 1, 1]))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", FLOAT, [1, 1, 1, 1]))
    refused(made, "depends on the input")


def test_inputs_that_no_memory_holds() -> None:
    made = model([helper.make_node("Shape", ["x"], ["y"])], shape=(1 << 20, 1 << 20))
    refused(made, r"values take [\d,]+ bytes")


def test_free_axes_grow_to_a_limit() -> None:
    session = Session(model([helper.make_node("Relu", ["x"], ["y"])], shape=("B", "T")).SerializeToString())
    assert session.run(x=np.zeros((3, 1000), np.float32))["y"].shape == (3, 1000)
    with pytest.raises(InputError, match="expected float32"):
        session.run(x=np.zeros((1, 1001), np.float32))


def test_damaged_files_are_refused_at_every_byte() -> None:
    whole = motion_network(width=4, coefficients=2, context_steps=1)
    for cut in range(
        len(whole) - len(b"\x42\x04\x0a\x00\x10\x11")
    ):  # which operator set it is of, is at its end
        try:
            read_onnx(whole[:cut])
        except RefusedError:
            continue
        raise AssertionError(f"cut after {cut} of {len(whole)} bytes")


def test_many_fields_are_refused() -> None:
    with pytest.raises(RefusedError, match=f"more than {MAX_FIELDS} fields"):
        read_onnx(b"\x42\x00" * (MAX_FIELDS + 1))
    with pytest.raises(RefusedError, match=r"its model occurs twice"):
        read_onnx(relu().SerializeToString() * 2)


def test_what_a_network_gives_is_looked_at() -> None:
    nan = numpy_helper.from_array(np.full((1, 4), np.nan, np.float32), "w")
    session = Session(model([helper.make_node("Add", ["x", "w"], ["y"])], [nan]).SerializeToString())
    with pytest.raises(InputError, match="or not finite"):
        session.run_one("y", (1, 4), x=np.zeros((1, 4), np.float32))
    audio = Session(relu().SerializeToString())
    with pytest.raises(InputError, match=r"float32 \(1, 4\) or not finite; expected \(1, 5\)"):
        audio.run_one("y", (1, 5), x=np.zeros((1, 4), np.float32))
    with pytest.raises(InputError, match=r"returns \['y'\]; expected 'z'"):
        audio.run_one("z", (1, 4), x=np.zeros((1, 4), np.float32))
