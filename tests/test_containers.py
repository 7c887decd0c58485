"""The table of containers: a new row is known wherever videos are written, sent, signed or listed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import cli, media, provenance
from newscaster.errors import InputError, OutputError
from newscaster.media import TargetVideo, containers
from newscaster.media.containers import CONTAINERS, Container
from newscaster.media.reader import SELF_CONTAINED
from tiny_anchor import speech_like, write_tiny_anchor

FPS, RATE, FRAMES = Fraction(25), 48_000, 60
FILES = [
    row
    for row in CONTAINERS
    if row.suffix is not None and row.segment_seconds is None and not row.is_sequence
]


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Container:
    """One more row: Matroska under another suffix, and with an address of its own."""
    matroska = containers.container_of(Path("x.mkv"))
    assert matroska is not None
    row = replace(matroska, suffix=".mk3d", schemes=("made-up",))
    monkeypatch.setattr(containers, "CONTAINERS", (*CONTAINERS, row))
    return row


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor")


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.6), 16_000)
    return tmp_path / "speech.wav"


def codecs(path: Path) -> dict[str, str]:
    """The kinds of streams, and what each is encoded as."""
    with av.open(str(path)) as file:
        assert file.format.name == "matroska,webm"
        return {stream.type: stream.codec_context.name for stream in file.streams}


@pytest.mark.usefixtures("made_up")
def test_speak_writes_captions_into_a_new_container_and_signs_it(
    anchor: Path, speech: Path, tmp_path: Path
) -> None:
    code = f"import sys; sys.stdout.buffer.write(open({str(speech)!r}, 'rb').read())"
    voice = ["--voice-command", shlex.join([sys.executable, "-c", code])]
    out = tmp_path / "news.mk3d"
    speak = ["speak", "-a", str(anchor), "-o", str(out), "--text", "Good evening.", "--subtitles", *voice]
    assert cli.run(speak) == 0
    assert codecs(out) == {"video": "h264", "audio": "aac", "subtitle": "srt"}
    found = provenance.verify(out, watermark=False)
    assert (found.verdict, found.sidecar) == ("untrusted", tmp_path / "news.c2pa")


@pytest.mark.usefixtures("made_up")
def test_live_video_goes_into_a_new_container_and_is_signed(
    anchor: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "news.mk3d"
    assert cli.run(["live", str(anchor), "--to", str(out), "--speech", str(speech)]) == 0
    assert "signed with a local certificate" in capsys.readouterr().err
    assert codecs(out) == {"video": "h264", "audio": "aac"}
    assert provenance.verify(out, watermark=False).sidecar == tmp_path / "news.c2pa"


def test_addresses_and_folders_of_footage_know_a_new_container(made_up: Container) -> None:
    assert media.live_container("made-up://a.example/x") == made_up
    assert media.live_container("folder/X.MK3D") == made_up
    assert media.live_container("x.mk3d", "mpegts").muxer == "mpegts"
    assert ".mk3d" in containers.footage_suffixes()


@pytest.mark.usefixtures("made_up")
def test_messages_and_helps_list_a_new_container(
    anchor: Path, speech: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OutputError, match=r"accepted are \.mp4, .*\.mk3d"):
        media.write_video(tmp_path / "x.avi", iter(()), fps=FPS, audio=None)
    with pytest.raises(OutputError, match=r"starts with .* made-up:, or a file that ends in .* \.mk3d\."):
        media.live_container("x.avi")
    (tmp_path / "x.txt").write_text("Good evening.")
    with pytest.raises(InputError, match=r"Give a video that ends in .* \.mk3d, an image or"):
        provenance.verify(tmp_path / "x.txt")
    assert cli.run(["live", str(anchor), "--to", str(tmp_path / "x.ts"), "--speech", str(speech)]) == 0
    assert "only finished files: here .mp4, .m4v, .mov, .mkv, .webm or .mk3d" in capsys.readouterr().err
    for command in ("speak", "demo", "live"):
        assert cli.run([command, "--help"]) == 0
        assert ".mk3d" in capsys.readouterr().out, command


def test_helps_list_what_is_accepted(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["speak", "--help"]) == 0
    assert "Video to write (.mp4, .m4v, .mov, .mkv, .webm or .png)." in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.fixture(scope="module")
def target() -> TargetVideo:
    return TargetVideo(media.encode_target(moving_pattern(FRAMES, width=96, height=64), FPS))


@pytest.mark.parametrize("row", FILES, ids=lambda row: str(row.suffix))
def test_live_files_can_be_played_as_far_as_they_are_written(
    row: Container, target: TargetVideo, tmp_path: Path
) -> None:
    def items() -> Iterator[media.LiveItem]:
        for index in range(FRAMES):
            yield target.image(index), np.zeros(RATE // 25, np.float32)

    path = tmp_path / f"x{row.suffix}"
    media.write_live(str(path), items(), fps=FPS, rate=RATE, metadata={"title": "Ada", "made_by": "us"})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    shown = 0
    with av.open(str(path)) as file:
        for packet in file.demux(file.streams.video[0]):
            shown += len(packet.decode())
            if shown >= 20:
                break
    assert shown >= 20


@pytest.mark.parametrize("row", FILES, ids=lambda row: str(row.suffix))
def test_what_is_written_can_be_read(row: Container) -> None:
    """Files of containers that `reader` does not accept could be neither verified nor learnt from."""
    assert row.muxer.replace("mp4", "mov") in SELF_CONTAINED["format_whitelist"].split(",")


def test_suffixes_and_addresses_name_one_container_each() -> None:
    suffixes = [row.suffix for row in CONTAINERS if row.suffix is not None]
    assert len(set(suffixes)) == len(suffixes)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in suffixes)
    assert len(set(containers.live_schemes())) == len(containers.live_schemes())
    for row in CONTAINERS:
        assert row.muxer in av.formats_available
        assert row.media_type is not None or row.manifest is None  # C2PA is told it
        assert (
            row.file_options is None or row.subtitle_codec is not None or row.is_sequence
        )  # `speak --subtitles`
        assert row.common_tags is None or "movflags" in (row.file_options or {})


@pytest.mark.parametrize(
    ("suffixes", "text"), [((".a",), ".a"), ((".a", ".b"), ".a or .b"), ((".a", ".b", ".c"), ".a, .b or .c")]
)
def test_lists_in_sentences(suffixes: tuple[str, ...], text: str) -> None:
    assert containers.listed(suffixes) == text
