"""Dubbing without an anchor: the person is known from the video itself."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import newscaster
from dubbed import Written, own_planes
from fresh_python import environment
from making_media import moving_pattern
from newscaster import Anchor, Consent, DubOptions, Outputs, Speaker, Style, media
from newscaster.errors import FootageError, InputError
from newscaster.face.geometry import eye_distance
from newscaster.face.mouth_basis import opening
from newscaster.face.references import MAX_REFERENCES
from newscaster.face.topology import INNER_RING, MOUTH
from newscaster.prepare.video_track import track_video
from newscaster.synthesis.person_of_video import PersonOfVideo, _is_sharp, person_of_video
from newscaster.synthesis.reference_renderer import ReferenceRenderer
from newscaster.synthesis.signing import PersonOrigin
from newscaster.synthesis.video_reader import read_in_order
from newscaster.tracking import FaceTracker
from tiny_anchor import speech_like

FRAMES, PATTERN = 60, 10
STYLE = Style(label="", watermark=False)
CONSENT = "who: Ada Byron\nfor: a test"


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return newscaster.open("grid-s1")


@pytest.fixture(scope="module")
def talking(anchor: Anchor) -> list[np.ndarray]:
    """Frames of the bundled anchor's person, who talks."""
    speech = speech_like(FRAMES / 25, seed=3)
    return list(anchor.render(speech, target_start=40))


