from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from newscaster.system.turns import Turns, outside_turn


class AtOnce:
    """Counts how many threads are inside at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.guard = threading.Lock()

    def stay(self, seconds: float) -> None:
        with self.guard:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(seconds)
        with self.guard:
            self.now -= 1


def test_one_turn_runs_python_while_others_run_networks() -> None:
    turns, python, network = Turns(3), AtOnce(), AtOnce()

    def frame(_: int) -> None:
        for _ in range(4):
            with turns:
                python.stay(0.002)
                outside_turn(network.stay, 0.02)
                python.stay(0.002)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(frame, range(6)))
    assert python.most == 1
    assert network.most == 3, "all turns but no more"


def test_outside_of_a_turn_nothing_waits() -> None:
    turns = Turns(1)
    with turns, ThreadPoolExecutor(1) as pool:
        assert pool.submit(outside_turn, abs, -3).result(timeout=10) == 3


def test_an_error_ends_a_turn() -> None:
    turns = Turns(1)

    def fail(words: str) -> None:
        raise ValueError(words)

    for _ in range(2):
        with pytest.raises(ValueError, match="in a network"), turns:
            outside_turn(fail, "in a network")
        with pytest.raises(ValueError, match="in Python"), turns:
            fail("in Python")
    with turns:
        assert outside_turn(len, "four") == 4


def test_an_interrupted_wait_leaves_the_turns_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __init__(self, lock: threading.Lock) -> None:
            self.lock, self.interrupts = lock, 1

        def acquire(self) -> bool:
            if self.interrupts:
                self.interrupts -= 1
                raise KeyboardInterrupt
            return self.lock.acquire()

        def release(self) -> None:
            self.lock.release()

    turns = Turns(1)
    lock = Interrupted(turns._python)
    monkeypatch.setattr(turns, "_python", lock)
    with pytest.raises(KeyboardInterrupt), turns:
        pytest.fail("it was interrupted before")

    def interrupt(_: None) -> None:
        lock.interrupts = 1

    with pytest.raises(KeyboardInterrupt), turns:
        outside_turn(interrupt, None)
    with turns:
        assert outside_turn(len, "four") == 4
