"""What the motion networks, and the discriminator of motion, depend on."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch

from newscaster.models.motion.discriminator import MotionDiscriminator
from newscaster.models.motion.network import (
    AnyMotion,
    MotionConfig,
    MotionNetwork,
    RecurrentConfig,
    RecurrentMotion,
    restored,
)

WIDTH, SIZE, STEPS = 5, 3, 40


def tcn(**values: object) -> MotionNetwork:
    torch.manual_seed(0)
    return MotionNetwork(
        MotionConfig(inputs=WIDTH, coefficients=SIZE, channels=8, dilations=(1, 2), **values)
    ).eval()


def lstm(**values: object) -> RecurrentMotion:
    torch.manual_seed(0)
    return RecurrentMotion(RecurrentConfig(inputs=WIDTH, coefficients=SIZE, hidden=8, **values)).eval()


def changed_by(network: AnyMotion, step: int) -> list[int]:
    """The steps whose answers depend on the features of one step."""
    features = torch.randn(1, STEPS, WIDTH, generator=torch.Generator().manual_seed(1))
    other = features.clone()
    other[:, step] += 3.0
    with torch.no_grad():
        difference = (network(features) - network(other)).abs().amax(dim=(0, 2))
    return torch.nonzero(difference).flatten().tolist()


def test_a_causal_network_depends_on_no_later_step() -> None:
    network = tcn(causal=True)
    reach = network.config.context_steps
    assert reach == 2 * 2 * (1 + 2)
    assert changed_by(network, 15) == list(range(15, 15 + reach + 1))


def test_a_centred_network_hears_as_far_to_either_side() -> None:
    network = tcn()
    reach = network.config.context_steps
    assert changed_by(network, 20) == list(range(20 - reach, 20 + reach + 1))


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_a_delayed_network_hears_so_many_later_steps_and_no_more(delay: int) -> None:
    network = lstm(delay_steps=delay)
    touched = changed_by(network, 12)
    assert touched[0] == 12 - delay
    assert touched[:8] == list(range(12 - delay, 20 - delay))
    assert network(torch.randn(2, 7, WIDTH)).shape == (2, 7, SIZE)


def test_a_bidirectional_network_hears_both_ends() -> None:
    network = lstm(bidirectional=True)
    assert 0 in changed_by(network, 6)
    assert STEPS - 1 in changed_by(network, STEPS - 7)
    assert changed_by(network, 20)[0] < 20 < changed_by(network, 20)[-1]


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 steps"):
        RecurrentConfig(inputs=WIDTH, delay_steps=-1)


@pytest.mark.parametrize(("kind", "values"), [(tcn, {}), (lstm, {"delay_steps": 2})], ids=["tcn", "lstm"])
def test_a_smoothed_network_answers_with_a_mean_over_three_steps_but_not_in_training(kind, values) -> None:
    plain, smoothed = kind(**values), kind(**values, smoothing=0.2)
    features = torch.randn(2, 9, WIDTH)
    with torch.no_grad():
        wanted, found = plain(features), smoothed(features)
    for step in range(9):
        before, after = max(0, step - 1), min(8, step + 1)
        mean = 0.2 * wanted[:, before] + 0.6 * wanted[:, step] + 0.2 * wanted[:, after]
        assert torch.allclose(found[:, step], mean, atol=1e-6)
    values["dropout"] = 0.0
    in_training = kind(**values, smoothing=0.2).train()(features)
    assert torch.allclose(in_training, wanted, atol=1e-6)


def test_smoothing_is_one_more_step_of_context_and_nothing_for_a_causal_network() -> None:
    network = tcn(smoothing=0.25)
    reach = network.config.context_steps
    assert reach == tcn().config.context_steps + 1
    assert changed_by(network, 20) == list(range(20 - reach, 20 + reach + 1))
    with pytest.raises(ValueError, match="causal"):
        MotionConfig(inputs=WIDTH, causal=True, smoothing=0.1)
    with pytest.raises(ValueError, match=r"the smoothing is 0\.4"):
        RecurrentConfig(inputs=WIDTH, smoothing=0.4)


@pytest.mark.parametrize(
    "network",
    [
        tcn(),
        tcn(causal=True, input_dropout=0.1),
        tcn(smoothing=0.2),
        lstm(delay_steps=3),
        lstm(bidirectional=True, layers=2, input_dropout=0.0),
    ],
    ids=["centred", "causal", "smoothed", "delayed", "bidirectional"],
)
def test_a_stored_configuration_gives_the_same_kind_of_network(network: AnyMotion) -> None:
    values = json.loads(json.dumps(asdict(network.config)))
    again = restored(values).eval()
    assert type(again) is type(network)
    assert again.config == network.config
    again.load_state_dict(network.state_dict())
    features = torch.randn(2, 9, WIDTH)
    assert torch.equal(again(features), network(features))


@pytest.mark.parametrize("network", [tcn(), lstm()], ids=["tcn", "lstm"])
def test_features_are_brought_to_one_scale(network: AnyMotion) -> None:
    features = torch.randn(200, WIDTH) * torch.tensor([1.0, 10.0, 0.1, 3.0, 1.0]) + 7
    network.normalise_with(features)
    entering = network.entering(features[None])[0]
    assert torch.allclose(entering.mean(dim=1), torch.zeros(WIDTH), atol=1e-4)
    assert torch.allclose(entering.std(dim=1), torch.ones(WIDTH), atol=1e-4)
    network.normalise_with(torch.zeros(4, WIDTH))
    assert network(torch.zeros(1, 4, WIDTH)).isfinite().all()


@pytest.mark.parametrize("scales", [(1,), (1, 2, 4), (2, 3)])
def test_the_discriminator_judges_at_every_scale(scales: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    judge = MotionDiscriminator(coefficients=SIZE, inputs=WIDTH, channels=6, scales=scales)
    found = judge(torch.randn(2, 13, SIZE), torch.randn(2, 13, WIDTH))
    assert len(found) == len(scales)
    for activations, pooled in zip(found, scales, strict=True):
        assert [tuple(a.shape) for a in activations] == [(2, 6, 13 // pooled)] * 3 + [(2, 1, 13 // pooled)]


def test_the_discriminator_normalises_motion_and_uses_the_audio() -> None:
    torch.manual_seed(0)
    judge = MotionDiscriminator(coefficients=SIZE, inputs=WIDTH, channels=6, scales=(1,))
    motion, audio = torch.randn(1, 20, SIZE), torch.randn(1, 20, WIDTH)
    judge.normalise_with([motion[0]])
    wanted = judge(motion, audio)[0][-1]
    assert not torch.allclose(wanted, judge(motion, audio.flip(1))[0][-1])
    assert not torch.allclose(wanted, judge(motion.flip(1), audio)[0][-1])
    judge.normalise_with([100 * motion[0]])
    assert torch.allclose(wanted, judge(100 * motion, audio)[0][-1], atol=1e-4)
