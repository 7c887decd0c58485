"""Many kinds of media files: a table, with the right result or the one clear error for each.

The right result is that of a player: frames by their time stamps, upright and in the right colours; audio by
its time stamps, to the sample, all channels mixed.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from footage import make_up_faces
from making_media import tone
from making_odd_media import (
    BT601,
    BT709,
    BT2020,
    HEIGHT,
    HLG,
    LAYOUTS,
    PQ,
    WIDTH,
    YuvFrame,
    chord,
    combing,
    fields,
    in_hlg,
    in_pq,
    interlaced,
    level_of,
    levels,
    mp3_with_cover,
    patched,
    with_edit,
    with_matrix,
    write_audio,
    write_frames,
)
from newscaster import cli
from newscaster.errors import MediaError, NewscasterError
from newscaster.media import measure_audio, probe, read_audio, read_frames
from newscaster.prepare.clips import choose_fps, read_footage
from newscaster.prepare.inspect_file import InspectTask, inspect_file, segments_of

MAX_SECONDS = 10
LOSSY, CLOSE = 9.0, 2.5


@dataclass(frozen=True, kw_only=True)
class Right:
    """The right result of reading a file; None: not checked, or absent."""

    frames: int | None = None
    fps: Fraction | None = None
    size: tuple[int, int] = (WIDTH, HEIGHT)
    numbers: list[int] | None = None
    """The levels of the frames, one by one."""
    colours: float | None = None
    """How far the four fields may be from their colours, in levels."""
    turned: Callable[[YuvFrame], YuvFrame] = lambda image: image
    """How the fields are turned."""
    combed: bool = True
    """Whether lines of two fields may be visible in one frame."""
    rate: int | None = None
    samples: int | None = None
    """Of the audio, at its own rate."""
    channels: int = 1
    off_samples: int = 0
    """By how many the length may be off: codecs fill their last block."""
    hz: float = 440.0
    level: float | None = None
    """Amplitude of the tone in the mix."""
    joined: bool = False
    """Whether recordings follow each other; the last is as loud as the first, but for a downmix."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The one error, as a regular expression; `frames` and `audio`: the readers that raise it."""

    error: str
    frames: bool = True
    audio: bool = True


Row = tuple[str, str, Callable[[Path], object], Right | Refused]
"""Name, the file's name, how it is made, and what is right."""
ROWS: list[Row] = []


def row(name: str, file: str, make: Callable[[Path], object], expected: Right | Refused) -> None:
    ROWS.append((name, file, make, expected))


# -- colours --


def image(**options: object) -> Callable[[Path], object]:
    """Four fields, five times."""
    return lambda path: write_frames(path, [fields()] * 5, **options)  # type: ignore[arg-type]


