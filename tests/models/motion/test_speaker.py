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
from newscaster.models.motion.speaker import dataset_motion
from newscaster.prepare import prepare
from newscaster.speech.features import FeatureSpec


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
