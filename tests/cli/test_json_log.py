from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from newscaster import cli
from newscaster.cli.json_log import json_lines, wants_json
from newscaster.cli.terminal import Warnings
from newscaster.errors import InputError


def test_records_are_objects(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("newscaster.server")
    with json_lines():
        logger.info("session %s started", "a.b", extra={"session": "a.b"})
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logger.exception("job %s failed", "c", extra={"job": "c"})
        logging.getLogger("others").info("left out")
        logging.getLogger("others").warning("others' warning\n")
    first, second, third = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("time")[-6:] == "+00:00"
    assert first == {
        "level": "info",
        "logger": "newscaster.server",
        "message": "session a.b started",
        "session": "a.b",
    }
    assert (second["level"], second["job"]) == ("error", "c")
    assert "ValueError: two\nlines" in second["exception"]
    assert third["message"] == "others' warning\n"


def test_the_handlers_of_other_commands_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    logger, handler = logging.getLogger("newscaster"), Warnings(logging.WARNING)
    logger.addHandler(handler)
    try:
        with json_lines():
            logger.warning("once")
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert handler in logger.handlers
        assert not logger.isEnabledFor(logging.INFO)
    finally:
        logger.removeHandler(handler)


def test_which_formats_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, is_json in (("", False), ("text", False), ("json", True)):
        monkeypatch.setenv("NEWSCASTER_LOG_FORMAT", value)
        assert wants_json() is is_json
    monkeypatch.setenv("NEWSCASTER_LOG_FORMAT", "xml")
    with pytest.raises(InputError, match="'xml'; expected text or json"):
        wants_json()


def test_the_last_error_is_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEWSCASTER_LOG_FORMAT", "json")
    assert cli.run(["serve", str(tmp_path / "none.anchor"), "--data-dir", str(tmp_path)]) == 2
    record = json.loads(capsys.readouterr().err)
    assert (record["level"], record["logger"]) == ("error", "newscaster.cli")
    assert "none.anchor" in record["message"]
