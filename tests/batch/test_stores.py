"""Inputs and outputs in object stores: in memory, and in a local S3 server."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_commands import WriteCommands
from here_engine import HereEngine
from newscaster.batch import driver, stores
from newscaster.batch.driver import REPORT, Counts, run_batch
from newscaster.batch.identity import Identities
from newscaster.batch.local import LocalEngine
from newscaster.batch.plan import plans
from newscaster.batch.stores import StoreError, StoreFolder, destination_of, fetched
from newscaster.batch.work import RowWork
from newscaster.errors import InputError, MissingExtraError, OutputError

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(driver, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(stores.tempfile, "tempdir", str(tmp_path))
    (tmp_path / "marks").mkdir()
    return tmp_path


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


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


def test_an_input_is_fetched_once(memory: Any) -> None:
    memory.pipe("/in/a.anchor", b"1")
    first = fetched("memory://in/a.anchor")
    assert (first.name, first.read_bytes()) == ("a.anchor", b"1")
    inode = first.stat().st_ino
    assert fetched("memory://in/a.anchor").stat().st_ino == inode
    memory.pipe("/in/a.anchor", b"22")
    assert fetched("memory://in/a.anchor").read_bytes() == b"22"


def test_a_folder_of_inputs(memory: Any) -> None:
    memory.pipe("/in/footage/a.mp4", b"1")
    memory.pipe("/in/footage/deep/b.mp4", b"2")
    folder = fetched("memory://in/footage")
    assert (folder / "a.mp4").read_bytes() == b"1"
    assert (folder / "deep" / "b.mp4").read_bytes() == b"2"


def test_the_copies_unused_for_longest_are_removed(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_CACHE_BYTES", 250)
    for name in "abc":
        memory.pipe(f"/in/{name}", bytes(100))
        path = fetched(f"memory://in/{name}")
        age = {"a": 9000, "b": 8000, "c": 0}[name]
        os.utime(path.parent, (path.stat().st_mtime - age,) * 2)
    memory.pipe("/in/d", bytes(100))
    fetched("memory://in/d")
    left = {path.name for path in path.parents[1].rglob("*") if path.is_file()}
    assert left == {"c", "d"}


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


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[cluster\]"):
        fetched("s3://bucket/a")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket in an S3 server on this machine."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.mkdir("bucket")
    yield "s3://bucket"
    server.stop()
    fsspec.filesystem("s3").clear_instance_cache()


@pytest.mark.slow
def test_s3_with_processes(place: Path, bucket: str) -> None:
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    system.pipe("bucket/in.txt", b" from S3")
    rows = [{"text": f"t{number}", "source": f"{bucket}/in.txt"} for number in range(5)]
    assert run(place, f"{bucket}/out", rows, processes=2).done == 5
    assert system.cat("bucket/out/row-000003.txt") == b"t2 from S3"
    assert run(place, f"{bucket}/out", rows, processes=1).kept == 5
    with pytest.raises(OutputError, match="does not exist"):
        run(place, "s3://no-bucket/out", rows)
