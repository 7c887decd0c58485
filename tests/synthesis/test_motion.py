from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import AnchorError, SpeechError
from newscaster.inference import Session
from newscaster.speech.encoder import load_encoder
from newscaster.speech.features import FeatureSpec, extract
from newscaster.speech.voice_activity import VoiceActivity, load_voice_activity
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.motion import MotionStream, _Interpolator, frame_count
from onnx_networks import motion_network
from tiny_anchor import COEFFICIENTS, CONTEXT_STEPS, speech_like, tiny_basis

NTSC = Fraction(30000, 1001)


def stream(
    kind: str = "log-mel", *, fps: Fraction = Fraction(25), chunk_steps: int = 50, **more: object
) -> MotionStream:
    spec = FeatureSpec(kind=kind)
    network = motion_network(width=spec.width, coefficients=COEFFICIENTS, context_steps=CONTEXT_STEPS)
    return MotionStream(
        Session(network),
        features=spec,
        encoder=load_encoder() if spec.needs_encoder else None,
        basis=tiny_basis(),
        fps=fps,
        context_steps=CONTEXT_STEPS,
        chunk_steps=chunk_steps,
        **more,  # type: ignore[arg-type]
    )


def whole(samples: np.ndarray, kind: str, fps: Fraction) -> np.ndarray:
    """The naive path at 25 fps: all features, one call of the network."""
    spec = FeatureSpec(kind=kind)
    features = extract(samples, spec, load_encoder() if spec.needs_encoder else None)
    network = Session(
        motion_network(width=spec.width, coefficients=COEFFICIENTS, context_steps=CONTEXT_STEPS)
    )
    coefficients = network.run(features=features[None])["coefficients"][0]
    steps = np.arange(frame_count(len(samples), 16_000, fps)) * float(25 / fps)
    lanes = [np.interp(steps, np.arange(len(coefficients)), lane) for lane in coefficients.T]
    return AS_TRAINED.shapes(np.stack(lanes, axis=1), tiny_basis())


