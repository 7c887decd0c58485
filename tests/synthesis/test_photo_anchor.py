"""Anchors of one photograph: a drawn face, whose landmarks are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import newscaster
from faces import face_points
from newscaster.consent import Consent
from newscaster.errors import InputError, MediaError
from newscaster.face.head_pose import Head, Poses
from newscaster.face.mouth_basis import MouthBasis, closed_shape, mouth_shapes, opening
from newscaster.face.references import References
from newscaster.face.topology import INNER_LIPS, MOUTH, OUTER_LIPS
from newscaster.formats.anchor import MATTE, AnchorFile
from newscaster.media import read_frames
from newscaster.prepare.clips import is_photo
from newscaster.speech.stress import stressed_times
from newscaster.still.head_motion import HeadMotion
from newscaster.still.target import StillTarget
from newscaster.synthesis import target_matte
from newscaster.synthesis.base_motion import base_motion
from newscaster.synthesis.nods import NodOrder
from newscaster.synthesis.options import Style
from newscaster.synthesis.photo_anchor import KnownFace, write_photo_anchor
from tiny_anchor import speech_like, tiny_moved_matte

SIZE = (240, 260)
SCALE = 80.0
FRAMES = 12
NODS = (2, 7)


def landmarks() -> np.ndarray:
    pose = Poses(np.array([[[SCALE, 0, 0], [0, SCALE, 0]]]), np.array([[120.0, 90.0]]))
    face = face_points(opening=0.06)
    points = np.empty((478, 3), np.float32)
    points[:, :2] = pose.project(face)[0]
    points[:, 2] = SCALE * face[:, 2]
    return points


def photo() -> np.ndarray:
    points = landmarks()
    image = Image.new("RGB", SIZE, (90, 110, 130))
    draw = ImageDraw.Draw(image)
    draw.ellipse([60, 30, 180, 230], fill=(205, 165, 140))
    outer, inner = ([tuple(points[p, :2].tolist()) for p in ring] for ring in (OUTER_LIPS, INNER_LIPS))
    draw.polygon(outer, fill=(175, 75, 85))
    draw.polygon(inner, fill=(40, 15, 15))
    return np.asarray(image).copy()


def still(motion: HeadMotion | None = None) -> StillTarget:
    alpha = np.full(SIZE[::-1], 255, np.uint8)
    return StillTarget(photo(), landmarks(), motion or HeadMotion.rest(FRAMES), alpha=alpha)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "drawn.anchor"
    reports: list[tuple[str, float, float]] = []
    write_photo_anchor(
        still(replace(HeadMotion.rest(FRAMES), nods=np.array(NODS))),
        path,
        name="Drawn",
        fps=Fraction(25),
        consent=Consent.of("drawn by a test"),
        attribution=("by hand",),
        reuse_encoder=True,
        progress=lambda *report: reports.append(report),
    )
    assert reports == [("target", number + 1, FRAMES) for number in range(FRAMES)]
    return path


def test_the_anchor_says_what_it_is(made: Path) -> None:
    info = AnchorFile(made).info
    assert (info.name, info.size, info.target_frames, info.fps) == ("Drawn", SIZE, FRAMES, 25)
    assert info.copies
    assert info.target_loops
    assert info.nods == NODS
    assert info.training == {"photographs": 1}
    assert info.attribution == ("by hand",)
    assert info.consent_record is not None


def test_the_matte_of_a_photograph_is_stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A background needs no matting then, and a clip that is appended gets its own."""
    monkeypatch.setattr(StillTarget, "matte", lambda _: tiny_moved_matte(FRAMES, SIZE))
    monkeypatch.setattr(target_matte, "matte_clip", None)
    path = write_photo_anchor(
        still(), tmp_path / "x.anchor", name="Drawn", fps=Fraction(25), consent=Consent.of("drawn by a test")
    )
    assert AnchorFile(path).read(MATTE) == tiny_moved_matte(FRAMES, SIZE)
    anchor = newscaster.open(path, workers=1)
    anchor.speak(speech_like(0.4), tmp_path / "x.mp4", style=Style(background="green"))
    corner = next(read_frames(tmp_path / "x.mp4"))[:9, :9].mean(axis=(0, 1))
    assert corner == pytest.approx((0, 255, 0), abs=12)


