"""The networks of faces and people that ship are what tools/convert_face_models.py makes of MediaPipe's."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the extra train is not installed")
sys.path.append(str(Path(__file__).parents[1] / "tools"))

import convert_face_models as converter
from onnx_graph import GraphBuilder, padding
from tflite_file import Table, read_tflite

from newscaster.inference import Session


@pytest.fixture(scope="module")
def source() -> Path:
    """The wheel of mediapipe, or the folder of an installed one."""
    named = os.environ.get("NEWSCASTER_MEDIAPIPE_WHEEL")
    found = Path(named) if named else converter.find_installed()
    if found is None:
        pytest.skip("no mediapipe 0.10.21 is installed, and NEWSCASTER_MEDIAPIPE_WHEEL names no wheel of it")
    return found


def test_the_networks_that_ship_are_those_of_the_wheel(source: Path) -> None:
    networks = converter.convert_all(source)
    differences = {
        n: converter.difference(b, (converter.FOLDER / n).read_bytes()) for n, b in networks.items()
    }
    assert differences == dict.fromkeys(networks)


def test_a_difference_is_found() -> None:
    def network(bias: float) -> bytes:
        graph = GraphBuilder()
        value = graph.conv("x", np.ones((1, 1, 1, 1), np.float16), np.array([bias], np.float16))
        graph.name_output(value, "y")
        return graph.model({"x": ("n", 1, 2, 2)}, {"y": ("n", 1, 2, 2)}, origin="test")

    assert converter.difference(network(1), network(1)) is None
    assert converter.difference(network(1), network(2)) == "constant c1"


def test_prelu_is_exact_for_slopes_on_both_sides_of_one() -> None:
    slopes = np.array([-0.5, 0, 0.25, 1, 1.5, 3], np.float16)
    graph = GraphBuilder()
    graph.name_output(graph.prelu("x", slopes), "y")
    network = graph.model({"x": ("n", 6, 1, 5)}, {"y": ("n", 6, 1, 5)}, origin="test")
    x = np.tile(np.array([-2, -0.5, 0, 0.5, 2], np.float32), (1, 6, 1, 1))
    y = Session(network, threads=1, trusted=True).run(x=x)["y"]
    np.testing.assert_allclose(y, np.where(x < 0, x * slopes[:, None, None].astype(np.float32), x), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(192, 3, 2, (0, 0, 1, 1)), (96, 3, 1, (1, 1, 1, 1)), (128, 5, 2, (1, 1, 2, 2)), (9, 3, 2, (1, 1, 1, 1))],
)
def test_padding_is_that_of_tensorflow(
    size: int, kernel: int, stride: int, expected: tuple[int, ...]
) -> None:
    assert padding(0, (size, size), (kernel, kernel), stride) == expected
    assert padding(1, (size, size), (kernel, kernel), stride) == (0, 0, 0, 0)


def test_a_table_whose_last_fields_are_absent() -> None:
    vtable = struct.pack("<HHH", 6, 8, 4)  # one field, 4 bytes into the table
    data = vtable + b"\0\0" + struct.pack("<ii", 8, 7)
    table = Table(data, 8)
    assert (table.scalar(0), table.scalar(1, default=-1)) == (7, -1)
    assert table.table(3) is None
    assert table.tables(3) == []
    assert len(table.vector(3, "<i4")) == 0


def test_another_file_is_refused() -> None:
    with pytest.raises(ValueError, match="not a TensorFlow Lite file"):
        read_tflite(b"\0" * 64)
