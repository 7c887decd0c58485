"""The motion network and its loop, on mouths that follow their features exactly."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from newscaster.errors import InputError
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.topology import MOUTH_POINTS
from newscaster.inference import Session
from newscaster.models.motion.base import export_motion
from newscaster.models.motion.data import (
    MotionClip,
    MotionTraining,
    load_motion,
    motion_clip,
    motion_loss,
)
from newscaster.models.motion.export import TOLERANCE
from newscaster.models.motion.network import MotionConfig, MotionNetwork
from newscaster.models.motion.speaker import motion_errors
from newscaster.models.motion.task import train_motion
from newscaster.speech.windows import LIVE_STEPS
from newscaster.training.loop import Intervals, TrainProgress
from ticking import TickingClock

WIDTH, SIZE = 6, 3
SHORT = MotionTraining(
    steps=60,
    batch=4,
    segment=20,
    learning_rate=5e-3,
    intervals=Intervals(report_seconds=1, save_seconds=1),
)


def basis() -> MouthBasis:
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(2 * MOUTH_POINTS, SIZE)))[0].T
    return MouthBasis(
        np.zeros((MOUTH_POINTS, 2)), directions.reshape(SIZE, MOUTH_POINTS, 2), np.array([0.3, 0.2, 0.1])
    )


def clips(count: int = 6, steps: int = 40, seed: int = 1) -> list[MotionClip]:
    """Mouths whose coefficients are a linear function of the features of this step and the one before."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(7).normal(size=(2 * WIDTH, SIZE)) / 3
    made = []
    for _ in range(count):
        features = rng.normal(size=(steps, WIDTH)).astype(np.float32)
        both = np.concatenate([features, np.roll(features, 1, axis=0)], axis=1)
        shapes = basis().reconstruct(both @ mix).astype(np.float32)
        present = np.ones(steps, bool)
        present[0] = False
        made.append(MotionClip(features, shapes, present))
    return made


def network(seed: int = 0) -> MotionNetwork:
    torch.manual_seed(seed)
    config = MotionConfig(inputs=WIDTH, coefficients=SIZE, channels=16, dilations=(1, 2), dropout=0.0)
    return MotionNetwork(config)


def test_a_step_depends_on_its_context_and_on_nothing_else() -> None:
    net = network().eval()
    reach = net.config.context_steps
    features = torch.randn(1, 4 * reach, WIDTH)
    later = features.clone()
    later[:, reach + 1 :] += 1.0
    with torch.no_grad():
        difference = (net(features) - net(later)).abs().amax(dim=(0, 2))
    assert reach == 2 * (1 + 2)
    assert difference[0] == 0
    assert difference[1] > 0


@pytest.mark.slow
def test_learns_what_can_be_learnt(tmp_path) -> None:
    net = network()
    before = motion_errors(net.eval(), clips(seed=2), basis())
    train_motion(net, clips(), basis(), tmp_path, config=replace(SHORT, steps=300))
    after = motion_errors(net, clips(seed=2), basis())
    assert after.mse < 0.1 * before.mse
    assert after.mse < 0.1 * after.still_mse


@pytest.mark.slow
def test_frames_without_a_mouth_teach_nothing(tmp_path) -> None:
    spoilt = []
    for clip in clips():
        shapes, present = clip.shapes.copy(), clip.present.copy()
        shapes[10:20], present[10:20] = 50.0, False
        spoilt.append(MotionClip(clip.features, shapes, present))
    net = train_motion(network(), spoilt, basis(), tmp_path, config=replace(SHORT, steps=300))
    assert motion_errors(net, clips(seed=2), basis()).mse < 1e-3


def test_a_stopped_training_is_resumed(tmp_path) -> None:
    whole = train_motion(network(), clips(), basis(), tmp_path / "whole", config=SHORT)

    class StoppedError(Exception):
        pass

    def stop(report: TrainProgress) -> None:
        if report.step >= 40:
            raise StoppedError

    with pytest.raises(StoppedError):
        train_motion(
            network(), clips(), basis(), tmp_path / "parts", config=SHORT, progress=stop, clock=TickingClock()
        )
    steps: list[int] = []
    resumed = train_motion(
        network(seed=5),
        clips(),
        basis(),
        tmp_path / "parts",
        config=SHORT,
        progress=lambda r: steps.append(r.step),
        clock=TickingClock(),
    )
    assert steps[0] > 20
    assert steps[-1] == 60
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_another_training_is_not_resumed(tmp_path) -> None:
    train_motion(network(), clips(), basis(), tmp_path, config=SHORT)
    other = replace(SHORT, learning_rate=1e-3)
    with pytest.raises(InputError, match="another training"):
        train_motion(network(), clips(), basis(), tmp_path, config=other)
    with pytest.raises(InputError, match="another clips"):
        train_motion(network(), clips()[:4], basis(), tmp_path, config=SHORT)
    steps: list[int] = []
    train_motion(
        network(), clips(), basis(), tmp_path, config=other, resume=False,
        progress=lambda r: steps.append(r.step), clock=TickingClock(),
    )  # fmt: skip
    assert steps[0] < 20


