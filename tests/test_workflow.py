"""From footage to a speaking anchor, on made-up faces: small, but through every real part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import newscaster
from footage import babble, make_up_faces, write_footage
from newscaster import workflow
from newscaster.errors import InputError, MissingExtraError, OutputError
from newscaster.media import probe, read_frames
from newscaster.prepare import prepare
from newscaster.training import speaker
from newscaster.training.motion import MotionTraining


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An anchor, and the phases that were reported while it was made."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "footage").mkdir()
    for i in range(4):
        write_footage(folder / "footage" / f"{i}.mp4", seconds=4.0)
    with pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        patch.setattr(speaker, "ADAPTING", MotionTraining(steps=4))
        take = prepare([folder / "footage"], folder / "take", workers=0)
        phases: list[str] = []
        out = workflow.train_take(
            take,
            folder / "ada.anchor",
            folder / "work",
            consent=" Ada agreed. ",
            minutes=0.05,
            attribution=["Made-up footage"],
            progress=lambda phase, done, total: phases.append(phase),
        )
    assert {"motion", "rendering"} <= set(phases)
    return out


def test_the_anchor_says_what_it_is(made: Path) -> None:
    info = newscaster.open(made).info
    assert info.name == "ada"
    assert info.consent["statement"] == "Ada agreed."
    assert info.training["clips"] == 4
    assert info.attribution == ("Made-up footage",)


def test_the_anchor_speaks(made: Path, tmp_path: Path) -> None:
    anchor = newscaster.open(made)
    samples = babble(2.02)
    performance = anchor.speak(samples, tmp_path / "out.mp4", rate=16000)
    assert performance.frames == round(2.02 * 25)
    assert sum(1 for _ in read_frames(tmp_path / "out.mp4")) == performance.frames
    metadata = probe(tmp_path / "out.mp4").metadata
    assert any("Made-up footage" in value for value in metadata.values())


def test_only_the_mask_is_rewritten(made: Path) -> None:
    anchor = newscaster.open(made)
    frames = list(anchor.render(babble(1.0)))
    stage = list(anchor.stage.frames(range(len(frames))))
    for shown, staged in zip(frames, stage, strict=True):
        picture = staged.image
        changed = np.abs(shown.astype(int) - picture).max(axis=2) > 0
        rows, columns = np.nonzero(changed)
        assert changed.mean() < 0.5
        assert rows.min() > 0.2 * shown.shape[0]
        assert columns.min() > 0


def test_a_take_is_trained_on_once(made: Path, tmp_path: Path, monkeypatch) -> None:
    """What was trained is there to go on from: the same take in the same folder takes no more steps."""
    runs = list((made.parent / "work").glob("*-*"))
    assert sorted(run.name.split("-")[0] for run in runs) == ["motion", "rendering"]
    assert all((run / "weights.safetensors").is_file() for run in runs)


def test_consent_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without the person's consent"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="  ")
    with pytest.raises(InputError, match="'No!'"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="No!")


def test_training_takes_time(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minutes is 0"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada agreed.", minutes=0)


def test_the_anchor_must_have_a_place(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        newscaster.train([tmp_path], tmp_path / "missing" / "a.anchor", consent="Ada agreed.")


def test_training_needs_its_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[train\]"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada agreed.")
