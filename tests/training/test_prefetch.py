import itertools
import multiprocessing
import sys
import threading

import pytest
import torch

from newscaster.errors import NewscasterError
from newscaster.training.prefetch import each, maker_processes, prefetch

FORKS = "fork" in multiprocessing.get_all_start_methods()


def make(step: int) -> tuple[int, str]:
    if step == 12:
        raise OSError("the disk is gone")
    return step, "a batch"


@pytest.mark.parametrize(
    "processes", [0, pytest.param(2, marks=pytest.mark.skipif(not FORKS, reason="no fork"))]
)
def test_batches_come_in_order_and_errors_come_through(processes: int) -> None:
    others = set(multiprocessing.active_children())
    batches = prefetch(each(make), first_step=2, processes=processes)
    assert [next(batches) for _ in range(10)] == [(step, "a batch") for step in range(2, 12)]
    with pytest.raises(OSError, match="disk") as raised:
        next(batches)
    assert ("in make" in "".join(getattr(raised.value, "__notes__", []))) == bool(processes)
    assert not set(multiprocessing.active_children()) - others


@pytest.mark.parametrize(
    "processes", [0, pytest.param(2, marks=pytest.mark.skipif(not FORKS, reason="no fork"))]
)
def test_who_makes_batches_ends_with_them(processes: int) -> None:
    others = set(multiprocessing.active_children())
    batches = prefetch(each(lambda step: step), first_step=0, processes=processes)
    assert next(batches) == 0
    batches.close()
    assert not set(multiprocessing.active_children()) - others
    assert not [thread for thread in threading.enumerate() if thread.name == "newscaster-batches"]


@pytest.mark.skipif(not FORKS, reason="no fork")
def test_a_process_that_is_killed() -> None:
    others = set(multiprocessing.active_children())
    larger_than_a_pipe = bytes(1 << 20)  # so that no process is more than one batch ahead
    batches = prefetch(each(lambda step: (step, larger_than_a_pipe)), first_step=0, processes=2)
    assert next(batches)[0] == 0
    for process in set(multiprocessing.active_children()) - others:
        process.kill()
    with pytest.raises(NewscasterError, match="was killed"):
        list(itertools.islice(batches, 10))
    assert not set(multiprocessing.active_children()) - others


def test_a_cpu_has_no_core_to_spare() -> None:
    assert maker_processes(torch.device("cpu")) == 0
    assert maker_processes(torch.device("cuda")) <= 8


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_only_linux_forks(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr("newscaster.training.prefetch.usable_cores", lambda: 8)
    assert maker_processes(torch.device("cuda")) == (7 if sys.platform == "linux" else 0)
    monkeypatch.setattr("sys.platform", platform)
    assert maker_processes(torch.device("cuda")) == 0
