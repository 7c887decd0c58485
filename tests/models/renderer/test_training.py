from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from making_mouths import SIDE, TINY, hidden_mask, talking_clip
from newscaster.errors import FootageError, InputError
from newscaster.models.losses import Sharpening
from newscaster.models.renderer import training
from newscaster.models.renderer.crop_task import missing_grain
from newscaster.models.renderer.data import (
    STILL,
    Batch,
    Frames,
    RenderingClip,
    RenderingData,
    Variation,
    frame_table,
    mouth_box,
)
from newscaster.models.renderer.network import RendererConfig
from newscaster.models.renderer.task import RendererTask
from newscaster.models.renderer.training import (
    RenderingTraining,
    load_renderer,
    train_renderer,
)
from newscaster.training.budget import Ramp, TimeBudget
from newscaster.training.loop import Intervals, Trainer, TrainProgress
from newscaster.training.optimization import Optimization
from onnx_networks import UINT8, Builder
from resuming import resumed_equals_uninterrupted
from ticking import TickingClock

HOW = RenderingTraining(
    batch=4,
    warmup_steps=5,
    optimization=Optimization(ema_decay=0.9),
    variation=STILL,
    sharpening=None,
    intervals=Intervals(report_seconds=2, save_seconds=4, evaluate_seconds=8),
)


@pytest.fixture(scope="module")
def data() -> RenderingData:
    return RenderingData.of([talking_clip(seed=seed) for seed in range(3)], hidden_mask())


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_loss_falls_and_everything_is_left_behind(data: RenderingData, tmp_path: Path) -> None:
    reports: list[TrainProgress] = []
    result = train_renderer(
        data,
        tmp_path,
        minutes=1,
        device="cpu",
        config=TINY,
        training=HOW,
        progress=reports.append,
        clock=TickingClock(),
    )
    assert reports[-1].loss < 0.5 * reports[0].loss
    assert reports[-1].minutes_left < 0.05
    assert result.psnr > 24
    assert result.psnr == reports[-1].metrics["psnr"]
    assert result.steps == reports[-1].step > 50
    assert result.held_out_frames == 12
    assert [int(row["step"]) for row in rows(tmp_path)] == [report.step for report in reports]
    with Image.open(tmp_path / "preview.png") as image:
        assert image.size == (6 * SIDE, 4 * SIDE)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "preview.png", "progress.csv", "state.safetensors", "weights.safetensors",
    ]  # fmt: skip
    network = load_renderer(tmp_path)
    clip = data.held_out[0]
    batch = Frames([clip], map_side=network.map_side).batch(np.arange(len(clip)))
    with torch.no_grad():
        out = network(torch.from_numpy(batch.crops), torch.from_numpy(batch.landmark_maps)).numpy()
    error = (out[:, data.hidden].astype(float) - clip.crops[:, data.hidden]) ** 2
    assert 10 * np.log10(255**2 / error.mean()) == pytest.approx(result.psnr, abs=0.3)  # bfloat16 or not


