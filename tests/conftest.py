"""What all tests share: small media and a tiny anchor, the example footage, and marks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from making_media import SPEECH_RATE, moving_pattern, tone
from newscaster import provenance
from newscaster.media import write_video, write_wav
from newscaster.speech.encoder import SpeechEncoder, load_encoder
from newscaster.speech.voice_activity import VoiceActivity, load_voice_activity
from no_network import watch_beyond_this_machine
from tiny_anchor import speech_like, write_tiny_anchor

_own_home = pytest.StashKey[TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """No test leaves this machine; tests sign with a local certificate of their own, not with the user's."""
    watch_beyond_this_machine()
    config.stash[_own_home] = TemporaryDirectory(prefix="newscaster-home-")
    os.environ["NEWSCASTER_HOME"] = config.stash[_own_home].name
    for name in ("NEWSCASTER_SIGN_CERT", "NEWSCASTER_SIGN_KEY"):
        os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_own_home].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `data` and `cuda` where what they need is missing, with the reason."""
    folder = _data_folder()
    for item in items:
        if item.get_closest_marker("data") and not folder.is_dir():
            item.add_marker(pytest.mark.skip(reason=f"no example footage in '{folder}' (NEWSCASTER_DATA)"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") is None:
        return
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        if os.environ.get("NEWSCASTER_REQUIRE_CUDA"):
            pytest.fail("NEWSCASTER_REQUIRE_CUDA is set, and there is no CUDA device")
        pytest.skip("needs an NVIDIA GPU")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Below all else, what became of the browser tests: those that are skipped are easily overlooked."""
    yield
    _report_browser_tests(terminalreporter)


def _report_browser_tests(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, int] = {}
    reasons: set[str] = set()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            if "browser" in getattr(report, "keywords", ()):  # reports of collection have none
                counts[outcome] = counts.get(outcome, 0) + 1
                if outcome == "skipped":
                    reasons.add(str(report.longrepr[2]).removeprefix("Skipped: "))
    if not counts:
        return
    why = f": {'; '.join(sorted(reasons))}" if reasons else ""
    if counts.keys() == {"skipped"}:
        terminalreporter.write_line(f"browser tests: SKIPPED{why}", yellow=True, bold=True)
    else:
        numbers = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
        terminalreporter.write_line(f"browser tests: {numbers}{why}", bold=True)


def _data_folder() -> Path:
    named = os.environ.get("NEWSCASTER_DATA")
    return Path(named) if named else Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The example footage; a test that asks for it is skipped where it is absent."""
    folder = _data_folder()
    if not folder.is_dir():
        pytest.skip(f"no example footage in '{folder}' (NEWSCASTER_DATA)")
    return folder


ClipMaker = Callable[..., Path]


@pytest.fixture
def make_clip(tmp_path: Path) -> ClipMaker:
    """A function that writes a small MP4 of a moving pattern and a tone, and returns its path.

    make_clip(frames=25, fps=25, width=96, height=64, sound=True, name="clip.mp4")
    """

    def make(
        *,
        frames: int = 25,
        fps: int | Fraction = 25,
        width: int = 96,
        height: int = 64,
        audio: bool = True,
        name: str = "clip.mp4",
    ) -> Path:
        path = tmp_path / name
        wav = None
        if audio:
            wav = tmp_path / f"{path.stem}-sound.wav"
            write_wav(wav, tone(frames / float(fps)), SPEECH_RATE)
        write_video(
            path, moving_pattern(frames, width=width, height=height), fps=Fraction(fps), audio=wav, crf=12
        )
        return path

    return make


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """1.3 s of speech at 16 kHz, in the test's folder."""
    write_wav(tmp_path / "speech.wav", speech_like(1.3), SPEECH_RATE)
    return tmp_path / "speech.wav"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The file of a tiny anchor, which no test changes."""
    path = write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor")
    content = path.read_bytes()
    yield path
    assert path.read_bytes() == content


@pytest.fixture(scope="session")
def local_certificate() -> None:
    """Make the local certificate before commands sign with it: making it takes time and is logged."""
    provenance.find_credentials(None)


@pytest.fixture(scope="session")
def activity() -> VoiceActivity:
    return load_voice_activity()


@pytest.fixture(scope="session")
def encoder() -> SpeechEncoder:
    return load_encoder(threads=1)
