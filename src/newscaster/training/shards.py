"""Training samples in shards (.tar), written once and streamed: a corpus may be larger than disk and memory.

::

    FOLDER_OR_URL/
      index.json           kind, groups of shards, and how many samples each shard has; written last
      facts.safetensors    arrays that all samples have in common
      GROUP-00000.tar      samples as WebDataset stores them: KEY.safetensors, one for each

An epoch reads every shard once, in an order drawn from (seed, epoch), and shuffles samples in a buffer. The
readers of an epoch, processes and their makers of batches, take turns at its shards: each sample is read
once an epoch, by one of them. No reader waits for another at the end of an epoch.

A training that is resumed goes on at the start of a shard: of the first that was not read to its end when so
many samples had been taken. Of that shard and of the buffer, some samples are repeated in that epoch or
missing from it.

Where the files are is left to an :data:`OpenFile`; what is in a sample, to the tasks.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from newscaster.errors import InputError, MissingExtraError
from newscaster.safety.readers import read_json, read_tensors
from newscaster.training.loop import History
from newscaster.training.processes import Shard

INDEX, FACTS = "index.json", "facts.safetensors"
SHARD_BYTES = 256 << 20
"""Bytes after which a shard is full."""
_FORMAT, _VERSION = "newscaster shards", 1
_SUFFIX = "safetensors"
_MAX_INDEX_BYTES = 16 << 20
Sample = Mapping[str, npt.NDArray[Any]]
OpenFile = Callable[[str, str], AbstractContextManager[BinaryIO]]
"""Opens a file of the folder by its name: to read ("rb"), or to replace it ("wb")."""


@dataclass(frozen=True)
class ShardGroup:
    """Shards whose samples are drawn together."""

    name: str
    fraction: float
    """How many of a batch's samples are from this group, 0 to 1."""
    shards: tuple[tuple[str, int], ...]
    """Names of files, and how many samples each has."""

    @property
    def samples(self) -> int:
        """Of an epoch."""
        return sum(count for _, count in self.shards)


@dataclass(frozen=True)
class ShardSet:
    """A folder of shards."""

    kind: str
    facts: Sample
    groups: tuple[ShardGroup, ...]
    open_file: OpenFile

    @staticmethod
    def read(open_file: OpenFile, *, kind: str) -> ShardSet:
        """Read the index of a folder of shards for a ``kind`` of training.

        Raises:
            InputError: it is missing, damaged, or for another kind of training.
            MissingExtraError: the extra ``distributed`` is not installed.
        """
        _webdataset()
        with open_file(INDEX, "rb") as file:
            data = file.read(_MAX_INDEX_BYTES + 1)
        with open_file(FACTS, "rb") as file:
            facts = file.read()
        try:
            values = read_json(data)
            if (values["format"], values["version"]) != (_FORMAT, _VERSION):
                raise ValueError(f"its format is {values['format']!r} {values['version']!r}")
            if values["kind"] != kind:
                raise ValueError(f"its samples are for {values['kind']!r}, not for {kind!r}")
            groups = tuple(_group(group) for group in values["groups"])
            if not groups:
                raise ValueError("it has no samples")
            return ShardSet(kind, read_tensors(facts), groups, open_file)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{INDEX} of the shards cannot be used: {error}. Write the shards again with --write-shards"
            ) from error

    @property
    def fingerprint(self) -> str:
        """A hash of the names and sizes of all shards."""
        groups = [(group.name, group.fraction, group.shards) for group in self.groups]
        return hashlib.sha256(json.dumps(groups).encode()).hexdigest()


def _group(values: Mapping[str, Any]) -> ShardGroup:
    shards = tuple((str(shard["name"]), int(shard["samples"])) for shard in values["shards"])
    group = ShardGroup(str(values["name"]), float(values["fraction"]), shards)
    if not shards or min(count for _, count in shards) < 1 or not 0 <= group.fraction <= 1:
        raise ValueError(f"its group {group.name!r} is damaged")
    if any("/" in name or "\\" in name for name, _ in shards):
        raise ValueError("a shard is outside its folder")
    return group