for name, file, tolerance, options in (
    ("8 bit, 4:2:0, BT.601", "a.mp4", CLOSE, {"tags": BT601}),
    ("no tags", "a.mp4", CLOSE, {}),
    ("BT.709", "a.mp4", CLOSE, {"tags": BT709}),
    ("full range", "a.mp4", CLOSE, {"tags": BT709, "full": True}),
    (
        "full range, as cameras have it",
        "a.avi",
        LOSSY,
        {"codec": "mjpeg", "layout": "yuvj420p", "full": True},
    ),
    ("10 bit", "a.mkv", CLOSE, {"layout": "yuv420p10le", "tags": BT709}),
    ("10 bit, full range", "a.mkv", CLOSE, {"codec": "ffv1", "layout": "yuv422p10le", "full": True}),
    (
        "10 bit, 4:2:2, as editors have it",
        "a.mov",
        LOSSY,
        {"codec": "prores_ks", "layout": "yuv422p10le", "tags": BT709},
    ),
    ("H.265", "a.mp4", LOSSY, {"codec": "libx265", "options": {"x265-params": "log-level=none"}}),
    (
        "H.265, 10 bit, BT.2020 in SDR",
        "a.mp4",
        LOSSY,
        {
            "codec": "libx265",
            "layout": "yuv420p10le",
            "tags": BT2020,
            "options": {"x265-params": "log-level=none"},
        },
    ),
    (
        "VP9",
        "a.webm",
        LOSSY,
        {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "crf": "8", "b": "0"}},
    ),
    ("MPEG-4", "a.avi", LOSSY, {"codec": "mpeg4", "options": {"qscale": "2", "b": "8M"}}),
    ("4:2:2", "a.mp4", CLOSE, {"layout": "yuv422p", "tags": BT709}),
    ("4:4:4", "a.mp4", CLOSE, {"layout": "yuv444p", "tags": BT709}),
    ("4:1:1", "a.mkv", CLOSE, {"codec": "ffv1", "layout": "yuv411p"}),
    ("12 bit", "a.mkv", CLOSE, {"codec": "ffv1", "layout": "yuv444p12le"}),
    ("16 bit", "a.mkv", CLOSE, {"codec": "ffv1", "layout": "yuv420p16le"}),
    ("RGB", "a.mov", CLOSE, {"codec": "png", "layout": "rgb24"}),
    ("RGB of 16 bit", "a.mov", CLOSE, {"codec": "png", "layout": "rgb48be"}),
    ("RGB with alpha", "a.mov", CLOSE, {"codec": "png", "layout": "rgba"}),
    ("animation with alpha", "a.mov", CLOSE, {"codec": "qtrle", "layout": "argb"}),
    (
        "YUV with alpha",
        "a.mov",
        LOSSY,
        {"codec": "prores_ks", "layout": "yuva444p10le", "options": {"profile": "4444"}},
    ),
    (
        "VP8 with alpha",
        "a.webm",
        LOSSY,
        {"codec": "libvpx", "layout": "yuva420p", "options": {"crf": "4", "b": "4M", "auto-alt-ref": "0"}},
    ),
    ("GIF", "a.gif", LOSSY, {"codec": "gif", "layout": "rgb8"}),
):
    loose = 36.0 if name == "GIF" else tolerance  # its 256 colours are coarse
    row(name, file, image(**options), Right(frames=5, colours=loose, fps=Fraction(25)))


def hdr(path: Path, code: Callable[[YuvFrame], object], tags: tuple[int, int, int]) -> None:
    write_frames(path, [code(fields())] * 5, codec="ffv1", layout="yuv444p10le", tags=tags)  # type: ignore[list-item]


row("HDR, PQ", "a.mkv", lambda p: hdr(p, in_pq, PQ), Right(frames=5, colours=8.0))
row("HDR, HLG", "a.mkv", lambda p: hdr(p, in_hlg, HLG), Right(frames=5, colours=5.0))

# -- sizes and turns --


def of_size(width: int, height: int, *, count: int = 2, **options: object) -> Callable[[Path], object]:
    return lambda path: write_frames(path, [fields(width=width, height=height)] * count, **options)  # type: ignore[arg-type]


row(
    "odd sides",
    "a.mkv",
    of_size(63, 47, codec="ffv1", layout="yuv444p"),
    Right(frames=2, size=(63, 47), colours=CLOSE),
)
row("odd sides, 4:2:0", "a.mkv", of_size(61, 35, codec="ffv1"), Right(frames=2, size=(61, 35), colours=LOSSY))
row("two pixels", "a.mov", of_size(2, 2, codec="png", layout="rgb24"), Right(frames=2, size=(2, 2)))
row(
    "5K",
    "a.mkv",
    of_size(5120, 2880, count=1, codec="mjpeg", layout="yuvj420p", full=True),
    Right(frames=1, size=(5120, 2880), colours=LOSSY),
)
row(
    "a banner",
    "a.mov",
    of_size(8192, 16, codec="png", layout="rgb24"),
    Right(frames=2, size=(8192, 16), colours=CLOSE),
)


def declared_huge(path: Path) -> None:
    """A GIF that says it has 9000x9000 pixels."""
    write_frames(path, [fields()] * 2, codec="gif", layout="rgb8")
    patched(path, 6, (9000).to_bytes(2, "little") * 2)


