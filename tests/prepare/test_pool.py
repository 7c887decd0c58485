from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest

from newscaster.cli.terminal import Warnings
from newscaster.errors import FootageError, NewscasterError
from newscaster.prepare.pool import worker_pool


@pytest.fixture(autouse=True)
def jobs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module pool_work, under a name that worker processes can import too."""
    folder = Path(__file__).parent
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    spec = importlib.util.spec_from_file_location("pool_work", folder / "pool_work.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "pool_work", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_with_their_tasks(jobs: ModuleType, workers: int) -> None:
    with worker_pool(workers, tasks=9) as pool:
        assert dict(pool.map(jobs.double, list(range(9)))) == {i: 2 * i for i in range(9)}
        assert dict(pool.map(jobs.double, [5])) == {0: 10}
        assert list(pool.map(jobs.double, [])) == []


def test_an_error_comes_through_as_it_was(jobs: ModuleType) -> None:
    with pytest.raises(FootageError, match="number 3 is no good"), worker_pool(1, tasks=1) as pool:
        list(pool.map(jobs.refuse, [3]))


def test_warnings_are_logged_in_this_process(jobs: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), worker_pool(1, tasks=1) as pool:
        list(pool.map(jobs.warn, [7]))
    assert "about 7" in caplog.text


@pytest.mark.parametrize("workers", [0, 1])
def test_a_command_shows_one_warning_of_each_subject(
    jobs: ModuleType, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    logger = logging.getLogger("newscaster")
    for _ in range(2):  # two commands
        handler = Warnings(logging.WARNING)
        logger.addHandler(handler)
        try:
            with worker_pool(workers, tasks=3) as pool:
                list(pool.map(jobs.warn_once, [213, 100]))
                list(pool.map(jobs.warn, [7, 8]))
        finally:
            logger.removeHandler(handler)
        shown = sorted(capsys.readouterr().err.splitlines())
        assert len(shown) == 3  # whichever worker's was first
        assert shown[0] in ("warning: 100 damaged", "warning: 213 damaged")
        assert shown[1:] == ["warning: about 7", "warning: about 8"]


def test_native_code_is_silent_and_python_is_not(jobs: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    with worker_pool(1, tasks=1) as pool:
        list(pool.map(jobs.shout, [1]))
    errors = capfd.readouterr().err
    assert "native chatter" not in errors
    assert "python's own" in errors


def test_a_worker_that_dies_is_an_error_with_advice(jobs: ModuleType) -> None:
    with pytest.raises(NewscasterError, match="fewer workers"), worker_pool(1, tasks=1) as pool:
        list(pool.map(jobs.die, [1]))


def test_no_more_workers_than_tasks() -> None:
    with worker_pool(16, tasks=2) as pool:
        assert pool.count == 2
