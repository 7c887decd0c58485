"""Trains a small task in one process or several, and writes its losses: a program that tests start.

    python train_together.py TASK BATCH STEPS OF FOLDER OUT.json DEVICES

Without a state in FOLDER it begins a training of OF steps, and stops after STEPS of them, with a state.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from newscaster.training.budget import StepBudget
from newscaster.training.checkpoints import STATE
from newscaster.training.distributed import Launcher
from newscaster.training.loop import Trainer
from newscaster.training.processes import ALONE, Processes
from small_tasks import TASKS


def losses(
    name: str, batch: int, steps: int, of: int, folder: Path, processes: Processes = ALONE
) -> dict[str, list[float]]:
    """Return the losses of a training's next steps, and what each took in processor time of this process."""
    task = TASKS[name](batch)
    trainer = Trainer(task, folder, budget=StepBudget(of), seed=5, processes=processes)
    if processes.first((folder / STATE).is_file):
        trainer.resume()
    else:
        trainer.initialize()
    found, seconds, wall = [], [], []
    while trainer.step < steps:
        made = task.batch(seed=trainer.seed, step=trainer.step)
        start, since = time.process_time(), time.monotonic()
        found.append(float(trainer.update(made, trainer.step / of)))
        seconds.append(time.process_time() - start)
        wall.append(time.monotonic() - since)
    processes.first(trainer.save)
    sums = [float(value.double().sum()) for value in trainer.average.state_dict().values()]
    gathered = processes.mean(torch.tensor(sums, dtype=torch.float64)).tolist()
    assert gathered == sums, "the averages differ between the processes"
    return {"losses": found, "seconds": seconds, "wall": wall, "sums": sums}


if __name__ == "__main__":
    name, batch, steps, of, folder, out, devices = sys.argv[1:]
    launcher = Launcher(int(devices))
    result = losses(name, int(batch), int(steps), int(of), Path(folder), launcher.processes())
    if launcher.is_first:
        Path(out).write_text(json.dumps(result))
