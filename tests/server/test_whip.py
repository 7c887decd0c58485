"""Frames to a media server by WHIP: a small server of its own receives them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.errors import InputError, MediaError, OutputError
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from newscaster.server.whip import send_whip

SERVER = Path(__file__).parents[1] / "whip_server.py"
FPS = Fraction(25)
RATE = 48_000


class Endpoint:
    """A running WHIP server."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.log = folder / "events"
        port = folder / "port"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([sys.executable, SERVER, port, *options], stdout=log)
        until = time.monotonic() + 30
        while not (port.is_file() and port.read_text()):
            assert time.monotonic() < until
            assert self.process.poll() is None
            time.sleep(0.02)
        self.address = f"whip+http://127.0.0.1:{port.read_text()}/whip"

    def events(self, kind: str) -> list[dict[str, Any]]:
        whole, _, _ = self.log.read_text().rpartition("\n")
        events = [json.loads(line) for line in whole.splitlines()]
        return [event for event in events if event["event"] == kind]

    def received(self, kind: str) -> int:
        """Frames of "video" or "audio" so far; the server notes one in 25."""
        counts = [frame["count"] for frame in self.events("frame") if frame["kind"] == kind]
        return max(counts, default=0)


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Callable[..., Endpoint]]:
    made: list[Endpoint] = []

    def start(*options: str) -> Endpoint:
        made.append(Endpoint(tmp_path, *options))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.wait()


def items(count: int, *, dropped: tuple[int, ...] = ()) -> Iterator[tuple[YuvFrame | None, np.ndarray]]:
    """Frames in real time, with a tone; the first one comes at once."""
    convert = FromRgb(ColourTags.for_height(96))
    images = [*moving_pattern(25, width=128, height=96)]
    start = None
    for number in range(count):
        t = (number * 1920 + np.arange(1920)) / RATE
        audio = (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
        yield None if number in dropped else YuvFrame(convert(images[number % 25])), audio
        start = start or time.monotonic()  # once the server is connected
        time.sleep(max(0.0, start + (number + 1) / 25 - time.monotonic()))


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_server_receives_video_and_audio(endpoint: Callable[..., Endpoint], codec: str) -> None:
    server = endpoint("--codec", codec)
    given = 0

    def until_received() -> Iterator[tuple[YuvFrame | None, np.ndarray]]:
        nonlocal given
        for given, item in enumerate(items(1500, dropped=(0, 30)), start=1):
            yield item
            if given >= 75 and server.received("video") >= 51 and server.received("audio") >= 101:
                return

    sent = send_whip(server.address, until_received(), fps=FPS, rate=RATE, token="secret")
    assert sent == given - 2
    (post,) = server.events("post")
    assert post["token"] == "Bearer secret"
    assert post["type"] == "application/sdp"
    assert post["sends"] == 2
    (delete,) = server.events("delete")
    assert delete["token"] == "Bearer secret"
    frames = server.events("frame")
    video = [frame for frame in frames if frame["kind"] == "video"]
    audio = [frame for frame in frames if frame["kind"] == "audio"]
    assert video[-1]["count"] >= 51
    assert video[0]["size"] == [128, 96]
    assert 40 < video[-1]["level"] < 220
    assert audio[-1]["count"] >= 101
    assert audio[-1]["level"] == pytest.approx(0.3 * 2 / np.pi * 32768, rel=0.2)


@pytest.mark.slow
def test_a_redirect_is_followed(endpoint: Callable[..., Endpoint]) -> None:
    server = endpoint("--redirect")
    send_whip(server.address, items(5), fps=FPS, rate=RATE, token="secret")
    assert [post["path"] for post in server.events("post")] == ["/whip", "/moved"]
    assert server.events("delete")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--status", "401"), r"refuses the stream \(401 .*NEWSCASTER_WHIP_TOKEN"),
        (("--status", "404"), r"refuses the stream \(404 .*Check the address"),
        (("--nonsense",), "has not answered with SDP"),
    ],
)
def test_a_refusal_is_an_error(
    endpoint: Callable[..., Endpoint], options: tuple[str, ...], message: str
) -> None:
    server = endpoint(*options)
    with pytest.raises(OutputError, match=message) as raised:
        send_whip(server.address, items(50), fps=FPS, rate=RATE)
    assert "/whip" not in str(raised.value)  # an address may be a secret
    assert server.events("post")[0]["token"] is None


@pytest.mark.slow
def test_a_server_that_ends_the_stream_is_an_error(endpoint: Callable[..., Endpoint]) -> None:
    server = endpoint()

    def cut() -> Iterator[Any]:
        for number, item in enumerate(items(2000)):
            yield item
            if number == 10:
                server.process.kill()

    with pytest.raises(OutputError, match="has closed the connection, or cannot be reached"):
        send_whip(server.address, cut(), fps=FPS, rate=RATE)


def test_nothing_listens() -> None:
    with pytest.raises(OutputError, match=r"cannot reach whip\+http://127\.0\.0\.1:9/\.\.\. "):
        send_whip("whip+http://127.0.0.1:9/key", items(5), fps=FPS, rate=RATE)


def test_what_cannot_be_sent() -> None:
    with pytest.raises(MediaError, match="no frames"):
        send_whip("whip+http://127.0.0.1:9/", [(None, np.zeros(1920, np.float32))], fps=FPS, rate=RATE)
    with pytest.raises(InputError, match="44100 Hz"):
        send_whip("whip+http://127.0.0.1:9/", [], fps=FPS, rate=44_100)
