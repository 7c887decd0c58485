"""The whole preparation with made-up faces, in this process: what is kept, made again, and refused."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import footage as made
from faces import talking
from making_media import moving_pattern
from making_odd_media import write_frames
from newscaster.errors import FootageError, MediaError, OutputError
from newscaster.formats.dataset import Dataset
from newscaster.formats.dataset_writer import DatasetWriter
from newscaster.media import TargetVideo, read_frames
from newscaster.prepare import check, following, inspect_file, pipeline, prepare, track_clips, work
from newscaster.prepare import clips as clips_of_footage
from newscaster.prepare.people import People

pytestmark = pytest.mark.usefixtures("made_up_faces", "short_footage")
SECONDS = 1.6
FRAMES = round(25 * SECONDS)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three short clips."""
    folder = tmp_path_factory.mktemp("footage")
    for name in "abc":
        made.write_footage(folder / f"{name}.mp4", seconds=SECONDS)
    return folder


@pytest.fixture(scope="module")
def steps() -> list[tuple[str, float, float]]:
    """What was reported while `prepared` was made."""
    return []


@pytest.fixture(scope="module")
def prepared(
    clips: Path, steps: list[tuple[str, float, float]], tmp_path_factory: pytest.TempPathFactory
) -> Dataset:
    """The dataset of the three clips, made once; tests that change it use a `copy`."""
    with pytest.MonkeyPatch.context() as patch:
        made.make_up_faces(patch)
        made.accept_short_footage(patch)
        return run(
            clips, tmp_path_factory.mktemp("prepared") / "take", progress=lambda *step: steps.append(step)
        )


@pytest.fixture
def copy(prepared: Dataset, tmp_path: Path) -> Path:
    """The folder of a dataset of the three clips."""
    return Path(shutil.copytree(prepared.folder, tmp_path / "copy"))  # with its times


def run(footage: object, folder: Path, **options: object) -> Dataset:
    return prepare(footage, folder, workers=0, **options)  # type: ignore[arg-type]


def written(folder: Path, kind: str) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in sorted(folder.glob(f"clips/*/{kind}.npy"))}


@pytest.mark.slow
def test_a_dataset_holds_what_was_in_the_footage(
    prepared: Dataset, steps: list[tuple[str, float, float]]
) -> None:
    dataset = prepared
    assert [clip.name for clip in dataset.clips] == ["a", "b", "c"]
    assert dataset.fps == 25
    assert dataset.seconds == pytest.approx(3 * SECONDS)
    assert dataset.crop.side == 128
    clip = dataset.clips[0]
    assert clip.crops.shape == (FRAMES, 128, 128, 3)
    np.testing.assert_array_equal(clip.landmarks, talking(FRAMES))
    assert clip.blend_weight.shape == (FRAMES,)
    assert dataset.target.blend_weight is not None
    assert (
        len(dataset.target.blend_weight)
        == dataset.target.frames
        == sum(part.frames for part in dataset.target.parts)
    )
    assert dataset.target.thumbnails is not None
    assert dataset.target.thumbnails.shape == (dataset.target.frames, 2, 48, 48)
    assert len(clip.speech) == 16_000 * SECONDS
    assert np.corrcoef(clip.speech, made.babble(SECONDS))[0, 1] > 0.9
    assert list(dict.fromkeys(phase for phase, _, _ in steps)) == ["track", "crop", "target"]
    assert all(done <= total for _, done, total in steps)
    assert steps[-1] == ("target", dataset.target.frames, dataset.target.frames)


def test_crops_show_the_frames_they_were_cut_from(clips: Path, prepared: Dataset) -> None:
    clip = prepared.clips[1]
    frame = list(read_frames(clips / "b.mp4"))[20]
    inside = clip.transforms[20].back(np.array([[30.5, 40.5], [90.5, 100.5]]))
    for (x, y), shown in zip(inside, clip.crops[20][[40, 100], [30, 90]], strict=True):
        assert np.abs(frame[int(y), int(x)].astype(int) - shown).max() < 40


