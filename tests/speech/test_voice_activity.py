from __future__ import annotations

import numpy as np
import pytest

from newscaster.errors import InputError, SpeechError
from newscaster.inference import Session
from newscaster.speech.voice_activity import VoiceActivity
from onnx_networks import motion_network
from tiny_anchor import speech_like


def sentence() -> np.ndarray:
    """A second of room noise, two of voice, 1.5 of noise; not a whole number of steps or frames."""
    audio = np.random.default_rng(0).normal(0, 1e-3, 72_123).astype(np.float32)
    audio[16_000:48_000] += speech_like(2.0)
    return audio


def probabilities(activity: VoiceActivity, audio: np.ndarray, piece: int) -> np.ndarray:
    stream = activity.stream()
    parts = [stream.push(audio[i : i + piece]) for i in range(0, len(audio), piece)]
    return np.concatenate([*parts, stream.flush()])


def test_tells_a_voice_from_noise(activity: VoiceActivity) -> None:
    found = probabilities(activity, sentence(), 100_000)
    assert found.dtype == np.float32
    assert (found[27:75] > 0.8).all()
    assert (found[:24] < 0.2).all()
    assert (found[79:] < 0.2).all()
    breath = np.random.default_rng(1).normal(0, 0.02, 48_000).astype(np.float32)
    assert (probabilities(activity, breath, 48_000) < 0.5).all()


@pytest.mark.parametrize("gain", [0.1, 0.3])
def test_quiet_voices_are_voices(activity: VoiceActivity, gain: float) -> None:
    found = probabilities(activity, sentence() * np.float32(gain), 100_000)
    assert found[30:75].mean() > 0.8


@pytest.mark.parametrize("piece", [77, 511, 640, 1601, 32_000])
def test_chunked_equals_whole(activity: VoiceActivity, piece: int) -> None:
    whole = probabilities(activity, sentence(), 100_000)
    found = probabilities(activity, sentence(), piece)
    assert found.shape == whole.shape == (-(-72_123 // 640),)
    np.testing.assert_allclose(found, whole, atol=1e-4)


def test_a_step_is_the_most_of_the_frames_that_overlap_it(activity: VoiceActivity) -> None:
    audio = sentence()[: 640 * 100]
    padded = np.concatenate([np.zeros(64, np.float32), audio])
    h = c = np.zeros((1, 1, 128), np.float32)
    frames = []
    for first in range(0, len(audio), 512):  # one frame a call
        given = activity._session.run(input=padded[first : first + 576][None], h=h, c=c)
        h, c = given["hn"], given["cn"]
        frames.append(given["speech_probs"][0])
    assert len(frames) == 125
    expected = [max(frames[640 * j // 512 : (640 * j + 639) // 512 + 1]) for j in range(100)]
    np.testing.assert_allclose(probabilities(activity, audio, 5000), expected, atol=1e-4)


@pytest.mark.parametrize("samples", [0, 1, 511, 640, 641, 1280])
def test_as_many_steps_as_motion_has(activity: VoiceActivity, samples: int) -> None:
    assert len(probabilities(activity, sentence()[:samples], 300)) == -(-samples // 640)


def test_a_step_is_certain_soon(activity: VoiceActivity) -> None:
    stream = activity.stream()
    given = 0
    for number in range(60):
        given += len(stream.push(sentence()[number * 320 : (number + 1) * 320]))
        assert (number + 1) * 320 - given * 640 < 640 + 512


def test_memory_and_independence(activity: VoiceActivity) -> None:
    one, other = activity.stream(), activity.stream()
    for _ in range(20):
        one.push(speech_like(1.0))
        other.push(np.zeros(16_000, np.float32))
    assert len(one._held) < 600
    assert len(one._frames) < 4
    assert (other.push(np.zeros(16_000, np.float32)) < 0.2).all()


def test_errors(activity: VoiceActivity) -> None:
    stream = activity.stream()
    with pytest.raises(SpeechError, match="float32"):
        stream.push(np.zeros(100))
    with pytest.raises(SpeechError, match="not finite"):
        stream.push(np.full(100, np.inf, np.float32))
    stream.flush()
    with pytest.raises(SpeechError, match="flushed"):
        stream.push(np.zeros(100, np.float32))
    with pytest.raises(InputError, match="not a voice activity network"):
        VoiceActivity(Session(motion_network(width=7, coefficients=4, context_steps=1)))
