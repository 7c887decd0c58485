from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from newscaster.models import losses, perceptual
from newscaster.models.discriminators import PatchDiscriminator
from newscaster.models.perceptual import Perceptual


def stripes(count: int, side: int = 48, *, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, side, side, generator=generator) > 0.5).float() * 0.5 + 0.2


def softened(images: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(functional.pad(images, (1,) * 4, mode="reflect"), 3, stride=1)


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

    images = stripes(2)
    x = functional.relu6(layer((images * 255 - 127) / 128, "_conv_stem", "_bn0", stride=2))
    x = functional.relu6(layer(x, "_blocks.0._depthwise_conv", "_blocks.0._bn1", groups=32))
    first = layer(x, "_blocks.0._project_conv", "_blocks.0._bn2")
    x = functional.relu6(layer(first, "_blocks.1._expand_conv", "_blocks.1._bn0"))
    x = functional.relu6(layer(x, "_blocks.1._depthwise_conv", "_blocks.1._bn1", stride=2, groups=96))
    x = before = layer(x, "_blocks.1._project_conv", "_blocks.1._bn2")
    x = functional.relu6(layer(x, "_blocks.2._expand_conv", "_blocks.2._bn0"))
    x = functional.relu6(layer(x, "_blocks.2._depthwise_conv", "_blocks.2._bn1", groups=144))
    second = before + layer(x, "_blocks.2._project_conv", "_blocks.2._bn2")
    seen = network(images)
    torch.testing.assert_close(seen[0], first, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen[1], second, rtol=1e-3, atol=1e-3)
    assert [tuple(s.shape[1:]) for s in seen] == [(16, 24, 24), (24, 12, 12), (40, 6, 6), (80, 3, 3)]
    assert not any(p.requires_grad for p in network.parameters())
    near, far = (losses.perceptual_loss(network, p, images) for p in (images + 0.01, softened(images)))
    assert 0 < near < far


def test_the_discriminator_judges_patches_at_two_scales() -> None:
    seen = PatchDiscriminator(2)(stripes(4), torch.rand(4, 2, 48, 48))
    assert [[tuple(a.shape[1:]) for a in scale] for scale in seen] == [
        [(32, 24, 24), (64, 12, 12), (128, 6, 6), (1, 6, 6)],
        [(32, 12, 12), (64, 6, 6), (128, 3, 3), (1, 3, 3)],
    ]
    small = PatchDiscriminator(2)(stripes(2)[..., :24, :24], torch.rand(2, 2, 24, 24))
    assert len(small) == 1


def test_errors_count_more_in_the_face_and_flicker_counts() -> None:
    weights, real = losses.FullFrameWeights(), stripes(4)
    oval = torch.zeros(4, 1, 48, 48)
    oval[:, :, 10:30, 10:30] = 1
    pixels = losses.pixel_weights(oval, weights)
    assert float(pixels.mean()) == pytest.approx(1)
    inside, outside = real.clone(), real.clone()
    inside[:, :, 12:20, 12:20] += 0.1
    outside[:, :, 32:40, 32:40] += 0.1

    def error(output: torch.Tensor) -> float:
        return float(
            losses.reconstruction_loss(
                output, real, pixels, gradient=weights.gradient, temporal=weights.temporal
            )
        )

    assert error(inside) > 2.5 * error(outside) > 0
    steady, flickering = real + 0.1, real.clone()
    flickering[::2] += 0.1
    flickering[1::2] -= 0.1
    assert error(flickering) > 1.9 * error(steady)


def test_detail_loss_penalises_blur_more_than_displacement() -> None:
    real = stripes(2)
    soft, elsewhere = losses.detail_loss(softened(real), real), losses.detail_loss(real.roll(3, -1), real)
    assert soft > 3 * elsewhere
