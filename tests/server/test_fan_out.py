"""Packets of one encoder for all viewers of a session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from making_media import moving_pattern
from newscaster.media import Vp8Packets, YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from newscaster.server.fan_out import DEFAULT_BITS, EncodedStream
from newscaster.server.webrtc_tracks import PacketTrack
from newscaster.synthesis.live_frame import LiveFrame


class Session:
    """A session whose frames the test pushes."""

    id = "x"

    def __init__(self) -> None:
        self.sinks: list[Any] = []

    def add(self, sink: Any) -> None:
        self.sinks.append(sink)

    def remove(self, sink: Any) -> None:
        if sink in self.sinks:
            self.sinks.remove(sink)


class Viewer:
    def __init__(self, bits: int | None = None) -> None:
        self.images: list[Any] = []
        self.audio: list[Any] = []
        self.wanted_bits = bits
        self.ended = False

    def put_image(self, packet: Any) -> None:
        self.images.append(packet)

    def put_audio(self, packet: Any, due: float) -> None:
        self.audio.append((packet, due))

    def bits(self) -> int | None:
        return self.wanted_bits

    def end(self) -> None:
        self.ended = True


def live_frames(count: int) -> list[LiveFrame]:
    convert = FromRgb(ColourTags.for_height(64))
    return [
        LiveFrame(
            number=number,
            seconds=number / 25,
            image=YuvFrame(convert(image), (96, 64)),
            audio=np.full(1920, 0.1, np.float32),
            synthesised=True,
            speaking=True,
        )
        for number, image in enumerate(moving_pattern(count))
    ]


async def show(stream: EncodedStream, frames: list[LiveFrame]) -> None:
    """Push frames, each when the one before is encoded."""
    for frame in frames:
        stream.push(frame)
        while stream._images or stream._audio:
            await asyncio.sleep(0)


def run(work: Callable[[Session, EncodedStream], Any]) -> None:
    async def inside() -> None:
        session = Session()
        new_video = partial(Vp8Packets, fps=Fraction(25), bit_rate=DEFAULT_BITS)
        await work(session, EncodedStream(session, new_video))

    asyncio.run(inside())


def test_all_viewers_get_the_same_packets_from_a_key_frame_on() -> None:
    async def work(session: Session, stream: EncodedStream) -> None:
        frames, first, second = live_frames(60), Viewer(), Viewer()
        stream.add(first)
        stream.add(first)
        assert session.sinks == [stream]
        await show(stream, frames[:20])
        stream.add(second)
        await show(stream, frames[20:])
        assert [packet.pts for packet in first.images] == list(range(60))
        assert [packet.pts for packet in first.images if packet.is_keyframe] == [0, 20]
        assert [packet.pts for packet, _ in first.audio] == list(range(0, 60 * 1920, 960))
        assert second.images == first.images[20:]
        assert all(a is b for a, b in zip(second.images, first.images[20:], strict=True))
        stream.remove(first)
        assert session.sinks == [stream]
        stream.remove(second)
        assert session.sinks == []

    run(work)


def test_key_frames_are_not_made_for_each_of_many_requests() -> None:
    async def work(session: Session, stream: EncodedStream) -> None:
        viewer = Viewer()
        stream.add(viewer)
        for frame in live_frames(40):
            stream.want_key_frame()
            await show(stream, [frame])
        assert [packet.pts for packet in viewer.images if packet.is_keyframe] == [0, 12, 24, 36]
        stream.remove(viewer)

    run(work)


def test_the_bit_rate_follows_the_slowest_viewer() -> None:
    async def work(session: Session, stream: EncodedStream) -> None:
        slow, fast, unknown = Viewer(300_000), Viewer(900_000), Viewer()
        for viewer in (fast, unknown):
            stream.add(viewer)
        (frame,) = live_frames(1)
        await show(stream, [frame])
        assert stream._video.bit_rate == 900_000
        fast.wanted_bits = 1_000_000  # a small change costs no key frame
        stream._set_bit_rate()
        assert stream._video.bit_rate == 900_000
        stream.add(slow)
        stream._set_bit_rate()
        assert stream._video.bit_rate == 300_000
        stream.end()
        assert slow.ended
        assert fast.ended

    run(work)


def test_a_frame_is_dropped_if_the_encoder_is_too_slow() -> None:
    async def work(session: Session, stream: EncodedStream) -> None:
        viewer = Viewer()
        stream.add(viewer)
        frames = live_frames(10)
        for frame in frames[:6]:
            stream.push(frame)  # the event loop never gets a packet
        await show(stream, frames[6:])
        assert [packet.pts for packet in viewer.images] == [0, 1, 7, 8, 9] or [
            packet.pts for packet in viewer.images
        ] == [0, 1, 6, 7, 8, 9]
        assert len(viewer.audio) == 20
        stream.remove(viewer)

    run(work)


def test_a_track_goes_on_at_a_key_frame_after_packets_were_lost() -> None:
    async def work(session: Session, stream: EncodedStream) -> None:
        wanted: list[bool] = []
        track = PacketTrack(lambda: wanted.append(True))
        keys = {5, 40}
        packets = [SimpleNamespace(number=number, is_keyframe=number in keys) for number in range(50)]
        for packet in packets[:10]:
            track.put_packet(packet)
        assert [(await track.recv()).number for _ in range(5)] == [5, 6, 7, 8, 9]
        for packet in packets[10:]:  # 25 fit, and then no one takes them
            track.put_packet(packet)
        assert wanted == [True]
        assert [(await track.recv()).number for _ in range(10)] == list(range(40, 50))
        track.stop()

    run(work)
