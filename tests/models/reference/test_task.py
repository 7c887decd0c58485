from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from making_mouths import hidden_mask, talking_clip
from newscaster.face.references import MAX_REFERENCES
from newscaster.models.reference.base import load_base_renderer
from newscaster.models.reference.network import ReferenceNetwork
from newscaster.models.reference.task import AdaptingTraining, ReferenceTask, lip_sharpness
from newscaster.models.renderer import training
from newscaster.models.renderer.data import RenderingData
from newscaster.models.renderer.training import load_renderer, train_renderer

HOW = AdaptingTraining(batch=2, check_frames=4)


@pytest.fixture(scope="module")
def data() -> RenderingData:
    return RenderingData.of([talking_clip(14, side=128, seed=seed) for seed in range(3)], hidden_mask(128))


@pytest.fixture(autouse=True)
def _without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """An export takes half a minute; `test_reference_renderer` makes one."""
    monkeypatch.setattr(training, "export_renderer", lambda network, **_: b"")
    monkeypatch.setattr(training, "Session", lambda *_, **__: None)


def test_it_works_before_it_is_trained(data: RenderingData, tmp_path: Path) -> None:
    result = train_renderer(data, tmp_path, minutes=0, renderer="reference", training=HOW)
    assert result.steps == 0
    assert result.psnr > 18
    network = load_renderer(result.weights, renderer="reference")
    assert isinstance(network, ReferenceNetwork)
    base = load_base_renderer().state_dict()
    assert all((value == base[k]).all() for k, value in network.unet.named_parameters())
    assert network.unet.detail_gain != network.config.detail_gain, "calibrated by the sharpness"


@pytest.mark.slow
def test_training_starts_from_the_base_and_changes_it(data: RenderingData, tmp_path: Path) -> None:
    result = train_renderer(data, tmp_path, minutes=0.02, renderer="reference", training=HOW)
    assert result.steps >= 1
    network = load_renderer(result.weights, renderer="reference")
    assert isinstance(network, ReferenceNetwork)
    base = load_base_renderer().state_dict()
    trained = network.unet.state_dict()
    assert any((trained[name] != value).any() for name, value in base.items())


def test_references_are_of_the_training_clips(data: RenderingData) -> None:
    references = ReferenceTask.references_of(data)
    assert references is not None
    assert len(references) == min(MAX_REFERENCES, sum(len(clip) for clip in data.clips))
    known = np.concatenate([clip.crops for clip in data.clips])
    assert all((known == crop).all(axis=(1, 2, 3)).any() for crop in references.crops)
    assert 0 <= references.points.min() <= references.points.max() <= 1


def test_sharpness_is_relative_and_of_the_lips() -> None:
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    blurred = np.asarray(Image.fromarray(real).filter(ImageFilter.GaussianBlur(1)))
    lips = np.zeros((32, 32), np.uint8)
    lips[8:24, 8:24] = 255
    assert lip_sharpness(real, real, lips) == 1
    assert lip_sharpness(blurred, real, lips) < 0.2
    elsewhere = real.copy()
    elsewhere[:10] = 0
    assert lip_sharpness(elsewhere, real, lips) == 1
    assert lip_sharpness(blurred, real, np.zeros_like(lips)) == 1, "nothing to compare"
