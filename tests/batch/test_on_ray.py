"""Rows on a Ray cluster of two nodes, one of which is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batch_commands import WriteCommands
from newscaster.batch import driver
from newscaster.batch.driver import Counts, run_batch
from newscaster.batch.identity import Identities
from newscaster.batch.on_ray import RayEngine
from newscaster.batch.plan import plans
from newscaster.batch.stores import LocalFolder
from newscaster.batch.work import RowWork
from newscaster.errors import InputError

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files to its processes.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two nodes with one core each, whose processes see the tests' modules."""
    utils = pytest.importorskip("ray.cluster_utils")
    here = Path(__file__).parents[1]
    monkeypatch.setenv("PYTHONPATH", f"{here}:{here.parent / 'src'}")
    monkeypatch.setattr(driver, "RETRY_SECONDS", 0.2)
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


def work(tmp_path: Path) -> RowWork:
    (tmp_path / "marks").mkdir(exist_ok=True)
    return RowWork(
        commands=WriteCommands(tmp_path / "marks"), destination=LocalFolder(tmp_path / "out"), cores=1
    )


def test_a_node_and_a_process_are_lost(tmp_path: Path, nodes: Any) -> None:
    rows = [{"text": f"t{number}"} for number in range(30)]
    rows[3] = {"text": "killed once"}
    rows[4] = {"text": "wrong"}
    table = tmp_path / "jobs.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = work(tmp_path)
    lost = False

    def lose_a_node(counts: Counts) -> None:
        nonlocal lost
        if counts.done >= 8 and not lost:
            lost = True
            nodes.remove_node(nodes.worker_nodes.copy().pop(), allow_graceful=False)

    with task.destination.in_use():
        counts = run_batch(
            plans(table, task.commands, Identities()),
            task.destination,
            RayEngine(task, address=nodes.address),
            total=len(rows),
            retries=3,
            on_change=lose_a_node,
        )
    assert lost
    assert (counts.done, counts.failed) == (29, 1)
    assert len(list((tmp_path / "out").glob("*.txt"))) == 29


@pytest.mark.parametrize("address", ["127.0.0.1:1", "head", "127.0.0.1:99999"])
def test_no_cluster(tmp_path: Path, address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=f"there is no Ray cluster at '{re.escape(address)}'"):
        RayEngine(work(tmp_path), address=address).__enter__()
