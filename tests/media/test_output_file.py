"""Disks that are full while a video is written: whichever byte finds no room, that is an error."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from making_media import SPEECH_RATE, moving_pattern, tone
from newscaster import media
from newscaster.errors import OutputError
from newscaster.media import LiveItem, TargetVideo, encode_target

resource = pytest.importorskip("resource", reason="limits of file sizes are Unix's")
SECONDS = 3
NAMES = ("x.m3u8", "x.mp4", "x.mov", "x.mkv", "x.ts", "x.flv")


@pytest.fixture(scope="module")
def items() -> list[LiveItem]:
    return made(25 * SECONDS)


def made(count: int) -> list[LiveItem]:
    target = TargetVideo(encode_target(moving_pattern(count, width=64, height=64), Fraction(25)))
    audio = tone(count / 25, rate=48_000)
    return [(target.image(k), audio[1920 * k : 1920 * (k + 1)]) for k in range(count)]


def live(address: str | Path, items: list[LiveItem], **options: Any) -> int:
    return media.write_live(str(address), items, fps=Fraction(25), rate=48_000, **options)


class Disk:
    """A disk with room for so many bytes of a video."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = sys.maxsize
        self.written = 0
        self._write = os.write
        monkeypatch.setattr(os, "write", self._limited)

    def _limited(self, descriptor: int, data: bytes) -> int:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return self._write(descriptor, data)
        if self.written >= self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        # A disk that is nearly full takes a part, and says so only in the next call.
        count = self._write(descriptor, data[: self.room - self.written])
        self.written += count
        return count


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_live_video_names_the_full_disk(
    tmp_path: Path, items: list[LiveItem], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    disk = Disk(monkeypatch)
    assert live(tmp_path / name, items) == len(items)
    total = disk.written
    for room in (0, total // 3, total - 300, total - 1):
        disk.room, disk.written = room, 0
        with pytest.raises(OutputError, match=r"\(No space left on device\). Free some"):
            live(tmp_path / name, items)
    disk.room, disk.written = total, 0
    assert live(tmp_path / name, items) == len(items)


@contextmanager
def file_size(most: int) -> Iterator[None]:
    """No file of this process may be longer than so many bytes: native code's neither."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _whole(path: Path) -> None:
    audio = path.with_name("audio.wav")
    if not audio.exists():
        media.write_wav(audio, tone(1.0), SPEECH_RATE)
    media.write_video(path, moving_pattern(25, width=64, height=64), fps=Fraction(25), audio=audio, crf=12)


@pytest.mark.parametrize("name", ["x.mp4", "x.mov", "x.mkv", "x.m4v"])
def test_whole_videos_name_the_full_disk(tmp_path: Path, name: str) -> None:
    _whole(tmp_path / name)
    size = (tmp_path / name).stat().st_size
    before = sorted(os.listdir(tmp_path))
    (tmp_path / name).write_bytes(b"the old one")
    for most in (1, size // 2, size - 500):  # x264's size varies by some bytes from run to run
        with file_size(most), pytest.raises(OutputError, match=rf"{name}' \(File too large"):
            _whole(tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"the old one"
        assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("format_name", ["mp4", "mpegts", "matroska", "flv"])
def test_a_device_that_is_full(items: list[LiveItem], format_name: str) -> None:
    with pytest.raises(OutputError, match=r"'/dev/full' \(No space left on device\)"):
        live("/dev/full", items, format_name=format_name)


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.m3u8"])
def test_a_file_stays_as_it_was_until_there_is_something_to_write(
    tmp_path: Path, items: list[LiveItem], name: str
) -> None:
    (tmp_path / name).write_bytes(b"the old one")

    def broken() -> Iterator[LiveItem]:
        raise ValueError("no frames")
        yield

    with pytest.raises(ValueError, match="no frames"):
        live(tmp_path / name, broken())  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="wav does not hold"):
        live(tmp_path / name, items, format_name="wav")
    assert (tmp_path / name).read_bytes() == b"the old one"
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["x.mp4", "x.m3u8"])
def test_rights_of_live_video_stay(tmp_path: Path, items: list[LiveItem], name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / name
    target.touch()
    os.chmod(target, 0o600)
    (tmp_path / name).symlink_to(target)
    live(tmp_path / name, items)
    assert (tmp_path / name).is_symlink()
    modes = {stat.S_IMODE(one.stat().st_mode) for one in target.parent.iterdir()}
    assert modes == {0o600}
    assert len(os.listdir(target.parent)) == (1 if name == "x.mp4" else SECONDS + 1)


def test_segments_do_not_replace_what_is_read(tmp_path: Path, items: list[LiveItem]) -> None:
    speech = tmp_path / "speech.wav"
    speech.write_bytes(b"speech")
    os.link(speech, tmp_path / "x1.ts")
    with pytest.raises(OutputError, match=r"x1\.ts' is the speech itself"):
        live(tmp_path / "x.m3u8", items, inputs=[(speech, "the speech")])
    assert speech.read_bytes() == b"speech"
    with pytest.raises(OutputError, match="has the name of a segment"):
        live(tmp_path / "x.m3u8", [], inputs=[(tmp_path / "x1.ts", "the speech")])
    with pytest.raises(OutputError, match="is the speech itself"):
        live(f"file:{speech}", [], format_name="mpegts", inputs=[(speech, "the speech")])


def test_addresses_that_hide_others(tmp_path: Path) -> None:
    for address in (f"tee:{tmp_path}/a.ts|b.ts", f"crypto:{tmp_path}/a.ts"):
        with pytest.raises(OutputError, match="writes to other addresses"):
            live(address, [], format_name="mpegts")
