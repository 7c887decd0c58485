"""docs/extending.md, followed step by step in a copy of the package."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

import newscaster
from footage import babble, write_footage
from newscaster.media import probe, write_wav

pytest.importorskip("torch")
pytest.importorskip("onnx")

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "extending.md"
PACKAGE = Path(newscaster.__file__).parent


@dataclass(frozen=True)
class Section:
    """One section of the page: files and changes by path, and commands."""

    files: dict[str, str]
    changes: list[tuple[str, str]]
    commands: list[list[str]]


needs_containers = pytest.mark.skipif(
    not (PACKAGE / "media" / "containers.py").is_file(), reason="there is no table of containers"
)


def sections() -> dict[str, Section]:
    """The sections of the page by their headings."""
    found = {}
    for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]:
        heading = part.partition("\n")[0]
        blocks = re.findall(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', part, re.M | re.S)
        assert {kind for kind, _, _ in blocks} <= {"python", "diff", "sh"}, heading
        assert all(bool(title) == (kind != "sh") for kind, title, _ in blocks), heading
        found[heading] = Section(
            {title: code for kind, title, code in blocks if kind == "python"},
            [(title, code) for kind, title, code in blocks if kind == "diff"],
            [shlex.split(line) for kind, _, code in blocks if kind == "sh" for line in code.splitlines()],
        )
    return found


def changed(text: str, difference: str) -> str:
    """A text after a difference in unified form, whose context is in the text once."""
    lines = difference.splitlines()
    assert {line[:1] for line in lines} <= {" ", "+", "-"}
    before, after = ("".join(f"{line[1:]}\n" for line in lines if line[0] in kinds) for kinds in (" -", " +"))
    assert text.count(before) == 1, f"the page shows lines that are not in the file:\n{before}"
    return text.replace(before, after)


@dataclass(frozen=True)
class Extended:
    """A copy of the package with all that the page adds, and a folder to work in."""

    sources: Path
    work: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python with the copy on its path."""
        path = os.pathsep.join([str(self.sources), str(TESTS)])
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.work,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done

    def command(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command of the page; footage is trained on with made-up faces."""
        program, name, *_ = words
        assert program == "newscaster"
        if name == "train":
            return self.run(str(TESTS / "extended_cli.py"), *words[1:])
        return self.run("-m", "newscaster", *words[1:])


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Extended:
    folder = tmp_path_factory.mktemp("extended")
    copy, work = folder / "src" / "newscaster", folder / "work"
    ignored = shutil.ignore_patterns("__pycache__", "data")
    shutil.copytree(PACKAGE, copy, ignore=ignored)
    (copy / "data").symlink_to(PACKAGE / "data")
    work.mkdir()
    for section in sections().values():
        for title, code in section.files.items():
            path = folder / title if title.startswith("src/") else work / title
            assert not path.exists(), f"{title} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
        for title, difference in section.changes:
            path = folder / title
            if path.name == "containers.py" and not path.is_file():
                continue
            path.write_text(changed(path.read_text(encoding="utf-8"), difference), encoding="utf-8")
    (work / "footage").mkdir()
    for index in range(2):
        write_footage(work / "footage" / f"{index}.mp4", seconds=2.2)
    write_wav(work / "speech.wav", babble(1.2), 16_000)
    return Extended(folder / "src", work)


@pytest.fixture(scope="module")
def anchor(extended: Extended) -> Path:
    """The anchor that the page trains first."""
    train, *_ = sections()["A renderer"].commands
    extended.command(train)
    return extended.work / "ada.anchor"


@pytest.mark.parametrize("heading", [name for name in sections()])
def test_one_thing_takes_two_files(heading: str) -> None:
    section = sections()[heading]
    sources = {title for title in (*section.files, *dict(section.changes)) if title.startswith("src/")}
    assert 1 <= len(sources) <= 2


@pytest.mark.slow
def test_a_renderer(extended: Extended, anchor: Path) -> None:
    _, speak = sections()["A renderer"].commands
    extended.command(speak)
    assert probe(extended.work / "tinted.mp4").video is not None
    # It is the toy's network, which the package here does not know, and speaks without it.
    opened = newscaster.open(anchor)
    frames = list(opened.render(babble(1.0)))
    assert len(frames) == 25
    code = (
        "from pathlib import Path; from newscaster.models.renderer.training import load_renderer\n"
        "from newscaster.models.tinted import START\n"
        "(run,) = Path('ada.work').glob('rendering-*')\n"
        "network = load_renderer(run, renderer='tinted')\n"
        "print(type(network).__name__, network.colors.tolist() != START)"
    )
    assert extended.run("-c", code).stdout.split() == ["TintedFace", "True"]


def test_a_speech_feature(extended: Extended) -> None:
    extended.run("loudness_demo.py")
    code = """
import sys
from pathlib import Path
import newscaster
from footage import babble
from tiny_anchor import write_tiny_anchor
for kind in ("loudness", "whisper+loudness"):
    anchor = newscaster.open(write_tiny_anchor(Path(f"{kind}.anchor"), features=kind))
    assert anchor.info.features.kind == kind
    assert len(list(anchor.render(babble(1.0)))) == 25
"""
    extended.run("-c", code)


@pytest.mark.slow
@needs_containers
def test_a_container(extended: Extended, anchor: Path) -> None:
    speak, verify = sections()["A container"].commands
    extended.command(speak)
    assert "news.c2pa" in extended.command(verify).stdout
    with av.open(str(extended.work / "news.nut")) as file:
        assert file.format.name == "nut"
        assert [stream.codec_context.name for stream in file.streams] == ["h264", "aac"]
        assert sum(1 for _ in file.decode(video=0)) == 30


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets here")
@needs_containers
def test_a_live_transport(extended: Extended, anchor: Path) -> None:
    (live,) = sections()["A live transport"].commands
    received: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        place = os.getcwd()
        os.chdir(extended.work)  # addresses of Unix sockets are short
        try:
            server.bind("news.sock")
        finally:
            os.chdir(place)
        server.listen()

        def receive() -> None:
            connection, _ = server.accept()
            with connection:
                while piece := connection.recv(1 << 16):
                    received.append(piece)

        receiving = threading.Thread(target=receive, daemon=True)
        receiving.start()
        extended.command(live)
        receiving.join(10)
    data = b"".join(received)
    assert len(data) > 10_000
    assert set(data[::188]) == {0x47}  # each packet of a transport stream begins so


def test_a_voice(extended: Extended, anchor: Path) -> None:
    (speak,) = sections()["A voice"].commands
    extended.command(speak)
    about = probe(extended.work / "tones.mp4")
    assert about.audio is not None
    assert about.video is not None
