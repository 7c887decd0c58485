"""Files that name other files: FFmpeg would open those. Refused, whatever they are called."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest

from making_media import KINDS, grey, tone, write_media
from newscaster.errors import MediaError
from newscaster.media import read_audio, read_frames, write_wav

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}.aac\n#EXT-X-ENDLIST\n",
    "hls of one of several rates": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=64000\n{0}.m3u8\n",
    "concat": "ffconcat version 1.0\nfile '{0}.wav'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    "dash": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'profiles="urn:mpeg:dash:profile:isoff-on-demand:2011" mediaPresentationDuration="PT2S"><Period>'
        '<AdaptationSet contentType="audio"><Representation id="0" bandwidth="64000" mimeType="audio/mp4">'
        "<BaseURL>{0}.m4a</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
    "vobsub": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n",
    "lavfi": "sine=frequency=440:duration=2\n",
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\nGood evening.\n",
    "metadata": ";FFMETADATA1\ntitle=x\n",
}
READERS: dict[str, Callable[[Path], object]] = {
    "audio": read_audio,
    "frames": lambda path: list(read_frames(path)),
}


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A file's stem, under which there is a good file of each kind that a playlist may name."""
    path = tmp_path / "trap"
    write_wav(path.with_suffix(".wav"), tone(2.0), 16_000)
    for suffix in (".aac", ".m4a"):
        with av.open(str(path) + suffix, "w") as container:
            stream = container.add_stream("aac", rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(tone(2.0)[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    path.with_suffix(".m3u8").write_text(PLAYLISTS["hls"].format("trap"))
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_file_that_names_others_is_refused(
    reader: str, kind: str, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trap.parent)
    for name in ("x.m3u8", "x.ffconcat", "x.sdp", "x.mpd", "x.idx", "x.mp4", "x.wav", "x.mkv", "x"):
        path = trap.parent / name
        path.write_text(PLAYLISTS[kind].format("trap"))
        with pytest.raises(MediaError, match=r"cannot be read as video or audio .*are not followed"):
            READERS[reader](path)


def test_a_name_with_a_pattern_is_one_file(tmp_path: Path) -> None:
    """FFmpeg would read the numbered images beside it."""
    from PIL import Image

    for name in ("shot1.png", "shot2.png", "shot%d.png"):
        Image.new("RGB", (64, 48), (200, 30, 30)).save(tmp_path / name)
    with pytest.raises(MediaError, match="cannot be read as video or audio"):
        list(read_frames(tmp_path / "shot%d.png"))


@pytest.mark.parametrize(
    "name", ["concat:trap.wav|trap.wav", "data:audio,x", "pipe:0", "subfile,,start,0,end,0,,:trap.wav"]
)
def test_a_name_like_a_protocol_is_a_file_name(
    name: str, trap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trap.parent)
    with pytest.raises(MediaError, match="no such file"):
        read_audio(Path(name))
    shutil.copy("trap.wav", name)
    assert len(read_audio(Path(name))) == 32_000


def test_a_movie_whose_media_are_in_another_file_is_refused(trap: Path) -> None:
    """QuickTime's data references name files by path."""
    path = trap.parent / "x.mov"
    times = [Fraction(i, 25) for i in range(25)]
    write_media(path, KINDS["mp4-aac"], grey(25), times, tone(1.0, rate=44_100))
    alias = _alias(b"trap.m4a")
    data, old = path.read_bytes(), b"\0\0\0\x0curl \0\0\0\1"
    assert data.count(old) == 2
    at = data.rfind(old)
    grown = len(alias) - len(old)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        start = data.rfind(box, 0, at) - 4
        size = int.from_bytes(data[start : start + 4], "big") + grown
        data = data[:start] + size.to_bytes(4, "big") + data[start + 4 :]
    path.write_bytes(data[:at] + alias + data[at + len(old) :])
    with pytest.raises(MediaError, match="can be decoded"):
        read_audio(path)


def _alias(name: bytes) -> bytes:
    """A data reference of QuickTime to a file beside the movie: an alias record with an absolute path."""
    full = b"/" + name
    body = (
        *(bytes(10), bytes(28), bytes(12)),
        *(bytes([len(name)]) + name.ljust(63, b"\0"), bytes(16), bytes([0, 1, 0, 1]), bytes(16)),
        *(b"\0\2" + len(full).to_bytes(2, "big") + full + b"\0" * (len(full) % 2), b"\xff\xff\0\0"),
    )
    box = b"alis" + bytes(4) + b"".join(body)
    return (len(box) + 4).to_bytes(4, "big") + box
