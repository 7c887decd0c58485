"""Kills `make demo` at random moments in a fresh clone, and runs it again.

    python tools/setup_kill_test.py --work FOLDER [--kills 20] [--seed 0]

The last commit is cloned. `make demo` runs there twice undisturbed: the first run fills pip's cache, the
second run is timed. Then, time and again, environment and video are removed, and `make demo` is killed with
all of its processes (SIGKILL to the group) at a moment drawn evenly from that time. A second `make demo`
must then make the video, with about as many frames as the undisturbed one. Prints a line for each kill, and
a line of JSON; returns 1 if any second run failed. The variable DEMO passes options to the demo, as it does
for make.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
VIDEO = "newscaster-demo.mp4"
PATIENCE_SECONDS = 900.0
MIN_FRACTION = 0.8
"""Of the frames of the undisturbed video: the voice is not deterministic, and its pace varies."""
_COUNT_FRAMES = f"from newscaster import media; print(sum(1 for _ in media.read_frames({VIDEO!r})))"


class Clone:
    """A clone of the project, with its own environment in `.venv`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)

    def renew(self) -> None:
        """Remove what `make demo` made."""
        shutil.rmtree(self.folder / ".venv", ignore_errors=True)
        (self.folder / VIDEO).unlink(missing_ok=True)

    def start(self) -> subprocess.Popen[str]:
        """Start `make demo` in a process group of its own."""
        environment = {
            name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "PYTHONPATH")
        }
        return subprocess.Popen(
            ["make", "demo"],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self) -> str:
        """Run `make demo` to its end; return what is wrong, or nothing."""
        process = self.start()
        try:
            out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            kill_group(process)
            return f"not finished after {PATIENCE_SECONDS:.0f} s"
        return "" if process.returncode == 0 else f"exit code {process.returncode}: {out.strip()[-400:]}"

    def interrupt(self, delay_seconds: float) -> bool:
        """Run `make demo` and kill it after this time; False if it had ended by then."""
        process = self.start()
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay_seconds)
        running = process.poll() is None
        kill_group(process)
        return running

    def stage(self) -> str:
        """Return what a kill has left behind."""
        environment = self.folder / ".venv"
        if (environment / ".speaks").exists():
            return "installed"
        if (environment / "bin" / "pip").exists():
            return "pip installed"
        return "environment begun" if environment.exists() else "nothing"

    def frames(self) -> int:
        """Return the number of frames of the video."""
        python = self.folder / ".venv" / "bin" / "python"
        command = [str(python), "-c", _COUNT_FRAMES]
        return int(
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout
        )


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a command and all of its processes."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def one_kill(clone: Clone, *, usual_seconds: float, frames: int, rng: random.Random) -> tuple[str, str]:
    """Kill once and run again; return what the kill left behind, and what is wrong, or nothing."""
    delay_seconds = usual_seconds
    while True:  # a moment that came too late is drawn again
        clone.renew()
        delay_seconds = rng.uniform(0, delay_seconds)
        if clone.interrupt(delay_seconds):
            break
    left = f"{delay_seconds:5.1f} s, {clone.stage()}"
    wrong = clone.finish()
    if not wrong and (found := clone.frames()) < MIN_FRACTION * frames:
        wrong = f"{found} frames instead of {frames}"
    return left, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    clone = Clone(options.work.absolute() / "clone")
    for _ in range(2):  # the first run may have to download packages
        clone.renew()
        began = time.monotonic()
        if wrong := clone.finish():
            print(f"undisturbed: {wrong}")
            return 1
        usual_seconds = time.monotonic() - began
    frames, rng, failures = clone.frames(), random.Random(options.seed), []
    print(f"undisturbed: {usual_seconds:.1f} s, {frames} frames", flush=True)
    for number in range(1, options.kills + 1):
        left, wrong = one_kill(clone, usual_seconds=usual_seconds, frames=frames, rng=rng)
        print(f"kill {number}, after {left}: {wrong or 'works'}", flush=True)
        if wrong:
            failures.append(f"after {left}: {wrong}")
    print(json.dumps({"kills": options.kills, "seconds": round(usual_seconds, 1), "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
