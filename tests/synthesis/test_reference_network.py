from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from torch import nn

from newscaster import inference
from newscaster.errors import AnchorError
from newscaster.face.crop import SIDES
from newscaster.models.blocks import convolution
from newscaster.models.reference.graph import plane_graph, reference_graph
from newscaster.models.reference.network import ReferenceConfig
from newscaster.safety.readers import read_tensors
from newscaster.synthesis.reference_network import KINDS, Kind, _sample, folded, reference_session


def base() -> dict[str, np.ndarray]:
    data = (resources.files("newscaster") / "data" / "base_renderer.safetensors").read_bytes()
    return {name: array.astype(np.float32) for name, array in read_tensors(data, limit=256).items()}


@pytest.mark.parametrize("side", SIDES)
def test_the_package_has_the_graph_of_each_side(side: int) -> None:
    data = resources.files("newscaster") / "data"
    stored = {kind: (data / f"reference_{kind}_{side}.onnx").read_bytes() for kind in KINDS}
    assert stored["renderer"] == reference_graph(ReferenceConfig(), side), (
        "write it again: make base-renderer"
    )
    assert stored["planes"] == plane_graph(ReferenceConfig(), side), "write it again: make base-renderer"
    assert reference_session(None, side=side, name="x").inputs["large"] == (side**2, 12)
    assert reference_session(None, side=side, name="x", kind="planes").inputs["luma"] == (side**2, 4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", SIDES)
def test_backends_are_measured_on_inputs_that_fit(
    monkeypatch: pytest.MonkeyPatch, side: int, kind: Kind
) -> None:
    """Its free axes depend on each other; positions need all digits of float32."""
    asked: list[bool] = []

    def refuse(model: bytes, outputs: list[str], options: inference._EngineOptions) -> inference.Engine:
        asked.append(options.exact)
        raise OSError("not here")

    monkeypatch.setattr(inference, "_installed", lambda backend: backend == "openvino")
    monkeypatch.setitem(inference._ENGINES, "openvino", refuse)
    session = reference_session(None, side=side, name="x", backend="auto", kind=kind)
    assert (session.backend, asked) == ("onnxruntime", [True])


@pytest.mark.parametrize("kind", KINDS)
def test_openvino_renders_the_same(kind: Kind) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    rng, sample = np.random.default_rng(0), _sample(256, kind)
    for name in ("small", "large", "luma", "chroma", "context"):
        if name in sample:
            sample[name] = rng.integers(0, 256, sample[name].shape, dtype=np.uint8)
    sample["flow"] = rng.normal(0, 0.01, sample["flow"].shape).astype(np.float32)
    sample["rows"] = np.arange(len(sample["rows"]), dtype=np.float32)[:, None]
    sample["columns"] = np.arange(len(sample["columns"]), dtype=np.float32)
    results = []
    for backend in ("onnxruntime", "openvino"):
        session = reference_session(None, side=256, name="x", backend=backend, kind=kind)
        assert session.backend == backend
        results.append(session.run(**sample))
    for name, expected in results[0].items():
        assert np.abs(results[1][name].astype(int) - expected).max() <= 2


def test_normalisation_becomes_part_of_the_convolution() -> None:
    torch.manual_seed(0)
    block = convolution(3, 5, 3)
    nn.init.normal_(block[1].weight)
    nn.init.normal_(block[1].bias)
    block[1].running_mean.normal_()
    block[1].running_var.uniform_(0.1, 3)
    weights = {f"one.{name}": tensor.detach().numpy() for name, tensor in block.state_dict().items()}
    result = folded({**weights, "trust": np.float32(2.0)})
    assert sorted(result) == ["one.bias", "one.weight", "trust"]
    x = torch.randn(1, 3, 8, 8)
    kernel, shift = torch.from_numpy(result["one.weight"]), torch.from_numpy(result["one.bias"])
    made = nn.functional.conv2d(x, kernel, shift, padding=1)
    torch.testing.assert_close(made, block.eval()(x), atol=1e-5, rtol=1e-4)


def test_the_first_convolution_has_unused_inputs_that_change_nothing() -> None:
    """Blocks of channels are computed faster than single ones."""
    kernel = np.random.default_rng(0).normal(size=(5, 27, 3, 3)).astype(np.float32)
    more = folded({"enter.weight": kernel, "leave.weight": kernel})
    assert more["enter.weight"].shape == (5, 28, 3, 3)
    np.testing.assert_array_equal(more["enter.weight"][:, :27], kernel)
    assert not more["enter.weight"][:, 27:].any()
    assert more["leave.weight"] is kernel
    fitting = kernel[:, :24]
    np.testing.assert_array_equal(folded({"enter.weight": fitting})["enter.weight"], fitting)


def test_weights_that_do_not_fit_are_refused() -> None:
    def session(data: bytes) -> None:
        reference_session(data, side=128, name="weights of a test")

    session(save(base()))
    with pytest.raises(AnchorError, match="weights of a test is damaged"):
        session(b"no weights")
    lacking = {name: array for name, array in base().items() if name != "leave.bias"}
    with pytest.raises(AnchorError, match=r"1 of \d+ differ, the first is 'leave.bias', None in place"):
        session(save(lacking))
    with pytest.raises(AnchorError, match="differ, the first is 'strange'"):
        session(save({**base(), "strange": np.zeros(3, np.float32)}))
    with pytest.raises(AnchorError, match="not finite"):
        session(save({**base(), "leave.bias": np.full(9, np.nan, np.float32)}))
