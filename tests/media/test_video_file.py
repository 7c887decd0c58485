"""Video out: what is written reads back the same."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import moving_pattern, tone
from newscaster.errors import MediaError, OutputError
from newscaster.media import (
    check_output,
    measure_audio,
    probe,
    read_audio,
    read_frames,
    spooled,
    write_video,
    write_wav,
)

AAC_BLOCK = 1024


@pytest.fixture
def audio(tmp_path: Path) -> Path:
    path = tmp_path / "audio.wav"
    write_wav(path, tone(2.0, rate=22_050), 22_050)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30_000, 1_001)], ids=["25", "29.97"])
def test_round_trip(tmp_path: Path, audio: Path, suffix: str, fps: Fraction) -> None:
    path = tmp_path / f"out{suffix}"
    frames = list(moving_pattern(50))
    tags = {
        "title": "The news",
        "comment": "made by a machine",
        "newscaster_anchor": "0123abc",
        "artist": "Å",
    }
    assert write_video(path, frames, fps=fps, audio=audio, metadata=tags) == 50

    info = probe(path)
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.width, info.video.height, info.video.fps) == (96, 64, fps)
    assert info.video.start_seconds == 0
    assert (info.audio.rate, info.audio.channels) == (22_050, 1)
    found = {key.lower(): value for key, value in info.metadata.items()}
    assert tags.items() <= found.items()

    back = list(read_frames(path))
    assert len(back) == 50
    for got, wanted in zip(back, frames, strict=True):
        assert np.abs(got.astype(int) - wanted).mean() < 3
    measure = measure_audio(path)
    assert 44_100 <= measure.samples <= 44_100 + AAC_BLOCK
    decoded = read_audio(path, rate=22_050)
    np.testing.assert_allclose(decoded[2_048:40_000], tone(2.0, rate=22_050)[2_048:40_000], atol=0.03)


def test_standard_tags_lie_where_players_look(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, moving_pattern(3), fps=Fraction(25), audio=None, metadata={"title": "The news"})
    assert b"\xa9nam" in path.read_bytes()
    assert probe(path).metadata["title"] == "The news"


def test_the_index_comes_first(tmp_path: Path, audio: Path) -> None:
    path = tmp_path / "out.mp4"
    write_video(path, moving_pattern(10), fps=Fraction(25), audio=audio)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(("height", "matrix"), [(288, 6), (720, 1)])
def test_colours_are_kept_and_tagged(tmp_path: Path, height: int, matrix: int) -> None:
    patches = np.array(
        [[230, 40, 40], [40, 200, 60], [30, 60, 220], [128, 128, 128], [16, 16, 16], [250, 250, 250]]
    )
    image = np.repeat(np.repeat(patches[None].astype(np.uint8), height, 0), 32, 1)
    path = tmp_path / "out.mp4"
    write_video(path, [image] * 5, fps=Fraction(25), audio=None, crf=6)
    back = list(read_frames(path))[2].reshape(height, 6, 32, 3)[:, :, 8:24].mean(axis=(0, 2))
    np.testing.assert_allclose(back, patches, atol=2.0)
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (matrix,) * 3
        assert context.color_range == 1
        assert context.pix_fmt == "yuv420p"


@pytest.mark.parametrize(("width", "height"), [(97, 64), (96, 63), (97, 63)])
def test_odd_sides_grow_by_one(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "out.mp4"
    frames = list(moving_pattern(4, width=width, height=height))
    write_video(path, frames, fps=Fraction(25), audio=None, crf=8)
    back = list(read_frames(path))
    assert back[0].shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(back[1][:height, :width].astype(int) - frames[1]).mean() < 3


@pytest.mark.parametrize(
    ("rate", "written"), [(8_000, 8_000), (10_000, 11_025), (44_100, 44_100), (96_000, 96_000)]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_rates_and_channels(tmp_path: Path, rate: int, written: int, channels: int) -> None:
    source = tmp_path / "audio.wav"
    layout = {1: "mono", 2: "stereo"}[channels]
    with av.open(str(source), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        samples = np.repeat(tone(1.0, rate=rate)[None], channels, 0)
        block = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        block.sample_rate, block.pts = rate, 0
        container.mux(stream.encode(block))
        container.mux(stream.encode(None))
    path = tmp_path / "out.mp4"
    write_video(path, moving_pattern(25), fps=Fraction(25), audio=source)
    measure = measure_audio(path)
    assert (measure.rate, measure.channels) == (written, channels)
    assert written - 2 <= measure.samples <= written + 2 * AAC_BLOCK
    assert measure.rms == pytest.approx(0.354, abs=0.02)


@pytest.mark.parametrize("count", [1, 200])
def test_audio_longer_or_shorter_than_the_video_is_kept_in_full(
    tmp_path: Path, audio: Path, count: int
) -> None:
    path = tmp_path / "out.mp4"
    assert write_video(path, moving_pattern(count), fps=Fraction(25), audio=audio) == count
    assert sum(1 for _ in read_frames(path)) == count
    assert 44_100 <= measure_audio(path).samples <= 44_100 + AAC_BLOCK


def test_a_generator_that_fails_leaves_nothing(tmp_path: Path, audio: Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield from moving_pattern(20)
        raise KeyError("the renderer")

    path = tmp_path / "out.mp4"
    path.write_bytes(b"what was there before")
    threads = threading.active_count()
    with pytest.raises(KeyError, match="the renderer"):
        write_video(path, failing(), fps=Fraction(25), audio=audio)
    assert path.read_bytes() == b"what was there before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["audio.wav", "out.mp4"]
    assert threading.active_count() == threads


def test_an_encoder_that_fails_stops_the_generator(tmp_path: Path) -> None:
    made = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal made
        while True:
            made += 1
            yield np.zeros((64, 96 if made < 5 else 98, 3), np.uint8)

    with pytest.raises(ValueError, match=r"frame 4 is uint8 of shape \(64, 98, 3\)"):
        write_video(tmp_path / "out.mp4", endless(), fps=Fraction(25), audio=None)
    assert made < 50
    assert not list(tmp_path.iterdir())


def test_the_generator_is_read_as_needed(tmp_path: Path) -> None:
    """The queue between generator and encoder is bounded."""
    from newscaster.media.background import in_background

    made = taken = ahead = 0
    gate = threading.Event()

    def items() -> Iterator[int]:
        nonlocal made
        for made in range(1, 31):
            if made == 8:
                gate.set()
            yield made

    def work(numbers: Iterator[int]) -> int:
        nonlocal taken, ahead
        gate.wait(0.3)
        for number in numbers:
            ahead = max(ahead, made - number)
            taken += 1
        return taken

    assert in_background(items(), work, depth=3) == 30
    assert ahead <= 5


def test_no_frames(tmp_path: Path, audio: Path) -> None:
    with pytest.raises(MediaError, match="no frames to write"):
        write_video(tmp_path / "out.mp4", [], fps=Fraction(25), audio=audio)
    assert not (tmp_path / "out.mp4").exists()


def test_audio_that_cannot_be_read(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    silent = make_clip(audio=False)
    with pytest.raises(MediaError, match="has no audio"):
        write_video(tmp_path / "out.mp4", moving_pattern(2), fps=Fraction(25), audio=silent)
    with pytest.raises(MediaError, match="no such file"):
        write_video(tmp_path / "out.mp4", moving_pattern(2), fps=Fraction(25), audio=tmp_path / "none.wav")
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/out.mp4", "there is no folder"),
        ("out.avi", r"ends in '.avi'; accepted are .mp4"),
        ("out", "has no ending"),
        ("folder.mp4", "is a folder"),
    ],
)
def test_places_that_cannot_be_written(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.mp4").mkdir()

    def never() -> Iterator[np.ndarray]:
        raise AssertionError("work has begun")
        yield

    with pytest.raises(OutputError, match=message) as caught:
        write_video(tmp_path / name, never(), fps=Fraction(25), audio=None)
    assert name in str(caught.value)


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OutputError, match=r"cannot be written to \(Permission denied\)"):
        check_output(tmp_path / "out.mp4", suffixes=None)


def test_spooled(tmp_path: Path, audio: Path) -> None:
    import io

    with spooled(io.BytesIO(audio.read_bytes())) as path:
        assert measure_audio(path).samples == 44_100
    assert not path.exists()
    with pytest.raises(MediaError, match="nothing came in on standard input"), spooled(io.BytesIO()):
        pass
