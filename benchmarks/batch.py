"""Batches: throughput against a loop, overhead of a row, and a cluster whose machines are killed.

::

    python benchmarks/batch.py throughput    # `batch` against `speak` in a loop
    python benchmarks/batch.py overhead      # 10,000 rows that do nothing: time and memory of the driver
    python benchmarks/batch.py cluster       # Ray on two nodes; one is killed, then the driver
"""

from __future__ import annotations

import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from newscaster import media, provenance
from newscaster.batch.driver import REPORT, run_batch
from newscaster.batch.identity import Identities
from newscaster.batch.local import LocalEngine
from newscaster.batch.plan import CommandSpec, Kind, Parameter, plans
from newscaster.batch.stores import RECORDS, LocalFolder
from newscaster.batch.work import RowWork
from newscaster.media import read_audio, write_wav
from newscaster.system.cpu import usable_cores

COMMAND = [sys.executable, "-m", "newscaster.cli"]
RATE = 16_000


@click.group()
def main() -> None:
    """Measure batches."""


def _speeches(folder: Path, count: int, seconds: float) -> list[Path]:
    """Write speeches of one length, cut from a bulletin at different places."""
    video = folder / "bulletin.mp4"
    subprocess.run([*COMMAND, "demo", "-o", video, "--keep-speech", folder / "bulletin.wav"], check=True)
    samples = read_audio(folder / "bulletin.wav", rate=RATE)
    length = round(seconds * RATE)
    paths = []
    for index, start in enumerate(np.linspace(0, len(samples) - length, count).astype(int)):
        paths.append(folder / f"speech-{index:04}.wav")
        write_wav(paths[-1], samples[start : start + length], RATE)
    return paths


def _table(folder: Path, speeches: Sequence[Path]) -> Path:
    table = folder / "jobs.csv"
    lines = [f"{path.stem},{path}" for path in speeches]
    table.write_text("\n".join(["id,speech", *lines]) + "\n")
    return table


@main.command()
@click.option("--rows", default=20, show_default=True)
@click.option("--seconds", default=5.0, show_default=True, help="Length of each speech.")
@click.option("--repeats", default=3, show_default=True)
def throughput(rows: int, seconds: float, repeats: int) -> None:
    """Compare `batch` with `speak` in a loop, in turns."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        speeches = _speeches(folder, rows, seconds)
        table, ratios = _table(folder, speeches), []
        for repeat in range(repeats):
            start = time.perf_counter()
            for path in speeches:
                out = folder / f"loop-{repeat}-{path.stem}.mp4"
                subprocess.run([*COMMAND, "speak", path, "-o", out], check=True, capture_output=True)
            loop = time.perf_counter() - start
            start = time.perf_counter()
            command = [*COMMAND, "batch", table, "--to", folder / f"batch-{repeat}"]
            subprocess.run(command, check=True, capture_output=True)
            batch = time.perf_counter() - start
            ratios.append(loop / batch)
            print(f"loop {loop:.1f} s, batch {batch:.1f} s: {ratios[-1]:.2f} times", flush=True)
        load = os.getloadavg()[0]
        print(f"{rows} rows of {seconds} s: median {statistics.median(ratios):.2f} times; load {load:.1f}")


@dataclass(frozen=True)
class Touch:
    """A command that writes an empty file."""

    def specs(self) -> Mapping[str, CommandSpec]:
        """See :class:`newscaster.batch.plan.Commands`."""
        parameters = {
            "text": Parameter(option="--text"),
            "output": Parameter(option="--output", kind=Kind.OUTPUT),
        }
        return {"speak": CommandSpec(name="speak", parameters=parameters, output="output", suffix=".txt")}

    def check(self, command: str, arguments: Sequence[str]) -> None:
        """Accept all arguments."""

    def run(self, command: str, arguments: Sequence[str], *, cores: int) -> Sequence[str]:
        """Write the file."""
        (output,) = (a.partition("=")[2] for a in arguments if a.startswith("--output="))
        Path(output).touch()
        return []


@main.command()
@click.option("--rows", default=10_000, show_default=True)
def overhead(rows: int) -> None:
    """Measure what rows cost besides their command."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "jobs.csv"
        table.write_text("text\n" + "".join(f"A sentence of row {number}.\n" for number in range(rows)))
        destination = LocalFolder(folder / "out")
        work = RowWork(commands=Touch(), destination=destination, cores=1)
        for turn in ("first", "again"):
            start, cpu = time.perf_counter(), time.process_time()
            with destination.in_use():
                counts = run_batch(
                    plans(table, Touch(), Identities()),
                    destination,
                    LocalEngine(work, processes=usable_cores()),
                    total=rows,
                    retries=0,
                    on_change=lambda counts: None,
                )
            wall, cpu = time.perf_counter() - start, time.process_time() - cpu
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"{turn}: {counts.done} done, {counts.kept} kept, {1000 * wall / rows:.2f} ms a row, "
                f"{1000 * cpu / rows:.2f} ms of it processor time of the driver, {memory:.0f} MB"
            )


