"""Shared types: the one place of array aliases and progress callbacks, and stream operators.

However a stream is cut, the output of an operator is the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from newscaster.media import Resampler
from newscaster.speech.features import FeatureSpec, FeatureStream
from newscaster.speech.voice_activity import load_voice_activity
from newscaster.synthesis.articulation import Articulation, Smoother
from newscaster.synthesis.gate import Gate
from newscaster.synthesis.motion import _Interpolator
from newscaster.synthesis.sliding_window import SlidingWindow
from newscaster.types import StreamOperator
from tiny_anchor import speech_like

STEPS = np.random.default_rng(0).standard_normal((40, 2))
AUDIO = speech_like(1.7)
SOURCES = sorted(Path(newscaster.__file__).parent.rglob("*.py"), key=lambda path: len(path.parts))


def array_aliases(code: str) -> list[str]:
    """Names that stand for an array type, at the level of the module or in a block of it."""
    body = ast.parse(code).body
    body += [node for block in body if isinstance(block, ast.If | ast.Try) for node in block.body]
    found = []
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(name)], value=ast.Subscript(value=value)):
                found += [name] if ast.unparse(value).split(".")[-1] == "NDArray" else []
            case ast.AnnAssign(target=ast.Name(name), value=ast.Subscript(value=value)):
                found += [name] if ast.unparse(value).split(".")[-1] == "NDArray" else []
    return found


def test_array_aliases_are_found() -> None:
    code = (
        "A = npt.NDArray[np.int8]\nB: TypeAlias = NDArray[Any]\nif X:\n    C = npt.NDArray[Any]\nD = list[A]"
    )
    assert array_aliases(code) == ["A", "B", "C"]


def test_array_types_have_one_place() -> None:
    """A module takes them from newscaster.types."""
    names = {path: array_aliases(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert "ArrayF64" in names.pop(SOURCES[0].parent / "types.py")
    assert {str(path): found for path, found in names.items() if found} == {}


def test_progress_callbacks_have_named_types() -> None:
    defined = {
        str(path) for path in SOURCES if re.search(r"^\w*Progress = ", path.read_text(encoding="utf-8"), re.M)
    }
    assert defined == {str(SOURCES[0].parent / "types.py")}
    allowed = {
        f"{name}{end}" for name in ("Progress", "FrameProgress", "OnReport") for end in ("", " | None")
    }
    found = {
        ast.unparse(node.annotation)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.arg) and node.arg == "progress" and node.annotation is not None
    }
    assert "Progress" in found
    assert found <= allowed


def _interpolator() -> _Interpolator:
    operator = _Interpolator(Fraction(30), 2)
    operator.total_frames = 48
    return operator


OPERATORS: dict[str, tuple[Callable[[], StreamOperator[Any, Any]], np.ndarray]] = {
    "windows": (lambda: SlidingWindow(behind=2, ahead=3, channels=2, ends_last=True), STEPS),
    "smoother": (lambda: Smoother(Articulation(smoothness=3).kernel, 2), STEPS),
    "interpolator": (_interpolator, STEPS),
    "features": (lambda: FeatureStream(FeatureSpec(kind="log-mel")), AUDIO),
    "voice activity": (lambda: load_voice_activity().stream(), AUDIO),
    "gate": (lambda: Gate(load_voice_activity()), AUDIO),
    "resampler": (lambda: Resampler(16_000, 48_000), AUDIO),
}


def streamed(operator: StreamOperator[Any, Any], values: np.ndarray, cuts: list[int]) -> np.ndarray:
    pieces = np.split(values, cuts)
    return np.concatenate([*(operator.push(piece) for piece in pieces), operator.flush()])


@pytest.mark.parametrize("name", OPERATORS)
def test_chunked_equals_whole(name: str) -> None:
    make, values = OPERATORS[name]
    expected = streamed(make(), values, [])
    assert len(expected)
    rng = np.random.default_rng(1)
    for size in (1, 7, 333):
        if len(values) // size > 3000:
            continue
        found = streamed(make(), values, list(range(size, len(values), size)))
        np.testing.assert_allclose(found, expected, atol=1e-4)
    cuts = sorted(int(cut) for cut in rng.integers(0, len(values), 9))
    np.testing.assert_allclose(streamed(make(), values, [0, *cuts, len(values)]), expected, atol=1e-4)
