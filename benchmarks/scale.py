"""What many machines would do: a discrete-event simulation, with the measured figures of one.

::

    python benchmarks/scale.py node      # sessions that one machine serves; --real measures it, too
    python benchmarks/scale.py fleet     # machines for 10, 1,000 and 100,000 live sessions
    python benchmarks/scale.py batch     # rows on machines that fail
    python benchmarks/scale.py cost      # core seconds and money for an hour of video

Times are in seconds, unless a name says otherwise. docs/scale.md explains the models and has the results.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
import simpy

from newscaster.system.cpu import usable_cores

Events = Generator[simpy.Event, Any, None]
FRAME_SECONDS = 0.04
MAX_DROPPED = 0.01
"""Share of dropped frames that a served session may have."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One machine, and what a frame costs there; measured by `benchmarks/live.py`."""

    cores: int = 2
    frame_ms: float = 14.6
    """Processor time of a frame of speech, with all that a session does besides."""
    spread: float = 0.35
    """Standard deviation of it over its mean."""
    startup_seconds: float = 20.0
    """From the decision to start a machine until it serves."""


def simulate_node(node: Node, sessions: int, *, seconds: float = 60.0, seed: int = 0) -> float:
    """Return the share of frames that are dropped when all sessions speak.

    A session works on one frame at a time. A frame that is due while the one before is unfinished waits for
    it; one that is due later than that is dropped: live streams do not fall behind.
    """
    chance, environment = random.Random(seed), simpy.Environment()
    cores = simpy.Resource(environment, capacity=node.cores)
    sigma = math.sqrt(math.log(1 + node.spread**2))
    mu = math.log(node.frame_ms / 1000) - sigma**2 / 2
    shown = dropped = 0

    def session() -> Events:
        nonlocal shown, dropped
        due = chance.random() * FRAME_SECONDS
        while due < seconds:
            if environment.now < due:
                yield environment.timeout(due - environment.now)
            with cores.request() as core:
                yield core
                yield environment.timeout(chance.lognormvariate(mu, sigma))
            shown += 1
            late = int((environment.now - due) / FRAME_SECONDS)
            skipped = max(0, late - 1)
            dropped += skipped
            due += (1 + skipped) * FRAME_SECONDS

    for _ in range(sessions):
        environment.process(session())
    environment.run()
    return dropped / (shown + dropped)


def knee(dropped: Callable[[int], float], *, most: int = 64) -> int:
    """Return the largest number of sessions that are served; `dropped` gives the share of dropped frames."""
    count = 0
    while count < most and dropped(count + 1) <= MAX_DROPPED:
        count += 1
    return count


def limit(dropped: Callable[[int], float]) -> float:
    """Return where the share of dropped frames reaches its maximum, between two numbers of sessions.

    The knee is a whole number, and too coarse to compare machines that serve a few sessions.
    """
    served = knee(dropped)
    before, after = dropped(served) if served else 0.0, dropped(served + 1)
    return served + (MAX_DROPPED - before) / (after - before)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Live sessions that come in."""

    concurrent: float
    """Mean number of sessions at a time."""
    minutes: float = 6.0
    """Mean length of a session; lengths are log-normal."""
    swing: float = 0.0
    """How far the rate of arrivals goes up and down within a day, relative to its mean."""


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Machines, and how their number follows the sessions."""

    slots: int
    """Sessions of one machine: its knee."""
    startup_seconds: float = 20.0
    spare: float = 0.2
    """Free slots that the autoscaler keeps, relative to the sessions; at least one machine."""
    check_seconds: float = 15.0
    fixed: int | None = None
    """Number of machines; None: as the autoscaler decides."""
    hours_between_failures: float = 1000.0
    """Mean time between failures of a machine."""


@dataclass
class FleetResult:
    """What became of the sessions."""

    arrived: int = 0
    refused: int = 0
    cut: int = 0
    """Sessions whose machine failed; they come back at once, if there is room."""
    machine_seconds: float = 0.0
    session_seconds: float = 0.0
    most_machines: int = 0
    sessions: list[int] = field(default_factory=list)
    """Number of sessions at each check."""

    @property
    def busy(self) -> float:
        """Served session hours for each machine hour."""
        return self.session_seconds / self.machine_seconds if self.machine_seconds else 0.0


