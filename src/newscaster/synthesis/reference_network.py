"""The network of the reference renderer: a graph of the package, completed by weights.

The package has a graph for each size of crops, without weights (`models.reference.graph` writes them), and
weights that fit people whom they were not trained on. An anchor has weights of its own, of the same shape.
Neither needs PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from newscaster.errors import AnchorError
from newscaster.face.landmark_map import CHANNELS
from newscaster.face.references import CELLS, COUNT
from newscaster.inference import ONNX_RUNTIME, Session
from newscaster.onnx_weights import with_unused_inputs, with_weights
from newscaster.safety.readers import read_tensors

_BASE_WEIGHTS = "base_renderer.safetensors"
Kind = Literal["renderer", "planes"]
"""What a network renders: RGB pixels, or planes Y, U and V; see `models.reference.graph`."""
KINDS: tuple[Kind, ...] = ("renderer", "planes")
_GRAPH = "reference_{kind}_{side}.onnx"
_SAMPLE_CELLS = 32, 48
"""Rows and columns of the rendered box, in cells, of the bundled anchor."""
_EPSILON = 1e-5
"""Of batch normalisation in PyTorch, by default."""
_MAX_TENSORS = 256
_FIRST = "enter.weight"
_STATISTICS = ("weight", "bias", "running_mean", "running_var")

Weights = Mapping[str, NDArray[Any]]


def reference_session(
    weights: bytes | None,
    *,
    side: int,
    name: str,
    backend: str = ONNX_RUNTIME,
    callers: int = 1,
    kind: Kind = "renderer",
) -> Session:
    """Load the network.

    Args:
        weights: of a training, a safetensors file; None: those of the package.
        side: side of the crops.
        name: of the weights, for messages.
        backend: see :class:`Session`.
        callers: threads that run it at a time.
        kind: what it renders.

    Raises:
        AnchorError: the weights are damaged, or of another network.
    """
    base = _base_weights()
    arrays = base if weights is None else _read(weights, name, like=base)
    data = resources.files("newscaster") / "data"
    graph = (data / _GRAPH.format(kind=kind, side=side)).read_bytes()
    # Weights are numbers alone: a graph of the package can run only what the package's authors wrote.
    return Session(
        with_weights(graph, folded(arrays)),
        threads=1,
        name=name,
        backend=backend,
        callers=callers,
        trusted=True,
        exact=True,
        sample=_sample(side, kind),
        remedy=None if weights is None else "Train the anchor again",
    )


def _sample(side: int, kind: Kind) -> dict[str, NDArray[Any]]:
    """Return inputs of zeros as of a typical face, to measure backends with."""
    (rows, columns), cell = _SAMPLE_CELLS, side // CELLS
    height, width = rows * cell, columns * cell

    def zeros(*shape: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
        return np.zeros(shape, dtype)

    sample = {
        "context": zeros(1, rows, columns, 3, dtype=np.uint8),
        "hidden": zeros(1, 1, rows, columns),
        "landmark_map": zeros(1, len(CHANNELS), rows, columns, dtype=np.uint8),
        "flow": zeros(COUNT, 2, rows // 2, columns // 2),
        "distance": zeros(1, COUNT),
        "small": zeros(COUNT * CELLS**2, 12, dtype=np.uint8),
        "cell_columns": zeros(columns),
        "cell_rows": zeros(rows, 1),
        "columns": zeros(width),
        "rows": zeros(height, 1),
    }
    if kind == "renderer":
        return {**sample, "large": zeros(side**2, 12, dtype=np.uint8)}
    return {
        **sample,
        "luma": zeros(side**2, 4, dtype=np.uint8),
        "chroma": zeros(side**2 // 4, 8, dtype=np.uint8),
        "matrix": zeros(3, 3, 1, 1),
        "offset": zeros(1, 3, 1, 1),
        "first": zeros(2, dtype=np.int64),
        "last": np.array(_SAMPLE_CELLS),
        "half_columns": zeros(width // 2),
        "half_rows": zeros(height // 2, 1),
    }


def folded(weights: Weights) -> dict[str, NDArray[Any]]:
    """Return weights in which each batch normalisation has become part of the convolution before it.

    ``NAME.0`` is a convolution without a bias and ``NAME.1`` its normalisation; the result has
    ``NAME.weight`` and ``NAME.bias``. The first convolution gets weights of 0 for the channels that a graph
    adds, see `onnx_weights.CHANNEL_MULTIPLE`. All others stay as they are.
    """
    result = dict(weights)
    for name in weights:
        if not name.endswith(".1.running_var"):
            continue
        block = name.removesuffix(".1.running_var")
        scale, shift, mean, variance = (
            result.pop(f"{block}.1.{field}").astype(np.float64) for field in _STATISTICS
        )
        result.pop(f"{block}.1.num_batches_tracked", None)
        factor = scale / np.sqrt(variance + _EPSILON)
        kernel = result.pop(f"{block}.0.weight").astype(np.float64)
        result[f"{block}.weight"] = (kernel * factor[:, None, None, None]).astype(np.float32)
        result[f"{block}.bias"] = (shift - mean * factor).astype(np.float32)
    if _FIRST in result:
        result[_FIRST] = with_unused_inputs(result[_FIRST])
    return result


def base_renderer_weights() -> bytes:
    """Return the weights of the package, a safetensors file."""
    return (resources.files("newscaster") / "data" / _BASE_WEIGHTS).read_bytes()


@cache
def _base_weights() -> Weights:
    return read_tensors(base_renderer_weights(), limit=_MAX_TENSORS)


def _read(data: bytes, name: str, *, like: Weights) -> Weights:
    try:
        arrays = read_tensors(data, limit=_MAX_TENSORS)
    except ValueError as error:
        raise AnchorError(f"{name} is damaged ({error})") from error
    shapes, expected = ({key: array.shape for key, array in one.items()} for one in (arrays, like))
    if shapes != expected:
        wrong = sorted(key for key in shapes.keys() | expected.keys() if shapes.get(key) != expected.get(key))
        raise AnchorError(
            f"{name} does not have the weights of the reference renderer: {len(wrong)} of {len(expected)} "
            f"differ, the first is {wrong[0]!r:.80}, {shapes.get(wrong[0])} in place of "
            f"{expected.get(wrong[0])}"
        )
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise AnchorError(f"{name} has weights that are not finite")
    return arrays