@main.command()
@click.option("--rows", default=200, show_default=True)
@click.option("--seconds", default=1.0, show_default=True)
@click.option("--kill-node", default=60, show_default=True, help="Rows done when a node is killed.")
@click.option("--kill-driver", default=120, show_default=True, help="Rows done when the driver is killed.")
def cluster(rows: int, seconds: float, kill_node: int, kill_driver: int) -> None:
    """Work on a cluster of two nodes; kill one, and then the driver, and start it again."""
    from ray.cluster_utils import Cluster

    with TemporaryDirectory() as name:
        folder, out = Path(name), Path(name, "out")
        table = _table(folder, _speeches(folder, rows, seconds))
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        command = [*COMMAND, "batch", table, "--to", out, "--ray", nodes.address]
        start = time.perf_counter()
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for done in _done(out, driver):
            if done >= kill_node and second is not None:
                nodes.remove_node(second, allow_graceful=False)
                second = None
                print(f"node killed at {done} rows, {time.perf_counter() - start:.0f} s", flush=True)
            if done >= kill_driver:
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                print(f"driver killed at {done} rows, {time.perf_counter() - start:.0f} s", flush=True)
                break
        again = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        print(f"{time.perf_counter() - start:.0f} s: {again.stdout.strip()} (exit code {again.returncode})")
        nodes.shutdown()
        seen = Counter(json.loads(line)["state"] for line in (out / REPORT).read_text().splitlines())
        _check(out, rows, seconds)
        print(f"report of the second run: {dict(seen)}")


def _done(out: Path, driver: subprocess.Popen[str]) -> Iterator[int]:
    """Yield how many rows have a receipt, until the driver ends."""
    while driver.poll() is None:
        yield sum(1 for _ in (out / RECORDS / "receipts").glob("*/*.json"))
        time.sleep(0.2)


def _check(out: Path, rows: int, seconds: float) -> None:
    """Print how many outputs are whole, and what else there is."""
    videos = sorted(out.glob("*.mp4"))
    whole = sum(_is_whole(path, seconds) for path in videos)
    receipts = sum(1 for _ in (out / RECORDS / "receipts").glob("*/*.json"))
    unfinished = [path for path in (out / RECORDS / "unfinished").rglob("*") if path.is_file()]
    others = [path.name for path in out.iterdir() if path.suffix != ".mp4"]
    print(
        f"{len(videos)} videos of {rows}, {whole} whole and signed, {receipts} receipts, "
        f"{len(unfinished)} unfinished files; beside them: {sorted(others)}"
    )


def _is_whole(path: Path, seconds: float) -> bool:
    video = media.probe(path).video
    is_long_enough = video is not None and abs((video.duration_seconds or 0) - seconds) < 0.1
    return is_long_enough and provenance.verify(path, watermark=False).holds


if __name__ == "__main__":
    main()
