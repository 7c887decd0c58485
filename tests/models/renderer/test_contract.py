"""What every renderer promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from making_mouths import SIDE, TINY, hidden_mask
from newscaster.errors import InputError
from newscaster.models.registry import RENDERERS, renderer_task
from newscaster.models.renderer.contract import CropNetwork, check_contract
from newscaster.models.renderer.crop_task import CropTask
from newscaster.models.renderer.network import Renderer


class Flawed(CropNetwork):
    """Paints hidden pixels grey, and has one flaw."""

    def __init__(self, flaw: str) -> None:
        super().__init__(hidden_mask(), map_side=SIDE // 2)
        self.flaw = flaw
        self.dropout = nn.Dropout()

    @classmethod
    def from_config(cls, config: Mapping[str, Any], hidden: np.ndarray) -> Flawed:
        return cls(config["flaw"])

    def config_json(self) -> dict[str, Any]:
        return {"flaw": self.flaw}

    def forward(self, crop: Tensor, landmark_map: Tensor) -> Tensor:
        hidden = self.hidden[..., None]
        made = torch.where(hidden, 127, crop)
        if self.flaw == "hidden":
            made = torch.where(hidden, crop // 2, crop)
        if self.flaw == "changes":
            made = made // 2
        if self.flaw == "floats":
            return made.float()
        return made[:1] if self.flaw == "one" else made


@pytest.mark.parametrize(
    ("flaw", "message"),
    [
        ("hidden", "Flawed depends on hidden pixels"),
        ("changes", "Flawed changes visible pixels"),
        ("floats", r"returns torch.float32 \(2, 32, 32, 3\); expected uint8 \(2, 32, 32, 3\)"),
        ("one", r"returns torch.uint8 \(1, 32, 32, 3\)"),
    ],
)
def test_a_renderer_that_breaks_the_contract_is_refused(flaw: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_contract(Flawed(flaw))


def test_the_mode_of_the_network_is_left_as_it_was() -> None:
    network = Flawed("none")
    check_contract(network)
    assert network.training
    check_contract(network.eval())
    assert not network.training


@pytest.mark.parametrize("name", RENDERERS)
def test_every_renderer_has_a_task_and_a_network(name: str) -> None:
    task = renderer_task(name)
    assert issubclass(task, CropTask)
    assert issubclass(task.network_class, CropNetwork)


def test_a_network_is_built_from_its_own_config() -> None:
    network = Renderer(TINY, hidden_mask())
    check_contract(network)
    again = Renderer.from_config(network.config_json(), hidden_mask())
    assert (again.config, again.map_side) == (network.config, network.map_side)


def test_an_unknown_renderer_is_refused() -> None:
    with pytest.raises(InputError, match="the renderer is 'gan'; expected one of unet"):
        renderer_task("gan")
