from __future__ import annotations

import numpy as np
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.models.reference.data import ReferenceFrames
from newscaster.models.reference.losses import ReferenceWeights, reference_loss
from newscaster.models.reference.network import Rendering, cell_box

HIDDEN = hidden_mask(128)
BOX = cell_box(HIDDEN, levels=2)


def scene() -> tuple[torch.Tensor, object, Rendering]:
    frames = ReferenceFrames([talking_clip(30, side=128)], HIDDEN)
    target, sight = frames.batch(np.array([0, 1])).on(torch.device("cpu"))
    t, b, l, r = BOX.scaled_up(2)  # noqa: E741
    image = target[..., t:b, l:r]
    low = torch.nn.functional.avg_pool2d(image, 2)
    perfect = Rendering(image, low, torch.zeros_like(low), torch.zeros_like(low[:, :2]))
    return target, sight, perfect


def test_a_perfect_copy_costs_nothing() -> None:
    target, sight, perfect = scene()
    assert float(reference_loss(perfect, target, sight, BOX, ReferenceWeights())) == 0


def test_every_part_counts() -> None:
    target, sight, perfect = scene()
    changes = {
        "image": perfect.image + 0.1,
        "low": perfect.low + 0.1,
        "correction": perfect.correction + 0.1,
        "refinement": perfect.refinement + 0.01,
    }
    for name, value in changes.items():
        worse = perfect._replace(**{name: value})
        assert float(reference_loss(worse, target, sight, BOX, ReferenceWeights())) > 0, name


def test_visible_pixels_do_not_count() -> None:
    target, sight, perfect = scene()
    t, b, l, r = BOX.scaled_up(2)  # noqa: E741
    visible = torch.from_numpy(~HIDDEN[t:b, l:r])
    image = torch.where(visible, perfect.image + 0.5, perfect.image)
    loss = reference_loss(perfect._replace(image=image), target, sight, BOX, ReferenceWeights())
    assert float(loss) == 0
