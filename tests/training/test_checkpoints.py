from __future__ import annotations

from pathlib import Path

import pytest
import torch

from newscaster.errors import InputError
from newscaster.training.checkpoints import (
    Checkpoint,
    ProgressTable,
    optimizer_tensors,
    read_checkpoint,
    restore_optimizer,
    write_checkpoint,
)


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    shared = torch.arange(12.0).reshape(3, 4)
    write_checkpoint(
        path, Checkpoint({"a.x": shared, "a.turned": shared.T, "b.x": torch.ones(())}, {"step": 7})
    )
    found = read_checkpoint(path)
    assert found.facts == {"step": 7}
    assert set(found.part("a")) == {"x", "turned"}
    assert torch.equal(found.part("a")["turned"], shared.T)
    assert [p.name for p in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("content", [b"", b"not safetensors", None])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        read_checkpoint(path)


def test_an_optimizer_goes_on_where_it_stopped() -> None:
    def steps(parameter: torch.nn.Parameter, optimizer: torch.optim.Optimizer, count: int) -> None:
        for _ in range(count):
            (parameter**3).sum().backward()
            optimizer.step()
            optimizer.zero_grad()

    whole = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    steps(whole, torch.optim.AdamW([whole], lr=0.1), 6)
    first = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    stopped = torch.optim.AdamW([first], lr=0.1)
    steps(first, stopped, 3)
    second = torch.nn.Parameter(first.detach().clone())
    resumed = torch.optim.AdamW([second], lr=0.1)
    restore_optimizer(resumed, optimizer_tensors(stopped))
    steps(second, resumed, 3)
    assert torch.equal(second, whole)


def test_the_table_keeps_rows_up_to_the_step_resumed_from(tmp_path: Path) -> None:
    path = tmp_path / "progress.csv"
    table = ProgressTable(path, ("step", "loss", "psnr"))
    table.add(step=10, loss=0.5)
    table.add(step=20, loss=0.25, psnr=30.0)
    table.add(step=30, loss=0.125)
    with path.open("a") as file:
        file.write("40,0.1")  # cut short
    ProgressTable(path, ("step", "loss", "psnr"), resume_step=20).add(step=30, loss=0.1)
    assert path.read_text() == "step,loss,psnr\n10,0.5,\n20,0.25,30\n30,0.1,\n"
    ProgressTable(path, ("step", "loss"))
    assert path.read_text() == "step,loss\n"
