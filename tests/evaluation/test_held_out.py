"""Held-out footage as a target: the poses of the head, and the person."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import footage as made
from faces import talking
from newscaster.errors import FootageError
from newscaster.evaluation import held_out
from newscaster.evaluation.held_out import HeldOut, check_person, find_held_out, retracked
from newscaster.face.mouth_basis import place_mouth
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import Clip
from newscaster.media import read_frames, write_video
from newscaster.prepare import clips, tracks
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.tracking.descriptor import mean_descriptor
from talkers import clip_of, talker


def test_mouths_put_back_lie_where_they_were_found(anchor: Anchor, tmp_path: Path) -> None:
    held = HeldOut.of(clip_of(tmp_path, absent=(0, 1, 20, 49)), anchor)
    placed = place_mouth(held.shapes, anchor.face.head, held.poses)
    there = held.present
    found = held.clip.landmarks[there][:, list(MOUTH), :2]
    np.testing.assert_allclose(placed[there], found, atol=1e-3)
    assert np.isnan(held.shapes[~there]).all()


def test_frames_without_a_face_have_the_place_of_the_nearest_that_has(anchor: Anchor, tmp_path: Path) -> None:
    held = HeldOut.of(clip_of(tmp_path, absent=(0, 1, 20, 49)), anchor)
    for absent, nearest in ((0, 2), (1, 2), (20, 19), (49, 48)):
        np.testing.assert_array_equal(held.transforms.matrix[absent], held.transforms.matrix[nearest])
    assert np.isfinite(held.transforms.matrix).all()


def test_the_target_is_the_clip(anchor: Anchor, tmp_path: Path) -> None:
    held = HeldOut.of(clip_of(tmp_path, frames=30, first=5), anchor)
    target, images = held.target(anchor), list(held.images())
    assert len(target) == len(images) == 30
    for index in (0, 17, 29):
        off = target.frame(index).rgb.astype(float) - images[index]
        others = target.frame(index).rgb.astype(float) - images[index - 3]
        assert np.sqrt((off**2).mean()) < 0.3 * np.sqrt((others**2).mean())
    np.testing.assert_array_equal(next(held.images(4, 5)), images[4])


def test_the_same_person_is_accepted_and_another_refused(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(tmp_path, absent=(0, 3))
    made.describe_as(monkeypatch, lambda frame: made.somebody())
    person = anchor_descriptor(anchor.target)
    check_person(clip, anchor, person)
    made.describe_as(monkeypatch, lambda frame: made.somebody(1))
    with pytest.raises(
        FootageError, match=r"clip\.mp4' does not seem to show the person of the anchor 'Tiny'"
    ):
        check_person(clip, anchor, person)


def test_a_face_that_cannot_be_described_is_not_taken_for_the_anchors(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = clip_of(tmp_path)
    made.describe_as(monkeypatch, lambda frame: np.full(128, np.nan, np.float32))
    for person in (made.somebody(), anchor_descriptor(anchor.target)):
        with pytest.raises(FootageError, match="cannot tell whether"):
            check_person(clip, anchor, person)


def test_of_several_faces_the_anchors_person_is_tracked(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.make_up_faces(monkeypatch)
    made.let_show(monkeypatch, lambda f: (*made.one_person(f, seed=1), *made.one_person(f)))
    video = made.write_footage(tmp_path / "two.mp4", seconds=2)
    (held,) = find_held_out(anchor, [video], tmp_path / "tracks", workers=0)
    assert (held.clip.record.face, held.clip.record.people) == (1, 2)


def test_footage_is_found_with_and_without_audio(
    anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made.make_up_faces(monkeypatch)
    files = [
        made.write_footage(tmp_path / f"{s}.mp4", seconds=2, audio=s == "loud") for s in ("loud", "mute")
    ]
    files.append(made.write_footage(tmp_path / "short.mp4", seconds=0.8))
    found = find_held_out(anchor, files, tmp_path / "tracks", workers=0)
    assert [(held.name, held.clip.has_audio) for held in found] == [("loud", True), ("mute", False)]
    assert "20 of 20 frames of" in caplog.text
    with pytest.raises(FootageError, match=r"no face was found in '.*short\.mp4' for 25 frames"):
        find_held_out(anchor, files[2:], tmp_path / "tracks", workers=0)


def shorten_parts(patch: pytest.MonkeyPatch) -> None:
    """Cut footage of more than 4 s into parts of about 2 s, instead of 40 and 20 s."""
    patch.setattr(clips, "MAX_CLIP_SECONDS", 4.0)
    patch.setattr(clips, "SEGMENT_SECONDS", 2.0)


def test_faces_are_found_again_in_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.make_up_faces(monkeypatch)
    shorten_parts(monkeypatch)
    video = made.write_footage(tmp_path / "a.mp4", seconds=2, audio=False)
    long = made.write_footage(tmp_path / "long.mp4", seconds=4.08, audio=False)
    found = retracked([video, long], tmp_path / "tracks", fps=talker(tmp_path).fps, workers=0)
    assert {path: len(landmarks) for path, landmarks in found.items()} == {video: 50, long: 102}
    np.testing.assert_array_equal(found[video], talking(50))


@pytest.mark.parametrize("name", ["a.mp4", "./a.mp4", "other/../a.mp4", "link/a.mp4", "alias.mp4"])
def test_videos_are_found_again_under_the_path_that_was_given(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.make_up_faces(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("other").mkdir()
    Path("link").symlink_to(tmp_path, target_is_directory=True)
    Path("alias.mp4").symlink_to("a.mp4")
    made.write_footage(tmp_path / "a.mp4", seconds=2, audio=False)
    found = retracked([Path(name)], Path("tracks"), fps=talker(tmp_path).fps, workers=0)
    assert list(found) == [Path(name)]
    np.testing.assert_array_equal(found[Path(name)], talking(50))


def test_a_part_of_a_video_without_a_face_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.make_up_faces(monkeypatch)
    shorten_parts(monkeypatch)
    long = made.write_footage(tmp_path / "long.mp4", seconds=4.08, audio=False)
    tracking = tracks.track_footage

    def second_part_only(*arguments: Any, **options: Any) -> list[Clip]:
        return tracking(*arguments, **options)[1:]

    monkeypatch.setattr(held_out, "track_footage", second_part_only)
    found = retracked([long], tmp_path / "tracks", fps=talker(tmp_path).fps, workers=0)[long]
    assert len(found) == 102
    first = int(np.isfinite(found[:, 0, 0]).argmax())
    assert first == 51
    assert np.isnan(found[:first]).all()


@pytest.mark.slow
@pytest.mark.data
def test_the_end_of_a_clip_shows_the_person_of_its_beginning(
    anchor: Anchor, data_folder: Path, tmp_path: Path
) -> None:
    """Of a portrait, the last 3 of 15 s; and another portrait does not."""
    portrait, other = (
        data_folder / "hd" / f"{n}.mp4" for n in ("portrait_512_25fps_15s", "interview_512_25fps_8s")
    )
    parts = {"first": (portrait, 0, 100), "last": (portrait, 300, 375), "other": (other, 0, 75)}
    clips = {}
    for name, (source, start, stop) in parts.items():
        path = tmp_path / f"{name}.mp4"
        shown = read_frames(source, start_frame=start, stop_frame=stop)
        frames = (np.asarray(Image.fromarray(frame).reduce(2)) for frame in shown)
        write_video(path, frames, fps=Fraction(25), audio=None, preset="ultrafast")
        (clips[name],) = tracks.track_footage([path], tmp_path / "tracks", silent=True, workers=0)
    person = mean_descriptor(held_out.clip_descriptors(clips["first"]))
    check_person(clips["last"], anchor, person)
    with pytest.raises(FootageError, match="does not seem to show the person"):
        check_person(clips["other"], anchor, person)