@pytest.mark.slow
def test_a_killed_run_goes_on_where_its_state_was_written(data: RenderingData, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(report: TrainProgress) -> None:
        if report.minutes_left < 0.6:
            raise KilledError

    with pytest.raises(KilledError):
        train_renderer(
            data, tmp_path, minutes=1, config=TINY, training=HOW, progress=kill, clock=TickingClock()
        )
    reports: list[TrainProgress] = []
    result = train_renderer(
        data, tmp_path, minutes=1, config=TINY, training=HOW, progress=reports.append, clock=TickingClock()
    )
    assert 0.55 < reports[0].minutes_left < 0.75
    assert result.minutes == pytest.approx(1, abs=0.1)
    steps = [int(row["step"]) for row in rows(tmp_path)]
    assert steps == sorted(set(steps))
    again = train_renderer(data, tmp_path, minutes=1, config=TINY, training=HOW, clock=TickingClock())
    assert (again.steps, again.psnr) == (result.steps, result.psnr)


@pytest.mark.parametrize("sharpening", [None, Sharpening(ramp=Ramp(start=0.1, duration=0.1))])
def test_a_resumed_run_computes_what_an_uninterrupted_one_does(
    data: RenderingData, tmp_path: Path, sharpening: Sharpening | None
) -> None:
    how = replace(HOW, sharpening=sharpening)

    def trainer(folder: Path) -> Trainer[Batch]:
        task = RendererTask(data, config=TINY, training=how, device=torch.device("cpu"), seed=5)
        return Trainer(task, folder, budget=TimeBudget(1), seed=5)

    resumed_equals_uninterrupted(trainer, tmp_path, steps=8)


def test_the_state_of_another_network_or_mask_is_refused(data: RenderingData, tmp_path: Path) -> None:
    train_renderer(data, tmp_path, minutes=0.05, config=TINY, training=HOW, clock=TickingClock())
    other = RendererConfig(channels=(8,), encoder_blocks=(1,), decoder_blocks=(), unshuffle=2)
    with pytest.raises(InputError, match="another config"):
        train_renderer(data, tmp_path, minutes=1, config=other, training=HOW)
    moved = RenderingData(data.clips, data.held_out, np.roll(data.hidden, 1, axis=0))
    with pytest.raises(InputError, match="another mask"):
        train_renderer(moved, tmp_path, minutes=1, config=TINY, training=HOW)
    result = train_renderer(
        data, tmp_path, minutes=0.05, resume=False, config=other, training=HOW, clock=TickingClock()
    )
    assert load_renderer(result.weights).config == other


def test_a_device_that_is_not_there_is_refused(data: RenderingData, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'auto', 'cpu' or 'cuda'"):
        train_renderer(data, tmp_path, minutes=1, device="tpu")  # type: ignore[arg-type]


@pytest.mark.cuda
def test_training_on_a_gpu(data: RenderingData, tmp_path: Path) -> None:
    result = train_renderer(
        data, tmp_path, minutes=1, device="cuda", config=TINY, training=HOW, clock=TickingClock()
    )
    assert result.psnr > 24


def test_clips_are_held_out_whole() -> None:
    clips = [talking_clip(2, seed=seed) for seed in range(41)]
    data = RenderingData.of(clips, hidden_mask())
    assert data.held_out == (clips[0], clips[20], clips[40])
    assert len(data.clips) == 38
    named = RenderingData.of(clips[:2], hidden_mask(), held_out=clips[5:6])
    assert named.held_out == (clips[5],)


def test_the_tail_of_a_single_clip_is_held_out() -> None:
    data = RenderingData.of([talking_clip(30)], hidden_mask())
    assert (len(data.clips[0]), len(data.held_out[0])) == (27, 3)


def test_frames_without_a_face_are_left_out() -> None:
    clip = talking_clip(6)
    points = clip.points.copy()
    points[[0, 3]] = np.nan
    gappy = RenderingClip(clip.crops, points)
    assert frame_table([gappy])[:, 1].tolist() == [1, 2, 4, 5]
    batch = Frames([gappy], map_side=SIDE, variation=Variation()).pairs(32, seed=0, step=0)
    assert batch.landmark_maps.any(axis=(1, 2, 3)).all()
    blind = RenderingClip(clip.crops, np.full_like(points, np.nan))
    with pytest.raises(FootageError, match="no frame with a face"):
        RenderingData.of([blind, clip], hidden_mask(), held_out=[clip, blind][:0] or [blind])


def test_a_shifted_frame_and_its_map_stay_together() -> None:
    clip = talking_clip(5)
    frames = Frames([clip], map_side=SIDE, variation=Variation(shift_px=3, smoothing=0))
    batch = frames.pairs(25, seed=1, step=2)
    dark = batch.crops[..., 0] < 100
    inside = batch.landmark_maps[:, 0] > 128
    assert (dark != inside).mean() < 0.01 < (dark != np.roll(inside, 2, axis=1)).mean()
    tops = {int(np.flatnonzero(mouth.any(axis=1))[0]) for mouth in inside if mouth.any()}
    assert len(tops) > 3, "the frames are shifted"


def test_previews_show_closed_and_open_mouths() -> None:
    clip = talking_clip(40)
    frames = Frames([clip], map_side=SIDE)
    height = np.ptp(clip.points[:, 20:40, 1], axis=1)[frames.openings(4)]
    assert height[0] == pytest.approx(np.ptp(clip.points[:, 20:40, 1], axis=1).min(), rel=1e-5)
    assert height[-1] == pytest.approx(np.ptp(clip.points[:, 20:40, 1], axis=1).max(), rel=1e-5)
    assert (np.diff(height) > 0).all()


def test_batches_depend_on_seed_and_step_alone() -> None:
    frames = Frames([talking_clip(9)], map_side=SIDE, variation=Variation())
    first, again = (frames.pairs(2, seed=1, step=7) for _ in range(2))
    other = frames.pairs(2, seed=1, step=8)
    np.testing.assert_array_equal(first.landmark_maps, again.landmark_maps)
    np.testing.assert_array_equal(first.gain, again.gain)
    assert not np.array_equal(first.gain, other.gain)


def test_pairs_are_successive_frames_varied_as_one() -> None:
    clips = [talking_clip(4, seed=seed) for seed in range(3)]
    frames = Frames(clips, map_side=SIDE, variation=Variation(smoothing=0, shift_px=2))
    batch = frames.pairs(40, seed=0, step=0)
    plain = frames.batch(np.arange(len(frames)))
    np.testing.assert_array_equal(batch.gain[::2], batch.gain[1::2])
    np.testing.assert_array_equal(batch.offset[::2], batch.offset[1::2])
    still = Frames(clips, map_side=SIDE, variation=STILL).pairs(40, seed=0, step=0)
    numbers = [np.flatnonzero((plain.crops == one).all(axis=(1, 2, 3)))[0] for one in still.crops]
    first = np.array(numbers[::2])
    np.testing.assert_array_equal(still.crops[1::2], plain.crops[first + 1])
    assert (first % 4 < 3).all(), "no pair spans two clips"


def test_triples_are_successive_frames_of_one_clip() -> None:
    frames = Frames([talking_clip(5), talking_clip(2), talking_clip(4)], map_side=SIDE)
    assert frames.triples(9).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [7, 8, 9], [8, 9, 10]]
    assert len(frames.triples(2)) == 2
    assert frames.batch(np.arange(11)).folds.tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1]


