"""Packets of video and audio decode to what was encoded."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.media import H264Packets, OpusPackets, VideoPackets, Vp8Packets, YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from tiny_anchor import speech_like

ENCODERS = pytest.mark.parametrize(
    ("encoder", "codec"), [(Vp8Packets, "libvpx"), (H264Packets, "h264")], ids=["VP8", "H.264"]
)


@ENCODERS
def test_packets_are_the_frames(encoder: type[VideoPackets], codec: str) -> None:
    convert = FromRgb(ColourTags.for_height(64))
    frames = [YuvFrame(convert(image), (96, 64)) for image in moving_pattern(20)]
    before = [frame.rgb() for frame in frames]
    packets = encoder(fps=Fraction(25), bit_rate=500_000)
    encoded = [packets.encode(frame, k, key=k in (0, 12)) for k, frame in enumerate(frames)]
    decoder = av.CodecContext.create(codec, "r")
    decoded = []
    for number, packet in enumerate(encoded):
        assert packet is not None
        assert (packet.pts, packet.time_base) == (number, Fraction(1, 25))
        assert packet.is_keyframe == (number in (0, 12))
        decoded += decoder.decode(av.Packet(bytes(packet)))
    decoded += decoder.decode(None)
    assert len(decoded) == 20
    for frame, image in zip(decoded, before, strict=True):
        assert np.abs(YuvFrame(frame).rgb().astype(int) - image).mean() < 8
    assert all((frame.rgb() == image).all() for frame, image in zip(frames, before, strict=True))


@ENCODERS
def test_another_bit_rate_starts_at_a_key_frame(encoder: type[VideoPackets], codec: str) -> None:
    convert = FromRgb(ColourTags.for_height(64))
    packets = encoder(fps=Fraction(25), bit_rate=500_000)
    keys = []
    for number, image in enumerate(moving_pattern(6)):
        packets.bit_rate = 500_000 if number < 3 else 300_000
        packet = packets.encode(YuvFrame(convert(image), (96, 64)), number, key=False)
        assert packet is not None
        keys.append(packet.is_keyframe)
    assert keys == [True, False, False, True, False, False]


def test_h264_has_a_key_frame_every_two_seconds_and_no_other_profile() -> None:
    """Servers that pass the video on cut it there."""
    convert = FromRgb(ColourTags.for_height(64))
    image = YuvFrame(convert(next(iter(moving_pattern(1)))), (96, 64))
    packets = H264Packets(fps=Fraction(25), bit_rate=500_000)
    encoded = [packets.encode(image, number, key=number == 60) for number in range(120)]
    assert [number for number, one in enumerate(encoded) if one is not None and one.is_keyframe] == [
        0,
        50,
        60,
        110,
    ]
    assert encoded[0] is not None
    start = bytes(encoded[0]).split(b"\x00\x00\x01", 1)[1]
    assert start[0] & 31 == 7  # the parameters come with each key frame
    assert start[1] == 66  # baseline


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
