"""Inputs and outputs in object stores: in memory, and in a local S3 server."""

from __future__ import annotations

import json
import tempfile
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
from newscaster.batch.stores import StoreFolder, destination_of
from newscaster.batch.work import RowWork
from newscaster.errors import InputError, OutputError
from newscaster.stores.remote import StoreError
from object_stores import bucket as bucket  # fixtures
from object_stores import memory as memory


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(driver, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "marks").mkdir()
    return tmp_path


def run(place: Path, url: str, rows: list[dict[str, Any]], *, processes: int = 0) -> Counts:
    table = place / "jobs.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    commands, destination = WriteCommands(place / "marks"), destination_of(url)
    work = RowWork(commands=commands, destination=destination, cores=1)
    engine = LocalEngine(work, processes=processes) if processes else HereEngine(work)
    with destination.in_use():
        return run_batch(
            plans(table, commands, Identities()),
            destination,
            engine,
            total=len(rows),
            retries=0,
            on_change=lambda counts: None,
        )


def test_inputs_and_outputs(place: Path, memory: Any) -> None:
    memory.pipe("/in/a.txt", b" from a store")
    rows = [{"id": "x", "text": "a", "source": "memory://in/a.txt", "output": "deep/x.txt"}]
    assert run(place, "memory://out", rows).done == 1
    assert memory.cat("/out/deep/x.txt") == b"a from a store"
    assert json.loads(memory.cat(f"/out/{REPORT}"))["state"] == "done"
    assert run(place, "memory://out", rows).kept == 1
    memory.pipe("/in/a.txt", b" changed")
    assert run(place, "memory://out", rows).done == 1
    assert memory.cat("/out/deep/x.txt") == b"a changed"
    memory.rm("/out/deep/x.txt")
    assert run(place, "memory://out", rows).done == 1


@pytest.mark.parametrize(
    ("source", "problem"),
    [("memory://in/none.txt", "there is no"), ("nonsense://in/a", "cannot be used")],
)
def test_inputs_that_cannot_be_had(place: Path, memory: Any, source: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        run(place, "memory://out", [{"source": source}])


def test_a_store_that_is_down(place: Path, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def put_file(*args: object, **options: object) -> None:
        raise ConnectionError("no route")

    memory.pipe("/in/a.txt", b"1")
    monkeypatch.setattr(type(memory), "put_file", put_file)
    with pytest.raises(StoreError, match="no route"):
        StoreFolder("memory://out").put(place / "jobs.jsonl", "x")


@pytest.mark.slow
def test_s3_with_processes(place: Path, bucket: str) -> None:
    import fsspec

    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.pipe("bucket/in.txt", b" from S3")
    rows = [{"text": f"t{number}", "source": f"{bucket}/in.txt"} for number in range(5)]
    assert run(place, f"{bucket}/out", rows, processes=2).done == 5
    assert system.cat("bucket/out/row-000003.txt") == b"t2 from S3"
    assert run(place, f"{bucket}/out", rows, processes=1).kept == 5
    with pytest.raises(OutputError, match="does not exist"):
        run(place, "s3://no-bucket/out", rows)
