"""The packaged network on real footage: a few frames each."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from newscaster.matting import Matte, PersonMatte, load_person_network
from newscaster.media import read_frames

pytestmark = pytest.mark.data


def frames(data_folder: Path, name: str, count: int = 1) -> list[np.ndarray]:
    return list(islice(read_frames(next((data_folder / "hd").glob(f"{name}_*"))), count))


def matte_of(frame: np.ndarray) -> Matte:
    return PersonMatte().push(frame)


def test_an_anchor_before_blue_has_no_blue_fringe(data_folder: Path) -> None:
    (frame,) = frames(data_folder, "anchor")
    matte = matte_of(frame)
    above = slice(0, 330)  # hair and ears; the tie below is blue itself
    edge = (matte.alpha[above] > 40) & (matte.alpha[above] < 240)
    assert edge.sum() > 500
    shown = matte.foreground[above][edge].astype(int)
    raw = frame[above][edge].astype(int)
    assert np.mean(raw[:, 2] - raw[:, 0] > 40) > 0.3
    assert np.mean(shown[:, 2] - shown[:, 0] > 40) < 0.02


def test_people_are_whole_and_reach_the_border(data_folder: Path) -> None:
    (frame,) = frames(data_folder, "anchor")
    alpha = matte_of(frame).alpha
    assert (alpha[180:500, 200:300] == 255).all()  # face, beard, shirt and tie
    assert (alpha[-2:, 20:490] == 255).all()
    assert not alpha[:20].any()


def test_a_full_body_has_no_halo(data_folder: Path) -> None:
    (frame,) = frames(data_folder, "studio")
    alpha = matte_of(frame).alpha
    assert (alpha[900:1050, 400:760] == 255).all()  # a shirt before a curtain of nearly its colour
    assert (alpha[-4:, 200:260] == 255).all()  # a leg that the frame cuts
    assert alpha[:350].mean() < 0.1
    assert alpha[:900, :150].mean() < 0.1  # a plant
    soft = (alpha > 10) & (alpha < 245)
    assert soft.mean() < 0.03


def test_an_ear_ring_is_no_hole(data_folder: Path) -> None:
    turned = frames(data_folder, "talk", 31)[-1]
    alpha = matte_of(turned).alpha
    inner = alpha[280:350, 485:525]
    assert inner.min() > 150  # the whole frame's mask has a hole of 76 there


def test_sensor_noise_does_not_flicker(data_folder: Path) -> None:
    (frame,) = frames(data_folder, "interview")
    rng = np.random.default_rng(0)
    matting = PersonMatte(load_person_network())
    alphas = []
    for _ in range(4):
        noisy = np.clip(frame + rng.normal(0, 3, frame.shape), 0, 255).astype(np.uint8)
        alphas.append(matting.push(noisy).alpha.astype(int))
    assert np.abs(np.diff(alphas, axis=0)).max() <= 1
