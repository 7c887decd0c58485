"""The base network: stored and read back, and the one in the package."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest
import torch

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.topology import MOUTH_POINTS
from newscaster.models.motion.base import BaseMotion, load_base_motion, save_base_motion
from newscaster.models.motion.export import TOLERANCE
from newscaster.models.motion.network import MotionConfig, MotionNetwork
from newscaster.speech.features import FeatureSpec
from newscaster.synthesis.base_motion import base_motion, load_motion


@pytest.mark.slow
def test_comes_back_as_it_was_stored(tmp_path) -> None:
    features = FeatureSpec(kind="mfcc")
    network = MotionNetwork(MotionConfig(inputs=features.width, coefficients=4, channels=8))
    basis = MouthBasis(np.zeros((MOUTH_POINTS, 2)), np.random.rand(4, MOUTH_POINTS, 2), np.ones(4))
    path = tmp_path / "base.safetensors"
    save_base_motion(path, BaseMotion(network, basis, features, {"clips": 3}))
    again = load_base_motion(path, dropout=0.1)
    audio = torch.randn(1, 20, features.width)
    network.eval()
    assert torch.allclose(again.network(audio), network(audio), atol=1e-2)
    assert again.network.config.dropout == 0.1
    assert again.features == features
    assert again.facts == {"clips": 3}
    assert np.allclose(again.basis.components, basis.components, atol=1e-6)
    graph = path.with_suffix(".onnx").read_bytes()
    same = load_motion(path.read_bytes(), graph)
    computed = same.session.run_one("coefficients", (1, 20, 4), features=audio.numpy())
    assert np.allclose(computed, again.network.eval()(audio).detach().numpy(), atol=TOLERANCE)
    assert (same.context_steps, same.features) == (network.config.context_steps, features)


def test_the_package_carries_one() -> None:
    base = load_base_motion()
    assert base.network.config.inputs == base.features.width
    assert base.network.config.coefficients == base.basis.size
    assert np.allclose(base.basis.mean, 0)
    gram = np.einsum("ipd,jpd->ij", base.basis.components, base.basis.components)
    assert np.allclose(gram, np.eye(base.basis.size), atol=1e-4)


def test_a_damaged_file_says_so(tmp_path) -> None:
    path = tmp_path / "base.safetensors"
    path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match=r"base\.safetensors.*damaged"):
        load_base_motion(path)


def test_the_package_computes_the_same_without_pytorch() -> None:
    """Its graph, completed by the weights, against the network."""
    base, same = load_base_motion(), base_motion()
    network = base.network.eval()
    features = torch.randn(1, 90, base.features.width) * network.feature_deviation + network.feature_mean
    expected = network(features).detach().numpy()
    computed = same.session.run_one("coefficients", expected.shape, features=features.numpy())
    assert np.abs(computed - expected).max() < TOLERANCE
    assert (computed - expected).std() < 0.02 * expected.std()
    assert same.features == base.features
    assert same.context_steps == network.config.context_steps
    np.testing.assert_array_equal(same.basis.components, base.basis.components)
    graph = resources.files("newscaster").joinpath("data/base_motion.onnx").read_bytes()
    assert len(graph) < 20_000  # no weights
