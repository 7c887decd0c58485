"""Clips that are added to an anchor, and removed: parts of its target, and parts of other footage."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from faces import talking
from newscaster import media
from newscaster.errors import FootageError, InputError, MediaError
from newscaster.face.crop import FaceCrop
from newscaster.face.head_pose import Head
from newscaster.formats.anchor import MATTE, TARGET, AnchorFile
from newscaster.formats.bundled_anchors import BUNDLED
from newscaster.formats.named_clips import ClipTimes, NamedClip
from newscaster.matting.packed import is_packed, unpacked
from newscaster.matting.store import MatteStore
from newscaster.media import TargetVideo
from newscaster.prepare import video_track
from newscaster.prepare.video_track import VideoTrack, WantedPerson
from newscaster.synthesis import clip_editing, target_frames
from newscaster.synthesis.clip_editing import anchor_clips, append_clips, edit_clips, track_clips
from tiny_anchor import (
    images,
    tiny_face,
    tiny_matte,
    tiny_moved_matte,
    tiny_packed_matte,
    write_tiny_anchor,
)

SIZE = (96, 80)


def times(text: str) -> ClipTimes:
    return ClipTimes.parse(text)


@pytest.fixture
def anchor(tmp_path: Path) -> Path:
    return write_tiny_anchor(
        tmp_path / "x.anchor", frames=60, segment=np.repeat([0, 1], [40, 20]), person=Head.fit(talking(60))
    )


def test_parts_of_the_target_are_names_in_the_header(anchor: Path) -> None:
    before = AnchorFile(anchor)
    clips = edit_clips(anchor, add=[times("nod=0.8-1.4"), times("bow=0-0.4")])
    assert clips == (NamedClip(name="bow", start=0, stop=10), NamedClip(name="nod", start=20, stop=35))
    assert anchor_clips(anchor) == clips
    assert AnchorFile(anchor).identity == before.identity
    assert edit_clips(anchor, remove=["bow"], add=[times("bow=1.6-2.4")])[1].name == "bow"
    assert edit_clips(anchor, remove=["bow", "nod"]) == ()


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (["nod=2-3"], "'nod' ends at 3 s; the target video of the anchor ends at 2.4 s"),
        (["nod=1.4-1.9"], "'nod' has a cut at 1.60 s of the target video"),
        (["nod=0-1", "bow=0.6-1.2"], "'nod' and 'bow' share the frames from 0.60 s on"),
        (["nod=0-1", "nod=1-1.5"], "two clips have the name 'nod'"),
        (["nod=0-1.6"], "the clips leave 0.80 s of the target video"),
    ],
)
def test_parts_that_cannot_be_clips(anchor: Path, add: list[str], message: str) -> None:
    before = anchor.read_bytes()
    with pytest.raises(InputError, match=message):
        edit_clips(anchor, add=[times(text) for text in add])
    assert anchor.read_bytes() == before


def test_other_errors(anchor: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the anchor has no clips"):
        edit_clips(anchor, remove=["bow"])
    with pytest.raises(InputError, match="is the bundled anchor"):
        edit_clips(BUNDLED, add=[times("nod=0-1")])
    loop = write_tiny_anchor(tmp_path / "loop.anchor", frames=60, target_loops=True)
    with pytest.raises(InputError, match="is made from a photograph, and takes no footage"):
        edit_clips(loop, add=[times("nod=0-1")], footage=tmp_path / "x.mp4")


def track(path: Path, frames: int, **changes: object) -> VideoTrack:
    """A track of drawn frames, whose face is that of the tiny anchor."""
    person = Head.fit(talking(60))
    face = tiny_face(frames=frames, size=SIZE, crop=FaceCrop(128, 1.8), scale=24.0, person=person)
    values: dict = {
        "path": path,
        "sha256": "",
        "fps": Fraction(25),
        "size": SIZE,
        "landmarks": face.landmarks,
        "present": np.ones(frames, bool),
        "covered": np.zeros(frames, bool),
        "face": 0,
    }
    return VideoTrack(**{**values, **changes})


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    """A second of drawn frames that are darker than those of the anchor."""
    path = tmp_path / "footage.mp4"
    path.write_bytes(media.encode_target((255 - image for image in images(25, SIZE)), Fraction(25)))
    return path


def tracked(
    monkeypatch: pytest.MonkeyPatch, footage: Path, text: str, **changes: object
) -> list[target_frames.TrackedClip]:
    def part(
        path: Path, wanted: WantedPerson, *, fps: Fraction, start_frame: int, stop_frame: int
    ) -> VideoTrack:
        return track(path, min(stop_frame, 25) - start_frame, **changes)

    monkeypatch.setattr(clip_editing, "track_part", part)
    wanted = WantedPerson(name="x", face=0)
    return track_clips(footage, [times(text)], wanted, fps=Fraction(25), size=SIZE)


def test_footage_is_appended(anchor: Path, footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = TargetVideo(AnchorFile(anchor).read(TARGET))
    append_clips(anchor, tracked(monkeypatch, footage, "nod=0.2-0.8"))
    after = AnchorFile(anchor)
    assert after.info.clips == (NamedClip(name="nod", start=60, stop=75, from_footage=True),)
    assert after.info.target_frames == 75
    face = after.face()
    assert face.segment is not None
    assert face.segment.tolist() == [0] * 40 + [1] * 20 + [2] * 15
    assert face.thumbnails is not None
    # The frames of the target were not encoded again; those of the footage are where they belong.
    new = TargetVideo(after.read(TARGET))
    assert all((old.frame(k) == new.frame(k)).all() for k in range(60))
    for k in range(15):
        assert np.abs(new.frame(60 + k).astype(int) - (255 - images(25, SIZE)[5 + k])).mean() < 6
    with newscaster.open(anchor).live() as live:
        live.play("nod")
        frames = (frame for frame in live.frames(paced=False) if frame.action)
        assert next(frames).image is not None


@pytest.mark.parametrize("removed", [["nod"], ["bow"], ["nod", "bow"]])
def test_frames_of_footage_leave_with_their_clip(
    anchor: Path, footage: Path, monkeypatch: pytest.MonkeyPatch, removed: list[str]
) -> None:
    """Without a trace: those before and after, their face and their order stay as they were."""
    edit_clips(anchor, add=[times("own=0.4-1")])
    before = AnchorFile(anchor).read(TARGET)
    append_clips(anchor, tracked(monkeypatch, footage, "nod=0-0.4"))
    append_clips(anchor, tracked(monkeypatch, footage, "bow=0.4-1"))
    whole, video = AnchorFile(anchor), TargetVideo(AnchorFile(anchor).read(TARGET))
    old = whole.face()
    places = {clip.name: range(clip.start, clip.stop) for clip in whole.info.clips}
    left = [k for k in range(85) if not any(k in places[name] for name in removed)]
    clips = edit_clips(anchor, remove=removed)
    after = AnchorFile(anchor)
    assert after.info.target_frames == len(left)
    assert [clip.name for clip in clips] == [n for n in ("own", "nod", "bow") if n not in removed]
    assert [left[clip.start] for clip in clips] == [places[clip.name].start for clip in clips]
    new = TargetVideo(after.read(TARGET))
    assert new.frame_count == len(left)
    assert all((new.frame(i) == video.frame(k)).all() for i, k in enumerate(left))
    face = after.face()
    assert (face.landmarks == old.landmarks[left]).all()
    assert (face.poses.matrix == old.poses.matrix[left]).all()
    assert (face.transforms.to_array() == old.transforms.to_array()[left]).all()
    for name in ("thumbnails", "blend_weight"):
        assert (getattr(face, name) == getattr(old, name)[left]).all()
    assert face.segment is not None
    assert sorted(set(face.segment.tolist())) == list(range(4 - len(removed)))
    original = TargetVideo(before)
    assert all((new.frame(k) == original.frame(k)).all() for k in range(60))
    with newscaster.open(anchor).live() as live:
        live.play("own")
        assert any(frame.action == "own" for frame in itertools.islice(live.frames(paced=False), 60))


def test_a_part_of_the_target_stays_in_it(anchor: Path) -> None:
    """It is only a name, also if it is a whole segment."""
    edit_clips(anchor, add=[times("end=1.6-2.4")])
    edit_clips(anchor, remove=["end"])
    assert AnchorFile(anchor).info.target_frames == 60


def test_a_clip_is_replaced_in_one_step(anchor: Path, footage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_clips(anchor, tracked(monkeypatch, footage, "nod=0-0.4"))
    monkeypatch.setattr(clip_editing, "_descriptor", lambda *_: None)
    tracked(monkeypatch, footage, "nod=0-0.4")
    clips = edit_clips(anchor, remove=["nod"], add=[times("nod=0.4-1")], footage=footage)
    assert clips == (NamedClip(name="nod", start=60, stop=75, from_footage=True),)
    assert AnchorFile(anchor).info.target_frames == 75


def test_a_stored_matte_covers_the_clip(
    tmp_path: Path, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_anchor(
        tmp_path / "matte.anchor", frames=30, matte=tiny_matte(30, SIZE), person=Head.fit(talking(60))
    )
    monkeypatch.setattr(
        target_frames, "video_matte", lambda video, landmarks, **_: tiny_matte(len(landmarks), SIZE)
    )
    append_clips(path, tracked(monkeypatch, footage, "nod=0-0.4"))
    assert newscaster.open(path)._loaded.matte.load() is not None
    edit_clips(path, remove=["nod"])
    assert AnchorFile(path).read(MATTE) == tiny_matte(30, SIZE)


def test_a_packed_matte_covers_the_clip_and_stays_packed(
    tmp_path: Path, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matte = tiny_packed_matte(30, SIZE)
    path = write_tiny_anchor(tmp_path / "matte.anchor", frames=30, matte=matte, person=Head.fit(talking(60)))
    monkeypatch.setattr(
        target_frames,
        "video_matte",
        lambda video, landmarks, **_: unpacked(tiny_packed_matte(len(landmarks), SIZE)),
    )
    append_clips(path, tracked(monkeypatch, footage, "nod=0-0.4"))
    assert is_packed(AnchorFile(path).read(MATTE))
    assert len(newscaster.open(path)._loaded.matte.load()) == 40
    edit_clips(path, remove=["nod"])
    assert is_packed(AnchorFile(path).read(MATTE))
    before, after = (
        MatteStore(unpacked(data)).frame(29).luma for data in (matte, AnchorFile(path).read(MATTE))
    )
    assert before is not None
    assert after is not None
    errors = np.abs(before.full_alpha().astype(int) - after.full_alpha())
    assert 0 < errors.mean() < 6  # noise is coded three times; a matte has a hundredth of it


def test_only_the_frames_of_a_clip_are_matted(
    tmp_path: Path, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The matte of a photograph stays as small as it is."""
    matte = tiny_moved_matte(30, SIZE)
    path = write_tiny_anchor(
        tmp_path / "matte.anchor", frames=30, matte=matte, person=Head.fit(talking(60)), target_loops=True
    )
    calls = []

    def video_matte(video: TargetVideo, landmarks: np.ndarray, **options: Any) -> bytes:
        calls.append((len(landmarks), options["first"], options["segment"].tolist()))
        return tiny_matte(len(landmarks), SIZE)

    monkeypatch.setattr(target_frames, "video_matte", video_matte)
    append_clips(path, tracked(monkeypatch, footage, "nod=0-0.4"))
    assert calls == [(10, 30, [1] * 10)]
    store = newscaster.open(path)._loaded.matte.load()
    assert len(store) == 40
    before = MatteStore(matte).frame(7).luma
    after = store.frame(7).luma
    assert before is not None
    assert after is not None
    assert np.array_equal(after.full_alpha(), before.full_alpha())
    edit_clips(path, remove=["nod"])
    assert AnchorFile(path).read(MATTE) == matte


