"""Kills commands at random moments, and sees whether anything is lost.

    python tools/kill_test.py --work FOLDER [--kills 100] [--seed 0] [--only COMMAND]

`check`, `train`, `speak` and a job of `serve` work on small footage and speech made here, on the made-up
faces of the tests. Each command runs undisturbed first: how long it takes, and what it makes. Then, time and
again, it is killed with all of its processes (SIGKILL to the group) at a moment drawn evenly from that time.
After each kill, every file under a final name must be whole. Then it runs once more, to its end: the result
must be what the undisturbed run made, and no unfinished file and no process may be left. Prints a table, and
a line of JSON; returns 1 if anything failed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from footage import babble, write_footage
from newscaster import media
from newscaster.formats.anchor import AnchorFile
from newscaster.synthesis.anchor import Anchor
from tiny_anchor import speech_like, write_tiny_anchor

ROOT = Path(__file__).parents[1]
CLI = ROOT / "tests" / "made_up_cli.py"
FRACTIONS = {"speak": 0.35, "check": 0.25, "job": 0.25, "train": 0.15}
"""Of the kills: a training takes the longest."""
SPEECH_SECONDS = 20.0
PATIENCE_SECONDS = 600.0


@dataclass
class Place:
    """Where a command works: its folder, the folder of temporary files, and what it is given."""

    folder: Path
    inputs: Path

    @property
    def temporary(self) -> Path:
        return self.folder / "tmp"

    def renew(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.temporary.mkdir(parents=True)

    def start(self, *arguments: object, **options: object) -> subprocess.Popen[str]:
        """The command, in a process group of its own."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]),
            "TMPDIR": str(self.temporary),
            "NEWSCASTER_HOME": str(self.inputs / "home"),
        }
        return subprocess.Popen(
            [sys.executable, str(CLI), *map(str, arguments)],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill a command and all of its processes, as a machine that is switched off does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@dataclass
class Command:
    """A command line, and how its result is told."""

    name: str
    arguments: tuple[object, ...]
    made: Callable[[Place, str], object]
    """What the finished command has made, given where, and its standard output: compared for equality."""
    goes_on: Callable[[Place], bool] = lambda place: False
    """Whether there is something to go on from."""

    def run(self, place: Place) -> object:
        process = place.start(*self.arguments)
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        if process.returncode != 0:
            raise WrongError(f"exit code {process.returncode}: {err.strip()[-400:]}")
        return self.made(place, out)

    def disturbed(self, place: Place, delay: float) -> bool:
        """Run it and kill it after so many seconds; False where it had ended by then."""
        process = place.start(*self.arguments)
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        running = process.poll() is None
        kill_group(process)
        return running


class WrongError(Exception):
    """What should not have been."""


# -- results --


def of_check(place: Place, out: str) -> object:
    page = (place.folder / "report.html").read_bytes()
    return out, hashlib.sha256(page).hexdigest()


def of_video(path: Path) -> tuple[int, str, str]:
    """Frames, and digests of picture and sound."""
    images, count = hashlib.sha256(), 0
    for frame in media.read_frames(path):
        images.update(frame.tobytes())
        count += 1
    audio = media.read_audio(path) if media.probe(path).audio is not None else np.zeros(0)
    return count, images.hexdigest(), hashlib.sha256(audio.tobytes()).hexdigest()


def of_speak(place: Place, out: str) -> object:
    with np.load(place.folder / "motion.npz") as motion:
        shapes = hashlib.sha256(motion["shapes"].tobytes()).hexdigest()
    return of_video(place.folder / "news.mp4"), shapes


def of_train(place: Place, out: str) -> object:
    """All that does not depend on how far a training has come in its time."""
    path = place.folder / "ada.anchor"
    file = AnchorFile(path)  # every digest is checked
    face = {
        name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in file.face().to_arrays().items()
    }
    same = {key: file.info.training[key] for key in ("clips", "motion clips", "footage seconds")}
    frames = sum(1 for _ in Anchor.open(path).render(babble(1.0)))
    if (place.folder / "ada.work").exists():
        raise WrongError("the folder of work is still there")
    return face, same, file.members["stage.mp4"]["sha256"], file.info.target_frames, frames


# -- what lies about after a kill --


def check_whole(folder: Path) -> None:
    """Every file under a final name can be opened and read to its end."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                _open(path)
            except Exception as error:
                raise WrongError(f"'{path.relative_to(folder)}' is not whole: {error!r}") from error


def _open(path: Path) -> None:
    match path.suffix:
        case ".npy":
            np.load(path, mmap_mode="r", allow_pickle=False)
        case ".npz":
            with np.load(path) as arrays:
                assert all(arrays[name] is not None for name in arrays)
        case ".json":
            json.loads(path.read_text(encoding="utf-8"))
        case ".safetensors":
            load_file(path)
        case ".png":
            Image.open(path).load()
        case ".anchor":
            AnchorFile(path)
        case ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
        case ".mp4":
            assert of_video(path)[0] > 0


def check_tidy(place: Place) -> None:
    """Nothing unfinished is left by a run that has ended well."""
    left = [p for p in place.folder.rglob(".*") if ".part" in p.name or p.name.endswith(".removed")]
    left += [p for p in place.temporary.iterdir() if p.name.startswith("newscaster-")]
    if left:
        raise WrongError(f"left behind: {', '.join(str(p.relative_to(place.folder)) for p in left)}")


def check_no_process(place: Place) -> None:
    """No worker of the command is left."""
    for _ in range(50):
        left = [p for p in Path("/proc").glob("[0-9]*/cwd") if _points_into(p, place.folder)]
        if not left:
            return
        time.sleep(0.1)
    raise WrongError(f"{len(left)} processes are left behind")


def _points_into(link: Path, folder: Path) -> bool:
    try:
        return Path(os.readlink(link)) == folder
    except OSError:
        return False


# -- a job of the studio --


@contextmanager
def studio(place: Place) -> Iterator[tuple[subprocess.Popen[str], str]]:
    anchor, keep = place.inputs / "tiny.anchor", place.folder / "kept"
    process = place.start("serve", anchor, "--data-dir", keep, "--port", 0, "--no-token")
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        kill_group(process)


def ask(address: str, path: str, content: bytes | None = None) -> dict[str, object]:
    with urllib.request.urlopen(urllib.request.Request(address + path, content), timeout=60) as reply:
        found: dict[str, object] = json.loads(reply.read())
        return found


class Job(Command):
    """A video made by the studio: asked for, and waited for by whoever starts the studio next."""

    def __init__(self) -> None:
        super().__init__("job", (), lambda place, out: None, lambda place: True)
        self.asked: str | None = None

    def run(self, place: Place) -> object:
        with studio(place) as (process, address):
            known = self.asked or self._ask(place, address)
            self.asked = None
            until = time.monotonic() + PATIENCE_SECONDS
            while (job := ask(address, f"/v1/jobs/{known}"))["state"] in ("queued", "running"):
                if time.monotonic() > until:
                    raise WrongError("the job does not end")
                time.sleep(0.1)
            if job["state"] != "done":
                raise WrongError(f"the job is {job['state']}: {job['error']}")
            process.terminate()
            if (code := process.wait(60)) != 0:
                raise WrongError(f"the studio ended with exit code {code}")
            return of_video(place.folder / "kept" / "jobs" / known / "video.mp4")

    def disturbed(self, place: Place, delay: float) -> bool:
        with studio(place) as (_, address):
            self.asked = known = self._ask(place, address)
            time.sleep(delay)
            return ask(address, f"/v1/jobs/{known}")["state"] != "done"

    def took(self, place: Place) -> float:
        """Seconds from asking for the job to its end."""
        with studio(place) as (_, address):
            known, began = self._ask(place, address), time.monotonic()
            while ask(address, f"/v1/jobs/{known}")["state"] != "done":
                time.sleep(0.05)
            return time.monotonic() - began

    def _ask(self, place: Place, address: str) -> str:
        return str(ask(address, "/v1/jobs/audio", (place.inputs / "speech.wav").read_bytes())["id"])


# -- all of them --


def commands(inputs: Path) -> dict[str, Command]:
    footage, speech, anchor = inputs / "footage", inputs / "speech.wav", inputs / "tiny.anchor"
    trains = ("train", footage, "-o", "ada.anchor", "--minutes", 0.05, "--consent", "Ada agreed")
    every = (
        Command(
            "speak", ("speak", speech, "-a", anchor, "-o", "news.mp4", "--motion", "motion.npz"), of_speak
        ),
        Command("check", ("check", footage, "--report", "report.html"), of_check),
        Job(),
        Command("train", trains, of_train, lambda p: any(p.folder.glob("ada.work/take/clips/*/clip.json"))),
    )
    return {command.name: command for command in every}


@dataclass
class Row:
    """What became of one command's kills."""

    seconds: float
    delay: float = 0.0
    """Of the last kill."""
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def prepare(inputs: Path) -> None:
    (inputs / "footage").mkdir(parents=True, exist_ok=True)
    for i in range(3):
        write_footage(inputs / "footage" / f"{i}.mp4", seconds=4.0)
    media.write_wav(inputs / "speech.wav", speech_like(SPEECH_SECONDS), 16_000)
    write_tiny_anchor(inputs / "tiny.anchor")


def killed(command: Command, place: Place, wanted: object, row: Row, rng: random.Random) -> None:
    """One kill, and what comes after it; a moment that came too late is drawn again."""
    row.delay = row.seconds
    while True:
        place.renew()
        row.delay = rng.uniform(0, row.delay)
        if command.disturbed(place, row.delay):
            break
    check_no_process(place)
    check_whole(place.folder)
    row.counts["resumed" if command.goes_on(place) else "started over"] += 1
    found = command.run(place)
    if found != wanted:
        raise WrongError(f"another result: {found} and not {wanted}")
    check_whole(place.folder)
    check_tidy(place)


def kills(command: Command, place: Place, count: int, rng: random.Random) -> Row:
    place.renew()
    began = time.monotonic()
    wanted = command.run(place)
    row = Row(time.monotonic() - began)
    check_tidy(place)
    if isinstance(command, Job):
        place.renew()
        row.seconds = command.took(place)
    for number in range(count):
        try:
            killed(command, place, wanted, row, rng)
        except (WrongError, subprocess.TimeoutExpired, OSError) as error:
            row.failures.append(f"kill {number + 1}, after {row.delay:.2f} s: {error}")
            print(f"{command.name}: {row.failures[-1]}", flush=True)
        print(f"{command.name} {number + 1}/{count} {dict(row.counts)}", file=sys.stderr, flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(FRACTIONS))
    given = parser.parse_args()
    inputs, place = (given.work / "inputs").absolute(), Place((given.work / "place").absolute(), Path())
    place.inputs = inputs
    os.environ["NEWSCASTER_HOME"] = str(inputs / "home")
    prepare(inputs)
    rows: dict[str, Row] = {}
    for name, command in commands(inputs).items():
        if given.only in (None, name):
            count = given.kills if given.only else round(FRACTIONS[name] * given.kills)
            rows[name] = kills(command, place, count, random.Random(f"{given.seed} {name}"))
    kinds = ("resumed", "started over")
    print(f"| command | usual time | kills | {' | '.join(kinds)} | failures |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        counts = " | ".join(str(row.counts[kind]) for kind in kinds)
        print(f"| {name} | {row.seconds:.1f} s | {row.counts.total()} | {counts} | {len(row.failures)} |")
    print(json.dumps({name: {**row.counts, "failures": row.failures} for name, row in rows.items()}))
    return 1 if any(row.failures for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
