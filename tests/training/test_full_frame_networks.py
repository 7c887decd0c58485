from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from newscaster.training import full_frame_losses as losses
from newscaster.training.networks import perceptual
from newscaster.training.networks.full_frame import PatchDiscriminator
from newscaster.training.networks.perceptual import Perceptual


def stripes(count: int, side: int = 48, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, side, side, generator=generator) > 0.5).float() * 0.5 + 0.2


def softened(pictures: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(functional.pad(pictures, (1,) * 4, mode="reflect"), 3, stride=1)


def same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Padded as TensorFlow does: so that ceil(side / stride) remain, the odd one below and to the right."""
    total = max(0, (-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1])
    return functional.pad(x, (total // 2, total - total // 2) * 2)


def test_the_perceptual_network_agrees_with_unfolded_layers() -> None:
    network = Perceptual.pretrained()
    path = perceptual.Path(perceptual.find_spec(perceptual._PACKAGE).origin).parent / perceptual._FILE
    weights = torch.load(path, map_location="cpu", weights_only=True)

    def layer(
        x: torch.Tensor, convolution: str, norm: str, *, stride: int = 1, groups: int = 1
    ) -> torch.Tensor:
        kernel = weights[f"{convolution}.weight"]
        x = functional.conv2d(same(x, kernel.shape[-1], stride), kernel, stride=stride, groups=groups)
        stored = (weights[f"{norm}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *stored, eps=1e-3)

    pictures = stripes(2)
    x = functional.relu6(layer((pictures * 255 - 127) / 128, "_conv_stem", "_bn0", stride=2))
    x = functional.relu6(layer(x, "_blocks.0._depthwise_conv", "_blocks.0._bn1", groups=32))
    first = layer(x, "_blocks.0._project_conv", "_blocks.0._bn2")
    x = functional.relu6(layer(first, "_blocks.1._expand_conv", "_blocks.1._bn0"))
    x = functional.relu6(layer(x, "_blocks.1._depthwise_conv", "_blocks.1._bn1", stride=2, groups=96))
    x = before = layer(x, "_blocks.1._project_conv", "_blocks.1._bn2")
    x = functional.relu6(layer(x, "_blocks.2._expand_conv", "_blocks.2._bn0"))
    x = functional.relu6(layer(x, "_blocks.2._depthwise_conv", "_blocks.2._bn1", groups=144))
    second = before + layer(x, "_blocks.2._project_conv", "_blocks.2._bn2")
    seen = network(pictures)
    torch.testing.assert_close(seen[0], first, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen[1], second, rtol=1e-3, atol=1e-3)
    assert [tuple(s.shape[1:]) for s in seen] == [(16, 24, 24), (24, 12, 12), (40, 6, 6), (80, 3, 3)]
    assert not any(p.requires_grad for p in network.parameters())
    near, far = (losses.perceptual_loss(network, p, pictures) for p in (pictures + 0.01, softened(pictures)))
    assert 0 < near < far


def test_the_discriminator_judges_patches_and_learns_to_see_softness() -> None:
    torch.manual_seed(0)
    network = PatchDiscriminator(2)
    maps = torch.rand(4, 2, 48, 48)
    seen = network(stripes(4), maps)
    assert [[tuple(a.shape[1:]) for a in scale] for scale in seen] == [
        [(32, 24, 24), (64, 12, 12), (128, 6, 6), (1, 6, 6)],
        [(32, 12, 12), (64, 6, 6), (128, 3, 3), (1, 3, 3)],
    ]
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-4, betas=(0.5, 0.99))
    for step in range(12):
        real = stripes(4, seed=step)
        loss = losses.discriminator_loss(network(torch.cat([real, softened(real)]), torch.cat([maps, maps])))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        unseen = stripes(4, seed=99)
        verdicts = [network(p, maps)[0][-1].mean() for p in (unseen, softened(unseen))]
    assert verdicts[0] > verdicts[1] + 0.5


def test_adversarial_losses_teach_the_painter_alone() -> None:
    network, weights = PatchDiscriminator(2), losses.FullFrameWeights()
    real, maps = stripes(2), torch.rand(2, 2, 48, 48)
    painted = softened(real).requires_grad_()
    losses.adversarial_loss(network, painted, real, maps, weights).backward()
    assert painted.grad is not None
    assert painted.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    same_again = losses.adversarial_loss(network, real, real, maps, losses.FullFrameWeights(adversarial=0))
    assert float(same_again) == 0


def test_errors_count_more_in_the_face_and_flicker_counts() -> None:
    weights, real = losses.FullFrameWeights(), stripes(4)
    oval = torch.zeros(4, 1, 48, 48)
    oval[:, :, 10:30, 10:30] = 1
    pixels = losses.pixel_weights(oval, weights)
    assert float(pixels.mean()) == pytest.approx(1)
    inside, outside = real.clone(), real.clone()
    inside[:, :, 12:20, 12:20] += 0.1
    outside[:, :, 32:40, 32:40] += 0.1
    errors = [float(losses.error_loss(p, real, pixels, weights)) for p in (inside, outside)]
    assert errors[0] > 2.5 * errors[1] > 0
    steady, flickering = real + 0.1, real.clone()
    flickering[::2] += 0.1
    flickering[1::2] -= 0.1
    assert losses.error_loss(flickering, real, pixels, weights) > 1.9 * losses.error_loss(
        steady, real, pixels, weights
    )


def test_detail_is_missed_in_soft_pictures_wherever_it_lies() -> None:
    real = stripes(2)
    soft, elsewhere = losses.detail_loss(softened(real), real), losses.detail_loss(real.roll(3, -1), real)
    assert soft > 3 * elsewhere


def test_sharpening_comes_in_late_and_slowly() -> None:
    weights = losses.FullFrameWeights(sharpen_from=0.35, sharpen_over=0.1)
    assert [weights.sharpening(used) for used in (0, 0.35, 0.9)] == [0, 0, 1]
    assert 0.4 < weights.sharpening(0.4) < 0.6
