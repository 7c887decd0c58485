"""Whole batches, of commands that only write a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from batch_commands import WriteCommands
from here_engine import HereEngine
from newscaster.batch import driver
from newscaster.batch.driver import REPORT, Counts, run_batch
from newscaster.batch.identity import Identities
from newscaster.batch.local import LocalEngine
from newscaster.batch.plan import plans
from newscaster.batch.stores import RECORDS, LocalFolder
from newscaster.batch.work import RowWork
from newscaster.errors import OutputError


class Batch:
    """A table, its destination, and a folder in which runs leave marks."""

    def __init__(self, folder: Path) -> None:
        self.table, self.out, self.marks = folder / "jobs.jsonl", folder / "out", folder / "marks"
        self.marks.mkdir()

    def run(
        self,
        rows: Sequence[dict[str, Any]],
        *,
        retries: int = 1,
        processes: int = 0,
        on_change: Callable[[Counts], None] = lambda counts: None,
    ) -> Counts:
        self.table.write_text("".join(json.dumps(row) + "\n" for row in rows))
        commands, destination = WriteCommands(self.marks), LocalFolder(self.out)
        work = RowWork(commands=commands, destination=destination, cores=1)
        engine = LocalEngine(work, processes=processes) if processes else HereEngine(work)
        with destination.in_use():
            return run_batch(
                plans(self.table, commands, Identities()),
                destination,
                engine,
                total=len(rows),
                retries=retries,
                on_change=on_change,
            )

    def report(self) -> dict[int, dict[str, Any]]:
        lines = (self.out / REPORT).read_text().splitlines()
        return {line["row"]: line for line in map(json.loads, lines)}

    def runs(self, text: str) -> int:
        return sum(1 for mark in self.marks.iterdir() if mark.name.startswith(f"{text}."))

    def outputs(self) -> dict[str, str]:
        paths = [
            p for p in self.out.rglob("*") if p.is_file() and RECORDS not in p.parts and p.name != REPORT
        ]
        return {path.relative_to(self.out).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Batch:
    monkeypatch.setattr(driver, "RETRY_SECONDS", 0.01)
    return Batch(tmp_path)


def test_every_row_becomes_a_file(batch: Batch) -> None:
    counts = batch.run(
        [{"text": "a"}, {"id": "x", "text": "b", "output": "deep/b.txt", "beside": "deep/b.srt"}]
    )
    assert (counts.done, counts.kept, counts.failed, counts.open) == (2, 0, 0, 0)
    assert batch.outputs() == {"row-000001.txt": "a", "deep/b.txt": "b", "deep/b.srt": "beside"}
    line = batch.report()[2]
    assert (line["id"], line["state"], line["notes"], line["attempts"]) == ("x", "done", ["wrote b"], 1)
    assert [file["path"] for file in line["files"]] == ["deep/b.srt", "deep/b.txt"]


def test_done_rows_are_kept(batch: Batch) -> None:
    batch.run([{"text": "a"}, {"text": "b"}])
    counts = batch.run([{"text": "a"}, {"text": "b changed"}, {"text": "c"}])
    assert (counts.done, counts.kept) == (2, 1)
    assert batch.runs("a") == 1
    assert batch.outputs()["row-000002.txt"] == "b changed"
    assert batch.report()[1]["state"] == "kept"


@pytest.mark.parametrize("damage", ["removed", "cut", "changed"])
def test_a_damaged_output_is_made_again(batch: Batch, damage: str) -> None:
    batch.run([{"text": "a"}])
    path = batch.out / "row-000001.txt"
    if damage == "removed":
        path.unlink()
    else:
        path.write_text("" if damage == "cut" else "x")
    assert batch.run([{"text": "a"}]).done == 1
    assert batch.outputs() == {"row-000001.txt": "a"}


def test_a_damaged_receipt_counts_for_nothing(batch: Batch) -> None:
    batch.run([{"text": "a"}])
    (receipt,) = (batch.out / RECORDS).rglob("*.json")
    receipt.write_text("{}")
    assert batch.run([{"text": "a"}]).done == 1


@pytest.mark.parametrize(
    ("text", "runs", "failed", "problem"),
    [
        ("wrong", 1, 1, "the row is wrong"),
        ("bug", 3, 1, "ZeroDivisionError: a bug"),
        ("full", 3, 1, "the disk is full"),
        ("full once", 2, 0, None),
        ("nothing", 3, 1, "has not written"),
    ],
)
def test_rows_that_fail(batch: Batch, text: str, runs: int, failed: int, problem: str | None) -> None:
    counts = batch.run([{"text": text}, {"text": "after"}], retries=2)
    assert (counts.failed, counts.done) == (failed, 2 - failed)
    assert batch.runs(text) == runs
    assert "row-000002.txt" in batch.outputs()
    assert ("row-000001.txt" in batch.outputs()) == (problem is None)
    line = batch.report()[1]
    assert line["attempts"] == runs
    assert problem is None or problem in line["error"]
    assert not list((batch.out / RECORDS / "unfinished").iterdir())


def test_processes(batch: Batch) -> None:
    rows = [{"text": f"t{number}"} for number in range(6)]
    rows[1:1] = [{"text": "killed once"}, {"text": "killed"}]
    counts = batch.run(rows, processes=2)
    assert (counts.done, counts.failed) == (7, 1)
    assert (batch.runs("killed once"), batch.runs("killed")) == (2, 2)
    assert "signal SIGKILL" in batch.report()[3]["error"]
    assert len({mark.suffix for mark in batch.marks.iterdir()}) > 2


def test_an_interrupted_batch_goes_on(batch: Batch) -> None:
    rows = [{"text": f"t{number}"} for number in range(4)]

    def stop(counts: Counts) -> None:
        if counts.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.run(rows, on_change=stop)
    assert [line["state"] for line in batch.report().values()] == ["done", "done"]
    counts = batch.run(rows)
    assert (counts.kept, counts.done) == (2, 2)
    assert all(batch.runs(f"t{number}") == 1 for number in range(4))


def test_two_batches_in_one_folder(batch: Batch) -> None:
    with LocalFolder(batch.out).in_use(), pytest.raises(OutputError, match="another batch"):
        batch.run([{"text": "a"}])


def test_left_overs_of_a_killed_run_are_removed(batch: Batch) -> None:
    left = batch.out / RECORDS / "unfinished" / "newscaster-x" / "a.txt"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    batch.run([{"text": "a"}])
    assert not left.parent.exists()
