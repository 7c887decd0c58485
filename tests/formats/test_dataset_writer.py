from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from faces import talking
from newscaster.errors import OutputError
from newscaster.formats.dataset import read_record
from newscaster.formats.dataset_writer import DatasetWriter, write_track, writing_crops
from small_dataset import FRAMES, record, write_take


def test_tracking_again_voids_the_crops(tmp_path: Path) -> None:
    write_take(tmp_path)
    folder = tmp_path / "clips" / "one"
    write_track(
        folder,
        record(),
        landmarks=talking(FRAMES),
        present=np.ones(FRAMES, bool),
        speech=np.zeros(10_677, np.float32),
    )
    found = read_record(folder)
    assert found is not None
    assert found.cropped_with is None


def test_crops_appear_when_they_are_finished(tmp_path: Path) -> None:
    def fail() -> None:
        with writing_crops(tmp_path, frames=3, side=128) as crops:
            crops[0] = 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def hold(folder: str, ready: object, done: object) -> None:
    with DatasetWriter(Path(folder)):
        ready.set()  # type: ignore[attr-defined]
        done.wait(20)  # type: ignore[attr-defined]


def test_one_writer_at_a_time_even_among_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=hold, args=(str(tmp_path), ready, done))
    other.start()
    assert ready.wait(20)
    with pytest.raises(OutputError, match="another preparation is at work"), DatasetWriter(tmp_path):
        pass
    other.kill()  # the lock ends with the process
    other.join()
    with DatasetWriter(tmp_path):
        pass
