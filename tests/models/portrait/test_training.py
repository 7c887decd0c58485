from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from making_faces import SIZE, TINY, two_sessions
from newscaster.errors import InputError
from newscaster.models.losses import Sharpening
from newscaster.models.perceptual import Perceptual
from newscaster.models.portrait.data import PairBatch
from newscaster.models.portrait.inference import to_images
from newscaster.models.portrait.initialization import group, start_from
from newscaster.models.portrait.network import FullFrame, FullFrameConfig, Window
from newscaster.models.portrait.task import PortraitTask
from newscaster.models.portrait.training import (
    FullFrameData,
    FullFrameTraining,
    evaluate,
    load_full_frame,
    render_frames,
    train_full_frame,
)
from newscaster.training.budget import Ramp, TimeBudget
from newscaster.training.checkpoints import STATE
from newscaster.training.loop import Intervals, Trainer, TrainProgress
from newscaster.training.optimization import Optimization
from resuming import resumed_equals_uninterrupted
from ticking import TickingClock

HOW = FullFrameTraining(
    pairs=2,
    learning_rate=2e-2,
    warmup_steps=5,
    optimization=Optimization(ema_decay=0.9),
    check_frames=6,
    last_check_frames=12,
    intervals=Intervals(report_seconds=2, save_seconds=4, evaluate_seconds=8),
)


@pytest.fixture(scope="module")
def data() -> FullFrameData:
    return two_sessions()


@pytest.fixture(scope="module")
def started(data: FullFrameData) -> FullFrame:
    """A network with its initial appearance codes."""
    torch.manual_seed(0)
    network = FullFrame(TINY).eval()
    start_from(network, data.learn)
    return network


def steps(folder: Path) -> list[int]:
    with (folder / "progress.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_the_first_appearances_are_means_of_sessions(data: FullFrameData, started: FullFrame) -> None:
    start = evaluate(started, data.held_out)
    grey = FullFrame(TINY).eval()
    assert start.psnr > evaluate(grey, data.held_out).psnr + 5
    single = FullFrame(replace(TINY, appearances=1)).eval()
    start_from(single, data.learn)
    assert start.psnr > evaluate(single, data.held_out).psnr + 0.5, "two appearances are better than one"
    blend_weights, _ = started.look(torch.from_numpy(data.learn.appearances))
    assert blend_weights.max(dim=1).values.min() > 0.9
    where = data.learn.appearances[:, 0, 2] > 48
    assert (
        len(set(blend_weights.argmax(dim=1).numpy()[where]))
        == len(set(blend_weights.argmax(dim=1).numpy()[~where]))
        == 1
    )
    cover = torch.sigmoid(started.textures[0, 3])
    down, across = cover.shape
    middle = cover[down // 3 : down // 2, across // 3 : 2 * across // 3].mean()
    assert middle > 0.8 > cover[:4].mean()


def test_runs_of_older_versions_keep_their_keys() -> None:
    network = FullFrame(TINY)
    assert TINY.to_json()["looks"] == TINY.appearances, "the key in files of training runs"
    assert FullFrameConfig.from_json(TINY.to_json()) == TINY
    names = {name.split(".")[0] for name in network.state_dict()}
    assert {"backdrops", "textures", "usual", "spread", "centres", "gate", "to_looks", "place"} <= names


def test_a_head_in_one_place_and_fewer_places_than_appearances(data: FullFrameData) -> None:
    still = data.learn.of_clips({1})
    network = FullFrame(TINY).eval()
    start_from(network, still)
    assert all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())
    assert evaluate(network, still).psnr > 18
    centres, nearest = group(np.array([[0.0], [0.1], [5.0]]), 3, seed=1)
    assert sorted(centres[nearest][:, 0].tolist()) == [0.0, 0.1, 5.0]


@pytest.mark.slow
def test_learning_beats_the_start(data: FullFrameData, started: FullFrame, tmp_path: Path) -> None:
    start = evaluate(started, data.held_out)
    reports: list[TrainProgress] = []
    result = train_full_frame(
        data,
        tmp_path,
        minutes=0.7,
        device="cpu",
        config=TINY,
        training=HOW,
        progress=reports.append,
        clock=TickingClock(),
    )
    assert result.psnr > start.psnr + 0.1
    assert 1.8 * start.sharpness < result.sharpness < 1.5
    assert result.steps == reports[-1].step > 60
    assert result.held_out_frames == 12
    assert reports[-1].minutes_left < 0.05
    assert steps(tmp_path) == [report.step for report in reports]
    with Image.open(tmp_path / "preview.png") as image:
        assert image.size == (5 * SIZE[0], 2 * SIZE[1])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "preview.png", "progress.csv", "state.safetensors", "weights.safetensors",
    ]  # fmt: skip
    network = load_full_frame(tmp_path)
    learnt = evaluate(network, data.held_out)
    assert learnt.face_psnr > start.face_psnr + 0.6
    assert learnt.psnr == pytest.approx(result.psnr, abs=0.2)  # bfloat16 or not


