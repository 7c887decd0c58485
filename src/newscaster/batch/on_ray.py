"""Rows worked on by a Ray cluster."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from newscaster.batch.plan import Plan
from newscaster.batch.work import Outcome, RowWork, do_row
from newscaster.errors import InputError, MissingExtraError
from newscaster.system.cpu import limit_cores
from newscaster.texts import one_line, quoted

_CONNECT_SECONDS = 10.0
_QUEUED_PER_SLOT = 2
"""Rows handed out for each that the cluster can work on at a time, so that none of its cores waits."""


class RayEngine:
    """Tasks of a Ray cluster, one for each row. See :class:`newscaster.batch.engine.Engine`.

    Its machines need newscaster, the same release of Ray, and the inputs and the destination under the same
    names: a shared folder, or an object store.

    Args:
        work: what every row needs.
        address: `HOST:PORT` of the cluster, `ray://HOST:PORT` of a client, `auto` for the cluster that this
            machine belongs to, or `local` for one on this machine alone.

    Raises:
        MissingExtraError: Ray is not installed.
    """

    def __init__(self, work: RowWork, *, address: str) -> None:
        try:
            import ray
        except ImportError as error:
            raise MissingExtraError(purpose="--ray", extra="cluster", package="ray") from error
        self._ray: Any = ray
        self._work, self._address = work, address
        self._plans: dict[Any, Plan] = {}
        self._slots = 1

    def __enter__(self) -> Self:
        """Connect to the cluster.

        Raises:
            InputError: there is no cluster, or it has too few cores.
        """
        ray = self._ray
        try:
            _check_reachable(self._address)
            with _own_signals():
                ray.init(address=self._address, log_to_driver=False, logging_level="ERROR")
        except (OSError, ValueError, OverflowError, RuntimeError) as error:
            raise InputError(
                f"there is no Ray cluster at {quoted(self._address)} ({_line(error)}). Give the address "
                "that `ray start --head` printed, 'auto' or 'local'"
            ) from error
        self._row = ray.remote(num_cpus=self._work.cores, max_retries=0)(_do_row)
        self._shared = ray.put(self._work)
        self._count_slots()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel what is not done, and leave the cluster."""
        for reference in self._plans:
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()

    @property
    def running(self) -> int:
        """See :class:`newscaster.batch.engine.Engine`."""
        return len(self._plans)

    @property
    def has_room(self) -> bool:
        """See :class:`newscaster.batch.engine.Engine`."""
        return self.running < _QUEUED_PER_SLOT * self._slots

    def submit(self, plan: Plan) -> None:
        """See :class:`newscaster.batch.engine.Engine`."""
        self._plans[self._row.remote(plan, self._shared)] = plan

    def wait(self, seconds: float) -> list[tuple[Plan, Outcome]]:
        """See :class:`newscaster.batch.engine.Engine`."""
        if not self._plans:
            return []
        ready, _ = self._ray.wait(list(self._plans), num_returns=1, timeout=seconds)
        if not ready:
            self._count_slots()
            return []
        more, _ = self._ray.wait(list(self._plans), num_returns=len(self._plans), timeout=0)
        return [(self._plans.pop(reference), self._outcome(reference)) for reference in {*ready, *more}]

    def _outcome(self, reference: Any) -> Outcome:
        errors = self._ray.exceptions
        try:
            outcome: Outcome = self._ray.get(reference)
        except errors.RayError as error:  # a node or a process is gone, or memory was short
            self._count_slots()
            return Outcome(error=f"{type(error).__name__}: {_line(error)}", may_succeed=True)
        return outcome

    def _count_slots(self) -> None:
        """Count how many rows the cluster can work on at a time: nodes come and go."""
        cores = float(self._ray.cluster_resources().get("CPU", 0))
        self._slots = max(1, int(cores // self._work.cores))


def _check_reachable(address: str) -> None:
    """Connect to the address of a cluster, if it is one: Ray itself would try for minutes.

    Raises:
        OSError: nothing answers there.
        ValueError: it is no address.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS):
        pass


@contextmanager
def _own_signals() -> Generator[None]:
    """Keep this process's reaction to SIGTERM, which Ray replaces by its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _line(error: Exception) -> str:
    return one_line(str(error))[:300]


def _do_row(plan: Plan, work: RowWork) -> Outcome:
    """In a process of the cluster, which works on many rows: do one."""
    limit_cores(work.cores)
    return do_row(plan, work)
