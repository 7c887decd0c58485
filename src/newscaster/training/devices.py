"""Where a network is computed, and how precisely."""

from __future__ import annotations

from typing import Literal

import torch

from newscaster.errors import InputError

Device = Literal["auto", "cpu", "cuda"]


def device_of(name: Device) -> torch.device:
    """The device of this name; "auto" takes a GPU if PyTorch has one.

    Raises:
        InputError: it is not there, or not a device's name.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', and PyTorch finds no GPU here; give 'cpu' or 'auto'")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device is {name!r}; expected 'auto', 'cpu' or 'cuda'")
    return torch.device(name)


def precision_on(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device computes it faster than float32; None: float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else None
