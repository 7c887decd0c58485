"""Names whose bytes are not UTF-8, for every option that takes one; texts whose bytes are not."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from newscaster import cli, media
from newscaster.cli.commands import cli as commands
from newscaster.formats.anchor import AnchorFile
from newscaster.provenance import verify
from newscaster.texts import quoted, without_escapes, write_raw_names
from signing import write_certificate
from tiny_anchor import speech_like, write_tiny_anchor

pytestmark = pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are Unicode there")
CAFE = os.fsdecode(b"caf\xe9")
VOICE = f"{sys.executable} -c 'import sys; sys.stdout.buffer.write(open(sys.argv[1], \"rb\").read())'"


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of such a name that holds an anchor, speech, a script and a certificate of such names."""
    outside = tmp_path_factory.mktemp("names")  # pytest names a test's own folder after its parameters
    folder = outside / f"{CAFE}s"
    folder.mkdir()
    write_tiny_anchor(folder / f"{CAFE}.anchor")
    media.write_wav(folder / f"{CAFE}.wav", speech_like(0.6), 16_000)
    (folder / f"{CAFE}.txt").write_text("Good evening.", encoding="utf-8")
    for path, name in zip(write_certificate(outside / "c"), ("chain", "key", "authority"), strict=True):
        shutil.copy(path, folder / f"{name}{CAFE}.pem")
    (folder / f"jobs{CAFE}.csv").write_text("text\nHello.\n")
    return folder


