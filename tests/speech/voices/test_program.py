"""Programs as voices: small Python programs here."""

from __future__ import annotations

import shlex
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from newscaster.errors import InputError, SpeechError
from newscaster.speech.voices.program import ProgramVoice

SPEAK = """
import io, sys, wave
text = sys.stdin.read()
out = io.BytesIO()
with wave.open(out, "wb") as file:
    file.setnchannels(2)
    file.setsampwidth(2)
    file.setframerate(11025)
    file.writeframes(len(text.encode()) * b"\\x00\\x40\\x00\\x20")
sys.stdout.buffer.write(out.getvalue())
"""


def program(code: str, tmp_path: Path) -> str:
    path = tmp_path / "a voice.py"
    path.write_text(code, encoding="utf-8")
    return shlex.join([sys.executable, str(path)])


def test_a_sentence_becomes_audio(tmp_path: Path) -> None:
    samples, rate = ProgramVoice(program(SPEAK, tmp_path)).say("Grüß Gott.", speed=1.0)
    assert rate == 11_025
    np.testing.assert_array_equal(samples, np.full(len("Grüß Gott.\n".encode()), 0.375, np.float32))


def test_no_shell_sees_the_command(tmp_path: Path) -> None:
    command = program("import sys; sys.exit('args: ' + ' '.join(sys.argv[1:]))", tmp_path)
    with pytest.raises(SpeechError, match=r"exit code 1 at the sentence 'Hi\.' \(args: \$HOME ; \* a  b\)"):
        ProgramVoice(f"{command} '$HOME' ';' '*' 'a  b'").say("Hi.", speed=1.0)


def test_commands_that_cannot_be_started(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("no program")
    for command, message in (
        ("", "is empty"),
        ("  ", "is empty"),
        ("say 'so", r"cannot be parsed \(No closing quotation\)"),
        ("no-such-program-here -x", "there is no program 'no-such-program-here'"),
        (str(tmp_path / "plain"), "there is no program"),
    ):
        with pytest.raises(InputError, match=message):
            ProgramVoice(command)
    (tmp_path / "plain").chmod(0o755)
    with pytest.raises(SpeechError, match="cannot be started"):
        ProgramVoice(str(tmp_path / "plain")).say("Hi.", speed=1.0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("", r"wrote no WAV file .* \(it wrote nothing\)"),
        ("print('good evening')", r"wrote no WAV file .* starts with b'good evening\\n'"),
        ("import sys; print('one\\ntwo\\n', file=sys.stderr); sys.exit(3)", r"exit code 3 .* \(two\)"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    ],
)
def test_programs_that_fail(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(SpeechError, match=message):
        ProgramVoice(program(code, tmp_path)).say("Hi.", speed=1.0)


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(60)",
        "import sys, time; sys.stdout.close(); time.sleep(60)",
        # What it started holds the pipe, too.
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
    ],
)
def test_programs_that_hang(tmp_path: Path, code: str) -> None:
    began = time.perf_counter()
    with pytest.raises(SpeechError, match=r"took longer than 0\.5 s at the sentence 'Hi\.'"):
        ProgramVoice(program(code, tmp_path), limit_seconds=0.5).say("Hi.", speed=1.0)
    assert time.perf_counter() - began < 30


def test_programs_that_never_stop_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.speech.voices.program._MAX_WAV_BYTES", 1 << 20)
    code = "import sys\nwhile True: sys.stdout.buffer.write(bytes(65536))"
    with pytest.raises(SpeechError, match="wrote more than 1 MiB"):
        ProgramVoice(program(code, tmp_path)).say("Hi.", speed=1.0)


def test_programs_that_do_not_read(tmp_path: Path) -> None:
    code = "import sys; sys.stdin.close()\n" + SPEAK.replace("sys.stdin.read()", "'abc'")
    assert len(ProgramVoice(program(code, tmp_path)).say("Hi.", speed=1.0)[0]) == 3
