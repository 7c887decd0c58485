from __future__ import annotations

import io
import itertools
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.models.motion.data import MotionTraining
from newscaster.models.motion.network import MotionConfig, MotionNetwork
from newscaster.models.motion.streamed import KIND, StreamedSegments, facts_of, write_clips
from newscaster.models.motion.task import MotionTask, train_motion
from newscaster.models.reference import streamed
from newscaster.models.reference.base import BaseRendererTask, BaseTraining
from newscaster.models.reference.network import BlendingUNet, ReferenceConfig
from newscaster.stores.remote import stored_file
from newscaster.training.budget import StepBudget
from newscaster.training.loop import Intervals, Trainer
from newscaster.training.processes import ALONE, WHOLE, Processes, Shard
from newscaster.training.shards import (
    INDEX,
    OpenFile,
    SampleStream,
    ShardSet,
    ShardWriter,
    counts_of,
    reader_of,
    taken_before,
)
from small_tasks import CPU, SIZE, WIDTH, motion_basis, motion_clips
from threads_as_processes import in_processes

pytest.importorskip("webdataset", reason="the extra distributed is not installed")


class Memory:
    """Files of a folder, in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.opened: list[str] = []

    def __call__(self, name: str, mode: str) -> BinaryIO:
        memory = self

        class File(io.BytesIO):
            def __exit__(self, *_: object) -> None:
                if mode == "wb":
                    memory.files[name] = self.getvalue()

        self.opened.append(name)
        return File(self.files[name] if mode == "rb" else b"")


def numbered(counts: list[int], folder: OpenFile) -> ShardSet:
    """Shards of samples that are numbers; the last of each fills it, so that ``counts`` are their sizes."""
    number = itertools.count()
    writer = ShardWriter(folder, kind="numbers", shard_bytes=1 << 20)
    for count in counts:
        for index in range(count):
            last = index == count - 1
            writer.add(
                "all", {"n": np.array([next(number)]), "filling": np.zeros((1 << 20) * last, np.uint8)}
            )
    writer.close({"unit": np.ones(1)})
    return ShardSet.read(folder, kind="numbers")


def numbers(samples: object, count: int | None = None) -> list[int]:
    return [int(sample["n"][0]) for sample in itertools.islice(samples, count)]  # type: ignore[call-overload]


COUNTS = [3, 5, 1, 4, 2, 6]
TOTAL = sum(COUNTS)


@pytest.fixture(scope="module")
def shards() -> ShardSet:
    made = numbered(COUNTS, Memory())
    assert [count for _, count in made.groups[0].shards] == COUNTS
    return made


def stream(shards: ShardSet, seed: int = 0, buffer: int = 4) -> SampleStream:
    return SampleStream(shards, shards.groups[0], seed=seed, buffer=buffer)


@pytest.mark.parametrize(("processes", "makers"), [(1, 1), (2, 1), (3, 2)])
def test_every_sample_is_read_once_an_epoch(shards: ShardSet, processes: int, makers: int) -> None:
    readers = [
        reader_of(Shard(process, processes), Shard(maker, makers))
        for process in range(processes)
        for maker in range(makers)
    ]
    for epoch in range(3):
        read = [numbers(stream(shards).epoch(epoch, reader)) for reader in readers]
        assert sorted(itertools.chain(*read)) == list(range(TOTAL))
    assert all(read)


def test_the_order_is_drawn_from_seed_and_epoch(shards: ShardSet) -> None:
    first, second = (numbers(stream(shards).epoch(epoch, WHOLE)) for epoch in (0, 1))
    assert first == numbers(stream(shards).epoch(0, WHOLE))
    assert first != second
    assert first != numbers(stream(shards, seed=1).epoch(0, WHOLE))
    assert first != sorted(first)
    shards_only = numbers(stream(shards, buffer=1).epoch(0, WHOLE))
    assert shards_only != first, "samples are shuffled, too"
    assert numbers(stream(shards).samples(WHOLE), 2 * TOTAL) == first + second


def test_a_stream_goes_on_at_the_start_of_a_shard(shards: ShardSet) -> None:
    plain = stream(shards, buffer=1)
    epoch = numbers(plain.epoch(1, WHOLE))
    starts = {0}
    for taken in range(TOTAL):
        rest = numbers(plain.samples(WHOLE, taken=TOTAL + taken), TOTAL)
        start = epoch.index(rest[0])
        starts.add(start)
        assert start <= taken < start + max(COUNTS)
        assert rest[: TOTAL - start] == epoch[start:], "what was not begun is not missing"
    assert len(starts) == len(COUNTS)
    resumed = Counter(
        number for index in range(2) for number in numbers(stream(shards).epoch(1, Shard(index, 2), first=2))
    )
    assert max(resumed.values()) == 1
    assert sum(resumed.values()) == len(epoch) - sum(sorted(starts)[2:3])


def test_a_shard_is_opened_when_it_is_its_turn() -> None:
    memory = Memory()
    made = numbered([2, 2, 2, 2], memory)
    memory.opened.clear()
    samples = stream(made, buffer=1).samples(WHOLE)
    numbers(samples, 3)
    assert len([name for name in memory.opened if name != INDEX]) == 2


def test_more_readers_than_shards_are_refused(shards: ShardSet) -> None:
    with pytest.raises(InputError, match=r"6 shards for 7 readers.*--shard-megabytes"):
        next(stream(shards).samples(Shard(0, 7)))


@pytest.mark.parametrize("fault", ["short", "cut", "other", "outside", "index"])
def test_damaged_shards_are_refused(fault: str) -> None:
    memory = Memory()
    numbered([2, 2], memory)
    if fault == "short":
        memory.files["all-00000.tar"] = memory.files["all-00001.tar"][:1536] + bytes(10240)
    elif fault == "cut":
        memory.files["all-00000.tar"] = memory.files["all-00000.tar"][:700]
    elif fault in ("outside", "index"):
        changes = {"outside": (b"all-00000", b"../all-00"), "index": (b'"version": 1', b'"version": 9')}
        old, new = changes[fault]
        memory.files[INDEX] = memory.files[INDEX].replace(old, new)

    def read() -> None:
        made = ShardSet.read(memory, kind="other" if fault == "other" else "numbers")
        numbers(stream(made).epoch(0, WHOLE))

    with pytest.raises(InputError, match=r"Write the shards again"):
        read()


def test_parts_of_a_batch_follow_the_fractions() -> None:
    assert counts_of([0.2, 0.2, 0.3, 0.3], 16) == [3, 3, 5, 5]
    assert counts_of([0.97, 0.01, 0.02], 4) == [2, 1, 1]
    with pytest.raises(InputError, match="3 groups"):
        counts_of([1, 1, 1], 2)


def test_what_was_taken_counts_the_processes_of_each_part() -> None:
    assert taken_before([(0, 2), (10, 1), (14, 3)], 20, 5) == 5 * (20 + 4 + 18)
    assert taken_before([(0, 2), (10, 1)], 4, 3) == 24
    assert taken_before([], 0, 5) == 0


@pytest.fixture(scope="module")
def motion_shards(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    folder = str(tmp_path_factory.mktemp("shards") / "motion")
    clips = motion_clips(12)

    def open_file(name: str, mode: str) -> object:
        return stored_file(folder, name, mode)

    writer = ShardWriter(open_file, kind=KIND, fractions={"own": 0.5}, shard_bytes=60_000)  # type: ignore[arg-type]
    write_clips(writer, "own", clips[:6])
    write_clips(writer, "others", clips[6:])
    features = torch.from_numpy(np.concatenate([clip.features for clip in clips]))
    writer.close(facts_of(motion_basis(), features))
    return ShardSet.read(open_file, kind=KIND)  # type: ignore[arg-type]


HOW = MotionTraining(steps=60, batch=4, segment=20, learning_rate=5e-3, intervals=Intervals(report_seconds=0))


def network() -> MotionNetwork:
    torch.manual_seed(0)
    return MotionNetwork(
        MotionConfig(inputs=WIDTH, coefficients=SIZE, channels=16, dilations=(1, 2), dropout=0.0)
    )


def test_segments_of_shards_are_those_of_the_clips(motion_shards: ShardSet) -> None:
    assert [(g.name, g.fraction, g.samples) for g in motion_shards.groups] == [
        ("others", 0.5, 6),
        ("own", 0.5, 6),
    ]
    restored = MouthBasis.from_arrays(motion_shards.facts)
    np.testing.assert_allclose(restored.components, motion_basis().components, atol=1e-6)
    task = MotionTask(network(), StreamedSegments(motion_shards, HOW.segment), motion_basis(), HOW)
    batches = task.batches(itertools.count(), seed=0, maker=WHOLE, history=())
    shapes = np.stack([clip.shapes.reshape(-1, 114) for clip in motion_clips(12)])
    for (features, targets, seen), live in itertools.islice(batches, 3):
        assert live is None
        assert (features.shape, targets.shape, seen.shape) == ((4, 20, WIDTH), (4, 20, 114), (4, 20, 1))
        clips = []
        for target in targets.numpy():
            clip, start = np.argwhere((shapes == target[0]).all(axis=2))[0]
            np.testing.assert_array_equal(shapes[clip, start : start + 20], target)
            clips.append(clip)
        assert [clip < 6 for clip in clips] == [False, False, True, True]


@pytest.mark.slow
def test_a_network_learns_from_shards(motion_shards: ShardSet, tmp_path: Path) -> None:
    losses: list[float] = []
    segments = StreamedSegments(motion_shards, HOW.segment)
    train_motion(
        network(),
        segments,
        motion_basis(),
        tmp_path,
        config=HOW,
        progress=lambda report: losses.append(report.loss),
    )
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])


@pytest.mark.slow
def test_processes_stream_different_samples_and_keep_equal_weights(
    motion_shards: ShardSet, tmp_path: Path
) -> None:
    def work(processes: Processes) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        task = MotionTask(network(), StreamedSegments(motion_shards, HOW.segment), motion_basis(), HOW)
        trainer = Trainer(task, tmp_path, budget=StepBudget(3), seed=0, processes=processes)
        seen: list[torch.Tensor] = []
        loss = task.loss
        task.loss = lambda batch, **more: (seen.append(batch.segments[1]), loss(batch, **more))[1]  # type: ignore[func-returns-value]
        trainer.run()
        return seen, list(trainer.average.state_dict().values())

    (seen, weights), (others, same) = in_processes(2, work)  # type: ignore[misc]
    assert len(seen) == len(others) == 3
    for a, b in zip(seen, others, strict=True):
        assert not (a[:, None, 0] == b[None, :, 0]).all(dim=-1).any()
    assert all(torch.equal(a, b) for a, b in zip(weights, same, strict=True))


def test_the_base_renderer_streams_frames_of_all_sides() -> None:
    memory = Memory()
    writer = streamed.FramesWriter(ShardWriter(memory, kind=streamed.KIND, shard_bytes=1 << 19))
    masks = {side: hidden_mask(side) for side in (128, 256)}
    for seed, side in enumerate((128, 128, 256)):
        writer.add([talking_clip(14, side=side, seed=seed)], masks[side])
    writer.close()
    shards = ShardSet.read(memory, kind=streamed.KIND)
    task = BaseRendererTask(
        shards,
        [],
        device=CPU,
        seed=0,
        start=BlendingUNet(ReferenceConfig(channels=(8, 12))),
        training=BaseTraining(batch=4),
    )
    task.processes = ALONE
    sizes = []
    for step, batch in enumerate(
        itertools.islice(task.batches(itertools.count(), seed=0, maker=WHOLE, history=()), 4)
    ):
        sizes.append(batch.crops.shape[:2])
        assert bool(torch.isfinite(task.loss(batch, step=step, fraction=0.1)))
    assert sizes == [(8, 128), (4, 256), (8, 128), (4, 256)]
    assert task.identity()["shards"] == shards.fingerprint
