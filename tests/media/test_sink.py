from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import tone
from newscaster.errors import MediaError, OutputError
from newscaster.media import LiveItem, TargetVideo, live_container, redact_url, write_live

RATE, FRAMES = 48_000, 60
TAGS = {"title": "Ada", "comment": "Synthetic video: the mouth was generated."}


def items(target: TargetVideo, *, without: tuple[int, ...] = ()) -> Iterator[LiveItem]:
    audio = tone(FRAMES / 25, rate=RATE)
    for k in range(FRAMES):
        image = None if k in without else target.image(k)
        yield image, audio[1920 * k : 1920 * (k + 1)]


def send(address: object, coming: Iterator[LiveItem], **options: object) -> int:
    return write_live(str(address), coming, fps=Fraction(25), rate=RATE, metadata=TAGS, **options)


def check(source: object, *, images: int = FRAMES) -> av.container.InputContainer:
    """All frames and all audio arrive, each at its time."""
    container = av.open(source)
    video, audio = container.streams.video[0], container.streams.audio[0]
    assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
    frames, blocks = [], []
    for frame in container.decode(video, audio):
        (frames if isinstance(frame, av.VideoFrame) else blocks).append(frame)
    assert len(frames) == images
    seconds = sum(frame.samples for frame in blocks) / RATE
    assert seconds == pytest.approx(FRAMES / 25, abs=0.07)  # the codec works in blocks of 21 ms
    assert frames[-1].time - frames[0].time == pytest.approx((FRAMES - 1) / 25, abs=0.002)
    assert frames[0].time - blocks[0].time == pytest.approx(0, abs=0.03)
    return container


@pytest.mark.parametrize("name", ["x.ts", "x.flv", "x.mkv", "x.mp4"])
def test_files(target: TargetVideo, tmp_path: Path, name: str) -> None:
    assert send(tmp_path / name, items(target)) == FRAMES
    with check(str(tmp_path / name)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    if name == "x.ts":
        assert TAGS["comment"].encode() in (tmp_path / name).read_bytes()
    else:
        assert tags["comment"] == TAGS["comment"]


def test_key_frames_come_every_two_seconds(target: TargetVideo, tmp_path: Path) -> None:
    send(tmp_path / "x.ts", items(target))
    with av.open(str(tmp_path / "x.ts")) as container:
        keys = [p.is_keyframe for p in container.demux(container.streams.video[0]) if p.size]
    assert [k for k, key in enumerate(keys) if key] == [0, 50]


def test_hls(target: TargetVideo, tmp_path: Path) -> None:
    send(tmp_path / "x.m3u8", items(target))
    assert "#EXT-X-ENDLIST" in (tmp_path / "x.m3u8").read_text()
    pieces = sorted(tmp_path.glob("*.ts"))
    assert len(pieces) == 3
    assert TAGS["comment"].encode() in pieces[0].read_bytes()
    check(str(tmp_path / "x.m3u8")).close()


def test_a_pipe(target: TargetVideo) -> None:
    reading, writing = os.pipe()
    found: list[bytes] = []

    def read() -> None:
        with os.fdopen(reading, "rb") as source:
            found.append(source.read())

    reader = threading.Thread(target=read)
    reader.start()
    send(f"pipe:{writing}", items(target))
    os.close(writing)
    reader.join()
    check(io.BytesIO(found[0])).close()


def test_udp(target: TargetVideo) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(20)
        found = bytearray()
        ended = threading.Event()

        def receive() -> None:
            while (packet := receiver.recv(65536)) != b"end":
                found.extend(packet)
            ended.set()

        thread = threading.Thread(target=receive)
        thread.start()
        port = receiver.getsockname()[1]
        send(f"udp://127.0.0.1:{port}?pkt_size=1316", items(target))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"end", ("127.0.0.1", port))
        thread.join()
    assert ended.is_set()
    assert len(found) % 188 == 0
    check(io.BytesIO(bytes(found))).close()


def test_dropped_frames_do_not_move_the_audio(target: TargetVideo, tmp_path: Path) -> None:
    assert send(tmp_path / "x.mkv", items(target, without=(7, 8, 30))) == FRAMES - 3
    check(str(tmp_path / "x.mkv"), images=FRAMES - 3).close()


def test_the_second_item_is_taken_when_the_address_is_open(target: TargetVideo, tmp_path: Path) -> None:
    there: list[bool] = []

    def watched() -> Iterator[LiveItem]:
        for item in items(target):
            there.append((tmp_path / "x.ts").exists())
            yield item

    send(tmp_path / "x.ts", watched())
    assert there == [False] + [True] * (FRAMES - 1)


def test_errors_of_the_frames_are_raised(target: TargetVideo, tmp_path: Path) -> None:
    def failing() -> Iterator[LiveItem]:
        yield target.image(0), np.zeros(1920, np.float32)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        send(tmp_path / "x.ts", failing())
    with pytest.raises(MediaError, match="no frames to send"):
        send(tmp_path / "x.ts", iter([(None, np.zeros(1920, np.float32))]))


def test_addresses_that_cannot_be_written(target: TargetVideo, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write to 'rtmp://127.0.0.1:1/...' as flv \(.*refused"):
        send("rtmp://127.0.0.1:1/live/secret", items(target))
    with pytest.raises(OutputError, match="there is no folder"):
        send(tmp_path / "none" / "x.ts", items(target))
    with pytest.raises(OutputError, match=r"the format for 'x\.avi' is not clear"):
        live_container("x.avi")
    with pytest.raises(OutputError, match="which FFmpeg does not know"):
        live_container("x.avi", "nonsense")


@pytest.mark.parametrize(
    ("address", "name", "shown"),
    [
        ("rtmp://a.example/live/key", "flv", "rtmp://a.example/..."),
        ("rtmps://user:word@a.example:443/live/key?x=1", "flv", "rtmps://a.example:443/..."),
        ("srt://a.example:9000?streamid=key", "mpegts", "srt://a.example:9000/..."),
        ("udp://239.0.0.1:1234", "mpegts", "udp://239.0.0.1:1234"),
        ("pipe:1", "mpegts", "pipe:1"),
        ("folder/live.m3u8", "hls", "folder/live.m3u8"),
        ("http://a.example/live.m3u8?token=1", "hls", "http://a.example/..."),
        ("C:\\live.ts", "mpegts", "C:\\live.ts"),
    ],
)
def test_what_addresses_mean(address: str, name: str, shown: str) -> None:
    assert live_container(address).muxer == name
    assert live_container(address, "matroska").muxer == "matroska"
    assert redact_url(address) == shown