def test_the_target_is_a_segment_of_the_footage(prepared: Dataset) -> None:
    dataset = prepared
    video = TargetVideo(dataset.target.video)
    assert (
        video.frame_count
        == dataset.target.frames
        == len(dataset.target.poses)
        == len(dataset.target.transforms)
    )
    assert dataset.target.frames > 50
    assert video.size == dataset.target.size == (made.WIDTH, made.HEIGHT)
    source = list(read_frames(Path(dataset.target.source)))[dataset.target.start_frame]
    assert np.abs(next(video.frames([0])).astype(int) - source).mean() < 4
    assert np.isfinite(dataset.target.transforms.matrix).all()


@pytest.mark.slow
def test_the_target_can_be_another_file(clips: Path, tmp_path: Path) -> None:
    other = made.write_footage(tmp_path / "elsewhere.mp4", seconds=1.8, audio=False)
    dataset = run(clips, tmp_path / "take", target=other)
    assert Path(dataset.target.source) == other
    assert "elsewhere" not in [clip.name for clip in dataset.clips]
    again = run(clips, tmp_path / "take", target=clips / "b.mp4")
    assert Path(again.target.source) == clips / "b.mp4"
    assert len(again.clips) == 3


def test_finished_clips_are_kept(clips: Path, copy: Path) -> None:
    tracks, crops = written(copy, "landmarks"), written(copy, "regions")
    run(clips, copy)
    assert written(copy, "landmarks") == tracks
    assert written(copy, "regions") == crops


