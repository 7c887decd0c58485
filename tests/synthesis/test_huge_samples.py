"""Samples far beyond full scale, such as integers that were not scaled: spoken, or refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from newscaster import media
from newscaster.errors import SpeechError
from newscaster.synthesis.anchor import Anchor
from tiny_anchor import speech_like


def float_wav(path: Path, samples: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize("scale", [2.0**15, 2.0**31])
def test_integers_that_were_not_scaled_are_spoken_and_clipped(
    anchor: Anchor, tmp_path: Path, scale: float
) -> None:
    path = float_wav(tmp_path / "speech.wav", speech_like(1.0) * scale)
    anchor.speak(path, tmp_path / "news.mp4")
    assert 0.5 < media.measure_audio(tmp_path / "news.mp4").peak < 4  # AAC overshoots


@pytest.mark.parametrize("scale", [1e12, 1e30])
def test_what_is_no_audio_is_refused(anchor: Anchor, tmp_path: Path, scale: float) -> None:
    samples = (speech_like(1.0) * scale).astype(np.float32)
    path = float_wav(tmp_path / "speech.wav", samples)
    assert not media.measure_audio(path).is_audio
    with pytest.raises(SpeechError, match="far beyond full scale"):
        anchor.speak(path, tmp_path / "news.mp4")
    with pytest.raises(SpeechError, match="the speech is far beyond full scale: sample"):
        anchor.speak(samples, tmp_path / "news.mp4")
    live = anchor.live()
    try:
        with pytest.raises(SpeechError, match="the speech is far beyond full scale: sample"):
            live.push(samples, 16_000)
    finally:
        live.close()
