"""The segmentation network, run on the whole frame and on crops of the people in it.

MediaPipe's selfie segmentation (general; Google, Apache-2.0): 256 x 256 pixels in, one mask out. In a frame
of two megapixels one of its pixels covers 32: crops around people and heads bring the edges back.
"""

from __future__ import annotations

import math
from importlib import resources

import numpy as np
from PIL import Image

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.matting.components import Crop
from newscaster.matting.filters import resize
from newscaster.types import ArrayF32, ImageU8

SIDE = 256
_MAX_LOGIT = 5.0


class PersonNetwork:
    """The network on one thread; it may be shared.

    Args:
        session: (1, 256, 256, 3) RGB in 0..1 to (1, 256, 256, 1) probability of a person.

    Raises:
        InputError: the session is another network.
    """

    def __init__(self, session: Session) -> None:
        inputs, outputs = list(session.inputs.items()), list(session.outputs.items())
        expected = (1, SIDE, SIDE, 3), (1, SIDE, SIDE, 1)
        if len(inputs) != 1 or len(outputs) != 1 or (inputs[0][1], outputs[0][1]) != expected:
            raise InputError(
                f"{session!r} is not a person segmentation network; expected {expected[0]} -> {expected[1]}"
            )
        self._session, self._input, self._output = session, inputs[0][0], outputs[0][0]

    def mask(self, frame: ImageU8, box: tuple[int, int, int, int] | None = None) -> ArrayF32:
        """Return (256, 256) probabilities of a person in a box (left, top, right, bottom), by default all."""
        image = Image.fromarray(frame).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)
        pixels = np.asarray(image, np.float32)[None] / np.float32(255)
        shape = (1, SIDE, SIDE, 1)
        probabilities = self._session.run_one(self._output, shape, **{self._input: pixels})
        return np.asarray(np.clip(probabilities[0, ..., 0], 0, 1), np.float32)

    def fused(self, frame: ImageU8, whole: ArrayF32, crops: list[Crop]) -> ArrayF32:
        """Return (H, W) probabilities: the mean of the logits of the whole frame's mask and of every crop's.

        The weight of a crop falls towards its own border, because context is missing there, unless the border
        is the frame's.
        """
        height, width = frame.shape[:2]
        total_weight = np.full((height, width), 0.15, np.float32)
        total = resize(_logit(whole), (height, width)) * total_weight
        for crop in crops:
            left, top = int(crop.box[0] * width), int(crop.box[1] * height)
            right, bottom = math.ceil(crop.box[2] * width), math.ceil(crop.box[3] * height)
            logits = resize(
                _logit(self.mask(frame, (left, top, right, bottom))), (bottom - top, right - left)
            )
            weight = _window(bottom - top, top > 0, bottom < height)[:, None] * (
                crop.weight * _window(right - left, left > 0, right < width)[None, :]
            )
            total[top:bottom, left:right] += weight * logits
            total_weight[top:bottom, left:right] += weight
        return np.asarray(1 / (1 + np.exp(-total / total_weight)), np.float32)


def _logit(mask: ArrayF32) -> ArrayF32:
    floor = np.float32(1 / (1 + np.exp(_MAX_LOGIT)))
    clipped = np.clip(mask, floor, 1 - floor)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


def _window(length: int, fade_start: bool, fade_stop: bool) -> ArrayF32:
    """Return weights along one side of a crop: 1, fading to 0 over a quarter at a border inside the frame."""
    position = (np.arange(length, dtype=np.float32) + 0.5) / max(length, 1)
    window = np.ones(length, np.float32)
    if fade_start:
        window = np.minimum(window, 4 * position)
    if fade_stop:
        window = np.minimum(window, 4 * (1 - position))
    return window


def load_person_network() -> PersonNetwork:
    """Load the packaged network (0.2 MB)."""
    model = resources.files("newscaster").joinpath("data/person_mask.onnx").read_bytes()
    return PersonNetwork(Session(model, threads=1, name="the person mask network", trusted=True))