@pytest.mark.parametrize(
    ("text", "changes", "error", "message"),
    [
        ("nod=0.6-1.2", {}, InputError, "'nod' ends at 1.2 s, but '.*' ends at 1.00 s"),
        ("nod=0-0.8", {"cuts": (5,)}, InputError, "'nod' has a cut at 0.20 s"),
        (
            "nod=0-0.8",
            {"present": np.arange(20) < 10},
            FootageError,
            "'nod' does not show the person's face at 0.40 s",
        ),
        ("nod=0-0.8", {"present": np.zeros(20, bool)}, FootageError, "does not show the person"),
    ],
)  # fmt: skip
def test_footage_that_cannot_be_a_clip(
    footage: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    changes: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        tracked(monkeypatch, footage, text, **changes)


def test_footage_is_checked_before_any_work(
    anchor: Path, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the anchor's face is measured nor the footage tracked."""
    for name in ("_descriptor", "track_part"):
        monkeypatch.setattr(clip_editing, name, lambda *_, **__: pytest.fail("work was done"))
    photo = tmp_path / "face.png"
    photo.touch()
    larger = tmp_path / "larger.mp4"
    frames = (np.zeros((96, 128, 3), np.uint8) for _ in range(30))
    larger.write_bytes(media.encode_target(frames, Fraction(25)))
    for path, text, error, message in (
        (tmp_path / "no.mp4", "nod=0-0.8", MediaError, r"no such file: '.*no\.mp4'"),
        (photo, "nod=0-0.8", FootageError, r"is a photograph; expected a video\. Make an anchor of it"),
        (larger, "nod=0-0.8", InputError, "has frames of 128x96 pixels; expected .* 96x80"),
        (footage, "nod=0.6-1.2", InputError, r"'nod' ends at 1\.2 s, but '.*' ends at 1\.00 s"),
    ):
        with pytest.raises(error, match=message):
            edit_clips(anchor, add=[times(text)], footage=path)


def test_a_part_beyond_the_footage(footage: Path) -> None:
    with pytest.raises(FootageError, match=r"a part from 4\.00 s on was named"):
        video_track.track_part(
            footage, WantedPerson(name="x"), fps=Fraction(25), start_frame=100, stop_frame=120
        )
