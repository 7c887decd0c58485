"""Where a network computes, and in what precision."""

from __future__ import annotations

from typing import Literal

import torch

from newscaster.errors import InputError
from newscaster.texts import quoted

Device = Literal["auto", "cpu", "cuda"]


def compute_device(name: Device) -> torch.device:
    """Return the device of this name; "auto" takes a GPU if PyTorch finds one.

    Raises:
        InputError: the device is not available.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', and PyTorch finds no GPU here; give 'cpu' or 'auto'")
    if name not in ("cpu", "cuda"):
        raise InputError(f"device is {quoted(name)}; expected 'auto', 'cpu' or 'cuda'")
    return torch.device(name)


def fast_precision(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 if the device computes it faster than float32; None stands for float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else None


def autocast(device: torch.device, precision: torch.dtype | None) -> torch.autocast:
    """Return a context in which networks compute in this precision; None stands for float32."""
    return torch.autocast(device.type, dtype=precision, enabled=precision is not None)
