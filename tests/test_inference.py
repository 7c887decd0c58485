from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newscaster import inference
from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.matting.network import load_person_network
from newscaster.prepare.mouth_occlusion import load_occlusion_network
from newscaster.speech.encoder import STATE_CHANNELS, load_encoder, packaged_encoder
from newscaster.speech.voice_activity import load_voice_activity
from newscaster.tracking import descriptor
from newscaster.tracking.models import face_session
from onnx_networks import motion_network, renderer_network


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(packaged_encoder(), threads=1, name="encoder")


def mel(frames: int = 40, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.3, (batch, 80, frames)).astype(np.float32)


def test_says_what_it_takes_and_gives(session: Session) -> None:
    assert session.inputs == {"mel": ("B", 80, "T")}
    assert session.outputs == {"states": ("B", "S", STATE_CHANNELS)}
    assert session.metadata["license"] == "MIT"
    assert "mel" in repr(session)


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"trusted": True}, "Reinstall newscaster"),
        ({}, "Train the anchor again"),
        ({"trusted": True, "remedy": "Train it again"}, "Train it again"),
        ({"remedy": "Export it again"}, "Export it again"),
    ],
)
def test_advice_fits_where_a_network_is_from(options: dict[str, Any], remedy: str) -> None:
    session = Session(packaged_encoder(), threads=1, name="encoder", **options)
    good = session.run_one("states", (1, 20, STATE_CHANNELS), mel=mel())
    assert good.shape == (1, 20, STATE_CHANNELS)
    with pytest.raises(InputError, match=rf"expected \(1, 3, {STATE_CHANNELS}\), all finite\. {remedy}$"):
        session.run_one("states", (1, 3, STATE_CHANNELS), mel=mel())
    with pytest.raises(InputError, match=rf"expected 'nonsense' among them\. {remedy}$"):
        session.run_one("nonsense", (1, 20, STATE_CHANNELS), mel=mel())
    network = motion_network(width=3, coefficients=2, context_steps=1)  # in floats, which may be NaN
    session = Session(network, threads=1, name="motion", **options)
    with pytest.raises(InputError, match=rf"not finite; .*\. {remedy}$"):
        session.run_one("coefficients", (1, 5, 2), features=np.full((1, 5, 3), np.nan, np.float32))


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"trusted": True}, "Reinstall newscaster"),
        ({}, "Fetch or export it again"),
        ({"remedy": "Export it again", "trusted": True}, "Export it again"),
    ],
)
def test_advice_for_a_damaged_network(options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(InputError, match=rf"cannot be loaded as an ONNX network: .*\. {remedy}$"):
        Session(packaged_encoder()[:1000], threads=1, **options)


def test_advice_for_a_speech_encoder_of_ones_own() -> None:
    with pytest.raises(InputError, match=r"Export it again, or use the packaged encoder$"):
        load_encoder(b"damaged")


def test_every_packaged_network_gives_the_packages_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is opened as its module opens it, from bytes that are damaged."""
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"damaged")
    for load in (
        load_encoder,
        load_voice_activity,
        load_person_network,
        load_occlusion_network.__wrapped__,  # without what earlier tests have loaded
        descriptor._session.__wrapped__,
        lambda: face_session.__wrapped__("face_mesh.onnx", 1),
    ):
        with pytest.raises(InputError, match=r"\. Reinstall newscaster$"):
            load()


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
        ({}, "; found"),
        ({"mel": mel(), "more": mel()}, "; found"),
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
        "assert not {'onnxruntime', 'openvino', 'torch', 'hibari', 'av'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def renderer_inputs(
    batch: int, *, side: int = 128, map_side: int = 64, seed: int = 0
) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        "region": random.integers(0, 256, (batch, side, side, 3), dtype=np.uint8),
        "face_map": random.integers(0, 256, (batch, 4, map_side, map_side), dtype=np.uint8),
    }


def agrees_with_onnx_runtime(backend: str, *, levels: int) -> None:
    """From several threads, with batches of every size, and with results that are kept."""
    network = renderer_network(side=128, map_side=64)
    plain, other = Session(network, threads=1), Session(network, threads=1, backend=backend, callers=3)
    assert (plain.backend, other.backend) == ("onnxruntime", backend)
    feeds = [renderer_inputs(batch, seed=batch) for batch in (2, 1, 3, 2, 1, 4)] * 3
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda feed: other.run(**feed)["rendered"], feeds))
    for feed, image in zip(feeds, found, strict=True):
        wanted = plain.run(**feed)["rendered"]
        assert image.dtype == wanted.dtype
        assert np.abs(image.astype(int) - wanted).max() <= levels
    with pytest.raises(InputError, match="expected uint8"):
        other.run(**{name: array.astype(np.float32) for name, array in feeds[0].items()})


def test_openvino_agrees() -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    bfloat16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    agrees_with_onnx_runtime("openvino", levels=4 if bfloat16 else 1)


@pytest.mark.cuda
def test_cuda_agrees() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is not installed")
    agrees_with_onnx_runtime("cuda", levels=2)


def test_a_backend_that_is_missing_is_replaced(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inference, "_installed", lambda backend: False)
    network, feed = renderer_network(side=128, map_side=64), renderer_inputs(2)
    for backend, package in (("openvino", "openvino"), ("cuda", "cuda")):
        caplog.clear()
        session = Session(network, threads=1, backend=backend, name="renderer.onnx")
        assert session.backend == "onnxruntime"
        assert "renderer.onnx cannot be run with" in caplog.text
        assert f"newscaster[{package}]" in caplog.text
        wanted = Session(network, threads=1).run(**feed)["rendered"]
        np.testing.assert_array_equal(session.run(**feed)["rendered"], wanted)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [(0.5, "openvino"), (0.97, "onnxruntime"), (2.0, "onnxruntime"), (None, "onnxruntime")],
)
def test_auto_takes_what_is_faster_and_works(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None, chosen: str
) -> None:
    """An engine that gives its input back, by the time that a clock says it takes; one that fails."""

    def echo(feed: inference.Feed) -> list[np.ndarray]:
        if seconds is None:
            raise OSError("no memory")
        return [feed["region"]]

    def clock(engine: inference.Engine, feed: inference.Feed) -> float:
        engine(feed)
        return 1.0 if engine is not echo or seconds is None else seconds

    monkeypatch.setattr(inference, "_installed", lambda backend: backend == "openvino")
    monkeypatch.setattr(inference, "_seconds", clock)
    monkeypatch.setitem(inference._ENGINES, "openvino", lambda *_: echo)
    session = Session(renderer_network(side=128, map_side=64), threads=1, backend="auto")
    assert session.backend == chosen
    feed = renderer_inputs(1)
    assert (session.run(**feed)["rendered"] == feed["region"]).all() == (chosen == "openvino")


def test_backends_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEWSCASTER_BACKEND", raising=False)
    assert inference.backend_named(None) == "auto"
    monkeypatch.setenv("NEWSCASTER_BACKEND", "openvino")
    assert inference.backend_named(None) == "openvino"
    assert inference.backend_named("cuda") == "cuda"
    monkeypatch.setenv("NEWSCASTER_BACKEND", "abacus")
    with pytest.raises(InputError, match="'abacus'; expected one of auto, onnxruntime, openvino, cuda"):
        inference.backend_named(None)
