"""Real processes: those that Fabric starts, and those of torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from newscaster.errors import InputError, MissingExtraError
from newscaster.training.distributed import Launcher
from newscaster.training.processes import ALONE
from train_together import losses

PROGRAM = Path(__file__).parents[1] / "train_together.py"
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}


def test_a_single_process_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    launcher = Launcher()
    assert launcher.is_first
    assert launcher.processes() is ALONE
    with pytest.raises(MissingExtraError, match=r"newscaster\[distributed\]"):
        Launcher(2)


@pytest.mark.parametrize("name", ["devices", "nodes"])
def test_numbers_out_of_range_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"{name} is 0; expected 1 to 1024"):
        Launcher(**{name: 0})


def test_more_processes_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning_fabric", reason="the extra distributed is not installed")
    monkeypatch.setattr("newscaster.training.distributed.usable_cores", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="devices is 3, but this process may use 2 cores"):
        Launcher(3)


def test_numbers_that_differ_from_those_of_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="torchrun started 2 processes on each of 3 machines"):
        Launcher(2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("starter", ["fabric", "torchrun"])
def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(starter: str, tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric", reason="the extra distributed is not installed")
    steps, of = (100, 100) if starter == "fabric" else (20, 100)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    expected = losses("motion", 16, steps, of, tmp_path / "one")["losses"]
    out = tmp_path / "two.json"
    run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"] * (starter == "torchrun")
    arguments = ["motion", "8", str(steps), str(of), tmp_path / "two", out, str(1 + (starter == "fabric"))]
    source, tests = PROGRAM.parents[1] / "src", PROGRAM.parent
    path = os.pathsep.join([str(source), str(tests), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *run, PROGRAM, *arguments], env=environment, check=True, timeout=300)
    found = json.loads(out.read_text())["losses"]
    assert len(found) == steps
    assert found == pytest.approx(expected, abs=1e-4)
    assert found != expected, "sums are rounded in another order"
