"""Renamed options: the old name works for one release, is hidden, and a warning names the new one."""

from __future__ import annotations

import pytest

from newscaster import cli
from newscaster.cli import commands
from newscaster.cli.renamed import RenamedOption

ARGUMENTS = {
    "live": ["--to", "pipe:1"],
    "speak": ["speech.wav", "-o", "out.mp4"],
    "train": ["footage.mp4", "-o", "out.anchor"],
    "evaluate": ["builtin", "footage.mp4"],
    "serve": [],
}
RENAMED = [
    ("live", "--stay", "--idle", None),
    ("live", "--stage-start", "--target-start", "7"),
    ("speak", "--stage-start", "--target-start", "7"),
    ("train", "--work", "--work-dir", "somewhere"),
    ("train", "--stage", "--target", "synthetic"),
    ("train", "--stage-minutes", "--target-minutes", "3.5"),
    ("evaluate", "--breath", "--no-rest", None),
    ("evaluate", "--keep", "--save-videos", "somewhere"),
    ("serve", "--keep", "--data-dir", "somewhere"),
]


def parameters(command: str, *options: str) -> dict[str, object]:
    """Parse a command line without running the command."""
    with commands.cli.commands[command].make_context(command, [*ARGUMENTS[command], *options]) as context:
        return context.params


def with_value(option: str, value: str | None) -> list[str]:
    return [option] if value is None else [option, value]


def renamed_options() -> set[tuple[str, str, str]]:
    return {
        (name, option.old_name, option.opts[0])
        for name, command in commands.cli.commands.items()
        for option in command.params
        if isinstance(option, RenamedOption)
    }


def test_every_renamed_option_is_tested() -> None:
    assert renamed_options() == {(command, old, new) for command, old, new, _ in RENAMED}


@pytest.mark.parametrize(("command", "old", "new", "value"), RENAMED)
def test_the_old_name_has_the_effect_of_the_new_one(
    command: str, old: str, new: str, value: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = parameters(command, *with_value(new, value))
    assert expected != parameters(command)
    assert capsys.readouterr().err == ""
    assert parameters(command, *with_value(old, value)) == expected
    warning = f"warning: {old} is now {new}; the old name will be removed in the next release\n"
    assert capsys.readouterr().err == warning


@pytest.mark.parametrize(("command", "old", "new", "value"), RENAMED)
def test_the_help_shows_only_the_new_name(
    command: str, old: str, new: str, value: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([command, "--help"]) == 0
    words = capsys.readouterr().out.split()
    assert new in words
    assert old not in words


@pytest.mark.parametrize(("command", "old", "new", "value"), RENAMED)
def test_both_names_are_an_error(
    command: str, old: str, new: str, value: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [*with_value(new, value), *with_value(old, value)]
    for order in (options, options[::-1]) if value is None else (options,):
        assert cli.run([command, *ARGUMENTS[command], *order]) == 2
        shown = capsys.readouterr()
        assert f"{old} is the old name of {new}" in shown.err
        assert "warning" not in shown.err


def test_the_old_name_has_the_checks_of_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", *ARGUMENTS["train"], "--stage-minutes=-1"]
    assert cli.run(arguments) == 2
    assert "Invalid value for '--target-minutes'" in capsys.readouterr().err


def test_completion_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    command = commands.cli.commands["live"]
    for options in (["--stay"], ["--stay", "--idle"]):
        context = command.make_context("live", options, resilient_parsing=True)
        assert context.params["idle"] is True
    assert capsys.readouterr().err == ""
