from __future__ import annotations

import numpy as np
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.face.hidden_box import cell_box
from newscaster.face.references import CELLS
from newscaster.models.reference.data import BoxBatch, ReferenceFrames
from newscaster.models.reference.losses import ReferenceWeights, reference_loss
from newscaster.models.reference.network import Rendering

HIDDEN = hidden_mask(128)
BOX = cell_box(HIDDEN, cells=CELLS, multiple=2)


def scene() -> tuple[BoxBatch, Rendering]:
    frames = ReferenceFrames([talking_clip(30, side=128)], HIDDEN)
    batch = frames.batch(np.array([0, 1])).on(torch.device("cpu"), BOX)
    low = torch.nn.functional.avg_pool2d(batch.target, 2)
    return batch, Rendering(batch.target, low, torch.zeros_like(low), torch.zeros_like(low[:, :2]))


def test_a_perfect_copy_costs_nothing() -> None:
    batch, perfect = scene()
    assert float(reference_loss(perfect, batch, ReferenceWeights())) == 0


def test_every_part_counts() -> None:
    batch, perfect = scene()
    changes = {
        "image": perfect.image + 0.1,
        "low": perfect.low + 0.1,
        "correction": perfect.correction + 0.1,
        "refinement": perfect.refinement + 0.01,
    }
    for name, value in changes.items():
        worse = perfect._replace(**{name: value})
        assert float(reference_loss(worse, batch, ReferenceWeights())) > 0, name


def test_visible_pixels_do_not_count() -> None:
    batch, perfect = scene()
    image = torch.where(batch.hidden, perfect.image, perfect.image + 0.5)
    assert float(reference_loss(perfect._replace(image=image), batch, ReferenceWeights())) == 0
