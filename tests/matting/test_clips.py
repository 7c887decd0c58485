"""Mattes of clips: shots, kept frames, and which person stays."""

from __future__ import annotations

import numpy as np
import pytest

from newscaster.matting import clips
from newscaster.matting.clips import face_box, matte_clip
from newscaster.matting.matte import CoarseMatte, Matte
from newscaster.matting.planes import OPAQUE
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb


class StandIn:
    """Finds a person in every frame with a face at its left; counts the frames since it was made."""

    made: list[StandIn] = []  # noqa: RUF012

    def __init__(self, network: object) -> None:
        self.pushed: list[object] = []
        StandIn.made.append(self)

    def coarse(self, frame: np.ndarray, *, face: tuple[float, ...] | None = None) -> CoarseMatte:
        self.pushed.append(face)
        found = face is None or face[0] < 10
        return CoarseMatte(frame, frame, np.zeros((0, 0), np.float32) if found else None)

    def refine(self, coarse: CoarseMatte, evidence: object) -> Matte:
        found = coarse.mask is not None
        return Matte(np.full(coarse.frame.shape[:2], 200 * found, np.uint8), coarse.frame, found)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[StandIn]:
    monkeypatch.setattr(clips, "PersonMatte", StandIn)
    monkeypatch.setattr(clips, "load_person_network", lambda: None)
    monkeypatch.setattr(CoarseMatte, "evidence", lambda self: None)
    monkeypatch.setattr(StandIn, "made", [])
    return StandIn.made


def images(count: int) -> list[YuvFrame]:
    convert = FromRgb(ColourTags.for_height(32))
    return [YuvFrame(convert(np.full((32, 32, 3), 10 * i, np.uint8))) for i in range(count)]


def test_each_shot_has_a_matte_of_its_own_and_kept_frames_are_not_looked_at(made: list[StandIn]) -> None:
    mattes = list(
        matte_clip(images(6), [None] * 6, starts=frozenset({2, 4}), keep=lambda index: index in (2, 3))
    )
    assert [matte is OPAQUE for matte in mattes] == [False, False, True, True, False, False]
    assert [len(part.pushed) for part in made] == [2, 0, 2]


def test_a_face_that_finds_no_one_keeps_all_people(made: list[StandIn]) -> None:
    far, near = (20.0, 2.0, 28.0, 9.0), (2.0, 2.0, 9.0, 9.0)
    mattes = list(matte_clip(images(2), [near, far]))
    assert made[0].pushed == [near, far, None]
    for matte in mattes:
        assert matte.luma is not None
        assert (matte.luma.full_alpha() == 200).all()


def test_boxes_of_faces() -> None:
    points = np.array([[3.0, 4.0, 0.0], [9.0, 2.0, 1.0]])
    assert face_box(points) == (3.0, 2.0, 9.0, 4.0)
    assert face_box(points * np.nan) is None
    assert face_box(points[:1]) is None