class _Machine:
    def __init__(self) -> None:
        self.sessions: set[simpy.Process] = set()
        self.leaving = False


class _FleetSimulation:
    def __init__(self, traffic: Traffic, fleet: Fleet, *, hours: float, seed: int) -> None:
        self.traffic, self.fleet, self.result = traffic, fleet, FleetResult()
        self.environment, self.chance = simpy.Environment(), random.Random(seed)
        self.end = hours * 3600
        self.warm = 3 * traffic.minutes * 60
        """Until then sessions come up to their number; nothing is counted, and no machine leaves."""
        self.machines: dict[_Machine, None] = {}  # in order of their start
        self.with_room: dict[_Machine, None] = {}
        self.live = self.starting = 0
        first = fleet.fixed or math.ceil(traffic.concurrent * (1 + fleet.spare) / fleet.slots)
        for _ in range(max(1, first)):
            self.add()

    def run(self) -> FleetResult:
        self.environment.process(self.arrivals())
        self.environment.process(self.checks())
        self.environment.run(until=self.warm)
        self.result = FleetResult()
        self.environment.run(until=self.warm + self.end)
        return self.result

    def add(self) -> None:
        machine = _Machine()
        self.machines[machine] = self.with_room[machine] = None
        self.environment.process(self.failure(machine))

    def arrivals(self) -> Events:
        """Sessions come in as a Poisson process; thinning gives it a rate that changes."""
        seconds = self.traffic.minutes * 60
        most = self.traffic.concurrent / seconds * (1 + self.traffic.swing)
        while True:
            yield self.environment.timeout(self.chance.expovariate(most))
            phase = 2 * math.pi * self.environment.now / 86_400
            if self.chance.random() * (1 + self.traffic.swing) > 1 + self.traffic.swing * math.sin(phase):
                continue
            sigma = 0.8
            length = self.chance.lognormvariate(math.log(seconds) - sigma**2 / 2, sigma)
            self.result.arrived += 1
            self.begin(length)

    def begin(self, length: float) -> None:
        machine = next(reversed(self.with_room), None)  # the first one would be slow to find
        if machine is None:
            self.result.refused += 1
            return
        session = self.environment.process(self.session(machine, length))
        machine.sessions.add(session)
        self.live += 1
        if len(machine.sessions) == self.fleet.slots:
            del self.with_room[machine]

    def session(self, machine: _Machine, length: float) -> Events:
        start = self.environment.now
        try:
            yield self.environment.timeout(length)
        except simpy.Interrupt:
            self.result.cut += 1
        self.result.session_seconds += self.environment.now - start
        self.live -= 1
        machine.sessions.discard(self.environment.active_process)
        if machine in self.machines:
            if not machine.leaving:
                self.with_room[machine] = None
            elif not machine.sessions:
                del self.machines[machine]
        elif self.environment.now - start < length:
            self.begin(length - (self.environment.now - start))

    def failure(self, machine: _Machine) -> Events:
        yield self.environment.timeout(_until_failure(self.chance, self.fleet.hours_between_failures))
        if machine in self.machines:
            del self.machines[machine]
            self.with_room.pop(machine, None)
            for session in tuple(machine.sessions):
                session.interrupt()
            self.environment.process(self.start())

    def start(self) -> Events:
        self.starting += 1
        yield self.environment.timeout(self.fleet.startup_seconds)
        self.starting -= 1
        self.add()

    def checks(self) -> Events:
        fleet = self.fleet
        while True:
            self.result.sessions.append(self.live)
            self.result.machine_seconds += fleet.check_seconds * (len(self.machines) + self.starting)
            self.result.most_machines = max(self.result.most_machines, len(self.machines))
            if fleet.fixed is None and self.environment.now > self.warm:
                self.scale()
            yield self.environment.timeout(fleet.check_seconds)

    def scale(self) -> None:
        wanted = max(1, math.ceil(self.live * (1 + self.fleet.spare) / self.fleet.slots))
        staying = [machine for machine in self.machines if not machine.leaving]
        for _ in range(wanted - len(staying) - self.starting):
            self.environment.process(self.start())
        if len(staying) > wanted:  # the emptiest ones take no more sessions, and leave when they are empty
            count = len(staying) - wanted
            for machine in heapq.nsmallest(count, self.with_room, key=lambda m: len(m.sessions)):
                machine.leaving = True
                del self.with_room[machine]
                if not machine.sessions:
                    del self.machines[machine]


