"""Encoded packets of a live stream, for a library that sends them: VP8 or H.264, and Opus.

`server` decides when a key frame is due, and who gets the packets.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from fractions import Fraction

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from newscaster.media.frame import FrameCopier, YuvFrame
from newscaster.media.writer import KEY_SECONDS, LIVE_X264
from newscaster.types import AudioF32

OPUS_RATE = 48_000
PACKET_SAMPLES = OPUS_RATE // 50
"""Samples of one Opus packet: 20 ms."""
_OPUS_BITS = 64_000
_QUIETEST_DBOV = -127
_STATIC_ERROR = 300
"""Sum of squared errors of 16 x 16 pixels below which VP8 does not code what is left of their change:
about one 8-bit value per pixel."""
_KEY_FRAME_INTERVAL = 3000
"""Key frames come when they are asked for."""


class VideoPackets(ABC):
    """Encodes frames of one size, one packet each; for one thread.

    Args:
        fps: frames per second.
        bit_rate: bits per second.
    """

    def __init__(self, *, fps: Fraction, bit_rate: int) -> None:
        self._time_base = 1 / fps
        self.bit_rate = bit_rate
        self._codec: VideoCodecContext | None = None
        self._copier: FrameCopier | None = None

    def encode(self, image: YuvFrame, number: int, *, key: bool) -> Packet[VideoStream] | None:
        """Encode frame `number` of the stream; None if the encoder gives no packet.

        Args:
            image: not modified.
            number: larger than the one before.
            key: whether it becomes a key frame.
        """
        if self._copier is None:
            self._copier = FrameCopier(image.frame.width, image.frame.height)
        frame = self._copier.copy(image.frame)
        frame.pts, frame.time_base = number, self._time_base
        if self._codec is None or self._codec.bit_rate != self.bit_rate:
            self._codec = self._open(frame.width, frame.height)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        packets = self._codec.encode(frame)
        if not packets:
            return None
        packet = packets[0]
        packet.pts = packet.dts = number
        packet.time_base = self._time_base
        return packet

    def _open(self, width: int, height: int) -> VideoCodecContext:
        codec = self._codec_context()
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.bit_rate, codec.time_base, codec.thread_count = self.bit_rate, self._time_base, 1
        return codec

    @abstractmethod
    def _codec_context(self) -> VideoCodecContext:
        """Return a new encoder, without size, bit rate and time base."""


class Vp8Packets(VideoPackets):
    """VP8. Key frames come when they are asked for."""

    def _codec_context(self) -> VideoCodecContext:
        codec = CodecContext.create("libvpx", "w")
        codec.gop_size = _KEY_FRAME_INTERVAL
        codec.qmin, codec.qmax = 2, 56
        rate = str(self.bit_rate)
        codec.options = {
            "bufsize": rate,
            "minrate": rate,  # with maxrate: a constant bit rate
            "maxrate": rate,
            "cpu-used": "-8",
            "deadline": "realtime",
            "lag-in-frames": "0",
            "overshoot-pct": "15",
            "undershoot-pct": "100",
            "static-thresh": str(_STATIC_ERROR),
        }
        return codec


class H264Packets(VideoPackets):
    """H.264 in the baseline profile, which every WebRTC server takes. A key frame comes every two seconds."""

    def _codec_context(self) -> VideoCodecContext:
        codec = CodecContext.create("libx264", "w")
        codec.gop_size = round(KEY_SECONDS / self._time_base)
        codec.options = {
            **LIVE_X264,
            "profile": "baseline",
            "forced-idr": "1",
            "maxrate": str(self.bit_rate),
            "bufsize": str(self.bit_rate // 2),
        }
        return codec


class OpusPackets:
    """Encodes audio as Opus, in packets of 20 ms; for one thread."""

    def __init__(self) -> None:
        codec = CodecContext.create("libopus", "w")
        codec.bit_rate, codec.format, codec.layout = _OPUS_BITS, "s16", "mono"
        codec.sample_rate, codec.time_base = OPUS_RATE, Fraction(1, OPUS_RATE)
        codec.options = {"application": "voip"}
        self._codec = codec

    def encode(self, samples: AudioF32, first: int) -> Packet[AudioStream] | None:
        """Encode 20 ms; None if the encoder gives no packet.

        The packet's `opaque` is its level in dBov, -127 to 0, as RTP packets state it (RFC 6464).

        Args:
            samples: (960,) float32 mono in [-1, 1].
            first: number of the first sample.
        """
        pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = OPUS_RATE, first, Fraction(1, OPUS_RATE)
        packets = self._codec.encode(frame)
        if not packets:
            return None
        packet = packets[0]
        packet.pts = packet.dts = first
        packet.time_base = Fraction(1, OPUS_RATE)
        packet.opaque = _level_dbov(samples)
        return packet


def _level_dbov(samples: AudioF32) -> int:
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return _QUIETEST_DBOV if power == 0 else round(min(0.0, max(_QUIETEST_DBOV, 10 * math.log10(power))))
