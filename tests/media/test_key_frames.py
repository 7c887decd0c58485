"""Key frames and indexes: where players can start decoding in every kind of file that is written."""

from __future__ import annotations

import io
import itertools
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import moving_pattern, tone
from newscaster import media
from newscaster.media import LiveItem, TargetVideo, write_live, write_video

RATE = 48_000
SECONDS = 5
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60)]


def still(fps: Fraction, seconds: int = SECONDS) -> Iterator[np.ndarray]:
    """Frames that hardly change: an encoder sees no reason for a key frame of its own."""
    frames = list(moving_pattern(2, width=64, height=48))
    for number in range(round(seconds * fps)):
        yield frames[number % 2]


def packets(source: str | io.BytesIO) -> list[tuple[Fraction, bool]]:
    """Time and whether it is a key frame, of every frame of the video in presentation order."""
    with av.open(source) as container:
        stream = container.streams.video[0]
        return sorted(
            (Fraction(p.pts) * p.time_base, p.is_keyframe) for p in container.demux(stream) if p.size
        )


def longest_gap(source: str | io.BytesIO, fps: Fraction) -> Fraction:
    """The longest time from one key frame to the next, or to the end."""
    found = packets(source)
    assert found[0][1]
    times = [time for time, is_key in found if is_key] + [found[-1][0] + 1 / fps]
    return max(after - before for before, after in itertools.pairwise(times))


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov", ".mkv"])
@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.5g}")
def test_files_have_a_key_frame_every_two_seconds(tmp_path: Path, fps: Fraction, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write_video(path, still(fps), fps=fps, audio=None)
    assert longest_gap(str(path), fps) <= 2 + Fraction(1, 1000)  # Matroska's times are whole milliseconds
    assert sum(is_key for _, is_key in packets(str(path))) == 3


def test_decoding_can_start_at_every_key_frame(tmp_path: Path) -> None:
    """No frame after a key frame refers to one before it, although there are B-frames."""
    path = tmp_path / "x.mp4"
    write_video(path, moving_pattern(150, width=64, height=48), fps=Fraction(25), audio=None)
    whole = decoded(path, 0)
    starts = [number for number, (_, is_key) in enumerate(packets(str(path))) if is_key]
    assert len(starts) >= 3
    with av.open(str(path)) as container:
        assert any(frame.pict_type == av.video.frame.PictureType.B for frame in container.decode(video=0))
    for group, start in enumerate(starts):
        alone = decoded(path, group)
        assert len(alone) == len(whole) - start
        for frame, same in zip(alone, whole[start:], strict=True):
            np.testing.assert_array_equal(frame, same)


def decoded(path: Path, group: int) -> list[np.ndarray]:
    """The frames from a key frame on; what comes before it in the file is not decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames, seen = [], -1
        for packet in container.demux(stream):
            seen += packet.is_keyframe
            if seen >= group or not packet.size:
                frames.extend(frame.to_ndarray(format="gray") for frame in packet.decode())
        return frames


def items(
    target: TargetVideo, fps: Fraction, *, without: frozenset[int] = frozenset(), seconds: int = SECONDS
) -> Iterator[LiveItem]:
    for number in range(round(seconds * fps)):
        first, last = (round(n * RATE / fps) for n in (number, number + 1))
        image = None if number in without else target.image(number % 2)
        yield image, np.zeros(last - first, np.float32)


def test_recordings_and_fragments_do_too(target: TargetVideo, tmp_path: Path) -> None:
    fps = Fraction(25)
    media.record_video(tmp_path / "x.mp4", items(target, fps), fps=fps, rate=RATE, metadata={})
    assert longest_gap(str(tmp_path / "x.mp4"), fps) <= 2
    fragments = b"".join(media.write_fragments(items(target, fps), fps=fps, rate=RATE, metadata={}))
    # The AAC encoder's 1024 samples of delay lengthen the first frame's time: the file cannot begin before 0.
    assert longest_gap(io.BytesIO(fragments), fps) <= 2 + Fraction(1024, RATE) + Fraction(1, 1000)


@pytest.mark.parametrize("name", ["x.ts", "x.flv", "x.mkv", "x.mp4", "x.mov"])
def test_live_files_have_them_by_time_and_not_by_frames(
    target: TargetVideo, tmp_path: Path, name: str
) -> None:
    fps = Fraction(30000, 1001)
    half = frozenset(range(1, 200, 2))  # a machine that is too slow for every other frame
    write_live(str(tmp_path / name), items(target, fps, without=half), fps=fps, rate=RATE)
    assert longest_gap(str(tmp_path / name), fps) <= 2 + Fraction(1, 1000)


def runs(fps: Fraction, *, first: int, every: int, length: int = 12) -> frozenset[int]:
    """Runs of dropped frames, such as of a machine that is busy for half a second."""
    count = round(SECONDS * fps)
    return frozenset(n for start in range(first, count, every) for n in range(start, start + length))


@pytest.mark.parametrize("name", ["x.ts", "x.flv", "x.mkv", "x.mp4"])
@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.5g}")
def test_key_frames_come_in_time_while_frames_are_dropped(
    target: TargetVideo, tmp_path: Path, fps: Fraction, name: str
) -> None:
    due = math.floor(2 * fps)
    for first, every in ((due - 11, due), (due - 5, due), (due, due), (7, 24)):
        dropped = runs(fps, first=first, every=every)
        sent = write_live(str(tmp_path / name), items(target, fps, without=dropped), fps=fps, rate=RATE)
        assert longest_gap(str(tmp_path / name), fps) <= 2 + Fraction(1, 1000)
        count = round(SECONDS * fps)
        assert sent == count - len([n for n in dropped if n < count])  # what is repeated does not count


@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.5g}")
def test_segments_last_a_second_while_frames_are_dropped(
    target: TargetVideo, tmp_path: Path, fps: Fraction
) -> None:
    due = math.floor(fps)
    for first, every in ((due - 11, due), (due - 3, 2 * due), (7, 24)):
        dropped = runs(fps, first=first, every=every)
        write_live(str(tmp_path / "x.m3u8"), items(target, fps, without=dropped), fps=fps, rate=RATE)
        playlist = (tmp_path / "x.m3u8").read_text()
        assert max(map(float, re.findall(r"#EXTINF:([\d.]+)", playlist))) <= 1.0 + 1e-6
        for name in re.findall(r"^[^#].*$", playlist, re.MULTILINE):
            keys = [is_key for _, is_key in packets(str(tmp_path / name))]
            assert keys == [True] + [False] * (len(keys) - 1)


def test_a_dropped_key_frame_shows_the_frame_before(target: TargetVideo, tmp_path: Path) -> None:
    fps = Fraction(25)
    dropped = frozenset(range(45, 57))
    write_live(str(tmp_path / "x.mkv"), items(target, fps, without=dropped), fps=fps, rate=RATE, crf=1)
    with av.open(str(tmp_path / "x.mkv")) as container:
        frames = {round(f.time * fps): f.to_ndarray(format="gray") for f in container.decode(video=0)}
    assert sorted(set(range(SECONDS * 25)) - set(frames)) == sorted(dropped - {50})
    assert np.abs(frames[50].astype(int) - frames[44]).mean() < 1
    assert np.abs(frames[50].astype(int) - frames[43]).mean() > 3


@pytest.mark.parametrize("fps", RATES, ids=lambda fps: f"{float(fps):.5g}")
def test_segments_last_a_second_and_start_with_their_only_key_frame(
    target: TargetVideo, tmp_path: Path, fps: Fraction
) -> None:
    write_live(str(tmp_path / "x.m3u8"), items(target, fps), fps=fps, rate=RATE)
    playlist = (tmp_path / "x.m3u8").read_text()
    lasting = [float(seconds) for seconds in re.findall(r"#EXTINF:([\d.]+)", playlist)]
    assert "#EXT-X-TARGETDURATION:1\n" in playlist
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in playlist
    assert len(lasting) in (5, 6)
    assert max(lasting) <= 1.0 + 1e-6
    for name in re.findall(r"^[^#].*$", playlist, re.MULTILINE):
        keys = [is_key for _, is_key in packets(str(tmp_path / name))]
        assert keys == [True] + [False] * (len(keys) - 1)


def test_segments_of_a_stream_that_drops_frames(target: TargetVideo, tmp_path: Path) -> None:
    fps = Fraction(25)
    half = frozenset(range(1, 200, 2))
    write_live(str(tmp_path / "x.m3u8"), items(target, fps, without=half), fps=fps, rate=RATE)
    lasting = re.findall(r"#EXTINF:([\d.]+)", (tmp_path / "x.m3u8").read_text())
    assert len(lasting) == 5
    assert max(map(float, lasting)) <= 1.0 + 1e-6


@pytest.mark.parametrize("scheme", ["", "file:"])
def test_the_playlist_of_a_long_stream_keeps_twelve_seconds(
    target: TargetVideo, tmp_path: Path, scheme: str
) -> None:
    fps = Fraction(10)
    folder = tmp_path / "a:b"
    folder.mkdir()
    write_live(f"{scheme}{folder / 'c:d.m3u8'}", items(target, fps, seconds=30), fps=fps, rate=RATE)
    playlist = (folder / "c:d.m3u8").read_text()
    assert playlist.count("#EXTINF") == 12
    assert 24 <= len(list(folder.glob("*.ts"))) < 30  # older ones go
    assert [path.suffix for path in folder.iterdir() if path.suffix != ".ts"] == [".m3u8"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_audio_and_captions_change_nothing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    media.write_wav(tmp_path / "x.wav", tone(SECONDS, rate=16_000), 16_000)
    cues = [media.Cue(start_ms=200, stop_ms=4500, lines=("Good evening.",))]
    subtitles = media.Subtitles(cues=cues, language="eng")
    fps = Fraction(25)
    write_video(path, still(fps), fps=fps, audio=tmp_path / "x.wav", subtitles=subtitles)
    assert longest_gap(str(path), fps) <= 2
    with av.open(str(path)) as container:
        for second in (0, 1, 2, 3, 4):
            container.seek(second * 1_000_000)  # as a player seeks: to the key frame before, in all tracks
            packet = next(p for p in container.demux(container.streams.video[0]))
            assert packet.is_keyframe
            assert second - 2 <= packet.pts * packet.time_base <= second
            container.seek(second * 1_000_000)
            packet = next(p for p in container.demux(container.streams.audio[0]))
            assert second - 2.1 <= packet.pts * packet.time_base <= second


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov"])
def test_the_index_comes_before_the_frames(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    write_video(path, still(Fraction(25)), fps=Fraction(25), audio=None)
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_so_does_that_of_matroska(tmp_path: Path) -> None:
    path = tmp_path / "x.mkv"
    write_video(path, still(Fraction(25)), fps=Fraction(25), audio=None)
    data = path.read_bytes()
    cues, cluster = bytes.fromhex("1c53bb6b"), bytes.fromhex("1f43b675")
    first = data.index(cluster)
    assert cues in data[:first].partition(b"Lavf")[2]  # not its mention in the table of contents
    assert longest_gap(str(path), Fraction(25)) <= 2
