from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from newscaster import Articulation, LiveLimits, Outputs, SigningOptions, Style
from newscaster.synthesis.anchor import Anchor
from tiny_anchor import speech_like, write_tiny_anchor
from virtual_clock import VirtualClock


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


def old_attribute(instance: object, old: str, new: str) -> object:
    """Return the value of an old name, which must warn of the new one."""
    with pytest.warns(DeprecationWarning, match=rf"\.{old} is now \w+\.{new}$"):
        return getattr(instance, old)


def test_an_anchor_has_its_old_names(anchor: Anchor) -> None:
    assert old_attribute(anchor, "stage", "target") is anchor.target
    assert old_attribute(anchor, "share_voices", "use_voices") == anchor.use_voices
    info = anchor.info
    assert old_attribute(info, "stage_frames", "target_frames") == info.target_frames
    assert old_attribute(info, "stage_loops", "target_loops") == info.target_loops
    assert old_attribute(info, "stage_seconds", "target_seconds") == info.target_seconds
    assert old_attribute(info, "region", "crop") is info.crop


def test_another_target_by_its_old_names(anchor: Anchor) -> None:
    on_stage: Any = old_attribute(anchor, "on_stage", "on_target")
    with pytest.warns(DeprecationWarning, match=r"write on_target\(target=\.\.\.\)"):
        assert on_stage(stage=anchor.target).target is anchor.target


def test_live_frames_have_their_old_names(anchor: Anchor) -> None:
    with anchor.live(clock=VirtualClock()) as live:
        frame, counts = next(live.frames(paced=False)), live.counts
    assert old_attribute(frame, "picture", "image") is frame.image
    assert old_attribute(frame, "sound", "audio") is frame.audio
    assert old_attribute(counts, "starved", "underrun") == counts.underrun
    assert old_attribute(counts, "sound_seconds", "audio_seconds") == counts.audio_seconds > 0


def test_a_result_and_its_statement_have_their_old_names(anchor: Anchor, tmp_path: Path) -> None:
    made = anchor.speak(speech_like(0.5), tmp_path / "x.mp4")
    assert old_attribute(made, "passed_through", "passthrough_frames") == made.passthrough_frames
    statement = newscaster.verify(made.path).statement
    assert statement is not None
    assert old_attribute(statement, "painted", "synthetic_target") == statement.synthetic_target
    assert old_attribute(statement, "stage_sha256", "target_sha256") == statement.target_sha256


def test_train_takes_its_old_keywords(tmp_path: Path) -> None:
    with (
        pytest.warns(
            DeprecationWarning, match=r"write train\(target=\.\.\., target_minutes=\.\.\., reuse_enc"
        ),
        pytest.raises(newscaster.InputError, match="target_minutes is 0"),
    ):
        newscaster.train(  # type: ignore[call-arg]
            tmp_path,
            tmp_path / "x.anchor",
            consent="Ada agreed",
            stage="synthetic",
            stage_minutes=0,
            share_encoder=True,
        )
