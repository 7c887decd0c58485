from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from faces import talking
from newscaster.errors import DatasetError
from newscaster.face.mouth_basis import mouth_shapes
from newscaster.formats.dataset import ClipRecord, Dataset, TargetPart, read_record
from newscaster.speech.activity import speech_activity
from small_dataset import CROP, FPS, FRAMES, HEAD, record, write_take
from tiny_anchor import speech_like


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("take")
    write_take(folder)
    return folder


@pytest.fixture
def copied(written: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "copy"
    shutil.copytree(written, folder)
    return folder


def test_what_is_written_is_read(written: Path) -> None:
    dataset = Dataset.open(written)
    assert dataset.fps == FPS
    assert dataset.crop == CROP
    assert [clip.name for clip in dataset.clips] == ["two", "one"]
    assert dataset.frames == 2 * FRAMES
    assert dataset.seconds == pytest.approx(40 * 1001 / 30_000)
    assert dataset.warnings == ("note",)
    assert "2 clips" in repr(dataset)
    np.testing.assert_allclose(dataset.head.points, HEAD.points, atol=1e-6)
    assert dataset.mask.hidden.dtype == bool
    assert dataset.mask.soft.shape == (128, 128)
    assert dataset.target.frames == 12
    assert dataset.target.size == (96, 64)
    assert dataset.target.start_frame == 103
    np.testing.assert_array_equal(dataset.target.landmarks, talking(12))
    assert dataset.target.segment.tolist() == [0] * 5 + [1] * 7
    assert dataset.target.parts[1] == TargetPart("/footage/b.mp4", 0, 7)
    np.testing.assert_array_equal(dataset.target.blend_weight, np.linspace(0, 1, 12, dtype=np.float32))
    assert (dataset.target.thumbnails == 9).all()
    np.testing.assert_allclose(dataset.target.poses.matrix, HEAD.poses(talking(12)).matrix)


def test_a_clip_has_its_arrays_and_what_follows_from_them(written: Path) -> None:
    clip = Dataset.open(written).clips[0]
    assert clip.record == read_record(written / "clips" / "two")
    assert clip.record.fps == FPS
    assert isinstance(clip.crops, np.memmap)
    assert (clip.crops == 7).all()
    assert clip.present.sum() == FRAMES - 1
    assert len(clip.speech) == round(FRAMES * 16_000 / FPS)
    points = clip.mouth_points()
    assert points.shape == (FRAMES, 57, 2)
    assert np.isnan(points[4]).all()
    assert np.abs(np.nanmean(points[:, :40], axis=(0, 1)) - [64, 70]).max() < 12
    np.testing.assert_array_equal(clip.mouth_shapes(HEAD), mouth_shapes(clip.landmarks, HEAD))


def test_a_clip_without_audio(copied: Path) -> None:
    np.save(copied / "clips" / "one" / "speech.npy", np.zeros(0, np.float32))
    silent, mute = Dataset.open(copied).clips
    assert (silent.has_audio, silent.speech_seconds) == (True, 0)
    assert (mute.has_audio, mute.speech_seconds, mute.speech.shape) == (False, 0, (0,))
    assert not mute.teaches_motion(HEAD)
    assert not silent.teaches_motion(HEAD)  # its mouth moves


def test_noise_in_syllables_is_not_speech(copied: Path) -> None:
    """Nothing is learnt from it under a mouth that moves. A clip with a voice has speech."""
    count = round(FRAMES * 16_000 / FPS)
    loud = np.clip(np.sin(np.linspace(0, 20, count)), 0.001, None)
    noise = (0.1 * loud * np.random.default_rng(0).normal(size=count)).astype(np.float32)
    for name, speech in (("two", speech_like(count / 16_000)[:count]), ("one", noise)):
        assert speech_activity(speech).sum() >= 10
        np.save(copied / "clips" / name / "speech.npy", np.asarray(speech, np.float32))
    voice, bursts = Dataset.open(copied).clips
    assert (voice.has_speech, voice.audio_use(HEAD)) == (True, "speech")
    assert (bursts.has_speech, bursts.speech_seconds, bursts.audio_use(HEAD)) == (False, 0, "no speech")


def test_speech_of_another_length(copied: Path) -> None:
    np.save(copied / "clips" / "one" / "speech.npy", np.zeros(500, np.float32))
    with pytest.raises(DatasetError, match=r"speech\.npy' has shape \(500,\), expected \(10677,\)"):
        _ = Dataset.open(copied).clips[1].speech


def test_records_know_their_footage() -> None:
    one = record()
    assert ClipRecord.from_json(json.loads(json.dumps(one.to_json()))) == one
    data = one.to_json()
    assert one.same_origin(ClipRecord.from_json({**data, "source": "/moved/a.mp4", "cropped_with": "x"}))
    for change in (
        {"mtime_ns": 1},
        {"size_bytes": 1},
        {"fps": "25/1"},
        {"face_asked": 0},
        {"stop_frame": None},
    ):
        assert not one.same_origin(ClipRecord.from_json({**data, **change}))


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        Dataset.open(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(DatasetError, match="is a file"):
        Dataset.open(tmp_path / "file")


def test_not_a_dataset_and_an_unfinished_one(tmp_path: Path, copied: Path) -> None:
    with pytest.raises(DatasetError, match="is not a dataset"):
        Dataset.open(tmp_path)
    (copied / "take.json").unlink()
    with pytest.raises(DatasetError, match=r"unfinished dataset.*finished clips are kept"):
        Dataset.open(copied)


def test_another_version(copied: Path) -> None:
    data = json.loads((copied / "take.json").read_text())
    (copied / "take.json").write_text(json.dumps({**data, "format": 9}))
    with pytest.raises(DatasetError, match=r"format 9; this version of newscaster reads format 1"):
        Dataset.open(copied)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', '{"format": 1, "region": 5}'])
def test_a_damaged_description(copied: Path, text: str) -> None:
    (copied / "take.json").write_text(text)
    with pytest.raises(DatasetError, match=r"take\.json"):
        Dataset.open(copied)


@pytest.mark.parametrize(
    "file",
    [
        "face.safetensors",
        "stage.mp4",
        "stage.safetensors",
        "clips/one/clip.json",
        "clips/one/landmarks.npy",
        "clips/one/present.npy",
        "clips/one/speech.npy",
        "clips/two/regions.npy",
        "clips/two/transforms.npy",
    ],
)
def test_a_missing_file_is_named(copied: Path, file: str) -> None:
    (copied / file).unlink()
    with pytest.raises(DatasetError, match=Path(file).name.replace(".", r"\.")):
        Dataset.open(copied)


@pytest.mark.parametrize(
    "file", ["face.safetensors", "stage.safetensors", "clips/one/regions.npy", "clips/one/clip.json"]
)
def test_a_file_cut_short(copied: Path, file: str) -> None:
    data = (copied / file).read_bytes()
    (copied / file).write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match=Path(file).name.replace(".", r"\.")):
        Dataset.open(copied)


def test_arrays_that_do_not_agree(copied: Path) -> None:
    np.save(copied / "clips" / "one" / "present.npy", np.ones(5, bool))
    with pytest.raises(DatasetError, match=r"present\.npy' has shape \(5,\), expected \(20,\)"):
        Dataset.open(copied)


def test_a_clip_without_crops_is_unfinished(copied: Path) -> None:
    path = copied / "clips" / "one" / "clip.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cropped_with": None}))
    with pytest.raises(DatasetError, match="unfinished"):
        Dataset.open(copied)
