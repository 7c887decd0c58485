"""The base motion network of the package, for inference without PyTorch.

Training reads the same weights (`models.motion.base`). The graph is beside them, without weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.inference import Session
from newscaster.onnx_weights import with_weights
from newscaster.safety.readers import read_tensors
from newscaster.speech.features import FeatureSpec

_WEIGHTS = "data/base_motion.safetensors"
_GRAPH = "data/base_motion.onnx"
_PREFIX = "network."
_KEY = "newscaster"
CONTEXT_STEPS = "context_steps"
"""Key in the metadata of the graph."""


@dataclass(frozen=True, eq=False)
class LoadedMotion:
    """A motion network that fits any speaker, and what its coefficients mean."""

    session: Session
    """`features` (B, T, D) to `coefficients` (B, T, K)."""
    basis: MouthBasis
    """Its mean is 0: take the person's mouth at rest, `MouthBasis.with_mean`."""
    features: FeatureSpec
    context_steps: int
    """Motion steps on either side that a coefficient depends on."""


def base_motion() -> LoadedMotion:
    """Load the base motion network of the package.

    Raises:
        InputError: this installation lacks it, or it is damaged.
    """
    package = resources.files("newscaster")
    try:
        return load_motion(package.joinpath(_WEIGHTS).read_bytes(), package.joinpath(_GRAPH).read_bytes())
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"the base motion network of the package cannot be read ({error}). Install newscaster again"
        ) from error


def base_motion_network() -> bytes:
    """Return the base motion network of the package, ONNX."""
    package = resources.files("newscaster")
    return _network(package.joinpath(_WEIGHTS).read_bytes(), package.joinpath(_GRAPH).read_bytes())


def load_motion(weights: bytes, graph: bytes) -> LoadedMotion:
    """Load a base motion network from the contents of its two files.

    Raises:
        KeyError, ValueError: a file is damaged.
        InputError: they do not fit each other.
    """
    arrays = read_tensors(weights)
    header = json.loads(weights[8 : 8 + int.from_bytes(weights[:8], "little")])
    features = FeatureSpec.from_json(json.loads(header["__metadata__"][_KEY])["features"])
    session = Session(_network(weights, graph), threads=1, name="the base motion network", trusted=True)
    return LoadedMotion(
        session, MouthBasis.from_arrays(arrays), features, int(session.metadata[CONTEXT_STEPS])
    )


def _network(weights: bytes, graph: bytes) -> bytes:
    arrays = read_tensors(weights)
    return with_weights(
        graph,
        {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)},
    )
