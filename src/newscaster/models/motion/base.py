"""The base motion network, from which the training of every speaker starts.

It is pretrained on many people, so a few minutes of footage are enough to adapt it to a speaker. The package
stores it as one safetensors file: weights in half precision, the basis of its coefficients, and the spec of
its input features. Beside it is the network's ONNX graph without weights, for inference without PyTorch
(`synthesis.base_motion`). ``tools/train_base_motion.py`` makes both files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.models.motion.data import restore_motion
from newscaster.models.motion.export import TOLERANCE, motion_to_onnx
from newscaster.models.motion.network import MotionNetwork
from newscaster.onnx_weights import with_weights
from newscaster.speech.features import FeatureSpec
from newscaster.system.files import atomic_write
from newscaster.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from newscaster.training.onnx_export import check_export, without_weights

NAME = "base_motion.safetensors"
GRAPH = "base_motion.onnx"


@dataclass(frozen=True)
class BaseMotion:
    """A speaker-independent motion network, its basis without a mean, and its input features."""

    network: MotionNetwork
    basis: MouthBasis
    features: FeatureSpec
    facts: Mapping[str, object]
    """The training data and the metrics reached."""


def save_base_motion(path: Path, base: BaseMotion) -> None:
    """Write a base network, and its graph beside it: ``path`` with the suffix .onnx."""
    tensors = {f"network.{k}": v.half() for k, v in base.network.state_dict().items()}
    tensors |= {k: torch.from_numpy(v) for k, v in base.basis.to_arrays().items()}
    facts = {
        "config": asdict(base.network.config),
        "features": base.features.to_json(),
        "facts": dict(base.facts),
    }
    write_checkpoint(path, Checkpoint(tensors, facts))
    with atomic_write(path.with_suffix(".onnx")) as temporary:
        temporary.write_bytes(motion_graph(base.network))


def motion_graph(network: MotionNetwork) -> bytes:
    """Return the ONNX graph of a network, whose initializers are missing; the metadata name its context."""
    steps = str(network.config.context_steps)
    return without_weights(export_motion(network, metadata={"context_steps": steps}), network.state_dict())


def motion_of_speaker(network: MotionNetwork) -> bytes:
    """Return the network of a speaker as ONNX: the graph of the package with the speaker's weights.

    This does not need the package ``onnx``. The result is checked against PyTorch all the same.

    Raises:
        ExportError: the network does not have the shape of the base network.
    """
    graph = (resources.files("newscaster") / "data" / GRAPH).read_bytes()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    model = with_weights(graph, weights)
    _check(network, model)
    return model


def export_motion(network: MotionNetwork, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """Export to ONNX, ``features`` (B, T, D) to ``coefficients`` (B, T, K); verify it against PyTorch.

    Raises:
        ExportError: the exported network computes something else.
    """
    was_training = network.training
    network.eval()
    try:
        model = motion_to_onnx(network, metadata)
        _check(network, model)
    finally:
        network.train(was_training)
    return model


def _check(network: MotionNetwork, model: bytes) -> None:
    example = {"features": _example(network)}
    check_export(network, model, example, names=["coefficients"], tolerance=TOLERANCE)


def _example(network: MotionNetwork) -> Tensor:
    example = torch.randn(1, 2 * network.config.context_steps + 5, network.config.inputs)
    return example * network.feature_deviation + network.feature_mean


def load_base_motion(path: Path | None = None, *, dropout: float | None = None) -> BaseMotion:
    """Load the base network of the package, or of a file; ``dropout`` replaces the stored one.

    Raises:
        InputError: the file is missing or damaged.
    """
    if path is None:
        with resources.as_file(resources.files("newscaster") / "data" / NAME) as packaged:
            return load_base_motion(packaged, dropout=dropout)
    stored = read_checkpoint(path)
    try:
        network = restore_motion(Checkpoint(stored.part("network"), stored.facts), dropout=dropout)
        if not isinstance(network, MotionNetwork):
            raise ValueError("it is recurrent")
        basis = MouthBasis.from_arrays(
            {k: v.numpy() for k, v in stored.tensors.items() if k.startswith("basis.")}
        )
        features = FeatureSpec.from_json(stored.facts["features"])
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"'{path}' is not a base motion network ({error}). Install newscaster again"
        ) from error
    return BaseMotion(network, basis, features, stored.facts["facts"])
