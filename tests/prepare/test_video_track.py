from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import media
from newscaster.errors import FootageError
from newscaster.prepare import video_track
from newscaster.prepare.following import Followed
from newscaster.prepare.people import People, Person
from newscaster.prepare.video_track import OtherPersonError, WantedPerson, track_people

FRAMES = 40


def descriptor(number: int) -> np.ndarray:
    return np.eye(128, dtype=np.float32)[number]


class Follower:
    """Finds a face whose landmarks are its number, in all frames but the first of that many."""

    made: list[int] = []  # noqa: RUF012

    def __init__(self, people: People, *, fps: float) -> None:
        self.number = people.chosen
        self.count = 0
        Follower.made.append(self.number)

    def cut(self) -> None:
        raise AssertionError("the pattern has no cut")

    def step(self, frame: np.ndarray) -> None:
        self.count += 1

    def finish(self) -> Followed:
        landmarks = np.full((self.count, 478, 3), self.number, np.float32)
        present = np.arange(self.count) >= self.number
        landmarks[~present] = np.nan
        return Followed(landmarks, present, np.zeros(self.count, np.bool_))


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three people from left to right; the last could not be described."""
    persons = tuple(
        Person(
            np.array([[10.0 + 30 * n, 10, 30 + 30 * n, 30]]),
            seconds=(0.0,),
            descriptor=None if n == 2 else descriptor(n),
            described=8,
        )
        for n in range(3)
    )
    monkeypatch.setattr(video_track, "look", lambda _: persons)
    monkeypatch.setattr(video_track, "PersonFollower", Follower)
    Follower.made = []
    path = tmp_path / "v.mp4"
    media.write_video(path, moving_pattern(FRAMES), fps=25, audio=None)  # type: ignore[arg-type]
    return path


def wanted(number: int, face: int | None = None) -> WantedPerson:
    return WantedPerson(name=f"person {number}", descriptor=descriptor(number), face=face)


def test_all_are_tracked_in_one_pass(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, reads = media.read_frames, []
    monkeypatch.setattr(
        video_track, "read_frames", lambda *a, **options: reads.append(a) or real(*a, **options)
    )
    tracks = track_people(video, [wanted(1), wanted(0), wanted(9, face=2)])
    assert len(reads) == 1
    assert [track.face for track in tracks] == [1, 0, 2]
    assert [int(track.present.sum()) for track in tracks] == [FRAMES - 1, FRAMES, FRAMES - 2]
    assert [float(np.nanmax(track.landmarks)) for track in tracks] == [1, 0, 2]


def test_only_those_without_a_track_are_tracked(video: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (first,) = track_people(video, [wanted(1)], cache=cache)
    assert Follower.made == [1]
    both = track_people(video, [wanted(0), wanted(1)], cache=cache)
    assert Follower.made == [1, 0]
    assert [track.face for track in both] == [0, 1]
    np.testing.assert_array_equal(both[1].landmarks, first.landmarks)
    again = track_people(video, [wanted(0), wanted(1)], cache=cache)
    assert Follower.made == [1, 0]
    assert [track.face for track in again] == [0, 1]
    with pytest.raises(FootageError, match="are both face=1"):
        track_people(video, [wanted(1), wanted(5, face=1)], cache=cache)
    with pytest.raises(FootageError, match="are both face=0"):
        track_people(video, [wanted(0), wanted(0)], cache=cache)


def test_someone_else(video: Path) -> None:
    with pytest.raises(OtherPersonError, match="3 other people are visible") as caught:
        track_people(video, [wanted(0), wanted(7)])
    assert caught.value.wanted.name == "person 7"
    assert len(caught.value.persons) == 3
    (track,) = track_people(video, [wanted(7, face=1)])
    (note,) = track.notes
    assert note.startswith("face=1 of ")
    assert "does not look like the person of 'person 7'" in note
    (track,) = track_people(video, [wanted(7, face=2)])  # whose face could not be measured
    assert track.notes == ()


def test_what_could_not_be_measured_is_not_someone_else(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = WantedPerson(name="Ada", descriptor=np.full(128, np.nan, np.float32))
    with pytest.raises(FootageError, match="the anchor's own face could not be measured") as caught:
        track_people(video, [unknown])
    assert not isinstance(caught.value, OtherPersonError)
    blurred = (Person(np.array([[10.0, 10, 30, 30]]), seconds=(0.0,)),)
    monkeypatch.setattr(video_track, "look", lambda _: blurred)
    with pytest.raises(FootageError, match="too small, blurred or turned away") as caught:
        track_people(video, [wanted(0)])
    assert not isinstance(caught.value, OtherPersonError)
