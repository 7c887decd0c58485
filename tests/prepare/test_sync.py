"""What follows from the lag of audio: the verdict, and what is learnt from."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from making_sync import talk
from newscaster.media import read_audio, read_frames, write_video, write_wav
from newscaster.prepare import check, following, prepare
from newscaster.prepare.lag import Lag
from newscaster.prepare.people import People
from newscaster.prepare.sync import AudioSync, audio_syncs, sync_measure
from newscaster.prepare.tracking import FaceTracker
from newscaster.types import ImageU8, Landmarks

CLEAR = Lag(0.01, 0.02, 0.8, 10.0, 60.0)


def sync(name: str = "a.mp4", **changes: float) -> AudioSync:
    return AudioSync((Path(name),), replace(CLEAR, **changes))


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "fits"),
        ({"seconds": -0.06}, "fits"),
        ({"seconds": 0.08}, "off"),
        ({"seconds": -1.0}, "off"),
        ({"drift": 0.01}, "drifts"),
        ({"correlation": 0.3}, "unrelated"),
        ({"correlation": 0.4, "height": 4.0}, "unrelated"),
        ({"correlation": 0.4, "height": 8.0}, "fits"),
        ({"correlation": 0.3, "speech_seconds": 5.0}, "unmeasured"),
    ],
)
def test_only_what_is_measured_and_fits_is_good(changes: dict[str, float], state: str) -> None:
    one = sync(**changes)
    assert one.state == state
    found = sync_measure([one], has_speech=True)
    assert (found.verdict == "good") == (state == "fits")
    assert bool(found.advice) == (state != "fits")


def test_without_evidence_nothing_is_good() -> None:
    for syncs in ([], [AudioSync((Path("a.mp4"),), None)]):
        found = sync_measure(syncs, has_speech=True)
        assert (found.verdict, found.value) == ("poor", None)
        assert "could not be measured" in found.text


def test_the_worst_file_counts_and_is_named() -> None:
    other = sync("b.mp4", correlation=0.1)
    late = sync("c.mp4", seconds=1.0)
    found = sync_measure([sync(), late, other], has_speech=True)
    assert (found.verdict, found.value, found.text) == ("poor", None, "the audio is not this mouth's")
    assert "'b.mp4': the audio does not match the mouth" in found.advice
    assert "'c.mp4': the audio is 1000 ms late" in found.advice
    assert "a.mp4" not in found.advice


def test_a_file_with_speech_enough_is_looked_at_alone() -> None:
    paths = [Path(name) for name in ("long.mp4", "a.mp4", "b.mp4", "other.mp4")]
    segments = {
        paths[0]: [talk(20, 0.0)],
        paths[1]: [talk(6, 1.0, seed=1)],
        paths[2]: [talk(6, 1.0, seed=2)],
        paths[3]: [talk(20, seed=3, audio_seed=60)],
    }
    found = audio_syncs(segments)
    states = {one.files: one.state for one in found}
    assert states == {(paths[0],): "fits", (paths[3],): "unrelated", (paths[1], paths[2]): "off"}


# --- on real footage


class RememberedTracker:
    """In place of `FaceTracker`: it tracks the frames that all tests share once."""

    found: ClassVar[dict[bytes, Landmarks | None]] = {}

    def __init__(self, people: People, *, fps: float) -> None:
        self._tracker = FaceTracker(people, fps=fps)
        self._seen = hashlib.sha1(f"{people} {fps}".encode())
        self._frames: list[ImageU8] = []  # that the tracker has yet to see

    def step(self, frame: ImageU8) -> Landmarks | None:
        self._seen.update(frame)
        self._frames.append(frame)
        key = self._seen.digest()
        if key not in self.found:
            for frame in self._frames:
                self.found[key] = self._tracker.step(frame)
            self._frames.clear()
        return self.found[key]


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "FaceTracker", RememberedTracker)


@pytest.fixture(scope="module")
def portrait(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """15 s of a portrait, at half of its size."""
    source, path = data_folder / "hd" / "portrait_512_25fps_15s.mp4", tmp_path_factory.mktemp("x") / "x.mp4"
    frames = (np.asarray(Image.fromarray(frame).reduce(2)) for frame in read_frames(source))
    write_video(path, frames, fps=Fraction(25), audio=source, preset="ultrafast")
    return path


def with_audio(video: Path, audio: npt.NDArray[np.float32], path: Path) -> Path:
    """The frames of a video as they are, with other audio (N,) at 16 kHz."""
    wav = path.with_suffix(".wav")
    write_wav(wav, audio, 16_000)
    with av.open(str(video)) as frames, av.open(str(wav)) as source, av.open(str(path), "w") as out:
        stream: Any = out.add_stream_from_template(frames.streams.video[0])
        track: Any = out.add_stream("aac", rate=16_000, layout="mono")
        for packet in frames.demux(frames.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
        for frame in source.decode(audio=0):
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def late(audio: npt.NDArray[np.float32], seconds: float) -> npt.NDArray[np.float32]:
    moved = round(abs(seconds) * 16_000)
    silence = np.zeros(moved, np.float32)
    return np.concatenate([silence, audio[:-moved]] if seconds > 0 else [audio[moved:], silence])


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.usefixtures("remembered", "short_target")
@pytest.mark.parametrize("change", ["none", "early", "slow", "other"])
def test_the_report_on_footage_whose_audio_is_wrong(
    change: str, portrait: Path, data_folder: Path, tmp_path: Path
) -> None:
    audio = read_audio(portrait, rate=16_000)
    changed = {
        "none": lambda: audio,
        "early": lambda: late(audio, -0.5),
        "slow": lambda: np.interp(np.arange(len(audio)) / 1.03, np.arange(len(audio)), audio),
        "other": lambda: read_audio(data_folder / "hd" / "anchor_512_25fps_71s.mp4", rate=16_000),
    }[change]()[: len(audio)]
    path = with_audio(portrait, changed.astype(np.float32), tmp_path / "x.mp4")
    found = check(path, workers=0).measure("lag")
    assert (found.verdict == "good") == (change == "none")
    expected = {
        "none": "ms",
        "early": r"5\d\d ms early|4\d\d ms early",
        "slow": r"[23]\.\d % slow",
        "other": "the audio is not this mouth's",
    }
    assert re.search(expected[change], found.text)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.usefixtures("remembered", "short_target")
def test_audio_that_is_late_is_put_in_time_before_training(portrait: Path, tmp_path: Path) -> None:
    audio = read_audio(portrait, rate=16_000)
    path = with_audio(portrait, late(audio, 1.0), tmp_path / "x.mp4")
    dataset = prepare(path, tmp_path / "take", workers=0)
    (clip,) = dataset.clips
    assert clip.record.audio_shift_ms == pytest.approx(1000, abs=40)
    assert any("1000 ms late" in w or "ms late, shifted by" in w for w in dataset.warnings)
    rate, size = 16_000, 10 * 16_000
    corrected, original = clip.speech[rate : rate + size], audio[rate : rate + size]
    best = max(range(-800, 801, 16), key=lambda k: float(corrected @ np.roll(original, k)))
    assert abs(best) <= 0.04 * rate
    again = prepare(path, tmp_path / "take", workers=0)  # nothing is moved twice
    assert again.clips[0].record.audio_shift_ms == clip.record.audio_shift_ms
    np.testing.assert_array_equal(again.clips[0].speech, clip.speech)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.usefixtures("remembered", "short_target")
def test_no_motion_is_learnt_from_somebody_elses_audio(
    portrait: Path, data_folder: Path, tmp_path: Path
) -> None:
    other = read_audio(data_folder / "hd" / "anchor_512_25fps_71s.mp4", rate=16_000)
    path = with_audio(portrait, other[: 15 * 16_000], tmp_path / "x.mp4")
    dataset = prepare(path, tmp_path / "take", workers=0, fps=Fraction(25))
    (clip,) = dataset.clips
    assert clip.record.audio_dropped
    assert not clip.teaches_motion(dataset.head)
    assert any("no motion is learnt from it" in warning for warning in dataset.warnings)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.usefixtures("remembered", "short_target")
def test_motion_is_learnt_from_the_part_whose_audio_fits(
    portrait: Path, data_folder: Path, tmp_path: Path
) -> None:
    own = read_audio(portrait, rate=16_000)
    other = read_audio(data_folder / "hd" / "anchor_512_25fps_71s.mp4", rate=16_000)
    cut = 10 * 16_000
    path = with_audio(portrait, np.concatenate([own[:cut], other[cut : len(own)]]), tmp_path / "x.mp4")
    found = check(path, workers=0).measure("lag")
    assert (found.verdict, found.unit) == ("poor", "ms")
    assert "s do not match the mouth" in found.text
    dataset = prepare(path, tmp_path / "take", workers=0)
    (clip,) = dataset.clips
    assert clip.audio_fits[: 6 * 25].all()
    assert not clip.audio_fits[11 * 25 : 15 * 25].any()
    assert any("no motion is learnt from these parts" in w for w in dataset.warnings)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.usefixtures("remembered", "short_target")
def test_frames_after_the_end_of_the_audio_teach_no_motion(portrait: Path, tmp_path: Path) -> None:
    own = read_audio(portrait, rate=16_000)[: 9 * 16_000]
    path = with_audio(portrait, own, tmp_path / "x.mp4")
    assert check(path, workers=0).measure("lag").verdict == "poor"
    (clip,) = prepare(path, tmp_path / "take", workers=0).clips
    assert not clip.audio_fits[11 * 25 : 15 * 25].any()
