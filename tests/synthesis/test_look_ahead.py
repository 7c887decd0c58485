from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import InputError, SpeechError
from newscaster.inference import Session
from newscaster.speech.encoder import STATE_CHANNELS, SpeechEncoder, load_encoder
from newscaster.speech.features import FeatureSpec, extract, extract_windows
from newscaster.speech.voice_activity import VoiceActivity, load_voice_activity
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.gate import AHEAD_STEPS, Gate, ahead_steps_within
from newscaster.synthesis.look_ahead import LookAhead
from newscaster.synthesis.motion import MotionStream, frame_count
from onnx_networks import motion_network
from tiny_anchor import COEFFICIENTS, CONTEXT_STEPS, speech_like, tiny_basis

NTSC = Fraction(30000, 1001)
KINDS = ["log-mel", "mfcc", "whisper", "whisper+log-mel"]


def network(kind: str) -> Session:
    width = FeatureSpec(kind=kind).width
    return Session(motion_network(width=width, coefficients=COEFFICIENTS, context_steps=CONTEXT_STEPS))


def look_ahead(kind: str, look_ahead_ms: int, encoder: SpeechEncoder, **more: object) -> LookAhead:
    return LookAhead(
        network(kind),
        features=FeatureSpec(kind=kind),
        encoder=encoder,
        look_ahead_ms=look_ahead_ms,
        **more,  # type: ignore[arg-type]
    )


def stream(kind: str = "log-mel", *, fps: Fraction = Fraction(25), **more: object) -> MotionStream:
    return MotionStream(
        network(kind),
        features=FeatureSpec(kind=kind),
        encoder=load_encoder(threads=1) if kind.startswith("whisper") else None,
        basis=tiny_basis(),
        fps=fps,
        context_steps=CONTEXT_STEPS,
        **more,  # type: ignore[arg-type]
    )


def coefficients(source: LookAhead, samples: np.ndarray, piece: int = 100_000) -> np.ndarray:
    parts = [source.push(samples[i : i + piece]) for i in range(0, len(samples), piece)]
    return np.concatenate([*parts, source.flush()])


