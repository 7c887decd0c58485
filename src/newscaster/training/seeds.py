"""PyTorch's random numbers, seeded for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, step: int | None = None) -> Iterator[None]:
    """Seed PyTorch by ``seed``, or by (seed, step), and restore its generator afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed if step is None else hash((seed, step)))
        yield
