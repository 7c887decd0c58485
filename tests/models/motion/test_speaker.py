"""What a prepared dataset teaches of motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import footage as made
from newscaster.errors import FootageError
from newscaster.formats.dataset import Clip
from newscaster.formats.dataset_writer import write_blend_weights
from newscaster.models.motion import speaker
from newscaster.models.motion.base import BaseMotion
from newscaster.models.motion.data import MotionTraining
from newscaster.models.motion.live import Recording
from newscaster.models.motion.network import MotionConfig, MotionNetwork
from newscaster.models.motion.speaker import adapt, dataset_motion
from newscaster.models.renderer.data import HELD_OUT_EVERY
from newscaster.prepare import prepare
from newscaster.speech.features import FeatureSpec
from newscaster.training.loop import TrainProgress
from small_tasks import SIZE, WIDTH, motion_basis, motion_clips


def test_covered_mouths_teach_no_motion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.make_up_faces(monkeypatch)
    made.accept_short_footage(monkeypatch)
    made.shorten_target(monkeypatch)
    film = made.write_footage(tmp_path / "film.mp4", seconds=6, covered=range(60, 90))
    dataset = prepare(film, tmp_path / "take", workers=0)
    (clip,) = dataset_motion(dataset, FeatureSpec(kind="log-mel"), None).clips
    assert clip is not None
    assert not clip.present[60:90].any()
    assert clip.present[:50].all()
    assert clip.present[100:].all()
    (stored,) = dataset.clips
    write_blend_weights(stored.folder, np.zeros(stored.frames, np.float32))
    hidden = replace(dataset, clips=(Clip(stored.folder, stored.record),))
    with pytest.raises(FootageError, match="whose mouth is free"):
        dataset_motion(hidden, FeatureSpec(kind="log-mel"), None)


@pytest.mark.parametrize("count", [HELD_OUT_EVERY, HELD_OUT_EVERY - 1])
def test_live_speech_is_learnt_last_and_not_from_held_out_clips(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[Recording] = []

    def learn_live(network: MotionNetwork, basis: object, recordings: list[Recording], *_: object, **more):
        learnt.extend(recordings)
        assert not network.training
        more["progress"](TrainProgress(1, 0.5, 0.0, 0.0, 0.0, {}))
        return network

    monkeypatch.setattr(speaker, "learn_live", learn_live)
    monkeypatch.setattr(speaker, "ADAPTING", MotionTraining(steps=2, batch=2, segment=20))
    network = MotionNetwork(MotionConfig(inputs=WIDTH, coefficients=SIZE, channels=4, dilations=(1,)))
    base = BaseMotion(network, motion_basis(), FeatureSpec(kind="log-mel"), {})
    clips = [*motion_clips(count), None]
    speech = [np.full(640, number, np.float32) for number in range(count + 1)]
    fractions: list[float] = []
    adapt(
        base,
        clips,
        speech,
        motion_basis().mean,
        tmp_path,
        encoder=None,
        progress=lambda report: fractions.append(report.fraction),
    )
    assert [recording.speech[0] for recording in learnt] == list(range(count == HELD_OUT_EVERY, count))
    assert fractions[-1] == 0.75
    assert max(fractions[:-1]) <= 0.5
