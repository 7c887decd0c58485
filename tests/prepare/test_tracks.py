"""Face tracks of footage with another person in every file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import footage as made
from faces import talking
from newscaster.prepare import tracks
from newscaster.prepare.tracks import track_footage

pytestmark = pytest.mark.usefixtures("made_up_faces")


def test_every_file_keeps_its_own_rate(tmp_path: Path) -> None:
    files = [made.write_footage(tmp_path / f"{fps}.mp4", fps=fps, seconds=2) for fps in (25, 30)]
    clips = track_footage(files, tmp_path / "tracks", workers=0)
    assert [(clip.record.fps, clip.frames) for clip in clips] == [(25, 50), (30, 60)]
    np.testing.assert_array_equal(clips[0].landmarks, talking(50))
    assert len(clips[1].speech) == 32_000


def test_or_is_brought_to_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    file = made.write_footage(tmp_path / "a.mp4", fps=30, seconds=2)
    (clip,) = track_footage([file], tmp_path / "tracks", fps=Fraction(25), workers=0)
    assert (clip.record.fps, clip.frames) == (25, 50)


def test_what_is_tracked_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = made.write_footage(tmp_path / "a.mp4", seconds=2)
    track_footage([file], tmp_path / "tracks", workers=0)
    monkeypatch.setattr(tracks, "track", None)
    assert len(track_footage([file], tmp_path / "tracks", workers=0)) == 1


def test_files_without_audio_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = [
        made.write_footage(tmp_path / f"{s}.mp4", seconds=2, audio=s == "loud") for s in ("loud", "mute")
    ]
    assert [clip.name for clip in track_footage(files, tmp_path / "tracks", workers=0)] == ["loud"]
    assert "mute.mp4' has no audio" in caplog.text


def test_or_kept_where_that_is_wanted(tmp_path: Path) -> None:
    file = made.write_footage(tmp_path / "mute.mp4", seconds=2, audio=False)
    done = []
    (clip,) = track_footage(
        [file], tmp_path / "tracks", silent=True, workers=0, progress=lambda *step: done.append(step)
    )
    assert not clip.has_audio
    assert clip.frames == 50
    assert done == [("track", 1, 1)]


def test_the_face_that_is_meant(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = made.write_footage(tmp_path / "a.mp4", seconds=2)
    (clip,) = track_footage([file], tmp_path / "tracks", face=0, workers=0)
    assert clip.record.face_asked == 0
    assert track_footage([file], tmp_path / "others", face=1, workers=0) == []
    assert "face=1 was requested" in caplog.text


def test_files_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    files = [made.write_footage(folder / "a.mp4", seconds=2) for folder in folders]
    clips = track_footage(files, tmp_path / "tracks", workers=0)
    assert len({clip.folder for clip in clips}) == 2