def test_it_speaks_and_only_the_mouth_moves(made: Path) -> None:
    anchor = newscaster.open(made, workers=1)
    frames = list(anchor.render(speech_like(1.2)))
    assert len(frames) == 30
    soft = anchor.face.transforms[np.array([0])]
    side = anchor.info.crop.side
    corners = soft[0].outline(0, 0, side, side)
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    changed = np.ptp(np.stack(frames).astype(int), axis=0).max(axis=2)
    outside = np.ones(changed.shape, bool)
    outside[max(top, 0) : bottom, max(left, 0) : right] = False
    assert changed[outside].max(initial=0) <= 2, "the photograph does not move"
    mouth = landmarks()[list(MOUTH), :2]
    x, y = mouth[:20].mean(axis=0).astype(int)
    assert changed[y - 8 : y + 12, x - 12 : x + 12].max() > 60, "the mouth opens"


def test_stresses_of_the_speech_reach_the_order(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stresses = []
    frames = NodOrder.frames

    def spied(order: NodOrder, at: np.ndarray, *, start: int = 0) -> Iterator[int]:
        stresses.append(at)
        return frames(order, at, start=start)

    monkeypatch.setattr(NodOrder, "frames", spied)
    speech = speech_like(1.2)
    assert len(list(newscaster.open(made, workers=1).render(speech))) == 30
    np.testing.assert_array_equal(stresses, [stressed_times([speech])])


def test_the_lips_of_an_open_mouth_are_closed_first() -> None:
    basis = base_motion().basis
    shape = mouth_shapes(landmarks()[None], Head.fit(landmarks()[None]))[0]
    assert opening(shape) > 0.05
    closed = closed_shape(shape, basis)
    assert opening(closed) < 0.02
    assert np.abs(closed - shape)[40:48].max() < 0.1, "the sides of the jaw hardly move"
    np.testing.assert_allclose(closed_shape(closed, basis), closed, atol=0.02)


def test_references_show_open_and_closed_mouths(made: Path) -> None:
    references = AnchorFile(made).references()
    heights = np.ptp(references.points[:, 20:40, 1], axis=1)
    assert len(references) > 20
    assert heights.max() > 4 * max(heights.min(), 0.005)


def test_references_and_header_of_a_synthesised_image(tmp_path: Path) -> None:
    """The renderer copies from what is given, and the header does not call it a photograph."""

    def two_mouths(known: KnownFace, basis: MouthBasis) -> References:
        crop = np.full((known.crop.side, known.crop.side, 3), 90, np.uint8)
        place = known.mouth.astype(np.float32) / known.crop.side
        assert basis.size > 0
        return References([crop, crop + 80], np.stack([place, place + 0.01]))

    path = write_photo_anchor(
        still(HeadMotion.rest(2)),
        tmp_path / "x.anchor",
        name="Ada",
        fps=Fraction(25),
        consent=Consent.of("Ada agreed."),
        reuse_encoder=True,
        references=two_mouths,
        training={"frames averaged": 450},
        synthetic_target=True,
    )
    file = AnchorFile(path)
    assert file.info.synthetic_target
    assert file.info.training == {"frames averaged": 450}
    assert [round(float(crop.mean())) for crop in file.references().crops] == [90, 170]


def test_photographs_are_known_by_their_suffix() -> None:
    assert is_photo(Path("a.JPG"))
    assert is_photo(Path("x/b.webp"))
    assert not is_photo(Path("a.mp4"))
    assert not is_photo(Path("folder"))


def test_what_is_for_footage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    Image.fromarray(photo()).save(path)
    out = tmp_path / "x.anchor"
    for settings, message in (
        ({"minutes": 3.0}, "minutes is given, but .* is a photograph"),
        ({"work": tmp_path / "w", "target": "synthetic"}, "work, target are given"),
        ({"motion": "wild"}, "style is 'wild'"),
    ):
        with pytest.raises(InputError, match=message):
            newscaster.train(path, out, consent="yes, by a test", **settings)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="one photograph, or footage alone"):
        newscaster.train([path, tmp_path / "film.mp4"], out, consent="yes, by a test")
    with pytest.raises(InputError, match="the footage has its own"):
        newscaster.train(tmp_path / "film.mp4", out, consent="yes, by a test", blinks=False)
    with pytest.raises(MediaError, match=r"missing\.jpg"):
        newscaster.train(tmp_path / "missing.jpg", out, consent="yes, by a test")
    assert not out.exists()
