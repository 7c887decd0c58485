"""What befalls the machine: a clear end with a documented exit code, work kept, no half file."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from footage import accept_short_footage, make_up_faces, shorten_target, write_footage
from fresh_python import end_by_signals, environment
from newscaster import consent, media, pipelines
from newscaster.cli import exits
from newscaster.cli.commands import main
from newscaster.cli.signals import NUMBERS
from newscaster.errors import InputError, MediaError, OutputError
from newscaster.formats import dataset, dataset_writer
from newscaster.prepare import pipeline, prepare, work
from newscaster.server.anchor_registry import Library
from newscaster.server.jobs import JobQueue
from newscaster.server.settings import Limits
from newscaster.system import os_errors
from studios import ask, end_group, serving, until
from tiny_anchor import speech_like, write_tiny_anchor

resource = pytest.importorskip("resource", reason="limits and signals are those of Unix")

pytestmark = pytest.mark.usefixtures("local_certificate")
FAULTS_PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
CLI = (sys.executable, "-m", "newscaster.cli")
MADE_UP = (sys.executable, str(Path(__file__).with_name("made_up_cli.py")))
NOBODY = 65534
PATIENCE_SECONDS = 120.0
MostOfKinds = dict[int, int]


def speech(folder: Path, seconds: float = 2.0) -> Path:
    path = folder / "speech.wav"
    samples = speech_like(min(seconds, 3.0))
    media.write_wav(path, np.resize(samples, round(seconds * 16_000)), 16_000)
    return path


@contextmanager
def started(
    *arguments: object, cwd: Path, program: tuple[str, ...] = CLI, limits: MostOfKinds | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, with its temporary files in `cwd`/tmp, under limits."""
    temporary = cwd / "tmp"
    temporary.mkdir(exist_ok=True)

    def prepare() -> None:
        end_by_signals()
        for kind, most in (limits or {}).items():
            resource.setrlimit(kind, (most, most))

    process = subprocess.Popen(
        [*program, *map(str, arguments)],
        cwd=cwd,
        env={**environment(), "TMPDIR": str(temporary), "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )
    try:
        yield process
    finally:
        end_group(process)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was said on standard error, which is never a traceback; nothing of it goes on."""
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in err
    until(lambda: not group_is_there(process.pid))
    return process.returncode, err


def group_is_there(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def run(*arguments: object, cwd: Path, **options: Any) -> tuple[int, str]:
    with started(*arguments, cwd=cwd, **options) as process:
        return ended(process)


def unfinished(folder: Path) -> list[str]:
    """Files that are half written."""
    found = [path.name for path in folder.rglob(".*") if ".part" in path.name]
    return found + [path.name for path in (folder / "tmp").glob("newscaster-*")]


def one_error(err: str) -> str:
    """The only line that says what is wrong."""
    (line,) = (line for line in err.splitlines() if line.startswith("error: "))
    return line


# --- The page


def test_every_exit_code_is_documented() -> None:
    table = re.findall(r"^\| (\d+) \|", FAULTS_PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    codes = [int(value) for name, value in vars(exits).items() if name.startswith("EXIT_")]
    assert sorted(map(int, table)) == sorted(codes)


# --- A full disk


@pytest.mark.slow
@pytest.mark.parametrize(
    ("max_bytes", "said"),
    [(0, "no folder for temporary files"), (2000, "no room for temporary files"), (15_000, "'news.mp4'")],
)
def test_speak_on_a_full_disk(tiny: Path, tmp_path: Path, max_bytes: int, said: str) -> None:
    audio = speech(tmp_path)
    (tmp_path / "news.mp4").write_bytes(b"the old one")
    arguments = ["speak", audio, "-a", tiny, "-o", "news.mp4"]
    if max_bytes < 15_000:
        arguments += ["--motion", "motion.npz"]
    code, err = run(*arguments, cwd=tmp_path, limits={resource.RLIMIT_FSIZE: max_bytes})
    assert code == exits.EXIT_ERROR
    assert said in one_error(err)
    assert (tmp_path / "news.mp4").read_bytes() == b"the old one"
    assert not (tmp_path / "motion.npz").exists()
    assert not unfinished(tmp_path)


def test_what_goes_with_a_video_on_a_full_disk(tiny: Path, tmp_path: Path) -> None:
    """Files are finished one after the other: those that had room are whole."""
    arguments = ["speak", speech(tmp_path), "-a", tiny, "-o", "news.mp4", "--motion", "motion.npz"]
    code, err = run(*arguments, cwd=tmp_path, limits={resource.RLIMIT_FSIZE: 40_000})
    assert (code, err.count("\n")) == (exits.EXIT_ERROR, 1)
    assert one_error(err).startswith("error: cannot write 'motion.npz' (File too large)")
    assert sum(1 for _ in media.read_frames(tmp_path / "news.mp4")) == 50
    assert not (tmp_path / "motion.npz").exists()
    assert not unfinished(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_standard_output_on_a_full_disk(tiny: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*CLI, "info", tiny],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
        )
    assert done.returncode == exits.EXIT_ERROR
    assert "No space left on device" in one_error(done.stderr)
    assert "Traceback" not in done.stderr


def test_live_on_a_full_disk(tiny: Path, tmp_path: Path) -> None:
    arguments = ["live", tiny, "--to", "out.ts", "--speech", speech(tmp_path, 3.0)]
    code, err = run(*arguments, cwd=tmp_path, limits={resource.RLIMIT_FSIZE: 10_000})
    assert code == exits.EXIT_ERROR
    assert "cannot write 'out.ts' (File too large). Free some space" in one_error(err)
    assert any(True for _ in media.read_frames(tmp_path / "out.ts"))  # what has been sent can be played


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("footage")
    for number in range(3):
        write_footage(folder / f"{number}.mp4", seconds=1.4)
    return folder


@pytest.mark.slow
def test_training_goes_on_when_a_full_disk_has_room_again(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regions are mapped to memory: without room for them, writing there would be SIGBUS."""
    arguments = ["train", footage, "-o", "ada.anchor", "--minutes", "0.02", "--consent", "Ada agreed"]
    (tmp_path / "ada.anchor").write_bytes(b"the old one")
    limits = {resource.RLIMIT_FSIZE: 1_000_000}
    code, err = run(*arguments, cwd=tmp_path, program=MADE_UP, limits=limits)
    assert code == exits.EXIT_ERROR
    assert "regions.npy' (File too large). Free some space" in one_error(err)
    assert (tmp_path / "ada.anchor").read_bytes() == b"the old one"
    assert not unfinished(tmp_path)
    tracked = list((tmp_path / "ada.work").rglob("clip.json"))
    assert len(tracked) == 3
    make_up_faces(monkeypatch)
    accept_short_footage(monkeypatch)
    shorten_target(monkeypatch)
    monkeypatch.setattr(work, "follow_person", None)  # nothing is tracked again
    assert prepare(footage, tmp_path / "ada.work" / "take", workers=0).frames == 105


def test_regions_take_their_room_before_they_are_written(tmp_path: Path) -> None:
    with dataset_writer.writing_crops(tmp_path, frames=40, side=128) as crops:
        (part,) = tmp_path.glob(".regions.*.part.npy")
        assert part.stat().st_blocks * 512 >= crops.nbytes
        assert not crops.any()
        crops[3] = 7
    written = np.load(tmp_path / "regions.npy")
    assert written.shape == (40, 128, 128, 3)
    assert [int(frame.max()) for frame in written[2:5]] == [0, 7, 0]


def test_arrays_cut_short_by_a_full_disk_say_so() -> None:
    """NumPy tells how much was written, and not why."""
    assert (
        os_errors.why(OSError("143400 requested and 1218 written")) == "there is no space left for all of it"
    )


@pytest.mark.slow
def test_a_job_on_a_full_disk(tiny: Path, tmp_path: Path) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("limits of another process are Linux's")
    audio = speech(tmp_path, 0.4).read_bytes()
    keep = tmp_path / "kept"
    with serving(tiny, "--data-dir", keep) as (process, address):

        def limit(most: int) -> None:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))

        def job() -> dict[str, Any]:
            known = ask(address, "/v1/jobs/audio", audio)["id"]
            found: dict[str, Any] = until(
                lambda: (job := ask(address, f"/v1/jobs/{known}"))["state"] in ("done", "failed") and job
            )
            return found

        limit(len(audio) - 1000)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, "/v1/jobs/audio", audio)
        assert refused.value.code == 507
        assert b"disk is full" in refused.value.read()
        assert not list((keep / "jobs").iterdir())
        assert not list((keep / "uploads").iterdir())
        limit(len(audio) + 100)
        failed = job()
        assert failed["state"] == "failed"
        assert "File too large" in failed["error"]
        assert failed["video"] is None
        left = {path.name for path in (keep / "jobs" / failed["id"]).iterdir()}
        assert left == {"job.json", "sound.wav"}
        limit(resource.RLIM_INFINITY)
        assert job()["state"] == "done"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_job_whose_process_is_killed(tiny: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with serving(tiny, "--data-dir", keep) as (process, address):
        known = ask(address, "/v1/jobs/audio", speech(tmp_path, 60.0).read_bytes())["id"]
        until(lambda: ask(address, f"/v1/jobs/{known}")["frames"])
        of_threads = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [child for path in of_threads for child in path.read_text().split()]
        (working,) = (c for c in children if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes())
        os.kill(int(working), signal.SIGKILL)
        until(lambda: ask(address, f"/v1/jobs/{known}")["state"] == "failed")
        assert "the worker process was killed" in ask(address, f"/v1/jobs/{known}")["error"]
        assert {path.name for path in (keep / "jobs" / known).iterdir()} == {"job.json", "sound.wav"}
        with pytest.raises(urllib.error.HTTPError, match="409"):
            ask(address, f"/v1/jobs/{known}/video")


def test_a_queue_outlives_a_disk_that_takes_no_record(tiny: Path, tmp_path: Path) -> None:
    queue = JobQueue(tmp_path / "jobs", Library([str(tiny)]), Limits())
    job = queue.add_script("Good evening.", anchor="tiny")
    shutil.rmtree(tmp_path / "jobs" / job.id)
    queue._update(job.id, state="failed", error="no space")
    assert queue.get(job.id).state == "failed"


# --- A place that cannot be written


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """As a user whom permissions bind: root's do not."""
    if os.getuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    place = tmp_path / "closed"
    place.mkdir()
    above = [tmp_path, *tmp_path.parents]
    if (top := Path(tempfile.gettempdir()).resolve()) not in above:
        pytest.skip("pytest's folders are not where temporary ones are")
    for one in above[: above.index(top)]:
        one.chmod(0o755)  # pytest's own are closed to others
    place.chmod(0o555)
    with as_nobody(place):
        with pytest.raises(OutputError, match=r"'.*closed' cannot be written to \(Permission denied\)"):
            media.check_output(place / "news.mp4", suffixes=None)
        with (
            pytest.raises(OutputError, match=r"cannot write to the folder '.*closed/work'"),
            media.exclusive_lock(place / "work", what="training", next_step="name another folder"),
        ):
            pass
        with (
            pytest.raises(OutputError, match=r"cannot write '.*closed/motion.npz' \(Permission denied\)"),
            media.atomic_write(place / "motion.npz"),
        ):
            pass
    assert not list(place.iterdir())


def test_a_folder_below_a_file(tiny: Path, tmp_path: Path) -> None:
    audio = speech(tmp_path)
    code, err = run("speak", audio, "-a", tiny, "-o", audio / "news.mp4", cwd=tmp_path)
    assert code == exits.EXIT_ERROR
    assert "there is no folder" in one_error(err)
    code, err = run(
        "train", audio, "-o", "a.anchor", "--work-dir", audio / "w", "--consent", "A", cwd=tmp_path
    )
    assert code == exits.EXIT_ERROR
    assert f"cannot write to the folder '{audio / 'w'}'" in one_error(err)


# --- Memory


@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory are Linux's")
@pytest.mark.parametrize("most_mib", [300, 660])
def test_too_little_memory(tmp_path: Path, most_mib: int) -> None:
    """Native libraries may end the process where Python would raise: then nothing is cleared away."""
    (tmp_path / "news.mp4").write_bytes(b"the old one")
    arguments = ["speak", speech(tmp_path), "-a", "builtin", "-o", "news.mp4"]
    code, err = run(*arguments, cwd=tmp_path, limits={resource.RLIMIT_AS: most_mib << 20})
    assert (tmp_path / "news.mp4").read_bytes() == b"the old one"
    if most_mib > 640 and code in (127, -signal.SIGABRT, -signal.SIGSEGV):
        return
    assert code == exits.EXIT_ERROR
    assert "memory" in one_error(err)
    assert not unfinished(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("std::bad_alloc"),
        ImportError("libx265.so: failed to map segment from shared object"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("can't start new thread"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_memory_runs_out_in_many_words(error: Exception) -> None:
    assert os_errors.fault(error) == os_errors.NO_MEMORY


def test_bugs_are_not_the_machine_s() -> None:
    named = OSError(errno.EINVAL, "Invalid argument", "out of memory.wav")
    for error in (ValueError("x"), OSError("x"), RuntimeError("x"), KeyError("memory"), named):
        assert os_errors.fault(error) is None


# --- Inputs that go away


def test_footage_that_goes_away_while_it_is_prepared(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found, tracked, and gone when its regions are to be cut."""
    make_up_faces(monkeypatch)
    accept_short_footage(monkeypatch)
    own = tmp_path / "footage"
    own.mkdir()
    for path in footage.glob("*.mp4"):
        (own / path.name).write_bytes(path.read_bytes())
    whole = (own / "1.mp4").read_bytes()

    def losing(damage: Callable[[Path], object]) -> Callable[..., Any]:
        def cut(*given: Any, **options: Any) -> Any:
            damage(own / "1.mp4")
            return cut_crops(*given, **options)

        return cut

    cut_crops = pipeline.cut_crops
    for damage, said in (
        (lambda path: path.unlink(missing_ok=True), r"no such file: '.*1\.mp4'"),
        (lambda path: path.write_bytes(whole[: len(whole) // 2]), r"1\.mp4' is cut short"),
    ):
        (own / "1.mp4").write_bytes(whole)
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "cut_crops", losing(damage))
            with pytest.raises(MediaError, match=said):
                prepare(own, tmp_path / "take", workers=0)
        assert not (tmp_path / "take" / "take.json").exists()
        assert not unfinished(tmp_path / "take")


def test_speech_that_is_cut_short_while_it_is_spoken(tiny: Path, tmp_path: Path) -> None:
    audio = speech(tmp_path, 30.0)
    (tmp_path / "news.mp4").write_bytes(b"the old one")

    def cut(done: int, total: int) -> None:
        if done == 5:
            os.truncate(audio, 100_000)

    with pytest.raises(MediaError, match=r"speech\.wav' changed or disappeared during synthesis"):
        newscaster.open(tiny).speak(audio, tmp_path / "news.mp4", progress=cut)
    assert (tmp_path / "news.mp4").read_bytes() == b"the old one"
    assert not unfinished(tmp_path)


def test_an_anchor_that_is_replaced_while_it_is_open(tiny: Path, tmp_path: Path) -> None:
    """What has been opened goes on as it was; the file is not read again."""
    path = tmp_path / "own.anchor"
    path.write_bytes(tiny.read_bytes())
    anchor = newscaster.open(path)
    before = list(anchor.render(speech_like(1.0)))
    for content in (b"something else", None):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        np.testing.assert_array_equal(list(anchor.render(speech_like(1.0))), before)


# --- Clocks


def test_a_clock_that_is_set_back(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leftovers are known by their locks, not by their age; a consent of tomorrow is not given yet."""
    leftover = tmp_path / ".news.0123abcd.part.mp4"
    leftover.write_bytes(b"half")
    os.utime(leftover, (4e9, 4e9))  # written in the year 2096, by the clock of then
    with media.atomic_write(tmp_path / "news.mp4") as temporary:
        temporary.write_bytes(b"whole")
        assert not leftover.exists()

    given = consent.Consent.of(f"who: Ada\nfor: news\nwhen: {date.today()}")

    class Yesterday(date):
        @classmethod
        def today(cls) -> date:
            return date.fromordinal(date.toordinal(real_today) - 1)

    real_today = date.today()
    monkeypatch.setattr(consent, "date", Yesterday)
    with pytest.raises(InputError, match="and today is"):
        given.check_today()
    given.check("Ada")  # an anchor that is made already speaks

    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert newscaster.open(tiny).speak(speech_like(1.0), tmp_path / "then.mp4").frames == 25


def test_consent_that_ends_is_asked_for_while_an_anchor_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tomorrow = date.today() + timedelta(days=1)
    path = write_tiny_anchor(
        tmp_path / "x.anchor",
        consent=consent.Consent.of(f"who: Ada\nfor: news\nuntil: {date.today()}").record().to_json(),
    )
    anchor = newscaster.open(path)

    class Tomorrow(date):
        @classmethod
        def today(cls) -> date:
            return tomorrow

    monkeypatch.setattr(consent, "date", Tomorrow)
    with pytest.raises(newscaster.ConsentError, match="ended on"):
        anchor.render(speech_like(1.0))


# --- Two at once, and signals


@pytest.mark.slow
def test_two_trainings_in_one_folder_and_sigterm(footage: Path, tmp_path: Path) -> None:
    arguments = ["train", footage, "-o", "ada.anchor", "--minutes", "5", "--consent", "Ada agreed"]
    with started(*arguments, cwd=tmp_path, program=MADE_UP) as first:
        until((tmp_path / "ada.work" / ".lock").exists)
        with pytest.raises(OutputError, match=r"another training is at work in '.*ada\.work'"):
            pipelines.train(footage, tmp_path / "ada.anchor", consent="Ada agreed")
        until((tmp_path / "ada.work" / "take" / "take.json").exists)
        os.killpg(first.pid, signal.SIGTERM)  # as a service manager does
        code, err = ended(first)
    assert (code, err.splitlines()[-1:]) == (exits.EXIT_TERMINATED, ["terminated"])
    assert not unfinished(tmp_path)
    assert not (tmp_path / "ada.anchor").exists()
    assert dataset.Dataset.open(tmp_path / "ada.work" / "take").frames == 105


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, exits.EXIT_INTERRUPTED, "interrupted"),
        (signal.SIGTERM, exits.EXIT_TERMINATED, "terminated"),
        (signal.SIGHUP, exits.EXIT_HUNG_UP, "hung up"),
    ],
)
def test_speak_is_stopped(tiny: Path, tmp_path: Path, number: int, code: int, said: str) -> None:
    """Also by somebody who does not wait, and presses Ctrl-C again."""
    (tmp_path / "news.mp4").write_bytes(b"the old one")
    with started("speak", speech(tmp_path, 300.0), "-a", tiny, "-o", "news.mp4", cwd=tmp_path) as process:
        until(lambda: any(path.stat().st_size for path in tmp_path.glob(".*.part.mp4")))
        for _ in range(3):
            os.killpg(process.pid, number)
            time.sleep(0.02)
        began = time.monotonic()
        returned, err = ended(process)
        assert (returned, err.strip()) == (code, said)
        assert time.monotonic() - began < PATIENCE_SECONDS / 4
    assert (tmp_path / "news.mp4").read_bytes() == b"the old one"
    assert not unfinished(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_live_is_stopped(tiny: Path, tmp_path: Path, number: int) -> None:
    """To be stopped is how a stream ends: the file is finished, and signed."""
    with started("live", tiny, "--to", "out.mp4", "--idle", cwd=tmp_path) as process:
        until(lambda: (tmp_path / "out.mp4").exists() and (tmp_path / "out.mp4").stat().st_size > 2000)
        os.killpg(process.pid, number)
        code, _ = ended(process)
    assert code == exits.EXIT_DONE
    assert newscaster.verify(tmp_path / "out.mp4").holds
    assert not unfinished(tmp_path)


@pytest.fixture
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What this process does at signals is put back, and it is not ended; its streams stay as they are."""
    monkeypatch.setattr("newscaster.cli.commands.send_library_output_to_log", lambda: None)
    monkeypatch.setattr("newscaster.cli.commands.watch_standard_streams", lambda: None)
    monkeypatch.setattr("newscaster.cli.signals.Signals._watch", lambda *_: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = {number: signal.getsignal(number) for number in NUMBERS}
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    yield
    signal.set_wakeup_fd(wakeup)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("own_signals")
def test_sigint_that_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under nohup, and for jobs in the background of a script."""
    heard: list[object] = []

    def work() -> int:
        heard.extend(map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)))
        return exits.EXIT_DONE

    monkeypatch.setattr("newscaster.cli.commands.run", work)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with pytest.raises(SystemExit):
        main()
    assert heard[0] is signal.SIG_IGN
    assert callable(heard[1])


@pytest.mark.usefixtures("own_signals")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, exits.EXIT_INTERRUPTED, "interrupted\n"),
        (signal.SIGTERM, exits.EXIT_TERMINATED, "terminated\n"),
        (signal.SIGHUP, exits.EXIT_HUNG_UP, "hung up\n"),
    ],
)
def test_what_a_library_makes_of_a_signal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, code: int, said: str
) -> None:
    """Extension modules that call Python may turn whatever that raises into an error of theirs."""

    def library(**_: object) -> None:
        try:
            os.kill(os.getpid(), number)
        except BaseException as error:
            os.kill(os.getpid(), number)  # heard no more: it clears away
            raise InputError("the file is damaged") from error

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup lets all its children ignore it
    monkeypatch.setattr("newscaster.cli.commands.cli.main", library)
    with pytest.raises(SystemExit) as raised:
        main()
    assert (raised.value.code, capsys.readouterr().err) == (code, said)


@pytest.mark.parametrize("arguments", [["info"], ["--help"]])
def test_nobody_reads_what_is_said(tiny: Path, arguments: list[str]) -> None:
    """A code of its own: 1 would say of `check` and `verify` that something is wrong with the file."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*CLI, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=environment()
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (exits.EXIT_NOT_READ, "")