@pytest.mark.usefixtures("short_target")
def test_footage_that_has_changed_is_tracked_again(clips: Path, copy: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(clips, tmp_path / "footage"))
    before = written(copy, "landmarks")
    made.write_footage(source / "b.mp4", seconds=2)
    made.write_footage(source / "d.mp4", seconds=SECONDS)
    dataset = run(source, copy)
    after = written(copy, "landmarks")
    assert [name for name in before if before[name] != after[name]] == ["b"]
    assert [clip.frames for clip in dataset.clips] == [40, 50, 40, 40]


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_another_rate_or_face_starts_again(clips: Path, copy: Path) -> None:
    dataset = run(clips, copy, fps=30)
    assert dataset.fps == 30
    assert dataset.clips[0].frames == 30 * SECONDS
    assert len(dataset.clips[0].speech) == 16_000 * SECONDS
    before = written(copy, "landmarks")
    run(clips, copy, fps=30, face=0)
    assert written(copy, "landmarks") != before


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_mixed_rates_are_brought_to_one(tmp_path: Path) -> None:
    files = [made.write_footage(tmp_path / f"{fps}.mp4", fps=fps, seconds=1.6) for fps in (25, 50, 30)]
    dataset = run(files, tmp_path / "take")
    assert dataset.fps == 30
    assert [clip.frames for clip in dataset.clips] == [48, 48, 48]
    assert run(files, tmp_path / "other", fps=Fraction(30_000, 1001)).fps == Fraction(30_000, 1001)


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
@pytest.mark.parametrize(
    ("module", "at"),
    [(track_clips, "look_and_track"), (pipeline, "cut_crops"), (pipeline, "encode_target")],
)
def test_an_interrupted_preparation_goes_on(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, at: str
) -> None:
    folder = tmp_path / "take"
    whole = getattr(module, at)
    calls = 0

    def killed(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == (1 if at == "encode_target" else 2):
            raise KeyboardInterrupt
        return whole(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, at, killed)
        with pytest.raises(KeyboardInterrupt):
            run(clips, folder)
    assert not (folder / "take.json").exists()
    left = written(folder, "landmarks")
    (folder / "clips" / "a" / ".landmarks.0123.part.npy").write_bytes(b"left over")
    dataset = run(clips, folder)
    assert len(dataset.clips) == 3
    now = written(folder, "landmarks")
    assert {name: now[name] for name in left} == left
    assert not list(folder.rglob(".*.part*"))


@pytest.mark.usefixtures("short_target")
def test_two_preparations_on_one_folder(clips: Path, tmp_path: Path) -> None:
    folder = tmp_path / "take"
    with DatasetWriter(folder), pytest.raises(OutputError, match="another preparation"):
        run(clips, folder)
    assert len(run(clips, folder).clips) == 3


def test_a_folder_that_cannot_be_written(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to the folder"):
        run(clips, tmp_path / "file")


def test_too_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MIN_SECONDS", clips_of_footage.MIN_SECONDS)
    path = made.write_footage(tmp_path / "short.mp4", seconds=3)
    with pytest.raises(FootageError, match=r"3\.0 s of video .*short\.mp4.* at least 10 s"):
        run(path, tmp_path / "take")
    assert not (tmp_path / "take").exists()


def test_too_short_where_the_face_is_seen(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made.MadeUpTracker.step

    def absent(self: made.MadeUpTracker, frame: object) -> object:
        points = whole(self, frame)
        return None if self.seen <= 20 else points

    monkeypatch.setattr(made.MadeUpTracker, "step", absent)
    with pytest.raises(FootageError, match=r"2\.4 s with the person's face"):
        run(clips, tmp_path / "take")


def test_no_face_anywhere(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.let_show(monkeypatch, lambda _: ())
    with pytest.raises(FootageError, match="no face was found in any of 3 files"):
        run(clips, tmp_path / "take")
    one = made.write_footage(tmp_path / "one.mp4", seconds=4.4)
    with pytest.raises(FootageError, match=r"no face was found in '.*one\.mp4'"):
        run(one, tmp_path / "other")


@pytest.mark.usefixtures("short_target")
def test_a_file_without_a_face_is_left_out(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made.write_footage(tmp_path / "landscape.mp4", seconds=SECONDS)
    made.let_show(monkeypatch, lambda f: () if "landscape" in f.path.name else made.one_person(f))
    dataset = run([clips, tmp_path / "landscape.mp4"], tmp_path / "take")
    assert len(dataset.clips) == 3
    assert any("landscape.mp4" in text for text in dataset.warnings)
    assert "landscape.mp4" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_several_faces(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    two = (*made.one_person(None), *made.one_person(None))  # type: ignore[arg-type]
    made.let_show(monkeypatch, lambda _: two)
    with caplog.at_level(logging.WARNING):
        dataset = run(clips, tmp_path / "take")
    assert "shows 2 faces" in caplog.text
    assert "a.mp4" in caplog.text
    assert "face=0" in caplog.text
    assert dataset.clips[0].record.people == 2
    with pytest.raises(FootageError, match="face=5"):
        run(clips, tmp_path / "take", face=5)
    caplog.clear()
    assert run(clips, tmp_path / "take", face=1).clips[0].record.face == 1
    assert not caplog.text


@pytest.mark.usefixtures("short_target")
def test_another_person_is_left_out_of_a_folder(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = made.write_footage(tmp_path / "other.mp4", seconds=SECONDS)
    made.let_show(monkeypatch, lambda f: made.one_person(f, seed="other" in f.path.name))
    dataset = run([clips, other], tmp_path / "take")
    assert [clip.name for clip in dataset.clips] == ["a", "b", "c"]
    assert any("other.mp4' shows someone else (0:00 to 0:03)" in text for text in dataset.warnings)
    again = run([clips, other], tmp_path / "take")  # from what is on disk, where no descriptor is
    assert again.warnings == dataset.warnings[-1:]
    with pytest.raises(FootageError, match=r"target .*other\.mp4' does not show the person"):
        run(clips, tmp_path / "staged", target=other)


def test_two_people_in_a_folder_are_refused(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = made.write_footage(tmp_path / "long.mp4", seconds=3 * SECONDS)
    made.let_show(monkeypatch, lambda f: made.one_person(f, seed="long" in f.path.name))
    with pytest.raises(FootageError, match="two people about equally"):
        run([clips, long], tmp_path / "take")


@pytest.mark.usefixtures("short_target")
def test_another_person_within_a_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = made.write_footage(tmp_path / "a.mp4", seconds=6.4)
    seen = iter(range(10_000))
    made.describe_as(monkeypatch, lambda frame: made.somebody(next(seen) >= 10))  # after about 5 s
    (clip,) = run(file, tmp_path / "take").clips
    assert clip.present[:100].all()
    assert not clip.present[-30:].any()
    assert not [path.name for path in (tmp_path / "take").rglob("*") if "descriptor" in path.name]


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_footage_without_audio_is_kept_for_its_frames(clips: Path, tmp_path: Path) -> None:
    mute = made.write_footage(tmp_path / "mute.mp4", audio=False, seconds=4.8)
    dataset = run(mute, tmp_path / "take")
    assert dataset.warnings == ("no audio in 1 of 1 clips, used for the renderer only: 'mute'",)
    (clip,) = dataset.clips
    assert clip.crops.shape == (120, 128, 128, 3)
    assert (clip.has_audio, len(clip.speech), clip.teaches_motion(dataset.head)) == (False, 0, False)
    dataset = run([clips, mute], tmp_path / "other")
    assert [clip.teaches_motion(dataset.head) for clip in dataset.clips] == [True, True, True, False]
    assert dataset.warnings == ("no audio in 1 of 4 clips, used for the renderer only: 'mute'",)


@pytest.mark.usefixtures("short_target")
def test_many_clips_without_audio_are_counted(tmp_path: Path) -> None:
    files = [made.write_footage(tmp_path / f"{n}.mp4", audio=False, seconds=1) for n in "abcde"]
    dataset = run(files, tmp_path / "take")
    assert dataset.warnings[0].endswith("5 of 5 clips, used for the renderer only: 'a', 'b', 'c' and 2 more")


@pytest.mark.usefixtures("short_target")
def test_silence_under_a_moving_mouth_counts_as_no_audio(tmp_path: Path) -> None:
    path = made.write_footage(tmp_path / "silent.mp4", seconds=4.4, silent=True)
    dataset = run(path, tmp_path / "take")
    (clip,) = dataset.clips
    assert (clip.has_audio, clip.speech_seconds, clip.teaches_motion(dataset.head)) == (True, 0, False)
    assert "no speech under a moving mouth in 1 of 1 clips" in dataset.warnings[0]


@pytest.mark.usefixtures("short_target")
def test_damaged_frames_cost_one_file(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = work.read_frames

    def broken(path: Path, **options: object) -> Iterator[np.ndarray]:
        if path.stem == "b":
            raise MediaError(f"'{path}' breaks off at 1.00 s")
        return whole(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(work, "read_frames", broken)
    monkeypatch.setattr(clips_of_footage, "read_frames", broken)
    more = made.write_footage(tmp_path / "more.mp4", seconds=2.4)
    dataset = run([clips, more], tmp_path / "take")
    assert [clip.name for clip in dataset.clips] == ["a", "c", "more"]
    assert any(text.startswith("skipped: ") and "breaks off" in text for text in dataset.warnings)
    report = check([clips / "a.mp4", clips / "b.mp4"], workers=0)
    assert [file.name for file in report.files] == ["a.mp4"]
    assert any("b.mp4' breaks off" in note for note in report.notes)
    for alone in (lambda: run(clips / "b.mp4", tmp_path / "b"), lambda: check(clips / "b.mp4", workers=0)):
        with pytest.raises((MediaError, FootageError)):
            alone()


@pytest.mark.usefixtures("short_target")
def test_damaged_audio_costs_its_file_the_audio(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(reader: Callable[..., object]) -> Callable[..., object]:
        def read(path: Path, **options: object) -> object:
            if path.stem == "b":
                raise MediaError(f"'{path}' breaks off at 1.00 s")
            return reader(path, **options)

        return read

    monkeypatch.setattr(work, "read_audio", broken(work.read_audio))
    monkeypatch.setattr(inspect_file, "read_audio_blocks", broken(inspect_file.read_audio_blocks))
    dataset = run(clips, tmp_path / "take")
    assert [clip.has_audio for clip in dataset.clips] == [True, False, True]
    assert any(text.startswith("audio ignored, only the frames are used: ") for text in dataset.warnings)
    report = check(clips, workers=0)
    assert [file.has_audio for file in report.files] == [True, False, True]
    assert report.measure("files_with_sound").text == "2 of 3"
    assert any(note.startswith("audio ignored") for note in report.notes)
    assert not check(clips / "b.mp4", workers=0).files[0].has_audio


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_a_transport_stream_that_goes_to_5_1_is_footage(tmp_path: Path) -> None:
    parts = [
        write_frames(
            tmp_path / f"{layout}.ts",
            list(moving_pattern(56, width=320, height=240)),
            audio=made.babble(2.24),
            audio_rate=16_000,
            audio_layout=layout,
        )
        for layout in ("stereo", "5.1")
    ]
    (tmp_path / "footage").mkdir()
    path = tmp_path / "footage" / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    dataset = run(tmp_path / "footage", tmp_path / "take")
    (clip,) = dataset.clips
    assert clip.has_audio
    quarters = [float(np.std(part)) for part in np.array_split(clip.speech, 4)]
    assert min(quarters) > 0.3 * max(quarters)


@pytest.mark.usefixtures("short_target")
def test_silence_under_a_mouth_at_rest_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.write_footage(tmp_path / "silent.mp4", seconds=4.4, silent=True)
    monkeypatch.setattr(made.MadeUpTracker, "step", lambda self, frame: talking(1)[0])
    dataset = run(path, tmp_path / "take")
    assert (
        "no speech in 1 of 1 clips, used for the renderer and the mouth at rest only" in dataset.warnings[0]
    )
    report = check(path, workers=0)
    assert (report.verdict != "unusable", report.measure("files_with_sound").text) == (True, "0 of 1")


@pytest.mark.usefixtures("short_target")
def test_unmarked_interlacing_is_reported(tmp_path: Path) -> None:
    frames = [f.copy() for f in moving_pattern(220, width=320, height=240)]
    combed = frames[::2]
    for frame, later in zip(combed, frames[1::2], strict=True):
        frame[1::2] = later[1::2]
    path = write_frames(tmp_path / "a.mp4", combed)
    line = "interlaced (top field first) without being marked so, deinterlaced: 'a.mp4'"
    assert line in check(path, workers=0).notes
    assert line in run(path, tmp_path / "take").warnings


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_a_gap_is_skipped_and_reported(tmp_path: Path) -> None:
    times = [start + i / 25 for start in (0, 10) for i in range(55)]
    frames = list(moving_pattern(110, width=320, height=240))
    path = write_frames(tmp_path / "a.mkv", frames, times=times, audio=made.babble(12.2), audio_rate=16_000)
    line = "'a.mkv' has no frames for 7.8 s, skipped: 2.2 to 10.0 s"
    report = check(path, workers=0)
    assert report.measure("usable_minutes").text == "4.4 s"
    assert [note for note in report.notes if "frames" in note] == [line]
    assert report.looked_at_seconds == pytest.approx(report.total_seconds) == pytest.approx(4.4)
    dataset = run(path, tmp_path / "take")
    assert dataset.warnings.count(line) == 1
    assert [(clip.record.start_frame, clip.frames) for clip in dataset.clips] == [(0, 55), (250, 55)]
    for clip in dataset.clips:
        assert len(clip.speech) == 55 * 640


def test_footage_is_too_short_without_its_gaps(tmp_path: Path) -> None:
    times = [start + i / 25 for start in (0, 10) for i in range(40)]
    frames = list(moving_pattern(80, width=320, height=240))
    path = write_frames(tmp_path / "a.mkv", frames, times=times)
    with pytest.raises(FootageError, match=r"there are 3\.2 s of video"):
        run(path, tmp_path / "take")
    assert check(path, workers=0).measure("usable_minutes").verdict == "unusable"


class Found:
    """In place of `FaceTracker`: the talking face, changed."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray], stops: Collection[int] = ()) -> None:
        self.change, self.stops = change, stops

    def __call__(self, people: People, *, fps: float) -> Found:
        self.faces = iter(talking(400))
        self.index = -1
        return self

    def step(self, frame: object) -> np.ndarray | None:
        self.index += 1
        face = self.change(next(self.faces))
        return None if self.index in self.stops else face


def turned(face: np.ndarray) -> np.ndarray:
    """A head turned by 70 degrees."""
    centre, angle = face.mean(axis=0), np.radians(70)
    x, y, z = (face - centre).T
    return (
        np.stack([np.cos(angle) * x + np.sin(angle) * z, y, np.cos(angle) * z - np.sin(angle) * x], 1)
        + centre
    ).astype(np.float32)


def outside(face: np.ndarray) -> np.ndarray:
    """A face whose mouth is below the frame."""
    return face + np.float32([0, 80, 0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "found", "gain", "unusable"),
    [
        ("usable_minutes", Found(lambda face: face, range(40, 110)), 1.0, True),
        ("face_share", Found(lambda face: face, range(0, 400, 20)), 1.0, True),
        ("mouth_free", Found(outside), 1.0, True),
        ("yaw", Found(turned), 1.0, True),
        ("face_size", Found(lambda face: face * np.float32(0.3)), 1.0, False),
        ("sharpness", Found(lambda face: face), 1.0, False),
        ("brightness", Found(lambda face: face), 1.0, False),
        ("loudness", Found(lambda face: face), 10 ** (-45 / 20), False),
        ("loudness", Found(lambda face: face), 10 ** (-60 / 20), False),
        ("clipping", Found(lambda face: face), 200.0, False),
    ],
)
def test_what_check_calls_unusable_is_what_training_refuses(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    measure: str,
    found: Found,
    gain: float,
    unusable: bool,
) -> None:
    """Each measure that is bad: the one command must not take what the other refuses."""
    audio = np.clip(gain * made.babble(4.4), -1, 1)
    frames = list(moving_pattern(110, width=320, height=240))
    if measure == "brightness":
        frames = [frame // 8 for frame in frames]
    if measure == "sharpness":
        small = [Image.fromarray(frame).resize((10, 8), Image.Resampling.BOX) for frame in frames]
        frames = [np.asarray(image.resize((320, 240), Image.Resampling.BICUBIC)) for image in small]
    path = write_frames(
        tmp_path / "a.mkv",
        frames,
        options={"preset": "ultrafast"},
        audio=audio,
        audio_rate=16_000,
        audio_codec="pcm_s16le",
    )
    monkeypatch.setattr(following, "FaceTracker", found)
    report = check(path, workers=0)
    assert report.measure(measure).verdict != "good"
    assert (report.verdict == "unusable") == unusable
    if unusable:
        with pytest.raises(FootageError):
            run(path, tmp_path / "take")
    else:
        run(path, tmp_path / "take")


def test_footage_without_audio_must_show_a_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mute = made.write_footage(tmp_path / "mute.mp4", audio=False, seconds=4.4)
    made.let_show(monkeypatch, lambda _: ())
    with pytest.raises(FootageError, match=r"no face was found in '.*mute\.mp4'"):
        run(mute, tmp_path / "take")


@pytest.mark.slow
@pytest.mark.usefixtures("short_target")
def test_long_footage_becomes_several_clips(tmp_path: Path) -> None:
    path = made.write_footage(tmp_path / "long.mp4", seconds=41, fps=10)
    dataset = run(path, tmp_path / "take", fps=10)
    assert [clip.frames for clip in dataset.clips] == [205, 205]
    joined = np.concatenate([clip.speech for clip in dataset.clips])
    assert len(joined) == 41 * 16_000
    assert np.corrcoef(joined, made.babble(41))[0, 1] > 0.9


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        run(tmp_path / "gone.mp4", tmp_path / "take")


def test_an_absurd_rate(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(FootageError, match="fps is 1000"):
        run(clips, tmp_path / "take", fps=1000)


def test_a_missing_file_is_reported_before_anything_is_tracked(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        check(tmp_path / "gone.mp4")


@pytest.mark.usefixtures("short_target")
def test_a_moved_footage_folder_is_recognised(clips: Path, copy: Path, tmp_path: Path) -> None:
    before = written(copy, "landmarks")
    moved = Path(shutil.copytree(clips, tmp_path / "moved"))
    run(moved, copy)
    assert written(copy, "landmarks") == before


@pytest.mark.slow
def test_covered_mouths_are_left_out_and_passed_through(tmp_path: Path) -> None:
    covered = range(40, 80)
    film = made.write_footage(tmp_path / "film.mp4", seconds=6, covered=covered)
    dataset = run(film, tmp_path / "take")
    (clip,) = dataset.clips
    assert not clip.usable[40:80].any()
    assert clip.usable[:30].all()
    assert clip.usable[90:].all()
    (warning,) = [text for text in dataset.warnings if "covers the mouth" in text]
    assert "40 frames" in warning
    assert "'film.mp4' 1.6 to 3.2 s" in warning
    assert dataset.target.blend_weight is not None
    (part,) = dataset.target.parts
    shown = np.arange(part.start_frame, part.start_frame + part.frames)
    assert (dataset.target.blend_weight[(shown >= 40) & (shown < 80)] == 0).all()


def test_a_mouth_covered_in_all_frames_is_refused(tmp_path: Path) -> None:
    film = made.write_footage(tmp_path / "film.mp4", seconds=4.8, covered=range(120))
    with pytest.raises(
        FootageError, match=r"covers the mouth in 120 of 120 frames \('film.mp4' 0.0 to 4.8 s\)"
    ):
        run(film, tmp_path / "take")
    report = check(film, workers=0)
    assert report.verdict == "unusable"
    (free,) = [m for m in report.measures if m.name == "mouth_free"]
    assert free.verdict == "unusable"
    assert free.text.startswith("0.0 %; covered in 120 of 120 frames")