def test_the_grain_that_rendered_frames_lack_is_measured() -> None:
    still, rng = talking_clip(1), np.random.default_rng(0)
    noise = rng.normal(0, 2, size=(30, SIDE, SIDE, 1))
    noisy = (still.crops + noise).clip(0, 255).astype(np.uint8)
    frames = Frames([RenderingClip(noisy, still.points.repeat(30, axis=0))], map_side=SIDE)
    plain = still.crops.repeat(3, axis=0)
    found = missing_grain(lambda numbers: (frames.batch(numbers), plain), frames, hidden_mask())
    assert found == pytest.approx(2 * 0.9, rel=0.1)
    same = missing_grain(lambda n: (frames.batch(n), frames.batch(n).crops), frames, hidden_mask())
    assert same == 0
    one = Frames([talking_clip(2)], map_side=SIDE)
    assert missing_grain(lambda n: (one.batch(n), one.batch(n).crops), one, hidden_mask()) == 0


def test_a_frame_that_none_follows_is_its_own_pair() -> None:
    frames = Frames([talking_clip(1)], map_side=SIDE)
    batch = frames.pairs(2, seed=0, step=0)
    np.testing.assert_array_equal(batch.crops[::2], batch.crops[1::2])


def test_the_mouth_box_holds_the_lips() -> None:
    clip = talking_clip(40)
    top, bottom, left, right = mouth_box([clip])
    lips = clip.points[:, :40]
    assert (top <= lips[..., 1]).all()
    assert (lips[..., 1] <= bottom).all()
    assert (left <= lips[..., 0]).all()
    assert (lips[..., 0] <= right).all()
    assert (bottom - top) * (right - left) < SIDE**2 / 2


def test_operators_that_no_anchor_accepts_are_refused_before_training(
    data: RenderingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Builder()
    network.node("Einsum", "region", equation="bhwc->bhwc", out="rendered")
    shape = (UINT8, ["B", SIDE, SIDE, 3])
    exported = network.model({"region": shape}, {"rendered": shape})
    monkeypatch.setattr(training, "renderer_task", lambda name: RendererTask)
    monkeypatch.setattr(training, "export_renderer", lambda network: exported)
    with pytest.raises(InputError, match=r"the renderer 'other' .*operator 'Einsum'.*Change its network"):
        train_renderer(data, tmp_path, minutes=1, renderer="other", config=TINY, training=HOW)
    assert list(tmp_path.iterdir()) == []
