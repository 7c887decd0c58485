from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import AnchorError, SpeechError
from newscaster.inference import Session
from newscaster.runtime.motion import MotionStream, _Interpolator, frame_count
from newscaster.speech.encoder import load_encoder
from newscaster.speech.features import FeatureSpec, extract
from onnx_networks import motion_network
from tiny_anchor import COEFFICIENTS, CONTEXT_STEPS, speech_like, tiny_basis

NTSC = Fraction(30000, 1001)


def stream(kind: str = "log-mel", *, fps: Fraction = Fraction(25), chunk_steps: int = 50) -> MotionStream:
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
    return tiny_basis().reconstruct(np.stack(lanes, axis=1))


@pytest.mark.parametrize(("kind", "seconds"), [("log-mel", 7.3), ("whisper", 5.1)])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(60), Fraction(12)])
@pytest.mark.parametrize("piece", [1777, 40_000])
def test_chunked_equals_whole(kind: str, seconds: float, fps: Fraction, piece: int) -> None:
    samples = speech_like(seconds)
    at_once = stream(kind, fps=fps, chunk_steps=1000)
    expected = np.concatenate([at_once.push(samples), at_once.finish()])
    cut = stream(kind, fps=fps, chunk_steps=7)
    parts = [cut.push(samples[i : i + piece]) for i in range(0, len(samples), piece)]
    found = np.concatenate([*parts, cut.finish()])
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


def test_the_last_motion_is_held() -> None:
    motion = stream()
    samples = speech_like(1.0)
    shapes = np.concatenate([motion.push(samples), motion.finish(40)])
    assert len(shapes) == 40
    assert (shapes[25:] == shapes[24]).all()


def test_a_tiny_piece_of_sound() -> None:
    motion = stream()
    assert len(motion.push(speech_like(0.01))) == 0
    assert len(motion.finish(1)) == 1


def test_interpolation_is_the_identity_at_25_fps_and_smooth_elsewhere() -> None:
    steps = np.sin(np.arange(60)[:, None] / 6.0)
    same = _Interpolator(Fraction(25), 1)
    assert (np.concatenate([same.push(steps), same.finish(steps[:0], 60)]) == steps).all()
    for fps in (NTSC, Fraction(50), Fraction(24), Fraction(1)):
        count = round(60 / 25 * fps)
        finer = _Interpolator(fps, 1)
        parts = [finer.push(steps[i : i + 3]) for i in range(0, 60, 3)]
        found = np.concatenate([*parts, finer.finish(steps[:0], count)])[:, 0]
        at = np.arange(count) * float(25 / fps)
        inside = (at > 1) & (at < 58)
        assert len(found) == count
        np.testing.assert_allclose(found[inside], np.sin(at[inside] / 6.0), atol=1e-3)


def test_memory_does_not_grow_with_the_sound() -> None:
    motion = stream()
    block = speech_like(1.0)
    for _ in range(30):
        motion.push(block)
    assert len(motion._network._held) < 100
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
