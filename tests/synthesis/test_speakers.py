from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import newscaster
from dubbed import Written
from newscaster import Anchor, DubOptions, Outputs, Reading, Speaker, Style, media
from newscaster.errors import ConsentError, FootageError, InputError, OutputError
from newscaster.formats.bundled_anchors import anchor_path
from tiny_anchor import speech_like

FRAMES = 30
STYLE = Style(label="", watermark=False)


@pytest.fixture(scope="module")
def anchor() -> Anchor:
    return newscaster.open("grid-s1")


@pytest.fixture(scope="module")
def video(anchor: Anchor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled anchor's person twice, side by side."""
    path = tmp_path_factory.mktemp("video") / "two people.mp4"
    rest = np.repeat(anchor.face.basis.mean[None], FRAMES, axis=0)
    left, right = (anchor.show(rest, target_start=start) for start in (40, 140))
    frames = [np.concatenate([a.rgb(), b.rgb()], axis=1) for a, b in zip(left, right, strict=True)]
    media.write_video(path, frames, fps=anchor.fps, audio=None, crf=8)
    return path


@pytest.fixture(scope="module")
def speeches(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("speeches")
    left, right = folder / "left.wav", folder / "right.wav"
    media.write_wav(left, speech_like(1.2), 16_000)
    media.write_wav(right, speech_like(1.0, seed=5), 16_000)
    return left, right


@pytest.mark.slow
def test_each_mouth_has_its_own_speech(
    anchor: Anchor,
    video: Path,
    speeches: tuple[Path, Path],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The frames are those of two dubs of one person each, put together."""
    written, out = Written(monkeypatch), tmp_path / "out.mp4"
    speakers = [Speaker(anchor=anchor, speech=speech, face=face) for face, speech in enumerate(speeches)]
    result = newscaster.dub(
        video,
        speakers,
        out,
        style=STYLE,
        options=DubOptions(cache=cache),
        outputs=Outputs(motion=tmp_path / "m.npz", speech=tmp_path / "sum.wav"),
    )
    both, motion = written.luma, np.load(tmp_path / "m.npz")
    assert (result.frames, result.rewritten_frames, result.kept) == (FRAMES, FRAMES, ())
    assert [(face.face, face.speaks, face.rewritten_frames) for face in result.faces] == [
        (0, True, FRAMES),
        (1, True, FRAMES),
    ]
    width = anchor.size[0]
    for face, speech in enumerate(speeches):
        anchor.dub(
            video,
            speech,
            out,
            style=STYLE,
            options=DubOptions(cache=cache, face=face),
            outputs=Outputs(motion=tmp_path / f"{face}.npz"),
        )
        half = slice(0, width) if face == 0 else slice(width, None)
        for together, alone in zip(both, written.luma, strict=True):
            np.testing.assert_array_equal(together[:, half], alone[:, half])
        suffix = "" if face == 0 else "_2"
        for name in ("landmarks", "shapes", "shares"):
            np.testing.assert_array_equal(motion[f"{name}{suffix}"], np.load(tmp_path / f"{face}.npz")[name])
    mixed = media.read_audio(tmp_path / "sum.wav", rate=16_000)
    first, second = (media.read_audio(path, rate=16_000) for path in speeches)
    first[: len(second)] += second
    assert np.corrcoef(mixed[: len(first)], first)[0, 1] > 0.999


def test_all_anchors_are_named(
    anchor: Anchor, video: Path, speeches: tuple[Path, Path], cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    speakers = [
        Speaker(anchor=anchor, face=1),
        Speaker(anchor=anchor, speech=speeches[0], face=0),
    ]
    options = DubOptions(cache=cache, others="rest", report=tmp_path / "report.html")
    result = newscaster.dub(video, speakers, out, options=options)
    statement = newscaster.verify(out).statement
    assert statement is not None
    assert statement.anchor == anchor.name
    assert statement.synthesised == ((0, FRAMES),)
    assert statement.label == "AI-generated"
    (other,) = statement.others
    assert (other.anchor, other.speech_sha256) == (anchor.name, None)
    assert other.consent == anchor.info.consent
    assert other.attribution == anchor.info.attribution
    assert statement.speech_seconds == pytest.approx(1.2)
    assert [(face.face, face.speaks) for face in result.faces] == [(0, True), (1, False)]
    assert "at rest" in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("others", ["keep", "rest"])
def test_whoever_does_not_speak(
    others: str,
    anchor: Anchor,
    video: Path,
    speeches: tuple[Path, Path],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = Written(monkeypatch)
    speakers = [Speaker(anchor=anchor, speech=speeches[1], face=1), Speaker(anchor=anchor, face=0)]
    result = newscaster.dub(
        video,
        speakers,
        tmp_path / "out.mp4",
        style=STYLE,
        options=DubOptions(cache=cache, others=others),  # type: ignore[arg-type]
        outputs=Outputs(motion=tmp_path / "m.npz"),
    )
    own = [frame.planes[0] for frame in media.read_yuv_frames(video)]
    width, motion = anchor.size[0], np.load(tmp_path / "m.npz")
    unchanged = [bool((a[:, :width] == b[:, :width]).all()) for a, b in zip(own, written.luma, strict=True)]
    assert not any((a == b).all() for a, b in zip(own, written.luma, strict=True))
    if others == "keep":
        assert all(unchanged)
        assert len(result.faces) == 1
        assert any("keeps their own mouth" in note for note in result.notes)
    else:
        assert not any(unchanged)
        assert np.ptp(motion["shapes_2"], axis=0).max() == 0
        assert np.ptp(motion["shapes"], axis=0).max() > 0.01


def test_an_error_of_the_encoder_ends_the_threads_of_all(
    anchor: Anchor,
    video: Path,
    speeches: tuple[Path, Path],
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, frames: Iterator[media.YuvFrame], **_: object) -> int:
        for _frame, _number in zip(frames, range(3), strict=False):
            pass
        raise OutputError("the disk is full")

    monkeypatch.setattr(media, "write_video", full)
    before = set(threading.enumerate())
    speakers = [Speaker(anchor=anchor, speech=speech, face=face) for face, speech in enumerate(speeches)]
    with pytest.raises(OutputError, match="disk is full"):
        newscaster.dub(video, speakers, tmp_path / "out.mp4", style=STYLE, options=DubOptions(cache=cache))
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before
    assert list(tmp_path.iterdir()) == []


def test_every_consent_is_checked(
    anchor: Anchor, video: Path, speeches: tuple[Path, Path], tmp_path: Path
) -> None:
    path = tmp_path / "other.anchor"
    shutil.copy(anchor_path("grid-s1"), path)
    other = newscaster.open(path)
    newscaster.withdraw(path)
    speakers = [Speaker(anchor=anchor, speech=speeches[0], face=0), Speaker(anchor=other, face=1)]
    with pytest.raises(ConsentError):
        newscaster.dub(video, speakers, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.slow
def test_speakers_that_do_not_fit(
    anchor: Anchor, video: Path, speeches: tuple[Path, Path], cache: Path, tmp_path: Path
) -> None:
    left, right = speeches
    out, options = tmp_path / "out.mp4", DubOptions(cache=cache)
    two = [Speaker(anchor=anchor, speech=left, face=0), Speaker(anchor=anchor, speech=right, face=1)]
    with pytest.raises(InputError, match="no speakers"):
        newscaster.dub(video, [], out)
    with pytest.raises(InputError, match="face or a script"):
        newscaster.dub(video, two, out, options=DubOptions(face=1))
    with pytest.raises(InputError, match="none of 2 people has a speech"):
        newscaster.dub(video, [Speaker(anchor=anchor, face=face) for face in (0, 1)], out)
    with pytest.raises(InputError, match="2 people speak"):
        newscaster.dub(video, two, out, outputs=Outputs(captions=tmp_path / "out.srt"))
    with pytest.raises(InputError, match="no speaker has a text"):
        newscaster.dub(video, two, out, style=Style(reading=Reading(speed=1.2)))
    both = Speaker(anchor=anchor, speech=left, script=tmp_path / "x.srt")
    with pytest.raises(InputError, match="expected one of them"):
        newscaster.dub(video, [both, two[1]], out)
    same = [Speaker(anchor=anchor, speech=speech, face=1) for speech in speeches]
    with pytest.raises(FootageError, match="are both face=1"):
        newscaster.dub(video, same, out, options=options)
    with pytest.raises(FootageError, match="face=2 was requested"):
        newscaster.dub(video, [two[0], Speaker(anchor=anchor, speech=right, face=2)], out, options=options)
    before = right.read_bytes()
    with pytest.raises(OutputError, match="the speech"):
        newscaster.dub(video, two, out, outputs=Outputs(speech=right))
    assert right.read_bytes() == before
    with pytest.raises(InputError, match="others is 'sing'"):
        DubOptions(others="sing")  # type: ignore[arg-type]
    assert not out.exists()