row(
    "sides of 9000, says the header",
    "a.gif",
    declared_huge,
    Refused(error="have 9000x9000 pixels; accepted are 67 million", audio=False),
)
row(
    "pixels that are not square",
    "a.mp4",
    of_size(48, 48, aspect=Fraction(4, 3)),
    Right(frames=2, size=(64, 48), colours=CLOSE),
)
for turn, times in ((90, 3), (180, 2), (270, 1)):
    row(
        f"turned by {turn}°",
        "a.mp4",
        image(rotation=-turn if turn < 180 else 360 - turn),
        Right(
            frames=5,
            size=(WIDTH, HEIGHT) if turn == 180 else (HEIGHT, WIDTH),
            colours=LOSSY,
            turned=lambda image, times=times: np.rot90(image, times),  # type: ignore[misc]
        ),
    )
row(
    "mirrored",
    "a.mp4",
    lambda p: with_matrix(write_frames(p, [fields()] * 5), -1, 0, 0, 1),
    Right(frames=5, colours=CLOSE, turned=np.fliplr),
)
row(
    "upside down",
    "a.mp4",
    lambda p: with_matrix(write_frames(p, [fields()] * 5), 1, 0, 0, -1),
    Right(frames=5, colours=CLOSE, turned=np.flipud),
)


def changing_size(path: Path) -> None:
    """Two recordings put end to end, the second larger."""
    first = write_frames(path.with_name("1.h264"), levels(10), container_format="h264", fps=25)
    second = write_frames(
        path.with_name("2.h264"), levels(20, width=128, height=96)[10:], container_format="h264"
    )
    path.write_bytes(first.read_bytes() + second.read_bytes())


row("a size that changes", "a.h264", changing_size, Right(frames=20, numbers=list(range(20))))
row(
    "interlaced, upper field first",
    "a.mkv",
    lambda p: write_interlaced(p),
    Right(frames=12, numbers=None, combed=False),
)


def write_interlaced(path: Path) -> None:
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    write_frames(path, interlaced(12), options={**options, "crf": "8"})


# -- rates and time stamps --

for rate in (
    1,
    5,
    Fraction(25, 2),
    Fraction(24_000, 1001),
    24,
    30,
    Fraction(30_000, 1001),
    48,
    50,
    Fraction(60_000, 1001),
    60,
    100,
    120,
):
    count = max(2, round(rate))
    row(
        f"{float(rate):g} frames per second",
        "a.mp4",
        lambda p, rate=rate, count=count: write_frames(p, levels(count), fps=rate),  # type: ignore[misc]
        Right(frames=count, fps=Fraction(rate), numbers=[i % 50 for i in range(count)]),
    )


def timed(times: list[float], **options: object) -> Callable[[Path], object]:
    """Frames with these time stamps, in seconds."""
    return lambda path: write_frames(path, levels(len(times)), times=times, **options)  # type: ignore[arg-type]


def steady(count: int, start: float = 0.0) -> list[float]:
    return [start + i / 25 for i in range(count)]


row("begins at -0.2 s", "a.mkv", timed(steady(20, -0.2)), Right(frames=20, numbers=list(range(20))))
row("begins at 5 s", "a.mp4", timed(steady(20, 5)), Right(frames=20, numbers=list(range(20))))
row("begins after 26 hours", "a.ts", timed(steady(20, 93_600)), Right(frames=20, numbers=list(range(20))))
row(
    "clock of 33 bits runs over",
    "a.ts",
    timed(steady(20, 2**33 / 90_000 - 0.4), container_options={"mpegts_copyts": "1"}),
    Right(frames=20, numbers=list(range(20))),
)
gap = [*range(10), *[9] * 13, *[10] * 12, *range(10, 20)]
row("a gap of a second", "a.mkv", timed([*steady(10), *steady(10, 1.4)]), Right(frames=45, numbers=gap))
row(
    "a jump of ten hours",
    "a.mkv",
    timed([*steady(10), *steady(10, 36_000)]),
    Right(frames=20, numbers=list(range(20))),
)
row(
    "no time stamps",
    "a.h264",
    lambda p: write_frames(p, levels(20), container_format="h264"),
    Right(frames=20, numbers=list(range(20))),
)


def restarted(path: Path) -> None:
    """Two concatenated recordings: the clock restarts."""
    parts = [write_frames(path.with_name(f"{i}.ts"), levels(80)[40 * i : 40 * i + 40]) for i in range(2)]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


