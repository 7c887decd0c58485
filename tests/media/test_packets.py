"""VP8 and Opus packets decode to what was encoded."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.media import OpusPackets, Vp8Packets, YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from tiny_anchor import speech_like


def test_vp8_packets_are_the_frames() -> None:
    convert = FromRgb(ColourTags.for_height(64))
    frames = [YuvFrame(convert(image), (96, 64)) for image in moving_pattern(20)]
    before = [frame.rgb() for frame in frames]
    packets = Vp8Packets(fps=Fraction(25), bit_rate=500_000)
    encoded = [packets.encode(frame, k, key=k in (0, 12)) for k, frame in enumerate(frames)]
    decoder = av.CodecContext.create("libvpx", "r")
    decoded = []
    for number, packet in enumerate(encoded):
        assert packet is not None
        assert (packet.pts, packet.time_base) == (number, Fraction(1, 25))
        assert packet.is_keyframe == (number in (0, 12))
        decoded += decoder.decode(av.Packet(bytes(packet)))
    assert len(decoded) == 20
    for frame, image in zip(decoded, before, strict=True):
        assert np.abs(YuvFrame(frame).rgb().astype(int) - image).mean() < 8
    assert all((frame.rgb() == image).all() for frame, image in zip(frames, before, strict=True))


def test_another_bit_rate_starts_at_a_key_frame() -> None:
    convert = FromRgb(ColourTags.for_height(64))
    packets = Vp8Packets(fps=Fraction(25), bit_rate=500_000)
    keys = []
    for number, image in enumerate(moving_pattern(6)):
        packets.bit_rate = 500_000 if number < 3 else 300_000
        packet = packets.encode(YuvFrame(convert(image), (96, 64)), number, key=False)
        assert packet is not None
        keys.append(packet.is_keyframe)
    assert keys == [True, False, False, True, False, False]


def test_opus_packets_are_the_audio() -> None:
    audio, packets = speech_like(1.0, 48_000), OpusPackets()
    encoded = [packets.encode(audio[first : first + 960], first) for first in range(0, 48_000, 960)]
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000
    decoder.layout = "mono"
    decoded = []
    for number, packet in enumerate(encoded):
        assert packet is not None
        assert packet.pts == number * 960
        decoded += [frame.to_ndarray().ravel() for frame in decoder.decode(av.Packet(bytes(packet)))]
    heard = np.concatenate(decoded).astype(np.float64)
    lags = range(0, 1000)
    n = len(heard) - 1000
    best = max(float(np.corrcoef(heard[lag : lag + n], audio[:n])[0, 1]) for lag in lags)
    assert best > 0.9


@pytest.mark.parametrize(("amplitude", "level"), [(0.0, -127), (1e-9, -127), (0.1, -20), (1.0, 0), (2.0, 0)])
def test_packets_of_audio_have_their_level(amplitude: float, level: int) -> None:
    packet = OpusPackets().encode(np.full(960, amplitude, np.float32), 0)
    assert packet is not None
    assert packet.opaque == level