class ShardWriter:
    """Writes samples into shards; :meth:`close` writes the index.

    Args:
        open_file: opens files of the folder.
        kind: of the training that the samples are for.
        fractions: of the groups in a batch; groups that are not named have equal parts of the rest.
        shard_bytes: bytes after which a shard is full.

    Raises:
        MissingExtraError: the extra ``distributed`` is not installed.
    """

    def __init__(
        self,
        open_file: OpenFile,
        *,
        kind: str,
        fractions: Mapping[str, float] | None = None,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._webdataset = _webdataset()
        self._open_file, self._kind, self._shard_bytes = open_file, kind, shard_bytes
        self._fractions = dict(fractions or {})
        self._shards: dict[str, list[list[Any]]] = defaultdict(list)
        self._open: dict[str, tuple[ExitStack, Any, BinaryIO]] = {}

    def add(self, group: str, sample: Sample) -> None:
        """Write a sample into a group.

        Raises:
            OutputError: the folder cannot be written.
        """
        from safetensors.numpy import save

        if group not in self._open:
            name, stack = f"{group}-{len(self._shards[group]):05d}.tar", ExitStack()
            file = stack.enter_context(self._open_file(name, "wb"))
            tar = stack.enter_context(self._webdataset.TarWriter(file, encoder=False, mtime=0))
            self._open[group] = stack, tar, file
            self._shards[group].append([name, 0, 0])
        shard, (stack, tar, _) = self._shards[group][-1], self._open[group]
        data = save({name: np.ascontiguousarray(value) for name, value in sample.items()})
        tar.write({"__key__": f"{len(self._shards[group]) - 1:05d}{shard[1]:07d}", _SUFFIX: data})
        shard[1], shard[2] = shard[1] + 1, shard[2] + len(data)
        if shard[2] >= self._shard_bytes:
            self._open.pop(group)[0].close()

    def close(self, facts: Sample) -> None:
        """Write what the samples have in common, and then the index.

        Raises:
            OutputError: the folder cannot be written.
        """
        from safetensors.numpy import save

        for stack, _, _ in self._open.values():
            stack.close()
        self._open.clear()
        rest = 1 - sum(self._fractions.values())
        others = len(self._shards.keys() - self._fractions.keys())
        groups = [
            {
                "name": group,
                "fraction": self._fractions.get(group, rest / max(1, others)),
                "shards": [{"name": name, "samples": count} for name, count, _ in shards],
            }
            for group, shards in sorted(self._shards.items())
        ]
        with self._open_file(FACTS, "wb") as file:
            file.write(save({name: np.ascontiguousarray(value) for name, value in facts.items()}))
        values = {"format": _FORMAT, "version": _VERSION, "kind": self._kind, "groups": groups}
        with self._open_file(INDEX, "wb") as file:
            file.write(json.dumps(values, indent=1).encode())


class SampleStream:
    """The samples of a group, epoch after epoch.

    Args:
        shards: the folder.
        group: one of its groups.
        seed: of the order of shards and samples.
        buffer: samples that are shuffled at a time.
    """

    def __init__(self, shards: ShardSet, group: ShardGroup, *, seed: int, buffer: int) -> None:
        self._shards, self._group, self._seed, self._buffer = shards, group, seed, buffer

    def samples(self, reader: Shard, *, taken: int = 0) -> Iterator[Sample]:
        """Yield a reader's samples without end, after all readers together have taken some.

        Raises:
            InputError: a shard is damaged, or there are more readers than shards.
        """
        if reader.count > len(self._group.shards):
            raise InputError(
                f"the group {self._group.name!r} has {len(self._group.shards)} shards for {reader.count} "
                "readers (processes, and their makers of batches); expected at least one each. Write smaller "
                "shards with --shard-megabytes"
            )
        epoch, rest = divmod(taken, self._group.samples)
        ends = np.cumsum([self._group.shards[index][1] for index in self._order(epoch)])
        first = int(np.searchsorted(ends, rest, side="right"))
        yield from self.epoch(epoch, reader, first=first)
        for later in itertools.count(epoch + 1):
            yield from self.epoch(later, reader)

    def epoch(self, number: int, reader: Shard, *, first: int = 0) -> Iterator[Sample]:
        """Yield a reader's samples of one epoch, from the ``first`` shard of its order on."""
        from webdataset.filters import shuffle

        own = self._order(number)[first:][reader.index :: reader.count]
        seed = "-".join(map(str, (self._seed, number, reader.index, reader.count)))
        samples = itertools.chain.from_iterable(self._read(*self._group.shards[index]) for index in own)
        yield from shuffle(self._buffer, initial=self._buffer, rng=random.Random(seed))(samples)

    def _order(self, epoch: int) -> list[int]:
        order = np.random.default_rng((self._seed, epoch)).permutation(len(self._group.shards))
        return [int(index) for index in order]

    def _read(self, name: str, count: int) -> Iterator[Sample]:
        from webdataset.tariterators import group_by_keys, tar_file_expander

        read = 0
        try:
            with self._shards.open_file(name, "rb") as file:
                for sample in group_by_keys(tar_file_expander([{"url": name, "stream": file}])):
                    read += 1
                    yield read_tensors(sample[_SUFFIX])
            if read != count:
                raise ValueError(f"it has {read} samples instead of {count}")
        except OSError as error:
            raise InputError(
                f"the shard '{name}' cannot be read ({error}). Run the same command again: training resumes "
                "from its last checkpoint"
            ) from error
        except (tarfile.TarError, KeyError, ValueError, EOFError) as error:
            raise InputError(
                f"the shard '{name}' is damaged: {error}. Write the shards again with --write-shards"
            ) from error


def taken_before(history: History, step: int, per_step: int) -> int:
    """Return how many samples all processes took before a step, each of them ``per_step`` in every step.

    ``history`` has how many processes trained, and from which steps on.
    """
    ends = [*(start for start, _ in history[1:]), step]
    return sum(
        count * per_step * max(0, min(end, step) - start)
        for (start, count), end in zip(history, ends, strict=False)
    )


def reader_of(process: Shard, maker: Shard) -> Shard:
    """Return which reader a maker of batches is, among those of all processes."""
    return Shard(process.index * maker.count + maker.index, process.count * maker.count)


def counts_of(fractions: list[float], total: int) -> list[int]:
    """Divide ``total`` by fractions, into integers of at least 1 whose sum it is.

    Raises:
        InputError: there are more parts.
    """
    if len(fractions) > total:
        raise InputError(f"{len(fractions)} groups of shards do not fit into batches of {total} samples")
    exact = np.asarray(fractions) / sum(fractions) * total
    counts = np.maximum(1, np.floor(exact).astype(int))
    while counts.sum() != total:
        step = 1 if counts.sum() < total else -1
        wanting = step * (exact - counts) - 1e9 * ((counts + step) < 1)
        counts[int(np.argmax(wanting))] += step
    return [int(count) for count in counts]


def _webdataset() -> Any:
    try:
        import webdataset
    except ImportError as error:
        raise MissingExtraError(
            purpose="training on shards", extra="distributed", package="webdataset"
        ) from error
    return webdataset
