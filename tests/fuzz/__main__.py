"""Fuzzing for as long as one likes: `make fuzz`, or `python -m fuzz --minutes 60 --jobs 2`.

Prints what was run, and ends with an error where anything was found. Findings go into the corpus, and so does
a script for each new way to end, while there is room.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from fuzz.running import CORPUS, TARGETS, Child, Tally, corpus, fuzz, replay
from fuzz.scripts import Script

_MAX_KEPT = 16
"""Scripts of one target in the corpus, besides findings."""
_MAX_KEPT_BYTES = 600
"""Bytes of one of them."""
_TURN_SECONDS = 20.0


def _work(target: str, tally: Tally, seeds: range, until: float) -> int:
    """Run cases until a moment; how many seeds were used."""
    child = Child(target)
    try:
        for used, seed in enumerate(seeds):
            if time.monotonic() >= until:
                return used
            fuzz(child, tally, seed=seed)
    finally:
        child.close()
    return len(seeds)


def _job(targets: list[str], tallies: dict[str, Tally], *, first: int, end: float) -> None:
    """Targets by turns, each from where it was left."""
    next_seed = dict.fromkeys(targets, first)
    while time.monotonic() < end:
        for target in targets:
            until = min(end, time.monotonic() + _TURN_SECONDS)
            seeds = range(next_seed[target], next_seed[target] + 10**9)
            next_seed[target] += _work(target, tallies[target], seeds, until)


def _keep(target: str, script: Script, *, finding: bool) -> None:
    text = json.dumps(script, indent=None)
    kept = sorted(CORPUS.glob(f"{target}-*.json"))
    if not finding and (len(text) > _MAX_KEPT_BYTES or len(kept) >= _MAX_KEPT):
        return
    mark = hashlib.sha256(text.encode()).hexdigest()[:10]
    (CORPUS / f"{target}-{'found-' if finding else ''}{mark}.json").write_text(text + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument(
        "--seed", type=int, default=1_000_000, help="the first; the default run of tests has those below"
    )
    parser.add_argument("--targets", nargs="+", default=list(TARGETS), choices=TARGETS)
    given = parser.parse_args()
    tallies = {target: Tally() for target in given.targets}
    for target, tally in tallies.items():
        child = Child(target)
        for _, script in corpus(target):
            replay(child, tally, script)
        child.close()
    before = {target: set(tally.known) for target, tally in tallies.items()}
    end = time.monotonic() + 60 * given.minutes
    with ThreadPoolExecutor(given.jobs) as pool:
        jobs = [
            pool.submit(_job, given.targets[job :: given.jobs], tallies, first=given.seed, end=end)
            for job in range(min(given.jobs, len(given.targets)))
        ]
        for job in jobs:
            job.result()
    print("target      executions   refused   ways to end   slowest     peak   findings")
    for target, tally in tallies.items():
        print(
            f"{target:10} {tally.executions:11,} {tally.refused:9,} {len(tally.known):13,} "
            f"{tally.slowest_seconds:7.2f} s {tally.peak_bytes / 1e6:5.0f} MB {len(tally.findings):10,}"
        )
        for way in tally.known.keys() - before[target]:
            _keep(target, tally.known[way], finding=False)
    told = set()
    for target, tally in tallies.items():
        for script, wrong in tally.findings:
            if wrong[-200:] not in told:
                told.add(wrong[-200:])
                _keep(target, script, finding=True)
                print(f"\n{target}: {json.dumps(script)[:2000]}\n{wrong}")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
