"""The base motion network: what every training of a speaker starts from.

It has heard many people, so that a speaker's few minutes need not teach it what speech sounds like. Stored in
the package as one safetensors file: weights in half precision, the basis that its coefficients refer to, and
the features it hears. Made by ``tools/train_base_motion.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

import torch

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.models.motion.data import restore_motion
from newscaster.models.motion.network import MotionNetwork
from newscaster.speech.features import FeatureSpec
from newscaster.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint

NAME = "base_motion.safetensors"


@dataclass(frozen=True)
class BaseMotion:
    """A motion network for anyone, its basis around no mean, and the features that it hears."""

    network: MotionNetwork
    basis: MouthBasis
    features: FeatureSpec
    facts: Mapping[str, object]
    """What it was trained on and the figures it reached."""


def save_base_motion(path: Path, base: BaseMotion) -> None:
    """Write a base network."""
    tensors = {f"network.{k}": v.half() for k, v in base.network.state_dict().items()}
    tensors |= {k: torch.from_numpy(v) for k, v in base.basis.to_arrays().items()}
    facts = {
        "config": asdict(base.network.config),
        "features": base.features.to_json(),
        "facts": dict(base.facts),
    }
    write_checkpoint(path, Checkpoint(tensors, facts))


def load_base_motion(path: Path | None = None, *, dropout: float | None = None) -> BaseMotion:
    """The base network of the package, or the one in a file; ``dropout`` replaces its own.

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