row("a clock that restarts", "a.ts", restarted, Right(frames=80, numbers=[i % 50 for i in range(80)]))


def edited(path: Path, first: float, seconds: float) -> None:
    with_edit(write_frames(path, levels(50), options={"bf": "0", "g": "50"}), first=first, seconds=seconds)


row(
    "an edit that leaves out the first 0.4 s",
    "a.mp4",
    lambda p: edited(p, 0.4, 1.6),
    Right(frames=40, numbers=list(range(10, 50))),
)
row(
    "an edit that leaves out the end",
    "a.mp4",
    lambda p: edited(p, 0, 1.2),
    Right(frames=30, numbers=list(range(30))),
)
row(
    "an edit in the middle",
    "a.mp4",
    lambda p: edited(p, 0.4, 0.8),
    Right(frames=20, numbers=list(range(10, 30))),
)

# -- audio --

for hertz in (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000):
    row(
        f"{hertz} Hz",
        "a.wav",
        lambda p, hertz=hertz: write_audio(p, tone(1.0, rate=hertz, hz=440.0), hertz),  # type: ignore[misc]
        Right(rate=hertz, samples=hertz, level=0.5),
    )
for channels, layout in LAYOUTS.items():
    row(
        f"{channels} channels",
        "a.wav",
        lambda p, channels=channels, layout=layout: write_audio(p, chord(channels), 48_000, layout=layout),  # type: ignore[misc]
        Right(rate=48_000, samples=48_000, channels=channels, level=0.3),
    )
for codec, file, off in (
    ("pcm_u8", "a.wav", 0), ("pcm_s8", "a.aiff", 0), ("pcm_s16be", "a.aiff", 0), ("pcm_s24le", "a.wav", 0),
    ("pcm_s32le", "a.wav", 0), ("pcm_f32le", "a.wav", 0), ("pcm_f64le", "a.wav", 0), ("pcm_alaw", "a.wav", 0),
    ("pcm_mulaw", "a.au", 0), ("adpcm_ima_wav", "a.wav", 2048), ("flac", "a.flac", 0), ("alac", "a.m4a", 0),
    ("wavpack", "a.wv", 0), ("aac", "a.m4a", 1024), ("libmp3lame", "a.mp3", 1152), ("libopus", "a.opus", 960),
    ("ac3", "a.ac3", 1536), ("mp2", "a.mp2", 1152),
):  # fmt: skip
    row(
        f"{codec} in {file[1:]}",
        file,
        lambda p, codec=codec: write_audio(p, tone(1.0, rate=48_000, hz=440.0), 48_000, codec=codec),  # type: ignore[misc]
        Right(rate=48_000, samples=48_000, off_samples=off, level=0.5),
    )


def spoken(path: Path, **options: object) -> Path:
    """25 frames with a second of audio."""
    return write_frames(path, levels(25), audio=tone(1.0, rate=48_000, hz=440.0), **options)  # type: ignore[arg-type]


def jumping_back(path: Path) -> None:
    """Two half seconds put end to end, the second with the clock of 0.3 s."""
    parts = [
        write_audio(
            path.with_name(f"{i}.ts"), tone(0.5, rate=48_000, hz=440.0), 48_000, codec="mp2", starts=[start]
        )
        for i, start in enumerate((0, Fraction(3, 10)))
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


row(
    "audio 0.2 s late",
    "a.mkv",
    lambda p: spoken(p, audio_codec="pcm_s16le", audio_start=Fraction(1, 5)),
    Right(frames=25, rate=48_000, samples=48_000, numbers=list(range(25))),
)
row(
    "audio in two parts, 0.5 s between",
    "a.mkv",
    lambda p: write_audio(p, tone(1.0, rate=48_000, hz=440.0), 48_000, starts=(0, 1)),
    Right(rate=48_000, samples=72_000),
)
row(
    "audio that jumps back by 0.2 s",
    "a.ts",
    jumping_back,
    Right(rate=48_000, samples=38_400, off_samples=2304),
)
row(
    "audio that jumps by ten hours",
    "a.mkv",
    lambda p: write_audio(p, tone(1.0, rate=48_000, hz=440.0), 48_000, starts=(0, 36_000)),
    Right(rate=48_000, samples=48_000),
)
row(
    "audio alone",
    "a.wav",
    lambda p: write_audio(p, tone(1.0, rate=48_000), 48_000),
    Refused(error="has no video in it, only audio", audio=False),
)
row("video alone", "a.mp4", image(), Refused(error="has no audio in it, only video", frames=False))
row(
    "a song with a cover",
    "a.mp3",
    mp3_with_cover,
    Refused(error="has no video in it, only audio", audio=False),
)


def changing_rate(path: Path) -> None:
    parts = [
        write_audio(
            path.with_name(f"{rate}.aac"), tone(1.0, rate=rate), rate, codec="aac", container_format="adts"
        )
        for rate in (48_000, 16_000)
    ]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))


