"""Libraries report nothing to their makers; `test_nothing_leaves` traces what they do."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from newscaster import telemetry
from tracing import new_place

ROOT = Path(__file__).parents[1]


def test_an_engine_that_was_there_before_is_named(tmp_path: Path) -> None:
    """Its telemetry has started and cannot be stopped: a warning has the remedy."""
    code = "import onnxruntime; onnxruntime.__version__ = '1.32.0'; import newscaster"
    place = new_place(tmp_path)
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, capture_output=True, text=True, env=place.environment)
    assert done.stderr.splitlines() == [
        "onnxruntime was imported before newscaster, so its telemetry has started in this process. Import "
        "newscaster first"
    ]
    off = {**place.environment, telemetry.VARIABLE: "1"}
    done = subprocess.run(run, capture_output=True, text=True, env=off)
    assert (done.returncode, done.stderr) == (0, "")


IMPORTERS = {"onnxruntime", "openvino", "hibari", "piper"}
"""Packages that collect telemetry or write to the home as they are imported, or import one that does."""


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["tools", "benchmarks", "examples", "tests"])
def test_scripts_import_newscaster_first(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        first: dict[str, int] = {}
        for node in sorted(nodes, key=lambda node: node.lineno):
            names = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            )
            for name in names:
                first.setdefault(name.partition(".")[0], node.lineno)
        for name in IMPORTERS & first.keys():
            assert first.get("newscaster", 10**9) < first[name], f"{path} imports {name} before newscaster"
