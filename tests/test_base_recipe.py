"""The recipe of the base motion network runs from footage to the file of the package, with any seed."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest
import torch

import footage as made
from newscaster.models.motion.base import BaseMotion, load_base_motion
from newscaster.models.motion.data import MotionTraining

sys.path.append(str(Path(__file__).parents[1] / "tools"))

import learn_live_motion
import train_base_motion

BRIEF = MotionTraining(steps=2, batch=2, live_batch=2)


def train(folder: Path, patch: pytest.MonkeyPatch, name: str, *options: str, tracks: str) -> BaseMotion:
    """Run both tools as `make base` does; return the network."""
    base, out = folder / name / "base.safetensors", folder / name / "out.safetensors"
    person, people = ["--person", str(folder / "own")], ["--people", str(folder / "others")]
    check = ["--check-person", str(folder / "own"), "--check-people", str(folder / "others")]
    base.parent.mkdir()
    work = ["--work", str(folder / tracks)]
    command = ["train", *person, *people, *check, *work, "--out", str(base), *options]
    patch.setattr(sys, "argv", command)
    train_base_motion.main()
    work = ["--work", str(folder / name / "live")]
    patch.setattr(sys, "argv", ["learn", str(base), *person, *people, *work, "--out", str(out)])
    learn_live_motion.main()
    learnt = load_base_motion(out)
    assert learnt.facts["figures"], "figures on clips that are held out"
    assert not torch.equal(learnt.network.leave.weight, load_base_motion(base).network.leave.weight)
    return learnt


@pytest.mark.slow
def test_the_recipe_runs_with_any_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.make_up_faces(monkeypatch)
    monkeypatch.setattr(train_base_motion, "TRAINING", BRIEF)
    track = partial(train_base_motion.track_footage, workers=0)
    monkeypatch.setattr(train_base_motion, "track_footage", track)
    learn = partial(learn_live_motion.learn_live, config=BRIEF)
    monkeypatch.setattr(learn_live_motion, "learn_live", learn)
    for name, seconds in (("own/a", 4), ("own/b", 3), ("others/c", 4), ("others/d", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        made.write_footage(tmp_path / f"{name}.mp4", seconds=seconds)
    first = train(tmp_path, monkeypatch, "first", tracks="work")
    again = train(tmp_path, monkeypatch, "again", tracks="afresh")
    other = train(tmp_path, monkeypatch, "other", "--seed", "1", tracks="work")
    weights = [trained.network.enter.weight for trained in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.allclose(weights[0], weights[2], atol=0.01)
    assert first.facts["clips"] == 4, "audio and mouths agree"
    assert first.features == train_base_motion.FEATURES
