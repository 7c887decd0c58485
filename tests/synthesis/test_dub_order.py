from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newscaster.face.head_pose import Poses
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.dub_options import KeptFrames
from newscaster.synthesis.dub_order import extended_order, kept_frames
from tiny_anchor import head, poses

CUT, FRAMES = 40, 120


@dataclass
class Target:
    """A person who nods; one frame is as the last one."""

    track: VideoTrack
    poses: Poses
    face: Any

    def __len__(self) -> int:
        return len(self.track)


@dataclass
class Face:
    head: Any


def target(*, like_last: int, present: np.ndarray | None = None) -> Target:
    person = head()
    present = np.ones(FRAMES, np.bool_) if present is None else present
    stands = poses(FRAMES, (320, 240), 60.0)
    shift = stands.shift + 0.4 * np.random.default_rng(like_last).normal(size=(FRAMES, 2)).cumsum(axis=0)
    matrix = stands.matrix.copy()
    shift[like_last], matrix[like_last] = shift[-1], matrix[-1]
    stands = Poses(matrix, shift)
    landmarks = np.zeros((FRAMES, 478, 3), np.float32)
    landmarks[:, :, :2] = stands.project(person.points)
    landmarks[~present] = np.nan
    track = VideoTrack(
        path=Path("v.mp4"),
        sha256="",
        fps=Fraction(25),
        size=(320, 240),
        landmarks=landmarks,
        present=present,
        covered=~present,
        face=0,
        cuts=(CUT,),
    )
    return Target(track, stands, Face(person))


@pytest.mark.parametrize("extend", ["transitions", "loop", "freeze"])
def test_longer_speech_goes_on(extend: Any) -> None:
    person: Any = target(like_last=70)
    assert extended_order([person], 50, extend).tolist() == list(range(50))
    order = extended_order([person], FRAMES + 60, extend)
    assert order[:FRAMES].tolist() == list(range(FRAMES))
    more = order[FRAMES:].tolist()
    first = {"transitions": 70, "loop": 0, "freeze": FRAMES - 1}[extend]
    cycle = list(range(first, FRAMES))
    assert more == [cycle[i % len(cycle)] for i in range(60)]


def test_all_people_of_the_last_frame_count() -> None:
    """The frame that is right for the first person has no second one."""
    without = np.ones(FRAMES, np.bool_)
    without[60:75] = False
    people: Any = [target(like_last=70), target(like_last=80, present=without)]
    first = int(extended_order(people, FRAMES + 1, "transitions")[-1])
    assert CUT <= first < FRAMES - 25
    assert not 60 <= first < 75
    gone = np.ones(FRAMES, np.bool_)
    gone[-5:] = False
    people = [target(like_last=70), target(like_last=80, present=gone)]
    assert extended_order(people, FRAMES + 1, "transitions")[-1] == 70  # the second has left
    people = [target(like_last=70, present=gone)]
    assert extended_order(people, FRAMES + 1, "transitions")[-1] == CUT  # no one to follow on


def test_a_frame_is_kept_if_every_mouth_is() -> None:
    first = np.array([""] * 20 + ["turned"] * 100)
    second = np.array([""] * 10 + ["turned"] * 20 + [""] * 10 + ["not seen"] * 80)
    order = np.r_[np.arange(FRAMES), 0, 25]
    assert kept_frames([first], order)[0] == KeptFrames(start=20, stop=120, reason="turned")
    assert kept_frames([first, second], order) == (
        KeptFrames(start=20, stop=30, reason="turned"),
        KeptFrames(start=40, stop=120, reason="turned; not seen"),
        KeptFrames(start=121, stop=122, reason="turned"),
    )