@pytest.mark.parametrize(("kind", "seconds"), [("log-mel", 7.3), ("whisper", 5.1)])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(60), Fraction(12)])
@pytest.mark.parametrize("piece", [1777, 40_000])
def test_chunked_equals_whole(kind: str, seconds: float, fps: Fraction, piece: int) -> None:
    samples = speech_like(seconds)
    samples /= np.abs(samples).max()  # loud enough to need no levelling
    at_once = stream(kind, fps=fps, chunk_steps=1000)
    at_once.expect_level(1.0)
    expected = np.concatenate([at_once.push(samples), at_once.flush()])
    cut = stream(kind, fps=fps, chunk_steps=7)
    cut.expect_level(1.0)
    parts = [cut.push(samples[i : i + piece]) for i in range(0, len(samples), piece)]
    found = np.concatenate([*parts, cut.flush()])
    assert found.shape == expected.shape == (frame_count(len(samples), 16_000, fps), 57, 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert expected.std(axis=0).max() > 1e-3
    if fps == 25:
        np.testing.assert_allclose(expected, whole(samples, kind, fps), atol=1e-4)
        assert len(parts[0]) < len(expected)


@pytest.mark.parametrize(
    ("samples", "rate", "fps", "frames"),
    [
        (16_000, 16_000, Fraction(25), 25),
        (44_100 * 7 + 13, 44_100, Fraction(25), 175),
        (44_101, 44_100, NTSC, 30),
        (22_050 * 60, 22_050, NTSC, 1798),
        (48_000 * 3600, 48_000, NTSC, 107_892),
        (319, 16_000, Fraction(25), 0),
        (960, 16_000, Fraction(25), 2),
    ],
)
def test_frame_counts(samples: int, rate: int, fps: Fraction, frames: int) -> None:
    assert frame_count(samples, rate, fps) == frames


def pauses() -> np.ndarray:
    """1.5 s of voice, 1.2 s of hiss, 1 s of voice, 0.9 s of hiss; not a whole number of steps."""
    audio = np.random.default_rng(2).normal(0, 2e-3, 73_777).astype(np.float32)
    audio[:24_000] += speech_like(1.5)
    audio[43_200:59_200] += speech_like(1.0, seed=1)
    return audio


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(60)])
@pytest.mark.parametrize("piece", [777, 40_000])
@pytest.mark.parametrize(
    "articulation", [Articulation(), Articulation(openness=1.7, smoothness=2.5), Articulation(smoothness=0)]
)
@pytest.mark.parametrize("kind", ["log-mel", "whisper"])
def test_chunked_equals_whole_with_everything(
    activity: VoiceActivity, fps: Fraction, piece: int, articulation: Articulation, kind: str
) -> None:
    samples = pauses()
    more = {"activity": activity, "articulation": articulation}
    at_once = stream(kind, fps=fps, chunk_steps=1000, **more)
    expected = np.concatenate([at_once.push(samples), at_once.flush()])
    cut = stream(kind, fps=fps, chunk_steps=7, **more)
    parts = [cut.push(samples[i : i + piece]) for i in range(0, len(samples), piece)]
    found = np.concatenate([*parts, cut.flush()])
    assert found.shape == expected.shape == (frame_count(len(samples), 16_000, fps), 57, 2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_mouth_rests_in_silence(activity: VoiceActivity) -> None:
    free, gated = stream(), stream(activity=activity)
    moved = np.concatenate([free.push(pauses()), free.flush()])
    shapes = np.concatenate([gated.push(pauses()), gated.flush()])
    rest = tiny_basis().mean
    assert (shapes[44:53] == rest).all()
    assert (shapes[100:] == rest).all()
    assert np.abs(moved[44:53] - rest).max() > 1e-3
    np.testing.assert_array_equal(shapes[5:34], moved[5:34])
    np.testing.assert_array_equal(shapes[70:88], moved[70:88])
    only = Articulation(rests=False)
    alone, unaware = stream(activity=activity, articulation=only), stream(articulation=only)
    np.testing.assert_array_equal(
        np.concatenate([alone.push(pauses()), alone.flush()]),
        np.concatenate([unaware.push(pauses()), unaware.flush()]),
    )


def test_less_to_look_ahead_opens_later(activity: VoiceActivity) -> None:
    opened = []
    for ahead_steps in (2, 5):
        motion = stream(activity=activity, ahead_steps=ahead_steps)
        shapes = np.concatenate([motion.push(pauses()), motion.flush()])
        opened.append(55 + np.flatnonzero((shapes[55:] != tiny_basis().mean).any(axis=(1, 2)))[0])
    assert opened[0] - opened[1] == 3


def test_articulation_of_the_motion() -> None:
    def moved(**values: float) -> np.ndarray:
        motion = stream(articulation=Articulation(rests=False, **values))
        return np.concatenate([motion.push(pauses()), motion.flush()]) - tiny_basis().mean

    plain = moved()
    np.testing.assert_allclose(moved(openness=0.5), 0.5 * plain, atol=1e-9)
    assert not moved(openness=0).any()
    assert np.diff(moved(smoothness=4), axis=0).std() < 0.7 * np.diff(plain, axis=0).std()
    assert np.diff(moved(smoothness=0), axis=0).std() > np.diff(plain, axis=0).std()


def test_the_last_motion_is_held() -> None:
    motion = stream()
    samples = speech_like(1.0)
    shapes = np.concatenate([motion.push(samples), motion.flush(total_frames=40)])
    assert len(shapes) == 40
    assert (shapes[25:] == shapes[24]).all()


def test_a_tiny_piece_of_audio() -> None:
    motion = stream()
    assert len(motion.push(speech_like(0.01))) == 0
    assert len(motion.flush(total_frames=1)) == 1


def test_interpolation_is_the_identity_at_25_fps_and_smooth_elsewhere() -> None:
    steps = np.sin(np.arange(60)[:, None] / 6.0)
    same = _Interpolator(Fraction(25), 1)
    same.total_frames = 60
    assert (np.concatenate([same.push(steps), same.flush()]) == steps).all()
    for fps in (NTSC, Fraction(50), Fraction(24), Fraction(1)):
        count = round(60 / 25 * fps)
        finer = _Interpolator(fps, 1)
        parts = [finer.push(steps[i : i + 3]) for i in range(0, 60, 3)]
        finer.total_frames = count
        found = np.concatenate([*parts, finer.flush()])[:, 0]
        at = np.arange(count) * float(25 / fps)
        inside = (at > 1) & (at < 58)
        assert len(found) == count
        np.testing.assert_allclose(found[inside], np.sin(at[inside] / 6.0), atol=1e-3)


def test_memory_does_not_grow_with_the_audio() -> None:
    motion = stream(activity=load_voice_activity(), articulation=Articulation(smoothness=3))
    block = speech_like(1.0)
    for _ in range(30):
        motion.push(block)
    assert len(motion._gated._coefficients) + len(motion._gated._gains) < 100
    assert len(motion._source._held) < 100
    assert len(motion._interpolator._steps) < 100


def test_errors() -> None:
    with pytest.raises(SpeechError, match="float32"):
        stream().push(np.zeros(100))
    with pytest.raises(SpeechError, match="not finite"):
        stream().push(np.full(100, np.nan, np.float32))
    with pytest.raises(AnchorError, match="not this anchor's motion network"):
        MotionStream(
            Session(motion_network(width=7, coefficients=COEFFICIENTS, context_steps=1)),
            features=FeatureSpec(kind="mfcc"),
            encoder=None,
            basis=tiny_basis(),
            fps=Fraction(25),
            context_steps=1,
        )
