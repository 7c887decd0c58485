"""Messages of the library in the words of the command line."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from newscaster import cli, media
from newscaster.cli.commands import cli as commands
from newscaster.cli.option_names import named_here, with_option_names
from tiny_anchor import speech_like, write_tiny_anchor

TO = ["-o", "A", "--consent", "Ada agreed."]


@pytest.mark.parametrize(
    ("command", "text", "expected"),
    [
        ("speak", "target_start is 9; expected 0 to 4", "--target-start is 9; expected 0 to 4"),
        ("speak", "look_ahead_ms is 30", "--look-ahead is 30"),
        ("train", "minutes, clips are given, but", "--minutes, --clip are given, but"),
        ("train", "devices or nodes is given", "--devices or --nodes is given"),
        ("train", "face=3 was requested", "--face 3 was requested"),
        (
            "dub",
            "select the face: face=0 (leftmost), face=1",
            "select the face: --face 0 (leftmost), --face 1",
        ),
        ("dub", "mix_db is 99", "--mix is 99"),
        ("check", "'face=3.mp4' shows 2 faces; face=1", "'face=3.mp4' shows 2 faces; --face 1"),
        (
            "check",
            "the video's 'face=3' and a person's face=1",
            "the video's 'face=3' and a person's --face 1",
        ),
        ("speak", "the speed is 9", "the speed is 9"),
        ("speak", "there are minutes=3 and speed", "there are minutes=3 and speed"),
        ("info", "face=3 was requested", "face=3 was requested"),
    ],
)
def test_names(command: str, text: str, expected: str) -> None:
    assert with_option_names(text, commands.commands[command]) == expected


def test_outside_of_a_command_nothing_changes() -> None:
    assert named_here("face=3") == "face=3"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["speak", "WAV", "-a", "ANCHOR", "-o", "OUT", "--target-start", "999"], "--target-start is 999"),
        (["live", "ANCHOR", "--speech", "WAV", "--to", "OUT", "--target-start", "999"], "--target-start is"),
        (["speak", "WAV", "-a", "ANCHOR", "-o", "OUT", "--look-ahead", "30"], "--look-ahead is 30"),
        (["speak", "WAV", "-a", "ANCHOR", "-o", "OUT", "--openness", "9"], "--openness is 9"),
        (["speak", "--text", "x", "-a", "ANCHOR", "-o", "OUT", "--speed", "9"], "--speed is 9"),
        (["dub", "WAV", "WAV", "-a", "ANCHOR", "-o", "OUT", "--mix", "99"], "--mix is 99"),
        (["train", "PHOTO", *TO, "--minutes", "3", "--clip", "nod=0-1"], "--minutes, --clip are given"),
        (["train", "WAV", *TO, "--minutes", "0"], "--minutes is 0"),
    ],
)  # fmt: skip
def test_errors_name_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    media.write_wav(tmp_path / "speech.wav", speech_like(0.5), 16_000)
    places = {
        "WAV": str(tmp_path / "speech.wav"),
        "ANCHOR": str(write_tiny_anchor(tmp_path / "x.anchor")),
        "OUT": str(tmp_path / "out.mp4"),
        "PHOTO": str(tmp_path / "face.png"),
        "A": str(tmp_path / "a.anchor"),
    }
    assert cli.run([places.get(argument, argument) for argument in arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {expected}")


def test_warnings_name_options(capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    @commands.command("warn")
    @click.option("--face", type=int)
    def warn(face: int | None) -> None:
        logging.getLogger("newscaster").warning("'a.mp4' shows 2 faces; face=1 is followed")

    try:
        assert cli.run(["warn"]) == 0
    finally:
        del commands.commands["warn"]
    assert capsys.readouterr().err == "warning: 'a.mp4' shows 2 faces; --face 1 is followed\n"
