from __future__ import annotations

import json

import numpy as np
import pytest

from newscaster.errors import InputError, SpeechError
from newscaster.speech.encoder import STATE_CHANNELS, SpeechEncoder
from newscaster.speech.features import KINDS, FeatureSpec, FeatureStream, extract
from newscaster.speech.spectral import whisper_log_mel
from newscaster.speech.windows import Windowing
from whole_spectra import log_mel, mfcc

SHORT = Windowing(left_seconds=0.4, hop_seconds=0.2, right_seconds=0.1)
ODD = Windowing(left_seconds=0.3, hop_seconds=0.14, right_seconds=0.0)
"""A hop of seven states: no whole number of motion steps."""


def naive_states(audio: np.ndarray, encoder: SpeechEncoder, cut: Windowing) -> np.ndarray:
    """One window after another, straight from the definition of a windowing."""
    steps = -(-len(audio) // 320)
    kept = []
    for begin in range(0, len(audio), cut.hop_samples):
        place = np.arange(begin - cut.left_samples, begin + cut.hop_samples + cut.right_samples)
        inside = (place >= 0) & (place < len(audio))
        window = np.where(inside, audio[np.clip(place, 0, len(audio) - 1)], np.float32(0.0))
        states = encoder.session.run(mel=whisper_log_mel(window[None]))["states"][0]
        kept.append(states[cut.left_states : cut.left_states + cut.hop_states])
    return np.concatenate(kept)[:steps]


@pytest.mark.parametrize("cut", [SHORT, ODD, Windowing()])
def test_states_are_those_of_separate_windows(
    audio: np.ndarray, encoder: SpeechEncoder, cut: Windowing
) -> None:
    wanted = naive_states(audio, encoder, cut)
    found = encoder.with_windowing(cut).states(audio)
    assert found.shape == (136, STATE_CHANNELS)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    stacked = extract(audio, FeatureSpec(kind="whisper", windowing=cut), encoder)
    assert stacked.shape == (68, 2 * STATE_CHANNELS)
    np.testing.assert_allclose(stacked.reshape(136, -1), found, atol=1e-4)


def test_spectral_kinds_equal_the_whole_audio(audio: np.ndarray) -> None:
    for kind, whole in (("log-mel", log_mel(audio)), ("mfcc", mfcc(audio))):
        found = extract(audio, FeatureSpec(kind=kind)).reshape(-1, whole.shape[1])
        np.testing.assert_allclose(found[: len(whole)], whole, atol=1e-4)


def test_joined_kind_holds_both(audio: np.ndarray, encoder: SpeechEncoder) -> None:
    spec = FeatureSpec(kind="whisper+log-mel", windowing=SHORT)
    steps = extract(audio, spec, encoder).reshape(-1, spec.channels)
    states = extract(audio, FeatureSpec(kind="whisper", windowing=SHORT), encoder).reshape(len(steps), -1)
    mels = extract(audio, FeatureSpec(kind="log-mel")).reshape(len(steps), -1)
    np.testing.assert_array_equal(steps, np.concatenate([states, mels], axis=1))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("chunk", [37, 160, 641, 5000, 43209])
def test_chunked_is_whole(audio: np.ndarray, encoder: SpeechEncoder, kind: str, chunk: int) -> None:
    check_chunked(audio, encoder, FeatureSpec(kind=kind, windowing=SHORT), chunk)


@pytest.mark.parametrize(
    "cut", [ODD, Windowing(), Windowing(left_seconds=0.0, hop_seconds=0.02, right_seconds=0.2)]
)
def test_chunked_is_whole_for_any_windowing(
    audio: np.ndarray, encoder: SpeechEncoder, cut: Windowing
) -> None:
    check_chunked(audio[:20001], encoder, FeatureSpec(kind="whisper+log-mel", windowing=cut), 999)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("samples", [1, 639, 640, 641, 1920])
def test_single_samples_and_short_audio(
    audio: np.ndarray, encoder: SpeechEncoder, kind: str, samples: int
) -> None:
    check_chunked(audio[:samples], encoder, FeatureSpec(kind=kind, windowing=SHORT), 1)


def check_chunked(audio: np.ndarray, encoder: SpeechEncoder, spec: FeatureSpec, chunk: int) -> None:
    whole = extract(audio, spec, encoder)
    assert whole.shape == (-(-len(audio) // 640), spec.width)
    assert whole.dtype == np.float32
    stream = FeatureStream(spec, encoder)
    parts = [stream.push(audio[i : i + chunk]) for i in range(0, len(audio), chunk)]
    np.testing.assert_allclose(np.concatenate([*parts, stream.flush()]), whole, atol=1e-4)


@pytest.mark.parametrize("kind", list(KINDS))
def test_stream_waits_no_longer_than_promised(audio: np.ndarray, encoder: SpeechEncoder, kind: str) -> None:
    spec = FeatureSpec(kind=kind, windowing=SHORT)
    stream = FeatureStream(spec, encoder)
    given, worst = 0, 0
    for end in range(80, 32000, 80):
        worst = max(worst, end - 80 - given * 640)
        given += len(stream.push(audio[end - 80 : end]))
    assert spec.delay_seconds - 160 / 16000 <= worst / 16000 <= spec.delay_seconds


def test_long_audio_in_bounded_chunks(audio: np.ndarray) -> None:
    long = np.tile(audio, 8)  # longer than what is taken at once
    found = extract(long, FeatureSpec(kind="log-mel")).reshape(-1, 80)
    whole = log_mel(long)
    np.testing.assert_allclose(found[: len(whole)], whole, atol=1e-4)


def test_no_audio_gives_no_steps(encoder: SpeechEncoder) -> None:
    for kind in KINDS:
        spec = FeatureSpec(kind=kind)
        assert extract(np.zeros(0, np.float32), spec, encoder).shape == (0, spec.width)
    assert encoder.states(np.zeros(0, np.float32)).shape == (0, STATE_CHANNELS)


def test_spec() -> None:
    facts = {kind: (s := FeatureSpec(kind=kind)).rate_hz * 10000 + s.width for kind in KINDS}
    assert facts == {"log-mel": 1000320, "mfcc": 1000156, "whisper": 502048, "whisper+log-mel": 502368}
    for kind in KINDS:
        spec = FeatureSpec(kind=kind, windowing=ODD)
        assert FeatureSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    with pytest.raises(InputError, match="log-mel"):
        FeatureSpec(kind="loudness")
    for wrong in ({}, {"kind": "mfcc"}, {"kind": "mfcc", "windowing": 3}):
        with pytest.raises(InputError, match="feature spec"):
            FeatureSpec.from_json(wrong)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(10, np.float64), "float64"),
        (np.zeros((10, 2), np.float32), "mono"),
        (np.array([0.0, np.nan], np.float32), "sample 1 is nan"),
        (np.array([np.inf], np.float32), "sample 0 is inf"),
    ],
)
def test_speech_that_cannot_be_used(samples: np.ndarray, words: str) -> None:
    with pytest.raises(SpeechError, match=words):
        extract(samples, FeatureSpec(kind="log-mel"))


def test_encoder_is_needed_and_streams_end(audio: np.ndarray) -> None:
    with pytest.raises(InputError, match="load_encoder"):
        extract(audio, FeatureSpec(kind="whisper"))
    stream = FeatureStream(FeatureSpec(kind="log-mel"))
    stream.push(audio)
    stream.flush()
    assert stream.flush().shape == (0, 320)
    with pytest.raises(SpeechError, match="flushed"):
        stream.push(audio)
