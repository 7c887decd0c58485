"""Items made ahead in a second thread."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from newscaster.media import made_ahead


def test_all_of_them_in_order() -> None:
    for depth in (1, 3, 100):
        with made_ahead(iter(range(50)), depth=depth) as items:
            assert list(items) == list(range(50))


def test_no_further_ahead_than_asked_and_in_another_thread() -> None:
    made: list[int] = []
    asleep = threading.Event()

    def numbers() -> Iterator[int]:
        for number in itertools.count():
            assert threading.current_thread() is not threading.main_thread()
            made.append(number)
            if number == 5:
                asleep.set()
            yield number

    with made_ahead(numbers(), depth=4) as items:
        assert next(items) == 0
        assert asleep.wait(10)  # 4 wait, and the one after them is made
        assert len(made) == 6
    assert not any(thread.name == "newscaster-maker" for thread in threading.enumerate())
    assert len(made) == 6


def test_errors_come_where_the_next_item_is_taken() -> None:
    def broken() -> Iterator[int]:
        yield from range(3)
        raise KeyError("the fourth")

    with made_ahead(broken(), depth=2) as items:
        assert [next(items) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(KeyError, match="the fourth"):
            next(items)
    with pytest.raises(ZeroDivisionError), made_ahead(broken(), depth=2) as items:
        1 / next(items)
    assert not any(thread.name == "newscaster-maker" for thread in threading.enumerate())
