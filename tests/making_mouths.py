"""A cartoon face whose mouth opens and closes: what renderers are trained on in tests."""

from __future__ import annotations

import numpy as np

from newscaster.face.topology import MOUTH_POINTS, RING
from newscaster.models.renderer.data import RenderingClip
from newscaster.models.renderer.network import RendererConfig

SIDE = 32
TINY = RendererConfig(channels=(8, 16), encoder_blocks=(1, 1), decoder_blocks=(1,), unshuffle=2)


def hidden_mask(side: int = SIDE) -> np.ndarray:
    hidden = np.zeros((side, side), bool)
    hidden[side * 3 // 8 : side * 7 // 8, side // 5 : side * 4 // 5] = True
    return hidden


def mouth(opening: float, *, side: int = SIDE) -> np.ndarray:
    """(57, 2) points: lips as ellipses that open by ``opening`` of 0 to 1, a jaw that follows."""
    angle = np.pi - np.arange(RING) * 2 * np.pi / RING
    ring = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    centre = np.array([0.5, 0.6]) * side
    outer = centre + ring * np.array([0.2, 0.08 + 0.06 * opening]) * side
    inner = centre + ring * np.array([0.15, 0.005 + 0.08 * opening]) * side
    turn = np.linspace(0, np.pi, MOUTH_POINTS - 2 * RING)
    jaw = np.array([0.5, 0.5]) * side
    jaw = jaw + np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.array([0.28, 0.3 + 0.05 * opening]) * side
    return np.concatenate([outer, inner, jaw])


def talking_clip(frames: int = 12, *, side: int = SIDE, seed: int = 0) -> RenderingClip:
    """A skin-coloured picture with red lips and a dark opening, on a shaded ground."""
    from newscaster.face.landmark_map import draw_landmark_map

    openings = np.random.default_rng(seed).uniform(0, 1, frames)
    points = np.stack([mouth(opening, side=side) for opening in openings])
    shade = np.linspace(0, 40, side)[None, :, None]
    crops = []
    for mouth_points in points:
        landmark_map = draw_landmark_map(mouth_points, side=side, map_side=side)[..., None] / 255.0
        image = np.array([190.0, 150.0, 130.0]) - shade + np.zeros((side, side, 3))
        for part, colour in zip(landmark_map[:3], ((40, 10, 10), (170, 70, 80), (180, 80, 90)), strict=True):
            image = image * (1 - part) + part * np.array(colour)
        crops.append(image.round().astype(np.uint8))
    return RenderingClip(np.stack(crops), points)
