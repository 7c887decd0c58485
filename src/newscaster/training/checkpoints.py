"""What a training run leaves on disk: weights, the state to resume from, a table of its progress.

::

    RUN/
      weights.safetensors     what is exported; its metadata say how the network is built
      state.safetensors       what training goes on from: tensors, and numbers as JSON in its metadata
      progress.csv            one row per report

Every file is written under another name and renamed; no pickle. Knows nothing of what is trained.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from newscaster.errors import InputError, OutputError
from newscaster.system.files import atomic_write

_LENGTH_BYTES = 8
"""Of the length of the header, which a safetensors file begins with."""
WEIGHTS = "weights.safetensors"
STATE = "state.safetensors"
PROGRESS = "progress.csv"
_KEY = "newscaster"
_START_OVER = "Remove its folder to start over, or name another one with --work-dir"
Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and numbers and words that go with them."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    """Anything that JSON holds."""

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one of the parts that :func:`in_parts` joined."""
        return part_of(self.tensors, name)

    def check_identity(self, kind: str, identity: Mapping[str, Any]) -> None:
        """Check that a state belongs to a training.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: it belongs to another one, or is damaged.
        """
        if self.facts.get("kind") != kind:
            raise ValueError(f"it belongs to {self.facts.get('kind')!r}, not to {kind!r}")
        for key, value in json.loads(json.dumps(dict(identity))).items():
            if self.facts["identity"].get(key) != value:
                raise ValueError(f"it belongs to a training with another {key}")


def in_parts(**parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parts in one: each tensor is called ``PART.NAME``."""
    return {f"{part}.{name}": value for part, tensors in parts.items() for name, value in tensors.items()}


def part_of(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors called ``name.…``, without that prefix."""
    return {k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")}


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write tensors and facts as one safetensors file, which replaces an older one at once or not at all.

    Raises:
        OutputError: the disk is full or the folder cannot be written.
    """
    # Copies: safetensors refuses tensors that share memory or are not contiguous.
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in checkpoint.tensors.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={_KEY: json.dumps(dict(checkpoint.facts))}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a file that :func:`write_checkpoint` wrote.

    Raises:
        InputError: the file is missing, damaged, or was written by something else.
    """
    if not path.is_file():
        raise InputError(f"'{path}' does not exist; expected a file written by training. Train first")
    try:
        data = path.read_bytes()  # its own reader of files takes no name that is not UTF-8
        tensors = load(data)
        header = json.loads(
            data[_LENGTH_BYTES : _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")]
        )
        facts = json.loads(header["__metadata__"][_KEY])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"'{path}' is damaged or was not written by training ({error!r}). {_START_OVER}"
        ) from error
    return Checkpoint(tensors, facts)


def load_network(
    path: Path, build: Callable[[Checkpoint], Network], *, kind: str
) -> tuple[Network, Mapping[str, Any]]:
    """Return a network in evaluation mode on the CPU, and the facts stored with its weights.

    Args:
        path: the folder of a run, or its file of weights.
        build: makes a network of the shape that the checkpoint describes.
        kind: of the training task.

    Raises:
        InputError: the file is missing, damaged, or belongs to another kind of network.
    """
    path = path / WEIGHTS if path.is_dir() else path
    stored = read_checkpoint(path)
    try:
        if stored.facts.get("kind") != kind:
            raise ValueError(f"it holds a {stored.facts.get('kind')!r}")
        network = build(stored)
        network.load_state_dict(dict(stored.tensors))
    except (AttributeError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"'{path}' does not hold the weights of a network of the kind {kind!r}: {error}. Give the folder "
            "of a run, or train again"
        ) from error
    return network.eval(), stored.facts


@contextmanager
def resuming(path: Path) -> Iterator[None]:
    """Report a state that does not fit the training that is to go on from it.

    Raises:
        InputError: the block raised an error of values that are missing, or of another shape or type.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"'{path}' cannot be resumed: {error}. {_START_OVER}") from error


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an optimizer, named ``PARAMETER.KIND``; its settings come with the configuration."""
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{kind}": torch.as_tensor(value)
        for index, values in state.items()
        for kind, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Undo :func:`optimizer_tensors` on an optimizer of the same parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, kind = name.split(".", 1)
        like = parameters[int(index)]
        # In the parameter's own memory layout: else the update is rounded otherwise than without a stop.
        restored = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
        state.setdefault(int(index), {})[kind] = restored.detach()
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def make_run_folder(folder: Path) -> None:
    """Make the folder of a run if it does not exist.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make the folder '{folder}' ({error.strerror}). Name a folder that can be written"
        ) from error


class ProgressTable:
    """``progress.csv``: the header, then one row per report, each on disk when :meth:`add` returns.

    Args:
        path: the file; rows of an earlier run are kept as far as they lie before ``resume_step``.
        columns: names of the columns; the first one is the step.
        resume_step: rows from this step on are dropped: they are about to be made again.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, resume_step: int = 0) -> None:
        self._path, self._columns = path, tuple(columns)
        kept = (
            [row for row in _rows(path, self._columns) if int(row[0]) <= resume_step] if resume_step else []
        )
        with atomic_write(path) as temporary:
            temporary.write_text(_csv([self._columns, *kept]), encoding="utf-8")

    def add(self, **values: float | int | str | None) -> None:
        """Append one row; columns that are not given stay empty."""
        row = ["" if (value := values.get(column)) is None else _plain(value) for column in self._columns]
        try:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(_csv([row]))
        except OSError as error:
            raise OutputError(f"cannot write '{self._path}' ({error.strerror}). Free some space") from error


def _plain(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(rows: Sequence[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _rows(path: Path, columns: tuple[str, ...]) -> list[list[str]]:
    # A row that a kill cut short, or a table with other columns, is dropped.
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if not rows or tuple(rows[0]) != columns:
        return []
    return [row for row in rows[1:] if len(row) == len(columns) and row[0].isdigit()]