def test_windows_teach_their_last_steps(tmp_path) -> None:
    """Windows whose mouths are those of the features from the last steps on, and far away before."""
    windows = clips(count=12, steps=LIVE_STEPS)
    counted = SHORT.live_steps
    for window in windows:
        window.shapes[:-counted] = 50.0
    steps = replace(SHORT, steps=300, live_batch=8)
    still = [replace(clip, present=np.zeros_like(clip.present)) for clip in clips()]
    net = train_motion(network(), still, basis(), tmp_path, config=steps, live=windows)
    assert motion_errors(net, clips(seed=2), basis()).mse < 2e-3


def test_another_set_of_windows_is_not_resumed(tmp_path) -> None:
    windows = clips(count=3, steps=LIVE_STEPS)
    train_motion(network(), clips(), basis(), tmp_path, config=SHORT, live=windows)
    for other in ((), windows[:2]):
        with pytest.raises(InputError, match="another clips"):
            train_motion(network(), clips(), basis(), tmp_path, config=SHORT, live=other)


def test_holding_keeps_the_network_where_it_was(tmp_path) -> None:
    start = [p.detach().clone() for p in network().parameters()]

    def moved(hold: float) -> float:
        net = train_motion(
            network(), clips(), basis(), tmp_path / str(hold), config=replace(SHORT, hold=hold)
        )
        return sum(
            float((p.detach() - q).square().sum()) for p, q in zip(net.parameters(), start, strict=True)
        )

    assert moved(1.0) < 0.2 * moved(0.0)


def test_weights_read_back(tmp_path) -> None:
    net = train_motion(network(), clips(), basis(), tmp_path, config=SHORT)
    again = load_motion(tmp_path / "weights.safetensors")
    features = torch.randn(1, 9, WIDTH)
    assert torch.equal(net(features), again(features))


@pytest.mark.slow
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_export_computes_the_same_at_any_length(smoothing: float) -> None:
    net = MotionNetwork(replace(network().config, smoothing=smoothing)).eval()
    net.normalise_with(torch.randn(50, WIDTH) * 3 + 1)
    session = Session(export_motion(net))
    for steps in (1, 7, 200):
        features = torch.randn(2, steps, WIDTH)
        found = session.run(features=features.numpy())["coefficients"]
        assert np.allclose(found, net(features).detach().numpy(), atol=TOLERANCE)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(60)])
def test_clips_come_to_the_motion_rate(fps: Fraction) -> None:
    frames = 90
    ramp = np.arange(frames) / float(fps)
    shapes = np.broadcast_to(ramp[:, None, None], (frames, MOUTH_POINTS, 2))
    features = np.zeros((500, WIDTH), np.float32)
    clip = motion_clip(features, shapes, np.ones(frames, bool), fps=fps)
    assert len(clip.features) == int((frames - 1) / float(fps) * 25 + 1e-9) + 1
    assert np.allclose(clip.shapes[:, 0, 0], np.arange(len(clip.shapes)) / 25, atol=1e-5)
    assert clip.present.all()


def test_a_missing_frame_spoils_only_its_neighbours() -> None:
    shapes = np.zeros((90, MOUTH_POINTS, 2))
    shapes[30] = np.nan
    present = np.ones(90, bool)
    present[30] = False
    clip = motion_clip(np.zeros((500, WIDTH), np.float32), shapes, present, fps=Fraction(30))
    assert not clip.present[25]
    assert np.flatnonzero(~clip.present).tolist() == [25]
    assert np.isfinite(clip.shapes).all()


def test_an_adaptation_is_not_resumed_from_other_weights(tmp_path: Path) -> None:
    how = replace(SHORT, steps=2)

    def adapt(seed: int) -> torch.Tensor:
        return train_motion(
            network(seed), clips(), basis(), tmp_path, config=how, adapted=True
        ).leave.weight.detach()

    first = adapt(0)
    assert torch.equal(adapt(0), first)
    with pytest.raises(InputError, match="another initial network"):
        adapt(1)


def test_the_loss_counts_jumps() -> None:
    still = torch.zeros(1, 4, 2)
    jumping = torch.tensor([1.0, -1.0, 1.0, -1.0])[None, :, None].expand(1, 4, 2)
    steady = torch.ones(1, 4, 2)
    seen = torch.ones(1, 4, 1)
    assert motion_loss(still, seen, 1.0) == 0
    assert motion_loss(jumping, seen, 0.0) == motion_loss(steady, seen, 0.0)
    assert motion_loss(jumping, seen, 1.0) > motion_loss(steady, seen, 1.0)
