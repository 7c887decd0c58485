from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batch_commands import WriteCommands
from newscaster.batch.identity import Identities
from newscaster.batch.plan import Argument, Kind, Plan, plans
from newscaster.errors import InputError


def planned(tmp_path: Path, *rows: dict[str, Any]) -> list[Plan]:
    table = tmp_path / "jobs.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(plans(table, WriteCommands(tmp_path), Identities()))


def test_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.wav").write_bytes(b"1")
    row = {"id": "x", "text": "-a b", "loud": True, "note": ["p", "q"], "source": "in.wav"}
    (plan,) = planned(tmp_path, row)
    assert plan.arguments == (
        Argument("--text=", "-a b", Kind.VALUE),
        Argument("--loud", "", Kind.VALUE),
        Argument("--note=", "p", Kind.VALUE),
        Argument("--note=", "q", Kind.VALUE),
        Argument("--output=", "x.txt", Kind.OUTPUT),
        Argument("--", "", Kind.VALUE),
        Argument("", str(tmp_path / "in.wav"), Kind.INPUT),
    )
    assert (plan.output, plan.outputs) == ("x.txt", ["x.txt"])


def test_the_key_follows_content(tmp_path: Path) -> None:
    source = tmp_path / "in.wav"

    def key(content: bytes, **row: Any) -> str:
        source.write_bytes(content)
        (plan,) = planned(tmp_path, {"id": "x", "source": str(source), **row})
        return plan.key

    first = key(b"1")
    assert key(b"1") == first
    assert key(b"2") != first
    assert key(b"1", text="a") != first
    assert key(b"1", output="y.txt") != first
    renamed = source.rename(tmp_path / "other.wav")
    assert planned(tmp_path, {"id": "x", "source": str(renamed)})[0].key == first


def test_the_key_follows_folders(tmp_path: Path) -> None:
    folder = tmp_path / "footage"
    folder.mkdir()
    row = {"id": "x", "source": str(folder)}
    before = planned(tmp_path, row)[0].key
    assert planned(tmp_path, row)[0].key == before
    (folder / "clip.mp4").write_bytes(b"1")
    assert planned(tmp_path, row)[0].key != before


def test_a_flag_as_a_word(tmp_path: Path) -> None:
    said, unsaid = planned(tmp_path, {"loud": "yes"}, {"loud": "0"})
    assert Argument("--loud", "", Kind.VALUE) in said.arguments
    assert Argument("--loud", "", Kind.VALUE) not in unsaid.arguments


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"command": "paint"}, "the command is 'paint'; accepted are write, speak"),
        ({"colour": "red"}, "`speak` has no option 'colour'; accepted are text, loud"),
        ({"loud": "perhaps"}, "expected true or false"),
        ({"text": True}, "'text' is true; expected a value"),
        ({"text": ["a", "b"]}, "'text' has 2 values; expected 1"),
        ({"source": "-"}, "rows have no standard input"),
        ({"text": "unacceptable"}, "'unacceptable' is not accepted"),
        ({"output": "/etc/x"}, "expected a path below the destination"),
        ({"output": "a/../../x"}, "expected a path below the destination"),
        ({"output": "c:\\x"}, "expected a path below the destination"),
        ({"beside": ".newscaster-batch/x"}, "must not begin with a dot"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError) as caught:
        planned(tmp_path, {"text": "fine"}, row)
    assert f"'{tmp_path / 'jobs.jsonl'}', row 2" in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize("second", [{"output": "a.txt"}, {"output": "A.TXT"}, {"beside": "a.txt"}])
def test_two_rows_that_write_one_file(tmp_path: Path, second: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"row 2 writes '.+', as row 1 does"):
        planned(tmp_path, {"id": "a"}, second)
