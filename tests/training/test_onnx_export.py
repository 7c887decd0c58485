from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from making_mouths import SIDE, TINY, hidden_mask
from newscaster.inference import Session
from newscaster.models.renderer.network import Renderer
from newscaster.models.renderer.training import export_renderer
from newscaster.training.onnx_export import ExportError, export_network


class Sequences(nn.Module):
    """(B, T, 6) to (B, T, 2), with what behaves differently in training."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(6, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5)
        )
        self.leave = nn.Conv1d(8, 2, 1)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.leave(self.layers(features.transpose(1, 2))).transpose(1, 2)
        return out


@pytest.mark.slow
def test_a_network_is_exported_with_free_axes(tmp_path: Path) -> None:
    module, path = Sequences().train(), tmp_path / "motion.onnx"
    model = export_network(
        module,
        {"features": torch.randn(1, 20, 6)},
        path,
        names=["coefficients"],
        dynamic={"features": {0: "B", 1: "T"}},
        metadata={"kind": "motion"},
    )
    assert module.training
    assert path.read_bytes() == model
    session = Session(path)
    assert session.inputs == {"features": ("B", "T", 6)}
    assert session.metadata["kind"] == "motion"
    for shape in ((1, 1, 6), (3, 57, 6)):
        features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        found = session.run(features=features)["coefficients"]
        with torch.no_grad():
            wanted = module.eval()(torch.from_numpy(features)).numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.slow
def test_no_path_of_this_machine_is_in_the_network() -> None:
    model = export_network(Sequences(), {"features": torch.randn(1, 5, 6)}, names=["out"])
    assert Path(__file__).stem.encode() not in model
    assert b"site-packages" not in model


def test_a_network_that_computes_something_else_is_refused() -> None:
    class Counting(nn.Module):
        calls = itertools.count()

        def forward(self, x: Tensor) -> Tensor:
            return x + float(next(self.calls))

    with pytest.raises(ExportError, match="differs"):
        export_network(Counting(), {"x": torch.zeros(2, 3)}, names=["y"])


@pytest.mark.slow
def test_the_exported_renderer_renders_the_same() -> None:
    hidden = hidden_mask()
    network = Renderer(TINY, hidden).eval()
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    session = Session(export_renderer(network))
    assert session.inputs == {"region": ("B", SIDE, SIDE, 3), "face_map": ("B", 4, SIDE // 2, SIDE // 2)}
    assert session.outputs == {"rendered": ("B", SIDE, SIDE, 3)}
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    landmark_map = rng.integers(0, 256, (3, 4, SIDE // 2, SIDE // 2), np.uint8)
    found = session.run(region=crop, face_map=landmark_map)["rendered"]
    with torch.no_grad():
        wanted = network(torch.from_numpy(crop), torch.from_numpy(landmark_map)).numpy()
    assert np.abs(found.astype(int) - wanted).max() <= 1
    other = np.where(hidden[..., None], 255 - crop, crop)
    np.testing.assert_array_equal(session.run(region=other, face_map=landmark_map)["rendered"], found)
