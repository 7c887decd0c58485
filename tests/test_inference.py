from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.speech.encoder import packaged_encoder


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(packaged_encoder(), threads=1, name="encoder")


def mel(frames: int = 40, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, (batch, 80, frames)).astype(np.float32)


def test_says_what_it_takes_and_gives(session: Session) -> None:
    assert session.inputs == {"mel": ("B", 80, "T")}
    assert session.outputs == {"states": ("B", "S", 768)}
    assert session.metadata["license"] == "MIT"
    assert "mel" in repr(session)


def test_bytes_and_file_agree(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "encoder.onnx"
    path.write_bytes(packaged_encoder())
    from_file = Session(path, threads=1, spinning=True)
    assert from_file.name == "encoder.onnx"
    np.testing.assert_array_equal(from_file.run(mel=mel())["states"], session.run(mel=mel())["states"])


def test_arrays_need_not_be_contiguous(session: Session) -> None:
    strided = np.repeat(mel(), 2, axis=2)[:, :, ::2]
    assert not strided.flags.c_contiguous
    np.testing.assert_array_equal(session.run(mel=strided)["states"], session.run(mel=mel())["states"])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "it was given"),
        ({"mel": mel(), "more": mel()}, "it was given"),
        ({"mel": mel().astype(np.float64)}, "float64"),
        ({"mel": mel()[0]}, "expected float32"),
        ({"mel": mel()[:, :79]}, "79"),
        ({"mel": mel(frames=1200)}, "1200"),
    ],
)
def test_what_does_not_fit_is_named(session: Session, inputs: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(InputError, match=words):
        session.run(**inputs)


@pytest.mark.parametrize("damage", [b"", b"not a network", packaged_encoder()[:100_000]])
def test_damaged_network(damage: bytes) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        Session(damage)


def test_missing_file_and_threads(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a file"):
        Session(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match="threads is 0"):
        Session(packaged_encoder(), threads=0)


def test_importing_loads_no_runtime() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path}\n"
        "import newscaster.inference, newscaster.speech.features, newscaster.speech.voices\n"
        "assert not {'onnxruntime', 'torch', 'hibari', 'av'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