row(
    "an audio rate that changes",
    "a.aac",
    changing_rate,
    Right(rate=48_000, samples=96_000, off_samples=6144, hz=220.0),
)


def joined(codec: str, *parts: tuple[int, str]) -> Callable[[Path], object]:
    """Recordings of a second, each of a rate and a layout, put end to end."""

    def write(path: Path) -> None:
        data = b""
        for index, (rate, layout) in enumerate(parts):
            channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
            audio = np.tile(tone(1.0, rate=rate, hz=440.0), (channels, 1))
            if channels == 6:
                audio[[0, 1, 3, 4, 5]] = 0  # speech is in the centre
            part = path.with_name(f"part{index}{path.suffix}")
            data += write_audio(part, audio, rate, codec=codec, layout=layout).read_bytes()
        path.write_bytes(data)

    return write


for name, file, codec, parts, off in (
    ("stereo to 5.1 in a transport stream", "a.ts", "aac", ((48_000, "stereo"), (48_000, "5.1")), 4096),
    ("stereo to 5.1 in ADTS", "a.aac", "aac", ((48_000, "stereo"), (48_000, "5.1")), 4096),
    ("mono to stereo in a transport stream", "a.ts", "aac", ((48_000, "mono"), (48_000, "stereo")), 4096),
    ("a rate that changes in a transport stream", "a.ts", "mp2", ((48_000, "mono"), (32_000, "mono")), 4096),
    ("a rate that changes in FLAC", "a.flac", "flac", ((48_000, "mono"), (16_000, "mono")), 64),
    ("mono to stereo in FLAC", "a.flac", "flac", ((48_000, "mono"), (48_000, "stereo")), 0),
    ("chained Ogg, Opus", "a.opus", "libopus", ((48_000, "mono"), (48_000, "mono")), 960),
    ("chained Ogg, Opus, mono to stereo", "a.opus", "libopus", ((48_000, "mono"), (48_000, "stereo")), 960),
    ("chained Ogg, FLAC, another rate", "a.ogg", "flac", ((48_000, "mono"), (16_000, "mono")), 64),
    ("chained Ogg of three", "a.ogg", "flac", ((48_000, "mono"), (16_000, "stereo"), (48_000, "mono")), 64),
):
    channels = {"mono": 1, "stereo": 2}[parts[0][1]]
    row(
        name,
        file,
        joined(codec, *parts),
        Right(
            rate=48_000,
            samples=48_000 * len(parts),
            channels=channels,
            off_samples=off,
            level=0.5,
            joined=True,
        ),
    )

# -- names --

for name, file in (
    ("unicode", "Новости – 日本語 📺.mp4"),
    ("a dash at the beginning", "-o.mp4"),
    ("a very long name", f"{'n' * 251}.mp4"),
    ("a colon", "http:news.mp4"),
    ("a pattern", "news%03d.mp4"),
    ("quotes and spaces", ' it\'s "new" .mp4'),
    ("video called .wav", "a.wav"),
    ("video called .txt.bin", "a.txt.bin"),
    ("no ending", "news"),
):
    row(
        f"named with {name}",
        file,
        lambda p: spoken(p.parent / "made.mp4").rename(p),
        Right(frames=25, rate=48_000, samples=48_000, off_samples=1024, numbers=list(range(25)), level=0.5),
    )
