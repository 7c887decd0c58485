from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

import newscaster
from newscaster.errors import AnchorError, InputError
from onnx_networks import motion_network, renderer_network
from tiny_anchor import CONTEXT_STEPS, write_tiny_anchor


def test_workers_are_counted(tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor")
    with pytest.raises(InputError, match="workers is 0"):
        newscaster.open(path, workers=0)


def test_parts_that_do_not_fit_each_other(tmp_path: Path) -> None:
    path = tmp_path / "x.anchor"
    for changes, message in (
        ({"renderer": renderer_network(side=128, map_side=32)}, "rendering network"),
        ({"renderer": b"nonsense"}, r"networks/renderer\.onnx cannot be loaded"),
        (
            {"motion": motion_network(width=320, coefficients=9, context_steps=CONTEXT_STEPS)},
            "motion network",
        ),
        ({"target": b"nonsense"}, r"stage\.mp4 is damaged"),
        ({"stage_fps": Fraction(30)}, "30 frames"),
    ):
        with pytest.raises(AnchorError, match=message):
            newscaster.open(write_tiny_anchor(path, **changes))  # type: ignore[arg-type]
