"""Runs cases in a process of its own, so that a hang, a crash and every byte of memory is seen."""

from __future__ import annotations

import json
import os
import random
import re
import select
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.scripts import Script

CORPUS = Path(__file__).parent / "corpus"
TARGETS = ("anchor", "take", "network", "stage", "matte", "packed", "manifest", "consent")
MAX_SECONDS = 5.0
"""Of processor time."""
MAX_BYTES = 1 << 30
_MAX_MESSAGE = 1500
_HANGS_AFTER_SECONDS = 60.0
"""Of the clock, on a machine that does other things, too."""


@dataclass
class Tally:
    """What came of the cases of one target."""

    executions: int = 0
    refused: int = 0
    slowest_seconds: float = 0.0
    peak_bytes: int = 0
    findings: list[tuple[Script, str]] = field(default_factory=list)
    known: dict[str, Script] = field(default_factory=dict)
    """A script for each way to end."""


class Child:
    """A process that runs cases of one target, started anew when it dies."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, case: dict[str, Any]) -> tuple[Script, dict[str, Any]]:
        """A script, and what came of it: `end`, `seconds`, `peak`; `wrong`, where something did.

        Args:
            case: `script`; or `seed` and `known` scripts to draw one from.
        """
        if self._process is None or self._process.poll() is not None:
            self._start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(case).encode() + b"\n")
        process.stdin.flush()
        script: Script = json.loads(process.stdout.readline())
        ready, _, _ = select.select([process.stdout], [], [], _HANGS_AFTER_SECONDS)
        line = process.stdout.readline() if ready else b""
        if line:
            return script, json.loads(line)
        process.kill()
        code = process.wait()
        wrong = f"died with exit code {code}" if ready else f"hangs for {_HANGS_AFTER_SECONDS:g} s"
        return script, {"end": wrong, "seconds": 0.0, "peak": 0, "wrong": wrong}

    def _start(self) -> None:
        tests = Path(__file__).parents[1]
        source = os.environ.get("PYTHONPATH", str(tests.parent / "src"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.running", self.target],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}", "OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the target {self.target} cannot be started")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def fuzz(child: Child, tally: Tally, *, seed: int) -> None:
    """Run one case, drawn from a seed and the scripts that are known, and count it."""
    count(*child.run({"seed": seed, "known": list(tally.known.values())}), tally)


def replay(child: Child, tally: Tally, script: Script) -> None:
    """Run a script, and count it."""
    count(*child.run({"script": script}), tally)


def count(script: Script, result: dict[str, Any], tally: Tally) -> None:
    """Add what came of a script to a tally."""
    tally.executions += 1
    tally.refused += result["end"] != "works"
    tally.slowest_seconds = max(tally.slowest_seconds, result["seconds"])
    tally.peak_bytes = max(tally.peak_bytes, result["peak"])
    if result["end"] not in tally.known:
        tally.known[result["end"]] = script
    if "wrong" in result:
        tally.findings.append((script, result["wrong"]))


def corpus(target: str) -> Iterator[tuple[Path, Script]]:
    """The scripts that are kept."""
    for path in sorted(CORPUS.glob(f"{target}-*.json")):
        yield path, json.loads(path.read_text(encoding="utf-8"))


def _serve(target: str) -> None:
    """The child: scripts in, what came of them out, line by line."""
    import resource  # not on Windows, where the tests are collected and skipped

    from fuzz.targets import TARGETS as MAKING

    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what others print does not disturb
    with tempfile.TemporaryDirectory(prefix="newscaster-fuzz-") as folder:
        os.environ["NEWSCASTER_HOME"] = f"{folder}/home"
        found = MAKING[target](Path(folder))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 3 * MAX_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        out.write(b"ready\n")
        for line in sys.stdin.buffer:
            case = json.loads(line)
            if "script" not in case:
                rng = random.Random(f"{target} {case['seed']}")
                case["script"] = found.draw(rng, case["known"])
            out.write(json.dumps(case["script"]).encode() + b"\n")
            out.write(json.dumps(_one(found.use, case["script"])).encode() + b"\n")


def _one(use: Any, script: Script) -> dict[str, Any]:
    from newscaster.errors import NewscasterError

    Path("/proc/self/clear_refs").write_text("5")
    before, began = _resident("VmHWM"), time.process_time()
    wrong = None
    try:
        use(script)
        end = "works"
    except NewscasterError as error:
        end = re.sub(r"[0-9a-f]{6,}|\d+|'[^']*'", "#", str(error))[:120]
        if len(str(error)) > _MAX_MESSAGE or "\n" in str(error):
            wrong = f"says too much: {str(error)[:300]!r} ({len(str(error))} characters)"
    except BaseException as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        end = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
        wrong = "".join(traceback.format_exception(error))[-3000:]
    seconds, peak = time.process_time() - began, max(0, _resident("VmHWM") - before)
    if seconds > MAX_SECONDS:
        wrong = f"takes {seconds:.1f} s"
    if peak > MAX_BYTES:
        wrong = f"takes {peak >> 20} MB"
    return {"end": end, "seconds": seconds, "peak": peak, **({"wrong": wrong} if wrong else {})}


def _resident(name: str) -> int:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(name))
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    import logging

    logging.disable()
    _serve(sys.argv[1])
