"""Exported networks against PyTorch's, and against the naive quantised product."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from newscaster.inference import Session
from newscaster.models.motion.export import TOLERANCE, motion_to_onnx
from newscaster.models.motion.network import MotionConfig, MotionNetwork

pytest.importorskip("onnx")


def network(**more: object) -> MotionNetwork:
    torch.manual_seed(3)
    made = MotionNetwork(MotionConfig(inputs=50, channels=32, coefficients=7, **more)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        made.feature_mean.normal_()
        made.feature_deviation.uniform_(0.1, 20)
    return made


def features(made: MotionNetwork, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, made.config.inputs) * made.feature_deviation + made.feature_mean


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"causal": True},
        {"smoothing": 0.2},
        {"kernel": 5, "dilations": (1, 3)},
        {"kernel": 1, "dilations": (1,)},
    ],
)
def test_computes_what_pytorch_computes(config: dict[str, object]) -> None:
    made = network(**config)
    session = Session(motion_to_onnx(made), threads=1)
    for steps in (1, 2, 95):
        audio = features(made, 2, steps)
        with torch.no_grad():
            expected = made(audio).numpy()
        found = session.run_one("coefficients", expected.shape, features=audio.numpy())
        assert np.abs(found - expected).max() < TOLERANCE
        assert (found - expected).std() < 0.03 * expected.std()


def test_weights_are_replaced_by_name() -> None:
    """The graph quantises the weights that it is given, not those that it was made with."""
    from newscaster.onnx_weights import with_weights
    from newscaster.training.onnx_export import without_weights

    first, second = network(), network()
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(1.5)
    graph = without_weights(motion_to_onnx(first, {"context_steps": "30"}), first.state_dict())
    model = with_weights(graph, {name: tensor.numpy() for name, tensor in second.state_dict().items()})
    session = Session(model, threads=1)
    audio = features(second, 1, 40)
    with torch.no_grad():
        expected = second(audio).numpy()
    found = session.run(features=audio.numpy())["coefficients"]
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    assert session.metadata == {"context_steps": "30"}
