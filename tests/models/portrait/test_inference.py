from __future__ import annotations

import numpy as np
import pytest
import torch

from faces import face_points
from newscaster.face.flattening import Flattening
from newscaster.face.geometry import Similarity
from newscaster.face.region import Mask, crop
from newscaster.models.portrait.inference import paint, paint_regions
from newscaster.models.portrait.network import FullFrame, FullFrameConfig
from newscaster.models.portrait.target import with_real_mouths

SIZE = (150, 118)


@pytest.fixture(scope="module")
def network() -> FullFrame:
    torch.manual_seed(0)
    config = FullFrameConfig(
        size=SIZE,
        eye_distance_px=24.0,
        channels=(4, 6),
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
        looks=2,
        code=8,
    )
    network = FullFrame(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    landmarks = np.stack([face_points(0.02 * i)[:, :2] * 24 + [70 + i, 50] for i in range(11)])
    planes = np.stack([np.array([[24.0, 0, 70 + i], [0, 24, 50]]) for i in range(11)])
    return landmarks, planes


def test_pictures_are_what_the_network_paints(network: FullFrame, faces: tuple) -> None:
    landmarks, planes = faces
    pictures = list(paint(network, landmarks, planes, planes))
    assert len(pictures) == 11
    assert pictures[0].shape == (SIZE[1], SIZE[0], 3)
    assert pictures[0].dtype == np.uint8
    assert np.abs(pictures[0].astype(int) - pictures[10]).max() > 3  # the face has moved
    again = next(paint(network, landmarks[3:4], planes[3:4], planes[3:4]))
    assert np.abs(again.astype(int) - pictures[3]).max() <= 2


def test_regions_are_cut_out_of_the_same_pictures(network: FullFrame, faces: tuple) -> None:
    landmarks, planes = faces
    side = 32
    # Upright squares about the mouth, larger in the region than in the picture.
    matrix = np.stack([np.array([[0.8, 0.1, -40.0 - i], [-0.1, 0.8, -35.0]]) for i in range(11)])
    transforms = Flattening.of(Similarity(matrix))
    regions = list(paint_regions(network, landmarks, planes, planes, transforms, side=side))
    for index, picture in enumerate(paint(network, landmarks, planes, planes)):
        whole = crop(picture, transforms[index], side).astype(int)
        assert np.abs(regions[index] - whole).mean() < 0.5


def test_real_mouths_take_on_the_painted_colours() -> None:
    side = 32
    hidden = np.zeros((side, side), bool)
    hidden[10:28, 8:24] = True
    soft = np.zeros((side, side), np.uint8)
    soft[14:24, 12:20] = 255
    soft[10:14, 12:20] = 128
    rng = np.random.default_rng(0)
    face = rng.integers(60, 180, size=(1, side, side, 3))
    painted = np.repeat(face, 5, axis=0).astype(np.uint8)
    real = painted + np.array([20, 0, 10], np.uint8)  # another light
    real[:, 16:20, 14:18] = 250  # teeth
    out = with_real_mouths(painted, real, Mask(hidden, soft), ring_px=3)
    assert (out[:, ~hidden] == painted[:, ~hidden]).all()
    around = np.zeros((side, side), bool)
    around[22:24, 12:20] = True
    assert np.abs(out[:, around].astype(int) - painted[:, around]).max() <= 1
    assert (out[:, 17, 15] == [230, 250, 240]).all()
