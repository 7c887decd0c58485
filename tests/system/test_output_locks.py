"""Two commands and one file: outputs, files that are changed in place, and what is left half written."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import media
from newscaster.errors import OutputError
from newscaster.media import LiveItem, TargetVideo, encode_target, exclusive_output, write_live
from newscaster.system import files
from newscaster.system.locks import LockState


def test_a_second_writer_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "news.mp4"
    with exclusive_output(path):
        with (
            pytest.raises(OutputError, match=r"another command is writing '.*news\.mp4'\. Wait until"),
            exclusive_output(path),
        ):
            pytest.fail("two writers at once")
        with exclusive_output(tmp_path / "other.mp4"):
            pass
    assert not list(tmp_path.iterdir())
    with exclusive_output(path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_two_names_of_one_file(tmp_path: Path) -> None:
    (tmp_path / "link.ts").symlink_to(tmp_path / "news.ts")
    with (
        exclusive_output(tmp_path / "news.ts"),
        pytest.raises(OutputError, match=r"link\.ts"),
        exclusive_output(tmp_path / "link.ts"),
    ):
        pytest.fail("two writers at once")


def test_what_a_killed_writer_left_does_not_hinder(tmp_path: Path) -> None:
    (tmp_path / ".news.mp4.lock").touch()
    with exclusive_output(tmp_path / "news.mp4"):
        pass
    assert not list(tmp_path.iterdir())


def test_names_that_are_long_and_devices(tmp_path: Path) -> None:
    with exclusive_output(tmp_path / ("é" * 120 + ".mp4")):
        pass
    with exclusive_output(Path(os.devnull)), exclusive_output(Path(os.devnull)):
        pass


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.system.output_locks.try_lock", lambda descriptor: LockState.UNSUPPORTED)
    with exclusive_output(tmp_path / "x.mp4"), exclusive_output(tmp_path / "x.mp4"):
        assert not list(tmp_path.iterdir())


def test_one_at_a_time_however_many_come(tmp_path: Path) -> None:
    """The lock file is removed and created again all the time; no lock may be on a removed one."""
    inside, most, done = 0, 0, 0
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(40):
            try:
                with exclusive_output(tmp_path / "x.mp4"):
                    with guard:
                        inside += 1
                        most = max(most, inside)
                    time.sleep(0.0005)
                    with guard:
                        inside -= 1
                        done += 1
            except OutputError:
                time.sleep(0.0003)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert done > 4


def test_live_to_one_file_from_two_commands(tmp_path: Path) -> None:
    target = TargetVideo(encode_target(moving_pattern(2, width=64, height=48), Fraction(25)))
    audio = np.zeros(1920, np.float32)
    refused: list[OutputError] = []

    def items() -> Iterator[LiveItem]:
        for number in range(30):
            yield target.image(number % 2), audio
            if number == 10:
                second = iter([(target.image(0), audio)])
                with pytest.raises(OutputError, match="another command is writing") as error:
                    write_live(str(tmp_path / "x.ts"), second, fps=Fraction(25), rate=48_000)
                refused.append(error.value)

    write_live(str(tmp_path / "x.ts"), items(), fps=Fraction(25), rate=48_000)
    assert refused
    assert len(list(media.read_frames(tmp_path / "x.ts"))) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["x.ts"]


def test_what_others_write_in_a_shared_folder_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks of other machines are not seen there: only what is older than a day is taken for left behind.

    Its age is by the clock that dates the folder's files, whatever this machine's clock says.
    """
    theirs, old = tmp_path / ".news.0123abcd.part.mp4", tmp_path / ".news.4567abcd.part.mp4"
    for path in (theirs, old):
        path.write_bytes(b"half")
    os.utime(old, (old.stat().st_mtime - 100_000,) * 2)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    monkeypatch.setattr(files, "is_local", lambda folder: False)
    with media.atomic_write(tmp_path / "news.mp4"):
        assert theirs.exists()
        assert not old.exists()
    media.remove_left_overs(tmp_path)
    assert theirs.exists()
    monkeypatch.setattr(files, "is_local", lambda folder: True)
    media.remove_left_overs(tmp_path)
    assert not theirs.exists()


def test_what_is_in_use_is_no_left_over(tmp_path: Path) -> None:
    for name in (".x.89abcdef.part.mp4", ".x.mp4.lock", ".lock", ".hidden", "x.lock"):
        (tmp_path / name).touch()
    kept = {".lock", ".hidden", "x.lock"}  # a folder's lock, and what is not ours
    with exclusive_output(tmp_path / "news.mp4"), media.atomic_write(tmp_path / "news.mp4") as temporary:
        media.remove_left_overs(tmp_path)
        names = {path.name for path in tmp_path.iterdir()}
        assert names == {*kept, temporary.name, ".news.mp4.lock"}