@pytest.fixture(scope="module")
def video(anchor: Anchor, talking: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The person, then frames without a face: two shots."""
    path = tmp_path_factory.mktemp("video") / "Ada talks.mp4"
    width, height = anchor.size
    frames = [*talking, *moving_pattern(PATTERN, width=width, height=height)]
    media.write_video(path, frames, fps=anchor.fps, audio=None, crf=8)
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    media.write_wav(path, speech_like(2.0), 16_000)
    return path


@pytest.fixture(scope="module")
def made(video: Path, cache: Path) -> PersonOfVideo:
    track = track_video(video, person=None, name="Ada", cache=cache)
    return person_of_video(track, name="Ada", consent=Consent.of(CONSENT))


@pytest.mark.slow
def test_a_video_is_dubbed_without_an_anchor(
    video: Path, speech: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, out = Written(monkeypatch), tmp_path / "out.mp4"
    result = newscaster.dub(
        video,
        [Speaker(consent=CONSENT, speech=speech)],
        out,
        style=STYLE,
        options=DubOptions(cache=cache),
        outputs=Outputs(motion=tmp_path / "m.npz", crf=8),
    )
    same = [bool((a == b).all()) for a, b in zip(own_planes(video), written.planes, strict=True)]
    assert all(same[FRAMES:])  # every decoded sample of the other shot
    assert not any(same[:FRAMES])
    assert (result.rewritten_frames, result.frames) == (FRAMES, FRAMES + PATTERN)
    assert [face.anchor for face in result.faces] == ["Ada talks"]
    assert any("shows the mouth of 'Ada talks' for only 2.4 s" in note for note in result.notes)
    comment = written.options["metadata"]["comment"]
    assert "from the footage of 'Ada talks' in the video itself" in comment
    assert "anchor" not in comment
    # The new mouth lies where the motion says.
    motion, tracker, off = np.load(tmp_path / "m.npz"), FaceTracker(1), []
    for number, frame in zip(range(FRAMES), media.read_frames(out), strict=False):
        (face,) = tracker.step(frame)
        lips = face.landmarks[list(MOUTH), :2] - motion["landmarks"][number]
        off.append(np.linalg.norm(lips, axis=1).mean() / eye_distance(face.landmarks))
    assert np.median(off) < 0.06
    assert np.ptp(opening(motion["shapes"][:50])) > 0.05  # and it talks


def test_the_manifest_says_where_the_person_comes_from(
    video: Path, speech: Path, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    speaker = Speaker(consent=CONSENT, name="Ada", speech=speech)
    newscaster.dub(video, [speaker], out, options=DubOptions(cache=cache))
    found = newscaster.verify(out)
    claims = found.statement
    assert claims is not None
    assert (claims.anchor, claims.from_source, claims.target_sha256) == ("Ada", True, None)
    assert (claims.consent["who"], claims.consent["statement"]) == ("Ada Byron", "a test")
    assert claims.consent["recorded"]
    assert claims.source_title == video.name
    assert claims.source_sha256 is not None
    assert claims.synthesised == ((0, FRAMES),)
    origin = PersonOrigin.in_video(claims.source_sha256, 0)
    assert claims.anchor_id == origin.person_id  # the same for the same video and face
    assert claims.anchor_id != PersonOrigin.in_video(claims.source_sha256, 1).person_id
    assert claims.watermark == origin.person_id[:6]
    assert claims.label is None
    assert not any("anchor" in ingredient for ingredient in found.ingredients)


def test_references_are_crops_of_the_video(made: PersonOfVideo) -> None:
    target, renderer = made.target, made.person.renderer
    assert isinstance(renderer, ReferenceRenderer)
    references = renderer.references
    assert 0 < len(references) <= MAX_REFERENCES
    lips = target.track.landmarks[:FRAMES, list(MOUTH), :2]
    places = target.transforms(np.arange(FRAMES)).apply(lips) / target.crop.side
    for number, points in list(enumerate(references.points))[:5]:
        index = int(np.argmin(np.abs(places - points).sum(axis=(1, 2))))
        frames = replace(target, cut_side=target.crop.side).on(read_in_order(target.track, [index]))
        (frame,) = frames.frames([index])
        np.testing.assert_array_equal(frame.crop, references.crops[number])


def test_the_mask_leaves_room_for_wider_mouths(made: PersonOfVideo) -> None:
    """Than the video shows: a jaw that opens further stays inside."""
    face, target = made.person.face, made.target
    wide = face.basis.reconstruct(1.5 * np.eye(face.basis.size)[:3])
    frames = np.array([0, 20, 40])
    places = target.transforms(frames).apply(target.place(wide, frames))
    lowest = places[..., 1].max()
    assert np.flatnonzero(face.mask.hidden.any(axis=1)).max() >= min(lowest, target.crop.side - 1)


def test_what_is_copied_from_takes_no_more_memory_than_allowed(
    made: PersonOfVideo, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = made.target.crop.side
    monkeypatch.setattr("newscaster.synthesis.person_of_video._MAX_BYTES", 7 * 3 * side**2)
    fewer = person_of_video(made.target.track, name="Ada", consent=Consent.of(CONSENT))
    counts = [len(one.person.renderer.references) for one in (fewer, made)]  # type: ignore[attr-defined]
    assert counts[0] <= 7 < counts[1]


def test_blurred_frames_are_not_copied_from() -> None:
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(5)]
    crops[2] = np.repeat(np.repeat(crops[2][::8, ::8], 8, axis=0), 8, axis=1)
    assert _is_sharp(crops).tolist() == [True, True, False, True, True]


def test_a_mouth_that_hardly_opens_is_noted(anchor: Anchor, cache: Path, tmp_path: Path) -> None:
    rest = np.repeat(anchor.face.basis.mean[None], 30, axis=0)
    video = tmp_path / "still.mp4"
    frames = [frame.rgb() for frame in anchor.show(rest, target_start=40)]
    media.write_video(video, frames, fps=anchor.fps, audio=None, crf=8)
    made = person_of_video(
        track_video(video, person=None, name="Ada", cache=cache), name="Ada", consent=Consent.of(CONSENT)
    )
    (note,) = made.notes
    assert "the mouth of 'Ada' hardly opens" in note
    references = made.person.renderer.references  # type: ignore[attr-defined]
    assert len(references) <= MAX_REFERENCES
    side = len(references.crops[0])
    iods = side * opening(references.points) / made.target.crop.pixels_per_unit
    assert iods[:30].max() < 0.02, "the video's own"
    assert iods[30:].max() > 0.1, "made ones"
    # Teeth are bright, and what is between them is dark.
    contrasts = []
    widest, closed = (int(order(iods)) for order in (np.argmax, np.argmin))
    inner = side * references.points[widest][INNER_RING]
    rows = slice(*np.ceil([inner[:, 1].min(), inner[:, 1].max()]).astype(int))
    columns = slice(*np.ceil(inner[:, 0].mean() + 0.1 * side * np.array([-1, 1])).astype(int))
    for number in (widest, closed):
        contrasts.append(np.ptp(np.percentile(references.crops[number][rows, columns], [5, 95])))
    assert contrasts[0] > contrasts[1] + 30


def test_too_little_of_a_mouth_is_refused(
    anchor: Anchor, talking: list[np.ndarray], speech: Path, tmp_path: Path
) -> None:
    width, height = anchor.size
    video, out = tmp_path / "short.mp4", tmp_path / "out.mp4"
    frames = [*talking[:15], *moving_pattern(20, width=width, height=height)]
    media.write_video(video, frames, fps=anchor.fps, audio=None, crf=8)
    with pytest.raises(FootageError, match=r"for only 0\.\d s; expected 1 s or more, to copy from"):
        newscaster.dub(video, [Speaker(consent=CONSENT, speech=speech)], out)
    assert not out.exists()


@pytest.mark.slow
def test_one_with_an_anchor_and_one_without(
    anchor: Anchor, talking: list[np.ndarray], speech: Path, cache: Path, tmp_path: Path
) -> None:
    video, out = tmp_path / "two.mp4", tmp_path / "out.mp4"
    frames = [np.concatenate([a, b], axis=1) for a, b in zip(talking, talking[::-1], strict=True)]
    media.write_video(video, frames, fps=anchor.fps, audio=None, crf=8)
    speakers = [
        Speaker(anchor=anchor, face=0),
        Speaker(consent=CONSENT, name="Eve", speech=speech, face=1),
    ]
    result = newscaster.dub(video, speakers, out, style=STYLE, options=DubOptions(others="rest", cache=cache))
    assert [(face.anchor, face.face, face.speaks) for face in result.faces] == [
        ("Eve", 1, True),
        (anchor.name, 0, False),
    ]
    claims = newscaster.verify(out).statement
    assert claims is not None
    assert (claims.anchor, claims.from_source) == ("Eve", True)
    (other,) = claims.others
    assert (other.anchor, other.from_source) == (anchor.name, False)
    # Without a number, one of several is chosen, and a note says who.
    result = newscaster.dub(
        video, [Speaker(consent=CONSENT, speech=speech)], out, style=STYLE, options=DubOptions(cache=cache)
    )
    assert any("shows 2 faces; face=" in note for note in result.notes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "neither an anchor nor consent"),
        ({"consent": "no"}, "nothing is made without the person's consent"),
        ({"consent": "who: Ada\nfor: a test\nuntil: 2020-01-01"}, "consent ended on 2020-01-01"),
        ({"consent": CONSENT, "name": " "}, "name is empty"),
    ],
)
def test_speakers_that_cannot_be(
    values: dict[str, str], message: str, video: Path, speech: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        newscaster.dub(video, [Speaker(speech=speech, **values)], tmp_path / "out.mp4")


def test_an_anchor_has_its_own_consent(anchor: Anchor, video: Path, tmp_path: Path) -> None:
    for values in ({"consent": CONSENT}, {"name": "Ada"}):
        with pytest.raises(InputError, match="and also a name or consent"):
            newscaster.dub(video, [Speaker(anchor=anchor, **values)], tmp_path / "out.mp4")


@pytest.mark.slow
def test_frames_to_copy_from_are_converted_as_the_rest_is(
    video: Path, speech: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    real = read_in_order

    def read(*arguments: object, plain: bool = False, writable: bool = True) -> object:
        asked.append(plain)
        return real(*arguments, plain=plain, writable=writable)  # type: ignore[arg-type]

    monkeypatch.setattr("newscaster.synthesis.person_of_video.read_in_order", read)
    style = Style(label="", watermark=False, background="#203040")
    out = tmp_path / "out.mp4"
    newscaster.dub(
        video, [Speaker(consent=CONSENT, speech=speech)], out, style=style, options=DubOptions(cache=cache)
    )
    assert asked == [True]


def test_frames_to_copy_from_are_decoded_once(
    made: PersonOfVideo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def person() -> PersonOfVideo:
        return person_of_video(made.target.track, name="Ada", consent=Consent.of(CONSENT), cache=tmp_path)

    def references(one: PersonOfVideo) -> np.ndarray:
        assert isinstance(one.person.renderer, ReferenceRenderer)
        return np.stack(list(one.person.renderer.references.crops))

    first = references(person())
    np.testing.assert_array_equal(first, references(made))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the video was decoded again")

    monkeypatch.setattr("newscaster.synthesis.person_of_video.read_in_order", refuse)
    np.testing.assert_array_equal(references(person()), first)
    (stored,) = tmp_path.glob("*.references")
    stored.write_bytes(b"damaged")
    with pytest.raises(AssertionError, match="decoded again"):
        person()


@pytest.mark.slow
def test_the_base_installation_is_enough(video: Path, speech: Path, cache: Path, tmp_path: Path) -> None:
    """Without PyTorch, onnx and Jinja."""
    code = (
        "import sys\n"
        "for name in ('torch', 'onnx', 'onnxscript', 'jinja2'): sys.modules[name] = None\n"
        "from newscaster import cli\n"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    arguments = [
        "dub",
        video,
        speech,
        "--consent",
        "Ada: a test",
        "--cache",
        cache,
        "-o",
        tmp_path / "out.mp4",
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} of {FRAMES + PATTERN} frames have a new mouth" in done.stdout


@pytest.mark.slow
@pytest.mark.data
def test_a_real_person(data_folder: Path, speech: Path, tmp_path: Path) -> None:
    """Lips follow the new speech in the encoded result, and are about as sharp as the footage."""
    video, out = data_folder / "hd" / "talk_700_30fps_6s.mp4", tmp_path / "out.mp4"
    long = tmp_path / "long.wav"
    media.write_wav(long, speech_like(4.0, seed=7), 16_000)
    result = newscaster.dub(
        video,
        [Speaker(consent=CONSENT, speech=long)],
        out,
        style=STYLE,
        outputs=Outputs(motion=tmp_path / "m.npz", crf=12),
        options=DubOptions(fit="shortest"),
    )
    assert result.rewritten_frames > 0.9 * result.frames
    motion = np.load(tmp_path / "m.npz")
    track = track_video(out, person=None, name="result")
    seen = track.present & (motion["shares"] == 1)
    lips = track.landmarks[seen][:, list(MOUTH), :2] - motion["landmarks"][seen]
    off = np.linalg.norm(lips, axis=2).mean(axis=1) / eye_distance(track.landmarks[seen])
    assert np.median(off) < 0.06