@pytest.mark.parametrize("kind", ["log-mel", "whisper"])
@pytest.mark.parametrize(
    ("look_ahead_ms", "steps", "shared"),
    [(80, 20, 1), (120, 30, 2), (200, 30, 3), (320, 30, 4), (520, 50, 4)],
)
def test_each_step_is_that_of_its_window_alone(
    kind: str, look_ahead_ms: int, steps: int, shared: int, encoder: SpeechEncoder
) -> None:
    samples = speech_like(1.3)[:20_500]
    found = coefficients(look_ahead(kind, look_ahead_ms, encoder), samples, piece=1777)
    assert found.shape == (33, COEFFICIENTS)
    padded = np.concatenate([np.zeros(steps * 640), samples, np.zeros(look_ahead_ms * 16 + 1280)])
    motion = network(kind)
    for j in range(len(found)):
        end = (j - j % shared) * 640 + look_ahead_ms * 16
        window = padded[end : end + steps * 640].astype(np.float32)  # `padded` begins one window early
        features = extract_windows(window[None], FeatureSpec(kind=kind), encoder)
        expected = motion.run(features=features)["coefficients"][0, steps + j - end // 640]
        np.testing.assert_allclose(found[j], expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_alone_is_a_whole_recording(kind: str, encoder: SpeechEncoder) -> None:
    windows = np.stack([speech_like(1.2, seed=seed) for seed in (1, 2)])
    found = extract_windows(windows, FeatureSpec(kind=kind), encoder)
    assert found.shape == (2, 30, FeatureSpec(kind=kind).width)
    assert found.dtype == np.float32
    if kind != "whisper":  # spectra of the middle do not depend on how the audio is cut; states do
        spectra = slice(STATE_CHANNELS, STATE_CHANNELS + 160) if kind == "whisper+log-mel" else slice(None)
        for window, features in zip(windows, found, strict=True):
            expected = extract(window, FeatureSpec(kind=kind), encoder)
            np.testing.assert_allclose(features[:, spectra], expected[:, spectra], atol=1e-5)


def test_windows_alone_need_the_encoder_too() -> None:
    with pytest.raises(InputError, match="need the speech encoder"):
        extract_windows(np.zeros((1, 6400), np.float32), FeatureSpec())


@pytest.mark.parametrize(
    ("kind", "look_ahead_ms", "fps", "smoothness", "piece"),
    [
        ("whisper", 120, Fraction(25), 1.0, 7001),
        ("whisper", 320, NTSC, 2.5, 333),
        ("log-mel", 120, NTSC, 0.0, 333),
        ("log-mel", 320, Fraction(25), 1.0, 7001),
    ],
)
def test_chunked_equals_whole(
    kind: str, look_ahead_ms: int, fps: Fraction, smoothness: float, piece: int, activity: VoiceActivity
) -> None:
    samples = speech_like(1.67)
    samples[14_000:18_000] = 0
    more = {
        "activity": activity,
        "look_ahead_ms": look_ahead_ms,
        "articulation": Articulation(smoothness=smoothness),
    }
    at_once = stream(kind, fps=fps, **more)
    expected = np.concatenate([at_once.push(samples), at_once.flush()])
    cut = stream(kind, fps=fps, **more)
    parts = [cut.push(samples[i : i + piece]) for i in range(0, len(samples), piece)]
    found = np.concatenate([*parts, cut.flush()])
    assert found.shape == expected.shape == (frame_count(len(samples), 16_000, fps), 57, 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected.std(axis=0).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "look_ahead_ms", "smoothness"),
    [("whisper", 120, 1.0), ("whisper", 320, 0.0), ("log-mel", 80, 0.0), ("log-mel", 200, 1.0)],
)
def test_no_step_knows_more_than_it_may(
    kind: str, look_ahead_ms: int, smoothness: float, encoder: SpeechEncoder
) -> None:
    def moved(samples: np.ndarray) -> np.ndarray:
        kernel = Articulation(smoothness=smoothness).kernel
        return coefficients(look_ahead(kind, look_ahead_ms, encoder, kernel=kernel), samples)

    samples = speech_like(1.2)
    whole = moved(samples)
    for j in (12, 13, 14):
        end = 640 * j + 16 * look_ahead_ms
        later = samples.copy()
        later[end:] = np.random.default_rng(0).normal(0, 0.3, len(samples) - end)
        np.testing.assert_allclose(moved(later)[: j + 1], whole[: j + 1], atol=1e-6)


@pytest.mark.parametrize(("look_ahead_ms", "shared"), [(80, 1), (120, 2), (200, 3), (320, 4)])
def test_all_of_the_look_ahead_is_used(look_ahead_ms: int, shared: int, encoder: SpeechEncoder) -> None:
    samples = speech_like(1.2)
    whole = coefficients(look_ahead("whisper", look_ahead_ms, encoder), samples)
    last = 640 * 12 + 16 * look_ahead_ms
    changed = samples.copy()
    changed[last - 160 : last] = 0.3
    found = coefficients(look_ahead("whisper", look_ahead_ms, encoder), changed)
    differs = np.abs(found - whole).max(axis=1)
    assert (differs[12 : 12 + shared] > 1e-4).all()  # steps that share the window know as much
    assert (differs[:12] < 1e-6).all()


@pytest.mark.parametrize("look_ahead_ms", [None, 120, 320])
@pytest.mark.parametrize(
    ("fps", "smoothness"),
    [(25, 0.0), (25, 3.0), (NTSC, 1.0), (50, 1.0), (4, 1.0)],
)
def test_frames_come_within_the_stated_delay(
    look_ahead_ms: int | None, fps: float | Fraction, smoothness: float, activity: VoiceActivity
) -> None:
    fps = Fraction(fps)
    samples = speech_like(1.6 if look_ahead_ms else 5.0)
    for gate in (None, activity) if fps == 25 else (activity,):
        motion = stream(
            fps=fps,
            activity=gate,
            look_ahead_ms=look_ahead_ms,
            articulation=Articulation(smoothness=smoothness),
        )
        latest, pushed, frame = 0.0, 0, 0
        for piece in np.resize([16, 640, 200, 333, 81, 16, 16, 500], 10_000):
            part = samples[pushed : pushed + piece]
            pushed += len(part)
            due = frame + len(motion.push(part))
            # Every frame that is as old as the delay is there.
            complete = Fraction(pushed, 16_000) - Fraction(round(motion.delay_seconds * 1e6), 1_000_000)
            while frame < due:
                latest = max(latest, (pushed - len(part)) / 16_000 - float(frame / fps))
                frame += 1
            assert Fraction(frame) / fps > complete
            if pushed == len(samples):
                break
        assert latest <= motion.delay_seconds
        if look_ahead_ms:
            assert latest > motion.delay_seconds - 0.04 - 0.04 * (fps != 25)
        assert frame + len(motion.flush()) == frame_count(len(samples), 16_000, fps)


@pytest.mark.parametrize("smoothness", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("look_ahead_ms", [120, 200, 320])
def test_at_25_fps_motion_waits_for_its_look_ahead(
    look_ahead_ms: int, smoothness: float, activity: VoiceActivity
) -> None:
    articulation = Articulation(smoothness=smoothness)
    motion = stream(activity=activity, look_ahead_ms=look_ahead_ms, articulation=articulation)
    assert motion.delay_seconds == look_ahead_ms / 1000
    assert len(motion.push(speech_like(1.0)[: look_ahead_ms * 16 - 1])) == 0
    assert len(motion.push(np.zeros(1, np.float32))) > 0


def test_what_else_is_waited_for() -> None:
    assert stream(look_ahead_ms=120, articulation=Articulation(smoothness=3)).delay_seconds == 0.2
    assert stream(look_ahead_ms=120, fps=NTSC).delay_seconds == 0.2
    assert stream(look_ahead_ms=80, activity=load_voice_activity()).delay_seconds == 0.104


def test_the_gate_keeps_to_the_look_ahead() -> None:
    found = [ahead_steps_within(ms) for ms in (80, 120, 160, 200, 240, 280, 320, 1000)]
    assert found == [1, 1, 2, 3, 4, 5, 6, AHEAD_STEPS]
    for ms in range(120, 321, 40):
        assert Gate(load_voice_activity(), ahead_steps=ahead_steps_within(ms)).delay_seconds <= ms / 1000


@pytest.mark.parametrize("samples", [0, 1, 300, 640, 641, 1500])
@pytest.mark.parametrize("look_ahead_ms", [80, 120, 320])
def test_short_audio(samples: int, look_ahead_ms: int, encoder: SpeechEncoder) -> None:
    source = look_ahead("log-mel", look_ahead_ms, encoder)
    assert len(coefficients(source, speech_like(1.0)[:samples])) == -(-samples // 640)
    with pytest.raises(SpeechError, match="flushed"):
        source.push(np.zeros(10, np.float32))


@pytest.mark.parametrize("look_ahead_ms", [80, 120, 320, 1000])
def test_memory_does_not_grow_with_the_audio(look_ahead_ms: int, encoder: SpeechEncoder) -> None:
    source = look_ahead("log-mel", look_ahead_ms, encoder)
    sizes: list[int] = []
    run = source._session.run
    source._session.run = lambda **inputs: (sizes.append(len(inputs["features"])), run(**inputs))[1]  # type: ignore[method-assign]
    for _ in range(20):
        source.push(speech_like(1.01))
        assert len(source._held) <= 2 * 16_000
        assert source._held.base is None
    assert set(sizes) == {1}


@pytest.mark.parametrize("wrong", [0, -80, 40, 100, 1040, 120.0, True, "120"])
def test_what_cannot_be_looked_ahead(wrong: object) -> None:
    with pytest.raises(InputError) as raised:
        stream(look_ahead_ms=wrong)
    message = str(raised.value)
    assert message.startswith(f"look_ahead_ms is {wrong!r}; expected a multiple of 40 from 80 to 1000")
    assert message.endswith("Omit it for full context")


@pytest.mark.parametrize("look_ahead_ms", [80, 200, 320])
def test_skipped_steps_repeat_the_last_one_and_change_no_later_one(
    look_ahead_ms: int, encoder: SpeechEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = speech_like(3.0)
    pieces = [samples[first : first + 1280] for first in range(0, len(samples), 1280)]
    whole = look_ahead("log-mel", look_ahead_ms, encoder)
    expected = [whole.push(piece) for piece in pieces]
    source = look_ahead("log-mel", look_ahead_ms, encoder)
    skipped = range(15, 22)
    with monkeypatch.context() as patch:
        found = []
        for number, piece in enumerate(pieces):
            if number == skipped.start:
                patch.setattr(source, "_run", lambda windows: pytest.fail("a network ran"))
            if number == skipped.stop:
                patch.undo()
            found.append(source.push(piece, skip=number in skipped))
    last = np.concatenate(expected[: skipped.start])[-1]
    for number, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        assert ours.shape == theirs.shape
        if number in skipped:
            np.testing.assert_array_equal(ours, np.repeat(last[None], len(ours), axis=0))
        else:
            np.testing.assert_array_equal(ours, theirs)
    assert source.flush().shape == whole.flush().shape


def test_steps_before_any_other_are_at_rest(encoder: SpeechEncoder) -> None:
    source = look_ahead("log-mel", 200, encoder)
    assert (source.push(speech_like(1.0), skip=True) == 0).all()