row(
    "audio called .mp4",
    "a.mp4",
    lambda p: write_audio(p.parent / "a.wav", tone(1.0, hz=440.0), 16_000).rename(p),
    Right(rate=16_000, samples=16_000, level=0.5),
)

# -- damage --


def cut(path: Path, fraction: float) -> None:
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * fraction)])


for name, file, make in (
    ("MP4", "a.mp4", lambda p: spoken(p)),
    ("MP4, its index first", "a.mp4", lambda p: spoken(p, container_options={"movflags": "faststart"})),
    ("MKV", "a.mkv", lambda p: spoken(p)),
    ("AVI", "a.avi", lambda p: spoken(p, codec="mpeg4", audio_codec="libmp3lame")),
    ("WAV", "a.wav", lambda p: write_audio(p, tone(1.0), 16_000)),
):
    row(
        f"{name} cut short",
        file,
        lambda p, make=make: (make(p), cut(p, 0.6)),  # type: ignore[misc]
        Refused(error="is cut short: it lacks"),
    )
row(
    "FLAC cut short",
    "a.flac",
    lambda p: (write_audio(p, tone(1.0), 16_000, codec="flac"), cut(p, 0.6)),
    Refused(error="cut short|breaks off", frames=False),
)
row("empty", "a.mp4", lambda p: p.touch(), Refused(error=r"is empty \(0 bytes\)"))
row(
    "a header and nothing else",
    "a.wav",
    lambda p: (
        write_audio(p, tone(0.1), 16_000),
        p.write_bytes(p.read_bytes()[:44]),
        patched(p, 40, bytes(4)),
        patched(p, 4, b"\x24\0\0\0"),
    ),
    Refused(error="none of the audio|cannot be read|is cut short", frames=False),
)
row(
    "a script",
    "a.mp4",
    lambda p: p.write_text("Good evening.\n" * 300),
    Refused(error="cannot be read as video or audio"),
)
row(
    "an image",
    "a.png",
    lambda p: write_frames(p, [fields()], codec="png", layout="rgb24", container_format="image2"),
    Refused(error="has no audio in it", frames=False),
)
row(
    "zeros",
    "a.mp4",
    lambda p: p.write_bytes(bytes(50_000)),
    Refused(error="cannot be read as video or audio"),
)


def with_hole(path: Path) -> None:
    """A recording whose middle was overwritten: damage is skipped, the rest keeps its time."""
    write_frames(path, levels(50), options={"g": "5", "bf": "0"})
    middle = path.stat().st_size // 2
    patched(path, middle - 400, bytes(800))


row("a hole in a transport stream", "a.ts", with_hole, Right(frames=50))

# -- the table --


