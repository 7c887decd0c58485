"""Training windows are those that live speech computes: the same audio, level and features, step by step."""

from __future__ import annotations

import copy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from newscaster.errors import InputError
from newscaster.face.topology import MOUTH_POINTS
from newscaster.inference import Session
from newscaster.models.motion import live
from newscaster.models.motion.data import MotionClip, Mouth
from newscaster.models.motion.live import MIN_SPACING, Recording, learn_live, live_windows
from newscaster.models.motion.network import MotionConfig, MotionNetwork, predict
from newscaster.speech.features import FeatureSpec, extract
from newscaster.speech.windows import LIVE_STEPS
from newscaster.synthesis.motion import MotionStream
from onnx_networks import motion_network
from small_tasks import SIZE, motion_basis
from tiny_anchor import COEFFICIENTS, CONTEXT_STEPS, speech_like, tiny_basis

SPEC = FeatureSpec(kind="log-mel")
STEPS = 80


class Level:
    """A generator of random numbers that decides whether the level is known."""

    def __init__(self, known: bool) -> None:
        self._rng = np.random.default_rng(0)
        self._known = known

    def random(self) -> float:
        return 0.0 if self._known else 0.99

    def integers(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high))


def mouth() -> Mouth:
    """A mouth whose first point has the number of the step, from 1 on; it speaks after half a second."""
    shapes = np.zeros((STEPS, MOUTH_POINTS, 2), np.float32)
    shapes[:, 0, 0] = np.arange(1, STEPS + 1)
    present = np.ones(STEPS, bool)
    present[40] = False
    speech = (0.1 * speech_like(STEPS / 25)[: STEPS * 640]).astype(np.float32)
    speech[: 12 * 640] *= 0.01
    return Mouth(shapes, present, speech)


def windows(known: bool = False, spacing: int = MIN_SPACING) -> list[MotionClip]:
    return live_windows(mouth(), SPEC, None, Level(known), spacing=spacing)  # type: ignore[arg-type]


def end_of(window: MotionClip) -> int:
    step = int(np.flatnonzero(window.shapes[:, 0, 0])[-1])
    return int(window.shapes[step, 0, 0]) + LIVE_STEPS - 1 - step


def test_windows_hold_the_features_that_live_speech_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    network = motion_network(width=SPEC.width, coefficients=COEFFICIENTS, context_steps=CONTEXT_STEPS)
    session, computed = Session(network), []
    stream = MotionStream(
        session,
        features=SPEC,
        encoder=None,
        basis=tiny_basis(),
        fps=Fraction(25),
        context_steps=CONTEXT_STEPS,
        look_ahead_ms=200,
    )
    run = session.run_one

    def note(name: str, shape: tuple[int, ...], *, features: np.ndarray) -> np.ndarray:
        computed.append(features[0])
        return run(name, shape, features=features)

    monkeypatch.setattr(session, "run_one", note)
    stream.push(mouth().speech)
    stream.flush()
    shared = stream._source._at_once  # type: ignore[union-attr]
    by_end = {200 // 40 + shared * number: features for number, features in enumerate(computed)}
    compared = 0
    for window in windows(spacing=1):
        if (expected := by_end.get(end_of(window))) is not None:
            np.testing.assert_allclose(window.features.astype(np.float32), expected, atol=2e-3)
            compared += 1
    assert compared > 60 // shared


def test_a_level_that_is_known_is_that_of_the_whole_clip() -> None:
    unknown, known = (windows(known=known)[0].features.max() for known in (False, True))
    assert known < unknown - 0.2


def test_steps_keep_their_mouths_and_others_are_not_present() -> None:
    found = windows()
    ends = [end_of(window) for window in found]
    assert (np.diff(ends) == MIN_SPACING).all()
    assert 1 <= ends[0] <= MIN_SPACING
    assert ends[-1] > STEPS - MIN_SPACING
    for window, end in zip(found, ends, strict=True):
        assert window.features.shape == (LIVE_STEPS, SPEC.width)
        assert window.features.dtype == np.float16
        steps = np.arange(end - LIVE_STEPS, end)
        there = (steps >= 0) & (steps < STEPS)
        np.testing.assert_array_equal(window.shapes[:, 0, 0], np.where(there, steps + 1, 0))
        np.testing.assert_array_equal(window.present, there & (steps != 40))


def test_a_network_learns_what_it_does_with_full_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = MotionNetwork(MotionConfig(inputs=SPEC.width, coefficients=SIZE, channels=4, dilations=(1, 2)))
    start = copy.deepcopy(network).eval()
    speech = mouth().speech
    recording = Recording(speech, extract(speech, SPEC))
    own = motion_basis().reconstruct(predict(start, recording.features))

    def train(learner: MotionNetwork, whole: list[MotionClip], *_: object, **more: list[MotionClip]) -> None:
        assert learner.config.dropout == live.LEARNING_DROPOUT
        np.testing.assert_allclose(whole[0].shapes, own, atol=1e-6)
        plain = next(window for window in more["live"] if window.present.all())
        first = int(np.square(own - plain.shapes[0]).sum(axis=(1, 2)).argmin())
        np.testing.assert_allclose(plain.shapes, own[first : first + LIVE_STEPS], atol=1e-6)
        with torch.no_grad():
            learner.leave.bias += 1

    monkeypatch.setattr(live, "train_motion", train)
    learnt = learn_live(network, motion_basis(), [recording], tmp_path, features=SPEC, encoder=None)
    assert learnt is network
    assert not network.training
    assert network.config == start.config
    assert torch.equal(network.leave.bias, start.leave.bias + 1)
    assert torch.equal(network.enter.weight, start.enter.weight)


def test_another_network_does_not_resume_the_same_folder(tmp_path: Path) -> None:
    """It would get the weights of the network before."""
    speech = mouth().speech
    recording = Recording(speech, extract(speech, SPEC))
    config = MotionConfig(inputs=SPEC.width, coefficients=SIZE, channels=4, dilations=(1,))

    def learn(seed: int) -> None:
        torch.manual_seed(seed)
        how = replace(live.LEARNING, steps=1, batch=2, live_batch=2)
        learn_live(
            MotionNetwork(config),
            motion_basis(),
            [recording],
            tmp_path,
            features=SPEC,
            encoder=None,
            config=how,
        )

    learn(0)
    learn(0)
    with pytest.raises(InputError, match="another initial network"):
        learn(1)


def test_much_audio_has_no_more_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []

    def train(
        network: object, *_: object, live: list[MotionClip], live_fractions: list[float], **more: object
    ):
        counts.append(len(live))
        assert len(live_fractions) == len(live)
        assert sum(live_fractions) == pytest.approx(4)
        return network

    monkeypatch.setattr(live, "train_motion", train)
    monkeypatch.setattr(live, "MAX_WINDOWS", 40)
    network = MotionNetwork(MotionConfig(inputs=SPEC.width, coefficients=SIZE, channels=4, dilations=(1,)))
    for steps in (20, 400):
        recording = Recording(np.zeros(640 * steps, np.float32), np.zeros((steps, SPEC.width), np.float32))
        learn_live(
            network,
            motion_basis(),
            [recording, recording],
            tmp_path,
            features=SPEC,
            encoder=None,
            fractions=[1.0, 3.0],
        )
    assert 8 <= counts[0] <= 16
    assert 30 < counts[1] < 60
