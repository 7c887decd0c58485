from __future__ import annotations

import numpy as np
import pytest
import torch

from faces import face_points
from newscaster.face.crop import Mask, cut_crop
from newscaster.face.geometry import Similarity
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.models.portrait.inference import render_crops, render_frames
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
        appearances=2,
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


def test_frames_show_the_face_whatever_the_batch(network: FullFrame, faces: tuple) -> None:
    landmarks, planes = faces
    images = list(render_frames(network, landmarks, planes, planes))
    assert len(images) == 11
    assert images[0].shape == (SIZE[1], SIZE[0], 3)
    assert images[0].dtype == np.uint8
    assert np.abs(images[0].astype(int) - images[10]).max() > 3  # the face has moved
    again = next(render_frames(network, landmarks[3:4], planes[3:4], planes[3:4]))
    assert np.abs(again.astype(int) - images[3]).max() <= 2


def test_crops_agree_with_whole_frames(network: FullFrame, faces: tuple) -> None:
    landmarks, planes = faces
    side = 32
    # Almost upright squares around the mouth, smaller in the crop than in the frame.
    matrix = np.stack([np.array([[0.8, 0.1, -40.0 - i], [-0.1, 0.8, -35.0]]) for i in range(11)])
    transforms = SurfaceWarp.of(Similarity(matrix))
    crops = list(render_crops(network, landmarks, planes, planes, transforms, side=side))
    for index, image in enumerate(render_frames(network, landmarks, planes, planes)):
        whole = cut_crop(image, transforms[index], side).astype(int)
        assert np.abs(crops[index] - whole).mean() < 0.5


def test_real_mouths_take_on_the_synthetic_colours() -> None:
    side = 32
    hidden = np.zeros((side, side), bool)
    hidden[10:28, 8:24] = True
    soft = np.zeros((side, side), np.uint8)
    soft[14:24, 12:20] = 255
    soft[10:14, 12:20] = 128
    rng = np.random.default_rng(0)
    face = rng.integers(60, 180, size=(1, side, side, 3))
    rendered = np.repeat(face, 5, axis=0).astype(np.uint8)
    real = rendered + np.array([20, 0, 10], np.uint8)  # another light
    real[:, 16:20, 14:18] = 250  # teeth
    out = with_real_mouths(rendered, real, Mask(hidden, soft), ring_px=3)
    assert (out[:, ~hidden] == rendered[:, ~hidden]).all()
    around = np.zeros((side, side), bool)
    around[22:24, 12:20] = True
    assert np.abs(out[:, around].astype(int) - rendered[:, around]).max() <= 1
    assert (out[:, 17, 15] == [230, 250, 240]).all()
