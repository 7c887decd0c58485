"""What a renderer's network takes and returns.

An anchor stores the network as ONNX. Whatever computes inside, its inputs and outputs are those of
:class:`CropNetwork`, so that speaking needs no more than two numbers about it: ``map_side`` and ``grain``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from newscaster.face.landmark_map import CHANNELS
from newscaster.types import ArrayBool


class CropNetwork(nn.Module, ABC):
    """Face crops (B, S, S, 3) and landmark maps (B, 4, M, M), both uint8, to crops with a new lower face.

    A network may take more inputs; :meth:`example` has them all.

    ``hidden`` says which pixels are replaced. The result must not depend on their values, so that nothing of
    the old mouth reaches the new one. All other pixels come back as they were. :func:`check_contract` checks
    both.

    Args:
        hidden: (S, S) bool.
        map_side: side of the landmark maps, ``M``.
    """

    hidden: Tensor
    grain = 0.0
    """Strength of the grain that the results lack, in levels (`face.grain`)."""

    def __init__(self, hidden: ArrayBool, *, map_side: int) -> None:
        super().__init__()
        self.side, self.map_side = hidden.shape[0], map_side
        self.register_buffer("hidden", torch.from_numpy(hidden.copy()))

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any], hidden: ArrayBool) -> Self:
        """Return a network of the shape that :meth:`config_json` described."""

    @abstractmethod
    def config_json(self) -> dict[str, Any]:
        """Return the shape of the network as JSON."""

    def calibrate(self, metrics: Mapping[str, Any]) -> None:
        """Adjust to what was measured on held-out frames: the metrics of the task, by name."""
        self.grain = float(metrics.get("grain") or 0.0)

    def weights_alone(self) -> Mapping[str, Tensor] | None:
        """Return what an anchor stores of a network whose graph the package has; None: it stores both."""
        return None

    def example(self, crop: Tensor, landmark_map: Tensor) -> dict[str, Tensor]:
        """Return all inputs for crops and their landmark maps, by name, in the order of ``forward``."""
        return {"region": crop, "face_map": landmark_map}


def check_contract(network: CropNetwork) -> None:
    """Run a network on two random crops, and check what :class:`CropNetwork` promises.

    Raises:
        ValueError: it returns other shapes or types, depends on hidden pixels, or changes visible ones.
    """
    name, side = type(network).__name__, network.side
    device, hidden = network.hidden.device, network.hidden
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator).to(device)

    crops, maps = random(2, side, side, 3), random(2, len(CHANNELS), network.map_side, network.map_side)
    was_training = network.training
    network.eval()
    with torch.no_grad():
        inputs = network.example(crops, maps)
        rendered = network(*inputs.values())
        inputs["region"] = torch.where(hidden[..., None], 255 - crops, crops)
        other = network(*inputs.values())
    network.train(was_training)
    if rendered.shape != crops.shape or rendered.dtype != torch.uint8:
        raise ValueError(
            f"{name} returns {rendered.dtype} {tuple(rendered.shape)}; expected uint8 {tuple(crops.shape)}"
        )
    # A GPU may round differently from one call to the next.
    if (rendered[:, hidden].int() - other[:, hidden].int()).abs().max() > 1:
        raise ValueError(f"{name} depends on hidden pixels of the crop; replace them before the first layer")
    if not torch.equal(rendered[:, ~hidden], crops[:, ~hidden]):
        raise ValueError(f"{name} changes visible pixels of the crop; return them as they are")
