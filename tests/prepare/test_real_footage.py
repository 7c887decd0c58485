"""Preparation and report on real footage, with the landmark detector in worker processes."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from footage import accept_short_footage
from newscaster.errors import FootageError
from newscaster.face.mouth_basis import opening
from newscaster.formats.dataset import Dataset
from newscaster.media import read_frames, write_video
from newscaster.prepare import check, prepare
from newscaster.prepare.clips import read_footage
from newscaster.prepare.work import look
from newscaster.tracking.descriptor import MAX_DISTANCE, is_same_person

pytestmark = [pytest.mark.data, pytest.mark.usefixtures("short_footage")]

CLIPS = 2
FRAMES = 75


@pytest.fixture(scope="module")
def clips(data_folder: Path) -> list[Path]:
    return sorted((data_folder / "grid_s1" / "clips").glob("*.mpg"))[:CLIPS]


@pytest.fixture(scope="module")
def dataset(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    with pytest.MonkeyPatch.context() as patch:
        accept_short_footage(patch)
        return prepare(clips, tmp_path_factory.mktemp("take"))


@pytest.mark.slow
def test_a_sentence_corpus_becomes_a_dataset(dataset: Dataset, clips: list[Path]) -> None:
    assert [clip.name for clip in dataset.clips] == [path.stem for path in clips]
    assert dataset.fps == 25
    assert dataset.crop.side == 128
    for clip in dataset.clips:
        assert clip.frames == FRAMES
        assert clip.present.mean() > 0.95
        assert len(clip.speech) == 48_000
        assert 0.001 < np.abs(clip.speech).mean() < 0.2
    assert 50 <= dataset.target.frames <= FRAMES


@pytest.mark.slow
def test_heads_are_nearly_frontal_and_mouths_move(dataset: Dataset) -> None:
    clip = dataset.clips[0]
    angles = dataset.head.poses(clip.landmarks[clip.present]).angles
    assert np.abs(np.median(angles, axis=0)).max() < 12
    gaps = opening(clip.mouth_shapes(dataset.head)[clip.present])
    assert 0 <= gaps.min() < 0.03
    assert 0.04 < gaps.max() < 0.4
    lips = clip.mouth_points()[clip.present][:, :40].mean(axis=1)
    assert np.abs(lips - lips.mean(axis=0)).max() < 8  # stabilised


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_the_same_footage_gives_the_same_dataset(dataset: Dataset, clips: list[Path], tmp_path: Path) -> None:
    again = prepare(clips, tmp_path / "take", workers=1)
    np.testing.assert_allclose(again.head.points, dataset.head.points, atol=1e-5)
    for one, other in zip(dataset.clips, again.clips, strict=True):
        np.testing.assert_array_equal(one.landmarks, other.landmarks)
        np.testing.assert_array_equal(one.crops, other.crops)


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_killed_without_warning_and_resumed(dataset: Dataset, clips: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "take"
    code = (
        "import sys; from pathlib import Path; from newscaster.prepare import pipeline, prepare\n"
        "pipeline.MIN_SECONDS = pipeline.MIN_FREE_SECONDS = 4.0\n"
        "if __name__ == '__main__': prepare([Path(a) for a in sys.argv[2:]], sys.argv[1], workers=1)"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    child = subprocess.Popen([sys.executable, str(script), str(folder), *map(str, clips)])
    deadline = time.monotonic() + 120
    while not list(folder.glob("clips/*/clip.json")) and time.monotonic() < deadline:
        assert child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("clips/*/landmarks.npy") if _tracked(p.parent)}
    assert not (folder / "take.json").exists()
    resumed = prepare(clips, folder)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    np.testing.assert_allclose(resumed.head.points, dataset.head.points, atol=1e-5)


def _tracked(folder: Path) -> bool:
    return (folder / "clip.json").exists()


@pytest.fixture(scope="module")
def side_by_side(clips: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces in one frame; the right one is larger, and speaks."""
    path = tmp_path_factory.mktemp("two") / "interview.mp4"
    left = list(read_frames(clips[0]))
    right = list(read_frames(clips[1]))
    frames = []
    for small, large in zip(left, right, strict=True):
        shrunk = np.pad(small[::2, ::2], ((72, 72), (90, 90), (0, 0)), mode="edge")
        frames.append(np.ascontiguousarray(np.concatenate([shrunk, large], axis=1)))
    write_video(path, frames, fps=read_footage(clips[0]).video.fps, audio=clips[1], preset="ultrafast")
    return path