Run = Callable[[list[str]], tuple[int, bytes, bytes]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with standard output and error as `main` sets them up: exit code, and what it wrote."""

    def in_process(arguments: list[str]) -> tuple[int, bytes, bytes]:
        buffers = io.BytesIO(), io.BytesIO()
        with monkeypatch.context() as patch:
            files = [io.TextIOWrapper(buffer, "utf-8") for buffer in buffers]
            for name, file in zip(("stdout", "stderr"), files, strict=True):
                write_raw_names(file)
                patch.setattr(sys, name, file)
            code = cli.run(arguments)
            for file in files:
                file.flush()
        return code, *(buffer.getvalue() for buffer in buffers)

    return in_process


def named(folder: Path, arguments: list[str]) -> list[str]:
    voice = f"{VOICE} {folder / f'{CAFE}.wav'}"
    parts = (part.replace("VOICE", voice).replace("FOLDER", str(folder)) for part in arguments)
    return [part.replace("CAFE", CAFE) for part in parts]


SPEAK = ["speak", "FOLDER/CAFE.wav", "-a", "FOLDER/CAFE.anchor", "-o"]
READ = ["speak", "FOLDER/CAFE.txt", "-a", "FOLDER/CAFE.anchor", "--voice-command", "VOICE", "-o"]
LIVE = ["live", "FOLDER/CAFE.anchor", "--speech", "FOLDER/CAFE.wav", "--to"]
DUB = ["dub", "-a", "FOLDER/CAFE.anchor", "-o", "FOLDER/out.mp4"]
SAY = ["speak", "-a", "FOLDER/CAFE.anchor", "-o", "FOLDER/out.mp4", "--text"]
TRAIN = ["train", "FOLDER/CAFE.wav", "-o", "FOLDER/out.anchor", "--consent"]


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        ([*SPEAK, "FOLDER/newsCAFE.mp4"], ["newsCAFE.mp4"]),
        ([*SPEAK, "FOLDER/newsCAFE.m4v"], ["newsCAFE.m4v"]),
        ([*SPEAK, "FOLDER/newsCAFE.mov"], ["newsCAFE.mov"]),
        ([*SPEAK, "FOLDER/newsCAFE.mkv"], ["newsCAFE.mkv", "newsCAFE.c2pa"]),
        ([*SPEAK, "FOLDER/newsCAFE.mp4", "--motion", "FOLDER/mCAFE.npz"], ["mCAFE.npz"]),
        ([*SPEAK, "FOLDER/newsCAFE.mp4", "--keep-speech", "FOLDER/sCAFE.wav"], ["sCAFE.wav"]),
        ([*SPEAK, "FOLDER/newsCAFE.mp4", "--sign", "FOLDER/chainCAFE.pem", "FOLDER/keyCAFE.pem"], []),
        ([*READ, "FOLDER/newsCAFE.mp4", "--captions", "FOLDER/cCAFE.srt"], ["cCAFE.srt"]),
        ([*READ, "FOLDER/newsCAFE.mkv", "--captions", "FOLDER/cCAFE.vtt", "--subtitles"], ["cCAFE.vtt"]),
        ([*LIVE, "FOLDER/lCAFE.mp4"], ["lCAFE.mp4"]),
        ([*LIVE, "FOLDER/lCAFE.ts"], ["lCAFE.ts"]),
        ([*LIVE, "FOLDER/lCAFE.m3u8"], ["lCAFE.m3u8"]),
        (["live", "-a", *LIVE[1:], "FOLDER/lCAFE.mkv"], ["lCAFE.mkv"]),
        (["demo", *SPEAK[2:], "FOLDER/newsCAFE.mp4", "--speech", "FOLDER/CAFE.wav"], ["newsCAFE.mp4"]),
        (["info", "FOLDER/CAFE.anchor"], []),
        (["info", "FOLDER/CAFE.anchor", "--json"], []),
        (["withdraw", "FOLDER/CAFE.anchor"], []),
        (["read", "FOLDER/CAFE.txt", "--voice-command", "VOICE"], []),
        (["clips", "FOLDER/CAFE.anchor"], []),
    ],
    ids=lambda value: "" if not value else value[0].split("/")[-1],
)  # fmt: skip
def test_such_names(folder: Path, run: Run, arguments: list[str], written: list[str]) -> None:
    code, _, errors = run(named(folder, arguments))
    assert code == 0, errors
    for name in named(folder, written):
        assert (folder / name).stat().st_size
    assert not list(folder.glob(".*"))
    assert all(b"\xe9" in os.fsencode(path.name) for path in folder.iterdir() if path.suffix != ".ts")
    for name in ("newsCAFE.mp4", "newsCAFE.mkv", "lCAFE.mp4"):
        if (video := folder / name.replace("CAFE", CAFE)).exists():
            found = verify(video, trust=folder / f"authority{CAFE}.pem", watermark=False)
            assert found.holds
            assert found.statement is not None
            assert found.statement.title == name.replace("CAFE", "caf�")


def test_long_names(folder: Path, run: Run) -> None:
    for stem in (CAFE * 50, "é" * 120):
        out = folder / f"{stem}.mp4"
        assert run(named(folder, [*SPEAK, str(out)]))[0] == 0
        assert out.stat().st_size


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "FOLDER/noCAFE.mp4"],
        ["verify", "FOLDER/CAFE.wav", "--trust", "FOLDER/noCAFE.pem"],
        ["info", "FOLDER/noCAFE.anchor"],
        ["withdraw", "FOLDER/noCAFE.anchor"],
        ["speak", "FOLDER/noCAFE.wav", "-a", "FOLDER/CAFE.anchor", "-o", "FOLDER/out.mp4"],
        ["speak", "FOLDER/noCAFE.txt", "-a", "FOLDER/CAFE.anchor", "-o", "FOLDER/out.mp4"],
        [*SPEAK, "FOLDER/noCAFE/out.mp4"],
        [*SPEAK, "FOLDER/out.CAFE"],
        [*SPEAK, "FOLDER/out.mp4", "--sign", "FOLDER/noCAFE.pem", "FOLDER/keyCAFE.pem"],
        [*SPEAK, "FOLDER/out.mp4", "--timestamp", "http://CAFE/"],
        [*SPEAK, "FOLDER/out.mp4", "--label", "CAFE"],
        [*SPEAK, "FOLDER/out.mp4", "--title", "CAFE"],
        [*SPEAK, "FOLDER/out.mp4", "--background", "CAFE"],
        [*SPEAK, "FOLDER/out.mp4", "--background", "FOLDER/noCAFE.jpg"],
        [*SAY, "CAFE", "--captions", "FOLDER/out.srt"],
        [*SAY, "CAFE", "--voice-command", "VOICE"],
        [*READ[:4], "-o", "FOLDER/out.mp4", "--voice", "CAFE"],
        [*READ[:4], "-o", "FOLDER/out.mp4", "--voice", "FOLDER/CAFE.onnx"],
        [*READ[:4], "-o", "FOLDER/out.mp4", "--voice-command", "FOLDER/CAFE"],
        [*READ, "FOLDER/out.mp4", "--language", "CAFE"],
        [*READ, "FOLDER/out.mp4", "--pronunciations", "FOLDER/noCAFE.txt"],
        ["read", "FOLDER/noCAFE.txt"],
        ["read", "--text", "CAFE"],
        ["read", "--text", "Good evening.", "--voice", "CAFE"],
        ["read", "--text", "Good evening.", "--voice-command", "'CAFE"],
        ["read", "FOLDER/CAFE.txt", "--voice-command", "VOICE", "--pronunciations", "FOLDER/noCAFE.txt"],
        ["demo", "--text", "CAFE", "-o", "FOLDER/out.mp4"],
        [*LIVE[:2], "--to", "FOLDER/out.mp4", "--text", "CAFE", "--voice-command", "VOICE"],
        [*LIVE, "FOLDER/out.mp4", "--label", "CAFE"],
        [*LIVE, "FOLDER/out.mp4", "--title", "CAFE"],
        [*LIVE, "CAFE://out"],
        [*LIVE, "FOLDER/out.mp4", "--format", "CAFE"],
        [*SAY, "Good evening.", "--voice-command", "'CAFE"],
        [*SAY, "Good evening.", "--voice-command", "false CAFE"],
        [*SAY, "Good evening.", "--voice", "CAFE", "--voice-command", "CAFE"],
        ["speak", "FOLDER/CAFE.wav", "-a", "CAFE", "-o", "FOLDER/out.mp4"],
        ["evaluate", "FOLDER/CAFE.anchor", "FOLDER/CAFE.wav", "--timestamp", "http://CAFE/"],
        ["check", "FOLDER/noCAFE.mp4"],
        ["batch", "FOLDER/noCAFE.csv", "--to", "FOLDER/CAFE"],
        ["batch", "FOLDER/jobsCAFE.csv", "--to", "FOLDER/CAFE", "--ray", "CAFE"],
        ["train", "FOLDER/noCAFE.mp4", "-o", "FOLDER/out.anchor", "--consent", "Ada agreed"],
        [*TRAIN, "CAFE"],
        [*TRAIN, "Ada agreed", "--name", "CAFE"],
        [*TRAIN, "Ada agreed", "--attribution", "CAFE"],
        [*TRAIN, "Ada agreed", "--fps", "CAFE"],
        [*TRAIN, "Ada agreed", "--clip", "CAFE=0-1"],
        ["clips", "FOLDER/CAFE.anchor", "--add", "CAFE=0-1"],
        ["clips", "FOLDER/CAFE.anchor", "--remove", "CAFE"],
        ["clips", "FOLDER/CAFE.anchor", "FOLDER/noCAFE.mp4", "--add", "nod=0-1"],
        ["withdraw", "FOLDER/CAFE.anchor", "--reason", "CAFE"],
        [*DUB, "FOLDER/noCAFE.mp4", "--cache", "FOLDER/CAFE"],
        [*DUB, "FOLDER/CAFE.wav", "--title", "CAFE"],
        [*DUB, "FOLDER/CAFE.wav", "--title", "Ada", "--subtitle", "CAFE"],
        [*DUB, "FOLDER/CAFE.wav", "--script", "FOLDER/noCAFE.srt"],
        ["evaluate", "FOLDER/noCAFE.anchor", "FOLDER/CAFE.wav", "--save-videos", "FOLDER/CAFE"],
        ["evaluate", "FOLDER/CAFE.anchor", "FOLDER/noCAFE.mp4"],
        ["serve", "FOLDER/noCAFE.anchor", "--data-dir", "FOLDER/CAFE"],
        ["serve", "FOLDER/CAFE.anchor", "--token", "CAFECAFECAFE"],
        ["serve", "FOLDER/CAFE.anchor", "--host", "CAFE", "--token", "a" * 12],
        ["serve", "FOLDER/CAFE.anchor", "--origin", "http://CAFE"],
        ["serve", "FOLDER/CAFE.anchor", "--allow-host", "CAFE"],
        ["serve", "FOLDER/CAFE.anchor", "--instance", "CAFE"],
        ["serve", "FOLDER/CAFE.anchor", "--turn", "turn:CAFE"],
        ["serve", "FOLDER/CAFE.anchor", "--timestamp", "http://CAFE/"],
    ],
    ids=lambda value: "" if not value else value[0].split("/")[-1],
)  # fmt: skip
def test_one_line_if_such_names_and_texts_cannot_be_used(
    folder: Path, run: Run, arguments: list[str]
) -> None:
    before = sorted(folder.iterdir())
    code, _, errors = run(named(folder, arguments))
    assert code == 2
    (line,) = errors.splitlines()
    assert line.startswith(b"error: ")
    assert b"\\udc" not in line  # an escape of Python, of no use to users
    assert sorted(path for path in folder.iterdir() if path.name != CAFE) == before


@pytest.mark.parametrize(
    "arguments",
    [
        [*SAY, "Good evening.", "--speed", "CAFE"],
        [*SAY, "Good evening.", "--backend", "CAFE"],
        ["speak", "--CAFE"],
        ["CAFE"],
    ],
    ids=lambda value: value[-2] if len(value) > 2 else value[-1].strip("-"),
)
def test_wrong_usage_shows_no_escapes(folder: Path, run: Run, arguments: list[str]) -> None:
    code, _, errors = run(named(folder, arguments))
    assert code == 2
    assert b"\\udc" not in errors
    assert "caf\ufffd".encode() in errors or b"caf\xe9" in errors


def test_values_in_messages() -> None:
    assert quoted(f"{CAFE}\n") == "'caf\ufffd\\n'"
    assert quoted("\ud800") == "'\ufffd'"  # JSON can hold it
    assert quoted(3) == "3"
    assert without_escapes(f"[Errno 2] {CAFE!r}") == "[Errno 2] 'caf\ufffd'"
    assert without_escapes(repr("a\\udce9")) == repr("a\\udce9")  # six characters of the name's own


def _text_parameters(command: click.Command) -> set[str]:
    texts = (click.Path, click.types.StringParamType)
    flags = {option.name for option in command.params if isinstance(option, click.Option) and option.is_flag}
    parameters = (parameter for parameter in command.params if parameter.name not in flags)
    return {parameter.opts[-1] for parameter in parameters if isinstance(parameter.type, texts)}


def test_every_option_that_takes_a_name_or_a_text_is_tried() -> None:
    tried = " ".join(
        part
        for mark in (
            test_such_names.pytestmark,  # type: ignore[attr-defined]
            test_one_line_if_such_names_and_texts_cannot_be_used.pytestmark,  # type: ignore[attr-defined]
        )
        for case in mark[0].args[1]
        for part in (case[0] if isinstance(case, tuple) else case)
    )
    pages = {"--report", "--json", "--work-dir", "--target"}  # of commands that need footage: see below
    for name, command in commands.commands.items():
        for option in _text_parameters(command) - pages:
            if option.startswith("--") and option not in ("--anchor", "--output"):
                assert option in tried, (name, option)


@pytest.mark.slow
def test_every_stream_takes_such_names(folder: Path) -> None:
    info = [sys.executable, "-m", "newscaster.cli", "info", str(folder / f"{CAFE}.anchor")]
    for encoding in ("utf-8:strict", "ascii:strict", "latin-1:strict"):
        environment = {**os.environ, "PYTHONIOENCODING": encoding}
        missing = subprocess.run([*info[:-1], f"{folder}/é no.anchor"], capture_output=True, env=environment)
        assert missing.returncode == 2
        assert missing.stderr.count(b"\n") == 1
        assert b"caf\xe9s" in missing.stderr
        found = subprocess.run([*info, "--json"], capture_output=True, env=environment)
        assert (found.returncode, found.stderr) == (0, b"")
        if encoding.startswith("utf-8"):
            assert json.loads(found.stdout.decode())["path"].endswith("caf�.anchor")


def test_json_of_verify(folder: Path, run: Run) -> None:
    out = folder / f"{CAFE}.mkv"
    assert run(named(folder, [*SPEAK, str(out)]))[0] == 0
    code, output, _ = run(["verify", str(out), "--json"])
    assert code == 0
    facts: dict[str, Any] = json.loads(output.decode())
    assert facts["path"].endswith("caf�.mkv")
    assert facts["sidecar"].endswith("caf�.c2pa")


def test_a_page_of_such_a_name(tmp_path: Path) -> None:
    from newscaster.reports.page import write_page

    page: Callable[[], str] = lambda: f"<p>{CAFE}.mp4"  # noqa: E731
    write_page(tmp_path / f"{CAFE}.html", page)
    assert (tmp_path / f"{CAFE}.html").read_text(encoding="utf-8") == "<p>caf�.mp4"


def test_an_anchors_own_name(folder: Path) -> None:
    assert AnchorFile(folder / f"{CAFE}.anchor").info.name == "Tiny"