@pytest.fixture
def watch() -> Iterator[None]:
    """Ten seconds, and no more."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def too_long(*_: object) -> None:
        raise AssertionError(f"it takes longer than {MAX_SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_there_are_enough_rows() -> None:
    assert len({name for name, *_ in ROWS}) == len(ROWS) >= 60


@pytest.mark.parametrize(("name", "file", "make", "expected"), ROWS, ids=[name for name, *_ in ROWS])
def test_media_as_it_comes(
    tmp_path: Path,
    watch: None,
    monkeypatch: pytest.MonkeyPatch,
    tiny: Path,
    name: str,
    file: str,
    make: Callable[[Path], object],
    expected: Right | Refused,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / file
    make(path)
    if isinstance(expected, Refused):
        refused(path, expected, tiny, capsys)
        return
    if expected.frames is not None:
        check_frames(path, expected)
        check_inspection(path, monkeypatch)
    if expected.rate is None:
        assert probe(path).audio is None
    else:
        check_audio(path, expected)


def refused(path: Path, expected: Refused, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if expected.frames:
        with pytest.raises(MediaError, match=expected.error):
            list(read_frames(path))
    if expected.audio:
        with pytest.raises(NewscasterError, match=expected.error):
            read_audio(path)
        assert cli.run(["speak", "-a", str(tiny), "-o", "out.mp4", "--", path.name]) == cli.EXIT_ERROR
        shown = capsys.readouterr().err
        assert [line.split(":")[0] for line in shown.splitlines()][-1:] == ["error"]
        assert shown.count("error: ") == 1
        assert "Traceback" not in shown
        assert not Path("out.mp4").exists()


def check_frames(path: Path, expected: Right) -> None:
    frames = list(read_frames(path))
    info = probe(path).video
    assert info is not None
    if expected.frames is not None:
        assert len(frames) == expected.frames
    if expected.fps is not None:
        assert info.fps == expected.fps
    assert {frame.shape for frame in frames} == {(info.height, info.width, 3)}
    assert (info.width, info.height) == expected.size
    if expected.numbers is not None:
        assert [level_of(frame) for frame in frames] == expected.numbers
        middle = len(frames) // 2
        part = list(read_frames(path, start_frame=middle, stop_frame=middle + 3))
        np.testing.assert_array_equal(part, frames[middle : middle + 3])
    if not expected.combed:
        assert max(combing(frame) for frame in frames) < 25
        later = list(read_frames(path, start_frame=6))
        np.testing.assert_array_equal(later, frames[6:])
    if expected.colours is not None:
        width, height = expected.size
        whole = expected.turned(fields())
        assert np.array_equal(frames[0].shape[:2], (height, width))
        for place in ((0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75)):
            found = around(frames[0], *place)
            assert np.abs(found - around(whole, *place)).max() <= expected.colours, (place, found)


def around(image: YuvFrame, down: float, along: float) -> np.ndarray:
    """The mean colour around a point, in fractions of height and width."""
    height, width = image.shape[:2]
    y, x = int(down * height), int(along * width)
    reach_y, reach_x = max(1, height // 10), max(1, width // 10)
    return image[y - reach_y : y + reach_y, x - reach_x : x + reach_x].mean(axis=(0, 1))


def check_inspection(path: Path, patch: pytest.MonkeyPatch) -> None:
    """`newscaster check` inspects all frames of a file."""
    make_up_faces(patch)
    footage = read_footage(path)
    fps = choose_fps([footage.fps])
    found = inspect_file(InspectTask(footage, segments_of(footage, fps, seconds=45.0), None))
    count = sum(1 for _ in read_frames(path, fps=fps))
    count -= sum(round((stop - start) * fps) for start, stop in footage.video.gaps)
    assert sum(len(tracked.present) for tracked in found.tracked_segments) == count
    assert footage.seconds * fps == pytest.approx(count, abs=1)


def check_audio(path: Path, expected: Right) -> None:
    assert expected.rate is not None
    assert expected.samples is not None
    measure = measure_audio(path)
    assert (measure.rate, measure.channels) == (expected.rate, expected.channels)
    assert abs(measure.samples - expected.samples) <= expected.off_samples
    samples = read_audio(path)
    if probe(path).video is None:
        assert abs(len(samples) - measure.seconds * 16_000) <= 2
    spectrum = np.abs(np.fft.rfft(samples[:16_000], 16_000))
    assert int(spectrum.argmax()) == pytest.approx(expected.hz, abs=2)
    if expected.level is not None:
        middle = samples[4_000:12_000]
        assert np.sqrt(2) * middle.std() == pytest.approx(expected.level, rel=0.08)
        if expected.joined:
            end = np.sqrt(2) * samples[-12_000:-4_000].std()
            assert 0.6 * expected.level < end < 1.1 * expected.level


def test_odd_names_are_read_and_written(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a user names files: within their folder, after the options."""
    monkeypatch.chdir(tmp_path)
    write_audio(tmp_path / "audio.wav", tone(1.0), 16_000)
    for name in ("Новости 📺", "-o", "n" * 251, "http:news", "news%03d", ' it\'s "new" '):
        speech, made = Path(f"{name}.wav"), Path(f"{name}.mp4")
        shutil.copy("audio.wav", speech)
        assert cli.run(["speak", "-a", str(tiny), f"--output={made}", "--", str(speech)]) == 0
        assert sum(1 for _ in read_frames(made)) == 25
        speech.unlink()
        made.unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["audio.wav"]