@pytest.mark.slow
def test_two_people_in_one_file_and_in_two(clips: list[Path], data_folder: Path, tmp_path: Path) -> None:
    other = data_folder / "grid_others/lwbsza.mpg"
    both = tmp_path / "both.mp4"
    frames = [*read_frames(clips[0]), *read_frames(other)]
    write_video(both, frames, fps=Fraction(25), audio=None, preset="ultrafast")
    one, two = (look(read_footage(path)) for path in (clips[1], both))
    assert [len(one), len(two)] == [1, 2]
    one_person, other_person = (person.descriptor for person in two)
    assert one_person is not None
    assert other_person is not None
    assert is_same_person(one[0].descriptor, one_person, max_distance=MAX_DISTANCE)
    assert not is_same_person(one[0].descriptor, other_person, max_distance=MAX_DISTANCE)
    people = check([clips[0], other]).measure("people")
    assert people.verdict == "unusable"
    assert "lwbsza.mpg" in people.advice


@pytest.mark.slow
def test_a_photo_is_not_followed(clips: list[Path], data_folder: Path, tmp_path: Path) -> None:
    """A larger one, beside the speaker, for two sentences."""
    speaker = [frame for clip in clips for frame in read_frames(clip)]
    photo = np.asarray(
        Image.fromarray(
            next(read_frames(sorted((data_folder / "grid_s1" / "clips").glob("*.mpg"))[CLIPS]))
        ).resize((540, 432))
    )
    small = [np.pad(frame, ((72, 72), (0, 0), (0, 0)), mode="edge") for frame in speaker]
    frames = [np.ascontiguousarray(np.concatenate([photo, frame], axis=1)) for frame in small]
    path = tmp_path / "photo.mp4"
    write_video(path, frames, fps=Fraction(25), audio=None, preset="ultrafast")
    (person,) = look(read_footage(path))
    assert person.centre_x > 540


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_of_several_faces_the_one_that_speaks_is_followed(
    side_by_side: Path, clips: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    footage = [side_by_side, *clips[1:]]
    with caplog.at_level(logging.WARNING):
        taken = prepare(footage, tmp_path / "take")
    assert "interview.mp4' shows 2 faces" in caplog.text
    clip = taken.clips[0]
    assert (clip.record.people, clip.record.face) == (2, 1)
    assert np.nanmin(clip.landmarks[:, 33, 0]) > 360
    with pytest.raises(FootageError, match=r"face=1 .*1 face was found"):
        prepare(footage, tmp_path / "take", face=1)


@pytest.mark.slow
def test_frames_without_a_face(tmp_path: Path) -> None:
    path = tmp_path / "wall.mp4"
    write_video(path, [np.full((288, 360, 3), 90, np.uint8)] * 30, fps=Fraction(25), audio=None)
    assert look(read_footage(path)) == ()


@pytest.mark.slow
def test_the_report_on_real_footage(
    clips: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = check(clips)
    assert report.measure("face_share").verdict == "good"
    assert report.measure("face_size").value == pytest.approx(65, abs=6)
    assert report.measure("sharpness").verdict == "good"
    assert report.measure("usable_minutes").verdict == "poor"
    lag = report.measure("lag").value
    assert lag is None or abs(lag) < 60
    assert len(report.images) == 6
    report.write(tmp_path / "report.html")
    assert capfd.readouterr().err == ""
