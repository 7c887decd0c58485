from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from newscaster import Articulation, LiveLimits, Outputs, SigningOptions, Style
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.keywords import Grouped, moved_keywords
from tiny_anchor import speech_like, write_tiny_anchor
from virtual_clock import VirtualClock


@dataclass(frozen=True, kw_only=True)
class Point:
    x: int = 0
    y: int = 0
    name: str = ""


@moved_keywords(
    Grouped("at", Point, {"position": ("x", "y"), "called": "name"}), size="width", colour="color"
)
def draw(
    shape: str, *, width: int = 1, color: str | None = None, at: Point | None = None
) -> tuple[str, int, str | None, Point | None]:
    """Draw a shape."""
    return shape, width, color, at


@pytest.mark.parametrize(
    ("old", "new", "spelling"),
    [
        ({"size": 3}, {"width": 3}, r"write draw\(width=\.\.\.\)$"),
        ({"called": "p"}, {"at": Point(name="p")}, r"write draw\(at=Point\(name=\.\.\.\)\)$"),
        ({"position": (1, 2)}, {"at": Point(x=1, y=2)}, r"at=Point\(x=\.\.\., y=\.\.\.\)"),
        ({"position": None}, {"at": Point()}, r"at=Point\(x=\.\.\., y=\.\.\.\)"),
        (
            {"colour": None, "size": 2, "called": "p", "position": (1, 2)},
            {"width": 2, "at": Point(x=1, y=2, name="p")},
            r"write draw\(width=\.\.\., color=\.\.\., at=Point\(x=\.\.\., y=\.\.\., name=\.\.\.\)\)$",
        ),
        ({"size": 3, "at": Point(x=4)}, {"width": 3, "at": Point(x=4)}, r"write draw\(width=\.\.\.\)$"),
        ({"called": "p", "at": None}, {"at": Point(name="p")}, r"at=Point\(name=\.\.\.\)"),
    ],
)
def test_old_keywords_are_moved(old: dict[str, Any], new: dict[str, Any], spelling: str) -> None:
    with pytest.warns(DeprecationWarning, match=spelling) as caught:
        assert draw("dot", **old) == draw("dot", **new)
    assert [one.filename for one in caught] == [__file__]


def test_new_keywords_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw("dot", width=2, at=Point(x=1)) == ("dot", 2, None, Point(x=1))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"size": 1, "width": 0}, r"draw\(\) got size and width; expected width=\.\.\. alone"),
        (
            {"position": (1, 2), "called": "p", "at": Point()},
            r"got position, called and at; expected at=Point\(x=\.\.\., y=\.\.\., name=\.\.\.\) alone",
        ),
    ],
)
def test_old_and_new_keywords_for_one_thing_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        draw("dot", **keywords)


@pytest.mark.parametrize("keywords", [{"nonsense": 1}, {"nonsense": 1, "size": 3}])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unknown_keywords_are_refused_as_ever(keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"draw\(\) got an unexpected keyword argument 'nonsense'"):
        draw("dot", **keywords)


def test_the_signature_is_the_new_one() -> None:
    assert [*inspect.signature(draw).parameters] == ["shape", "width", "color", "at"]
    assert draw.__doc__ == "Draw a shape."


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    return newscaster.open(write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor"))


def test_speak_takes_its_old_keywords(anchor: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def spy(loaded: object, request: object, out: object, **options: object) -> None:
        asked.append((request, out, *(options[name] for name in ("outputs", "signing", "style"))))

    monkeypatch.setattr("newscaster.synthesis.anchor.speak_to_file", spy)
    wide, reading = Articulation(openness=1.5), newscaster.Reading(speed=1.2)
    with pytest.warns(DeprecationWarning, match=r"write speak\(outputs=Outputs\("):
        anchor.speak(  # type: ignore[call-arg]
            None,
            "x.mp4",
            text="Good evening.",
            rate=8000,
            reading=reading,
            stage_start=4,
            articulation=wide,
            look_ahead_ms=120,
            motion_out="x.npz",
            keep_speech="x.wav",
            captions=["x.srt"],
            subtitles=True,
            crf=30,
            sign=("chain.pem", "key.pem"),
            timestamp="http://example.org",
            label="Test",
            watermark=False,
        )
    anchor.speak(
        None,
        "x.mp4",
        text="Good evening.",
        rate=8000,
        outputs=Outputs(captions=["x.srt"], subtitles=True, motion="x.npz", speech="x.wav", crf=30),
        signing=SigningOptions(certificate="chain.pem", key="key.pem", timestamp="http://example.org"),
        style=Style(
            reading=reading,
            articulation=wide,
            look_ahead_ms=120,
            target_start=4,
            label="Test",
            watermark=False,
        ),
    )
    assert asked[0] == asked[1]


def test_a_video_by_old_keywords(anchor: Anchor, tmp_path: Path) -> None:
    with pytest.warns(
        DeprecationWarning, match=r"outputs=Outputs\(motion=\.\.\.\), style=Style\(target_start="
    ):
        anchor.speak(  # type: ignore[call-arg]
            speech_like(0.5), tmp_path / "x.mp4", motion_out=tmp_path / "x.npz", stage_start=7, label=None
        )
    with np.load(tmp_path / "x.npz") as motion:
        assert motion["stage_frames"][0] == 7


def test_live_takes_its_old_keywords(anchor: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def spy(loaded: object, voices: object, **options: object) -> None:
        asked.append(tuple(options.items()))

    monkeypatch.setattr("newscaster.synthesis.anchor.open_live", spy)
    wide, reading, clock = Articulation(openness=1.5), newscaster.Reading(speed=1.2), VirtualClock()
    with pytest.warns(DeprecationWarning, match=r"write live\(style=Style\(.*limits=LiveLimits\("):
        anchor.live(  # type: ignore[call-arg]
            look_ahead_ms=320,
            articulation=wide,
            stage_start=4,
            rate=24_000,
            reading=reading,
            most_pushed_seconds=3.0,
            most_text=50,
            made_ahead_seconds=2.5,
            label="Test",
            watermark=False,
            clock=clock,
        )
    anchor.live(
        rate=24_000,
        style=Style(
            reading=reading,
            articulation=wide,
            look_ahead_ms=320,
            target_start=4,
            label="Test",
            watermark=False,
        ),
        limits=LiveLimits(max_pending_audio_seconds=3.0, max_pending_chars=50, prefetch_seconds=2.5),
        clock=clock,
    )
    assert asked[0] == asked[1]


@pytest.mark.parametrize("method", ["render", "motion"])
def test_the_first_frame_by_its_old_keyword(anchor: Anchor, method: str) -> None:
    make: Callable[..., Any] = getattr(anchor, method)
    speech = speech_like(0.5)
    with pytest.warns(DeprecationWarning, match=rf"{method}\(\) got old keywords"):
        old = list(make(speech, stage_start=3))
    np.testing.assert_array_equal(old, list(make(speech, target_start=3)))
    with pytest.raises(TypeError, match="got stage_start and target_start"):
        make(speech, stage_start=3, target_start=3)


def test_show_takes_its_old_keyword(anchor: Anchor) -> None:
    shapes = np.repeat(anchor.face.basis.mean[None], 2, axis=0)
    with pytest.warns(DeprecationWarning, match=r"write show\(target_start="):
        old = anchor.show(shapes, stage_start=3)  # type: ignore[call-arg]
    for one, other in zip(old, anchor.show(shapes, target_start=3), strict=True):
        np.testing.assert_array_equal(one.rgb(), other.rgb())
