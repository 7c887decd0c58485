"""A session as HLS: segments that players can join, one encoder for all viewers, none without."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

import newscaster
from making_media import moving_pattern
from newscaster.errors import NewscasterError
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from newscaster.server import hls
from newscaster.server.hls import HlsStreams
from newscaster.synthesis.live_frame import LiveFrame
from studios import OpenStudio, until

RATE = 48_000


class Session:
    """A session whose frames the test pushes."""

    id = "x"

    def __init__(self, info: Any) -> None:
        self.info = info
        self.sinks: list[Any] = []

    def add(self, sink: Any) -> None:
        self.sinks.append(sink)

    def remove(self, sink: Any) -> None:
        self.sinks.remove(sink)

    def push(self, frames: list[LiveFrame]) -> None:
        for frame in frames:
            for sink in tuple(self.sinks):
                sink.push(frame)

    def end(self, streams: HlsStreams) -> None:
        """End as a session of a studio does."""
        streams.close(self)  # type: ignore[arg-type]
        sinks, self.sinks = self.sinks, []
        for sink in sinks:
            sink.end()


@pytest.fixture
def session(tiny: Path) -> Any:
    return Session(newscaster.open(tiny).info)


def live_frames(count: int, *, dropped: tuple[int, ...] = ()) -> list[LiveFrame]:
    convert = FromRgb(ColourTags.for_height(64))
    tone = (0.3 * np.sin(2 * np.pi * 440 * np.arange(count * 1920) / RATE)).astype(np.float32)
    return [
        LiveFrame(
            number=number,
            seconds=number / 25,
            image=None if number in dropped else YuvFrame(convert(image)),
            audio=tone[1920 * number : 1920 * (number + 1)],
            synthesised=True,
            speaking=True,
        )
        for number, image in enumerate(moving_pattern(count))
    ]


async def fed(session: Any, frames: list[LiveFrame]) -> None:
    """Push frames no faster than they are encoded."""
    for first in range(0, len(frames), 10):
        session.push(frames[first : first + 10])
        for sink in session.sinks:
            while not sink._frames.empty():
                await asyncio.sleep(0.005)


async def listed(streams: HlsStreams, session: Any, last: str) -> str:
    """Return the playlist once it ends with this segment."""
    while names(playlist := await streams.playlist(session, ""))[-1] != last:
        await asyncio.sleep(0.01)
    return playlist


def names(playlist: str) -> list[str]:
    return [line for line in playlist.splitlines() if not line.startswith("#")]


def sequence(playlist: str) -> int:
    return int(re.findall(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", playlist)[0])


def decoded(data: bytes) -> tuple[list[Any], float]:
    """Frames of a video, and the loudness of its audio."""
    with av.open(io.BytesIO(data)) as container:
        images = [frame.time for frame in container.decode(video=0)]
    with av.open(io.BytesIO(data)) as container:
        audio = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(audio=0)])
    return images, float(np.abs(audio).max())


def test_any_segment_plays_after_the_header(session: Any) -> None:
    async def watch() -> None:
        streams = HlsStreams()
        waiting = asyncio.create_task(streams.playlist(session, ""))
        await asyncio.sleep(0)
        await fed(session, live_frames(110, dropped=(0, 40, 50, 51)))  # also where key frames are due
        await waiting
        playlist = await listed(streams, session, "0-3.m4s")
        assert len(session.sinks) == 1
        assert sequence(playlist) == 0
        assert names(playlist) == ["0-0.m4s", "0-1.m4s", "0-2.m4s", "0-3.m4s"]
        assert re.findall(r"#EXTINF:(.*),", playlist) == ["1.00000"] * 4
        header = streams.part(session, "0-init.mp4")
        for number, name in enumerate(names(playlist)):
            times, loudness = decoded(header + streams.part(session, name))
            assert len(times) == 25
            assert times[0] == pytest.approx(number, abs=0.1)
            assert 0.2 < loudness < 0.4
        whole = header + b"".join(streams.part(session, name) for name in names(playlist))
        times, _ = decoded(whole)
        # The first packet is written before the encoder of audio has told its delay, 21 ms.
        np.testing.assert_allclose(np.diff(times)[1:], 0.04, atol=1e-3)
        assert times[1] - times[0] < 0.065
        session.end(streams)

    asyncio.run(watch())


def test_old_segments_leave_the_playlist_and_then_the_memory(session: Any) -> None:
    async def watch() -> None:
        streams = HlsStreams()
        first = asyncio.create_task(streams.playlist(session, ""))
        await asyncio.sleep(0)
        await fed(session, live_frames(25 * 15 + 10))
        await first
        playlist = await listed(streams, session, "0-14.m4s")
        assert sequence(playlist) == 9
        assert names(playlist) == [f"0-{number}.m4s" for number in range(9, 15)]
        assert streams.part(session, "0-3.m4s")
        for name in ("0-2.m4s", "0-15.m4s", "1-9.m4s", "1-init.mp4", "0-init.m4s", "../x", "0-9.mp4"):
            with pytest.raises(NewscasterError, match="there is no file"):
                streams.part(session, name)
        session.end(streams)

    asyncio.run(watch())


async def complete(streams: HlsStreams, session: Any) -> str:
    """Return the playlist once it is marked as complete."""
    while not (playlist := await streams.playlist(session, "")).endswith("\n#EXT-X-ENDLIST\n"):
        await asyncio.sleep(0.01)
    return playlist


@pytest.mark.parametrize(("count", "seconds"), [(60, [1, 1, 0.4]), (10, [0.4]), (50, [1, 1])])
def test_a_stream_that_ends_is_served_to_its_last_frame(
    session: Any, monkeypatch: pytest.MonkeyPatch, count: int, seconds: list[float]
) -> None:
    monkeypatch.setattr(hls, "_ENDED_SECONDS", 0.5)

    async def watch() -> None:
        streams = HlsStreams()
        waiting = asyncio.create_task(streams.playlist(session, ""))
        await asyncio.sleep(0)
        await fed(session, live_frames(count))
        assert streams.ended_session("x") is None
        session.end(streams)
        assert "#EXTM3U" in await waiting
        playlist = await complete(streams, session)
        assert session.sinks == []  # no other encoder was started
        assert streams.ended_session("x") is session
        assert [float(s) for s in re.findall(r"#EXTINF:(.*),", playlist)] == pytest.approx(seconds, abs=0.03)
        data = b"".join(streams.part(session, name) for name in ["0-init.mp4", *names(playlist)])
        times, _ = decoded(data)
        assert len(times) == count
        await asyncio.sleep(0.6)
        assert streams.ended_session("x") is None
        with pytest.raises(NewscasterError, match="there is no file"):
            streams.part(session, "0-0.m4s")

    asyncio.run(watch())


def test_few_streams_of_ended_sessions_are_kept(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hls, "_MAX_ENDED", 2)

    async def watch() -> None:
        streams = HlsStreams()
        for number in range(4):
            session.id = str(number)
            waiting = asyncio.create_task(streams.playlist(session, ""))
            await asyncio.sleep(0)
            await fed(session, live_frames(5))
            session.end(streams)
            await waiting
        kept = [streams.ended_session(str(number)) is not None for number in range(4)]
        assert kept == [False, False, True, True]

    asyncio.run(watch())


def test_the_encoder_stops_without_viewers_and_starts_again(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(hls, "time", SimpleNamespace(monotonic=lambda: now))

    async def watch() -> None:
        nonlocal now
        streams = HlsStreams()
        for epoch in range(2):
            playlist = asyncio.create_task(streams.playlist(session, "?token=t"))
            await asyncio.sleep(0)
            await fed(session, live_frames(60))
            assert names(await playlist)[0] == f"{epoch}-0.m4s?token=t"
            assert f'#EXT-X-MAP:URI="{epoch}-init.mp4?token=t"' in await playlist
            now += 19
            session.push(live_frames(1))
            assert session.sinks
            now += 2
            session.push(live_frames(1))
            assert session.sinks == []
        session.end(streams)

    asyncio.run(watch())


def test_images_are_dropped_if_the_encoder_is_too_slow(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bool] = []

    def slow(items: Iterator[Any], **_: Any) -> Iterator[Any]:
        started.wait()
        taken.extend(image is not None for image, _ in items)
        yield from ()

    import threading

    started = threading.Event()
    monkeypatch.setattr(newscaster.media, "write_segments", slow)  # type: ignore[attr-defined]
    stream = hls.HlsStream(session, epoch=0)
    session.push(live_frames(40))
    stream.end()
    started.set()
    stream._thread.join()
    assert taken == [True] * 26 + [False] * 14  # the audio of all is there
    assert stream.is_over


def test_a_studio_serves_a_session(studio: TestClient) -> None:
    session = studio.post("/v1/sessions", json={}).json()
    path = f"/v1/sessions/{session['id']}/hls"
    reply = studio.get(f"{path}/live.m3u8?token=a%26b")
    assert reply.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert reply.headers["cache-control"] == "no-store"
    playlist = until(lambda: len(names(text := studio.get(f"{path}/live.m3u8").text)) >= 2 and text)
    assert "token=a%26b" in names(reply.text)[0]
    header = studio.get(f"{path}/0-init.mp4")
    assert (header.headers["content-type"], header.headers["cache-control"]) == (
        "video/mp4",
        "max-age=60, immutable",
    )
    segments = [studio.get(f"{path}/{name}") for name in names(playlist)]
    times, _ = decoded(header.content + b"".join(segment.content for segment in segments))
    assert len(times) == 25 * len(segments)
    assert studio.get(f"{path}/0-999.m4s").status_code == 404
    studio.delete(f"/v1/sessions/{session['id']}")
    assert studio.get(f"/v1/sessions/{session['id']}").status_code == 404
    ended = until(
        lambda: (text := studio.get(f"{path}/live.m3u8").text).endswith("#EXT-X-ENDLIST\n") and text
    )
    last = studio.get(f"{path}/{names(ended)[-1]}")
    assert last.status_code == 200
    assert len(decoded(header.content + last.content)[0]) >= 1
    assert studio.post(f"/v1/sessions/{session['id']}/say", json={"text": "Hi."}).status_code == 404
    assert studio.get("/v1/sessions/other/hls/live.m3u8").status_code == 404


def test_hls_needs_the_token(open_studio: OpenStudio) -> None:
    studio = open_studio(token="secret-secret")
    session = studio.post("/v1/sessions", json={}, headers={"authorization": "Bearer secret-secret"}).json()
    path = f"/v1/sessions/{session['id']}/hls/live.m3u8"
    assert studio.get(path).status_code == 401
    playlist = studio.get(f"{path}?token=secret-secret").text
    assert names(playlist)[0].endswith(".m4s?token=secret-secret")
    studio.delete(f"/v1/sessions/{session['id']}", headers={"authorization": "Bearer secret-secret"})
    assert studio.get(path).status_code == 401
    assert studio.get(f"{path}?token={session['watch_token']}").status_code == 200