@pytest.mark.slow
def test_a_killed_run_goes_on_where_its_state_was_written(data: FullFrameData, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(report: TrainProgress) -> None:
        if report.minutes_left < 0.1:
            raise KilledError

    def train(**more: object):
        return train_full_frame(
            data, tmp_path, minutes=0.25, config=TINY, training=HOW, clock=TickingClock(), **more
        )  # type: ignore[arg-type]

    with pytest.raises(KilledError):
        train(progress=kill)
    reports: list[TrainProgress] = []
    result = train(progress=reports.append)
    assert 0.03 < reports[0].minutes_left < 0.17
    assert result.minutes == pytest.approx(0.25, abs=0.05)
    assert steps(tmp_path) == sorted(set(steps(tmp_path)))
    again = train()
    assert (again.steps, again.psnr) == (result.steps, result.psnr)
    with pytest.raises(InputError, match="another config"):
        train_full_frame(data, tmp_path, minutes=1, config=replace(TINY, code=4), training=HOW)
    with pytest.raises(InputError, match=r"config.size is \(90, 80\)"):
        train_full_frame(data, tmp_path, minutes=1, config=replace(TINY, size=(90, 80)), training=HOW)
    with pytest.raises(InputError, match="of the kind 'full frame'"):
        load_full_frame(tmp_path / STATE)


def test_a_resumed_run_computes_what_an_uninterrupted_one_does(data: FullFrameData, tmp_path: Path) -> None:
    how = replace(HOW, sharpening=Sharpening(ramp=Ramp(start=0.1, duration=0.1)))
    seeing = Perceptual.pretrained()

    def trainer(folder: Path) -> Trainer[PairBatch]:
        cpu = torch.device("cpu")
        task = PortraitTask(data, config=TINY, training=how, device=cpu, seed=5, perceptual=seeing)
        return Trainer(task, folder, budget=TimeBudget(1), seed=5)

    resumed_equals_uninterrupted(trainer, tmp_path, steps=6)


def test_a_step_that_is_not_finite_is_skipped(data: FullFrameData, tmp_path: Path) -> None:
    task = PortraitTask(
        data, config=TINY, training=HOW, device=torch.device("cpu"), seed=0, perceptual=Perceptual()
    )
    trainer = Trainer(task, tmp_path, budget=TimeBudget(1), seed=0)
    trainer.initialize()
    batch = task.batch(seed=0, step=0)
    before = task.network.backdrops.clone()
    trainer.update(replace(batch, planes=batch.planes * np.nan), 0.0)
    torch.testing.assert_close(task.network.backdrops, before, rtol=0, atol=0)


def test_rendered_frames_are_what_the_network_computes(data: FullFrameData, started: FullFrame) -> None:
    frames = data.held_out[np.arange(7)]
    rendered = np.stack(
        list(render_frames(started, frames.landmarks, frames.planes, frames.appearances, batch=3))
    )
    maps = torch.from_numpy(frames.maps(np.arange(7), TINY))
    with torch.no_grad():
        whole = started(maps, torch.from_numpy(frames.planes), torch.from_numpy(frames.appearances))
    assert rendered.shape == (7, SIZE[1], SIZE[0], 3)
    assert rendered.dtype == np.uint8
    assert np.abs(rendered.astype(int) - to_images(whole)).max() <= 1


def test_frames_of_another_size_are_refused(data: FullFrameData) -> None:
    network = FullFrame(replace(TINY, size=(90, 80))).eval()
    with pytest.raises(InputError, match=r"renders frames of \(90, 80\)"):
        evaluate(network, data.held_out)


def test_a_window_is_a_part_of_the_whole(data: FullFrameData, started: FullFrame) -> None:
    # The output of the convolutions is zero at first; backdrop and texture remain, which are pointwise.
    numbers = np.array([2, 9])
    planes, appearances = (
        torch.from_numpy(a[numbers]) for a in (data.held_out.planes, data.held_out.appearances)
    )
    maps = torch.from_numpy(data.held_out.maps(numbers, TINY))
    window = Window(((20, 8), (56, 40)), (40, 36))
    cut = torch.stack(
        [
            m[:, y // 2 : y // 2 + 18, x // 2 : x // 2 + 20]
            for m, (x, y) in zip(maps, window.corners, strict=True)
        ]
    )
    with torch.no_grad():
        whole, part = started(maps, planes, appearances), started(cut, planes, appearances, window)
    for index in range(2):
        torch.testing.assert_close(part[index], window.part(whole[index], index), rtol=0, atol=1e-6)


@pytest.mark.cuda
def test_training_on_a_gpu(data: FullFrameData, started: FullFrame, tmp_path: Path) -> None:
    result = train_full_frame(
        data, tmp_path, minutes=0.7, device="cuda", config=TINY, training=HOW, clock=TickingClock()
    )
    assert result.psnr > evaluate(started, data.held_out).psnr + 0.1
