"""Hostile files, for a short time: those kept, and new ones from fixed seeds. `make fuzz` goes on longer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

import pytest

from fuzz.running import CORPUS, TARGETS, Child, Tally, corpus, fuzz, replay

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="memory is limited and measured as Linux has it"
)

SECONDS = 2.0
"""Of new files, for each target; the corpus comes on top."""
LEAST = 5


@pytest.fixture(params=TARGETS)
def child(request: pytest.FixtureRequest) -> Iterator[Child]:
    child = Child(request.param)
    yield child
    child.close()


@pytest.mark.slow
def test_hostile_files_are_refused_in_a_sentence_or_work(child: Child) -> None:
    tally = Tally()
    replay(child, tally, [])
    assert list(tally.known) == ["works"], "the file that the hostile ones are made of"
    for _, script in corpus(child.target):
        replay(child, tally, script)
    kept, until = tally.executions, time.monotonic() + SECONDS
    for seed in range(1000):
        if seed >= LEAST and time.monotonic() > until:
            break
        fuzz(child, tally, seed=seed)
    told = [f"{json.dumps(script)[:1500]}\n{wrong}" for script, wrong in tally.findings]
    assert not told, "\n\n".join(told)
    assert tally.executions >= kept + LEAST
    assert tally.refused > tally.executions // 10


@pytest.mark.slow
def test_what_is_wrong_is_found() -> None:
    """The runner itself is tested with a target that raises, says too much, takes too much, and dies."""
    child, tally = Child("wrong"), Tally()
    wrong = {"raise": "KeyError", "talk": "says too much", "eat": "takes 1", "die": "died with exit code -6"}
    for case in wrong:
        replay(child, tally, [{"do": case}])
    child.close()
    assert [script for script, _ in tally.findings] == [[{"do": case}] for case in wrong]
    assert all(words in told for words, (_, told) in zip(wrong.values(), tally.findings, strict=True))


def test_the_corpus_is_small() -> None:
    files = list(CORPUS.iterdir())
    assert sum(path.stat().st_size for path in files) < 100_000
    assert all(path.suffix == ".json" for path in files)