def simulate_fleet(traffic: Traffic, fleet: Fleet, *, hours: float = 24.0, seed: int = 0) -> FleetResult:
    """Return what becomes of live sessions on a fleet of machines."""
    return _FleetSimulation(traffic, fleet, hours=hours, seed=seed).run()


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A batch: rows, and the machines that work on them."""

    count: int
    seconds: float
    """Time of a row on one core."""
    machines: int
    cores: int = 2
    hours_between_failures: float = 1000.0
    repair_seconds: float = 300.0
    """Until a machine that failed is replaced."""


def simulate_batch(rows: Rows, *, seed: int = 0) -> tuple[float, int]:
    """Return the time that a batch takes, and the number of attempts that machines lost."""
    environment, chance, lost = simpy.Environment(), random.Random(seed), 0
    waiting = simpy.Store(environment)
    waiting.items = list(range(rows.count))
    finished, all_done = 0, environment.event()

    def core() -> Events:
        nonlocal finished
        while True:
            row = None
            try:
                row = yield waiting.get()
                yield environment.timeout(chance.lognormvariate(math.log(rows.seconds) - 0.02, 0.2))
            except simpy.Interrupt:
                if row is not None:
                    waiting.put(row)
                return
            finished += 1
            if finished == rows.count:
                all_done.succeed()

    def machine() -> Events:
        nonlocal lost
        while True:
            cores = [environment.process(core()) for _ in range(rows.cores)]
            yield environment.timeout(_until_failure(chance, rows.hours_between_failures))
            for process in cores:
                process.interrupt()
                lost += 1
            yield environment.timeout(rows.repair_seconds)

    for _ in range(rows.machines):
        environment.process(machine())
    environment.run(until=all_done)
    return float(environment.now), lost


def measured_node(*, seconds: float = 20.0, repeats: int = 3) -> tuple[float, dict[int, float]]:
    """Run sessions of the bundled anchor on this machine.

    Returns:
        Processor time of a frame in milliseconds while every core has a session, and the share of dropped
        frames by the number of sessions: the median of some runs. One session alone has caches and memory to
        itself: its frames take a tenth less.
    """
    from live import RATE, steady

    import newscaster
    from newscaster.speech.voices import Reading, synthesize

    anchor = newscaster.open("grid-s1")
    bulletin = Path(newscaster.__file__).parent / "data" / "bulletin.txt"
    audio, _ = synthesize(bulletin.read_text(encoding="utf-8"), reading=Reading(voice="hibari"), rate=RATE)
    cores = usable_cores()
    runs: dict[int, list[tuple[float, float, float, float]]] = defaultdict(list)
    for _ in range(repeats):  # in turns: a shared machine is slower at some times than at others
        for count in itertools.count(1):
            runs[count].append(steady(anchor, audio, clients=count, seconds=seconds))
            rate, lost, busy, others = runs[count][-1]
            frame_ms = 1000 * busy / (rate * count)
            print(f"{count}: {lost:.1f} % dropped, {frame_ms:.1f} ms a frame; others used {others:.2f} cores")
            if count > cores and lost > 10:
                break
    dropped = {count: statistics.median(run[1] for run in some) / 100 for count, some in runs.items()}
    return statistics.median(1000 * busy / (rate * cores) for rate, _, busy, _ in runs[cores]), dropped


def _until_failure(chance: random.Random, hours: float) -> float:
    return chance.expovariate(1 / (hours * 3600)) if math.isfinite(hours) else math.inf


@click.group()
def main() -> None:
    """Simulate many machines."""


@main.command("node")
@click.option("--cores", default=Node.cores, show_default=True)
@click.option("--frame-ms", default=Node.frame_ms, show_default=True)
@click.option("--spread", default=Node.spread, show_default=True)
@click.option(
    "--real", is_flag=True, help="Measure the bundled anchor on this machine, too, and simulate that."
)
def node_command(cores: int, frame_ms: float, spread: float, real: bool) -> None:
    """Find how many speaking sessions one machine serves."""
    measured: dict[int, float] = {}
    if real:
        frame_ms, measured = measured_node()
    node = Node(cores=cores, frame_ms=frame_ms, spread=spread)
    print(f"{cores} cores, {frame_ms:.1f} ms a frame, spread {spread:.2f}")
    for count in range(1, 2 * math.ceil(cores * 1000 * FRAME_SECONDS / frame_ms) + 1):
        dropped = _simulated_node(node, count)
        found = f", measured {100 * measured[count]:.1f} %" if count in measured else ""
        print(f"{count:3d} sessions: {100 * dropped:.1f} % dropped{found}")
        if dropped > 0.2:
            break
    simulated = partial(_simulated_node, node)
    print(f"knee: {knee(simulated)} sessions; 1 % is dropped at {limit(simulated):.1f}")
    if measured:
        print(f"measured: {knee(measured.__getitem__)}; {limit(measured.__getitem__):.1f}")


@cache
def _simulated_node(node: Node, count: int) -> float:
    """Return the mean share of dropped frames of some runs."""
    return statistics.mean(simulate_node(node, count, seed=seed) for seed in range(5))


@main.command("fleet")
@click.option("--slots", default=4, show_default=True, help="Sessions of one machine.")
@click.option("--hours", default=24.0, show_default=True)
def fleet_command(slots: int, hours: float) -> None:
    """Find what fleets need for 10, 1,000 and 100,000 sessions."""
    for concurrent in (10, 1_000, 100_000):
        for spare in (0.1, 0.2, 0.5):
            traffic = Traffic(concurrent=concurrent, swing=0.5)
            length = hours if concurrent < 10_000 else min(hours, 0.25)
            result = simulate_fleet(traffic, Fleet(slots=slots, spare=spare), hours=length)
            print(
                f"{concurrent} sessions, {spare:.0%} spare, {length:g} h: {result.arrived} arrived, "
                f"{100 * result.refused / result.arrived:.2f} % refused, {result.cut} cut, at most "
                f"{result.most_machines} machines, {result.busy:.2f} sessions a machine",
                flush=True,
            )


@main.command("batch")
@click.option("--rows", default=100_000, show_default=True)
@click.option("--seconds", default=12.0, show_default=True, help="Of a row, on one core.")
@click.option("--cores", default=2, show_default=True)
def batch_command(rows: int, seconds: float, cores: int) -> None:
    """Find how long a batch takes on machines that fail."""
    for machines in (1, 10, 100):
        for hours in (1000.0, 10.0):
            batch = Rows(
                count=rows, seconds=seconds, machines=machines, cores=cores, hours_between_failures=hours
            )
            took, lost = simulate_batch(batch)
            ideal = rows * seconds / (machines * cores)
            print(
                f"{machines} machines, a failure every {hours:g} h: {took / 3600:.2f} h, "
                f"{100 * (took / ideal - 1):.1f} % more than without failures, {lost} attempts lost"
            )


@main.command("cost")
@click.option("--core-hour", default=0.04, show_default=True, help="Price of a core for an hour.")
@click.option("--frame-ms", default=10.8, show_default=True, help="Processor time of a frame of a file.")
@click.option("--live-ms", default=Node.frame_ms, show_default=True, help="Processor time of a live frame.")
@click.option("--busy", default=0.8, show_default=True, help="Share of the time in which cores are used.")
def cost_command(core_hour: float, frame_ms: float, live_ms: float, busy: float) -> None:
    """Print core hours and money for an hour of video."""
    for name, milliseconds in (("file", frame_ms), ("live", live_ms)):
        hours = milliseconds / 1000 / FRAME_SECONDS / busy
        print(f"an hour of {name}: {hours:.2f} core hours, {hours * core_hour:.4f} at {core_hour} an hour")


if __name__ == "__main__":
    main()
