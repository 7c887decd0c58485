"""Anchors and takes whose maker means harm, one by one; tests/fuzz draws them by the thousand."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

import newscaster
from fuzz.scripts import zipped
from newscaster.errors import AnchorError, DatasetError, MediaError
from newscaster.formats.anchor import FACE, HEADER, MOTION, RENDERER, TARGET, AnchorFile
from newscaster.formats.dataset import Dataset
from newscaster.media import TargetVideo, encode_target
from newscaster.media import target_video as target_module
from newscaster.safety.readers import MAX_TARGET_FRAMES
from onnx_networks import Builder
from small_dataset import write_take
from tiny_anchor import images, speech_like, write_tiny_anchor


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    file = AnchorFile(write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor"))
    header = json.dumps({**file.info.to_json(), "members": file.members}).encode()
    return {HEADER: header, **{name: file.read(name) for name in file.members}}


def written(folder: Path, members: dict[str, bytes], **header: object) -> Path:
    """An anchor whose hashes are all right: whoever means harm writes the header, too."""
    values = {**json.loads(members[HEADER]), **header}
    path = folder / "x.anchor"
    path.write_bytes(zipped({**members, HEADER: json.dumps(values).encode()}, signed=True))
    return path


def test_the_valid_one_works(tmp_path: Path, members: dict[str, bytes]) -> None:
    anchor = newscaster.open(written(tmp_path, members), workers=1, backend="onnxruntime")
    assert next(anchor.render(speech_like(0.3))).shape == (80, 96, 3)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("fps", "1e999999999", "expected a fraction"),
        ("size", [16384, 16384], "at most 33554432 pixels"),
        ("stage_frames", MAX_TARGET_FRAMES + 1, "1 to 3000"),
        ("stage_frames", 10**18, "1 to 3000"),
        ("motion", {"rate_hz": 25, "coefficients": 4, "context_steps": 10_000}, "0 to 250"),
        ("name", "a" * 201, "up to 200 characters"),
        ("name", "Ada\x1b]0;owned\x07", "up to 200 characters"),
        ("attribution", ["a\u202eb"], "without control characters"),
        ("attribution", ["x"] * 65, "64 lines"),
        ("training", {"\x1b[2J": 1}, "without control characters"),
        ("consent", {"statement": "yes", "who": ["Ada"]}, "expected texts"),
        ("region", {"side": 128, "extent": float("nan")}, "extent"),
        ("newscaster", "x\x00y", "without control characters"),
    ],
)
def test_headers(tmp_path: Path, members: dict[str, bytes], field: str, value: object, words: str) -> None:
    with pytest.raises(AnchorError, match=words) as caught:
        AnchorFile(written(tmp_path, members, **{field: value}))
    assert len(str(caught.value)) < 800


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.anchor")
    for path in (tmp_path / "x.anchor", Path("/dev/zero")):
        with pytest.raises(AnchorError, match="not a regular file"):
            AnchorFile(path)


def test_zips_that_lie(tmp_path: Path, members: dict[str, bytes]) -> None:
    whole = written(tmp_path, members).read_bytes()
    entry = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02") + 4)  # the second member's, in the table
    path = tmp_path / "y.anchor"

    def refused(data: bytes, words: str) -> None:
        path.write_bytes(data)
        with pytest.raises(AnchorError, match=words):
            AnchorFile(path)

    longer = struct.pack("<II", 0xFFFF0000, 0xFFFF0000)
    refused(whole[: entry + 20] + longer + whole[entry + 28 :], "table lists [0-9]+ bytes of members")
    refused(whole[: entry + 24] + longer[:4] + whole[entry + 28 :], "or is compressed")
    # The same bytes as two members: all are as long as the file, and more.
    over = whole[: entry + 42] + struct.pack("<I", 0) + whole[entry + 46 :]
    refused(over, "damaged")
    refused(whole + b"x", "does not end with a zip directory")
    many = tmp_path / "many.zip"
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(2000):
            archive.writestr(f"{number}", b"")
    refused(many.read_bytes(), "its table has")


def test_arrays_that_no_face_has(tmp_path: Path, members: dict[str, bytes]) -> None:
    arrays = load(members[FACE])
    for name, value, words in (
        ("stage.transforms", 0.0, "contains transforms that cannot crop a face"),
        ("stage.transforms", 1e20, "beyond 1e\\+07"),
        ("stage.pose_matrix", 0.0, "poses that no head can have"),
        ("stage.landmarks", 1e30, "beyond 1e\\+06"),
        ("basis.deviations", 1e9, "beyond 100"),
    ):
        changed = save({**arrays, name: np.full_like(arrays[name], value)})
        with pytest.raises(AnchorError, match=words):
            AnchorFile(written(tmp_path, {**members, FACE: changed})).face()
    header = json.dumps({"basis.mean": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    with pytest.raises(AnchorError, match=FACE):
        AnchorFile(
            written(tmp_path, {**members, FACE: struct.pack("<Q", len(header)) + header + bytes(4)})
        ).face()


def network_of(*, rows: int, scale: float) -> bytes:
    """A motion network that gives another number of steps than it was given, or numbers that are none."""
    b = Builder()
    x = b.node("Slice", "features", *(b.weight(np.array([n], np.int64)) for n in (0, rows, 1)))
    x = b.node("Slice", x, *(b.weight(np.array([n], np.int64)) for n in (0, 4, 2)))
    b.node("Mul", x, b.weight(np.array(scale, np.float32)), out="coefficients")
    free = (1, ["B", "T", 320])
    return b.model({"features": free}, {"coefficients": (1, ["B", "T2", 4])})


@pytest.mark.parametrize(("rows", "scale"), [(3, 1.0), (10**6, float("inf")), (10**6, float("nan"))])
def test_a_network_that_does_not_keep_its_word(
    tmp_path: Path, members: dict[str, bytes], rows: int, scale: float
) -> None:
    made = {**members, MOTION: network_of(rows=rows, scale=scale)}
    with pytest.raises(AnchorError, match="or not finite; expected"):
        newscaster.open(written(tmp_path, made), workers=1, backend="onnxruntime")


def test_a_renderer_of_floats(tmp_path: Path, members: dict[str, bytes]) -> None:
    b = Builder()
    b.node("Cast", "region", to=1, out="rendered")
    image = (2, ["B", 128, 128, 3])
    made = b.model(
        {"region": image, "face_map": (2, ["B", 4, 64, 64])}, {"rendered": (1, ["B", 128, 128, 3])}
    )
    path = written(tmp_path, {**members, RENDERER: made})
    with pytest.raises(AnchorError, match="returns float32 pixels"):
        newscaster.open(path, workers=1, backend="onnxruntime")


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def test_targets_with_malicious_headers(members: dict[str, bytes]) -> None:
    target = members[TARGET]

    def refused(data: bytes, words: str) -> None:
        with pytest.raises(MediaError, match=words):
            TargetVideo(data)

    at = target.index(b"stsz") + 4
    billions = target[: at + 4] + struct.pack(">II", 1, 0xFFFFFFFF) + target[at + 12 :]
    refused(billions, "states 4294967295 frames; accepted are 3000")
    at = target.index(b"stts") + 4
    refused(target[: at + 8] + b"\xff\xff\xff\xff" + target[at + 12 :], "durations for 4294967295 frames")
    refused(target + box(b"moof", box(b"mfhd", bytes(8))), "holds a box 'moof'")
    refused(target.replace(b"mvhd", b"cmov"), "holds a box 'cmov'")
    refused(target.replace(b"avc1", b"hvc1"), "video other than H.264")
    refused(target + box(b"udta", box(b"covr", bytes(100))), "an image among them")
    refused(target[:-20], "states a size of")


def test_groups_that_no_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 64 * 48 * 3 // 2
    target = encode_target(images(20, (64, 48)), 25, group=10)
    TargetVideo(target).image(0)
    monkeypatch.setattr(target_module, "MAX_GROUP_BYTES", 9 * size)
    with pytest.raises(MediaError, match="a group has 10 frames of 64x48"):
        TargetVideo(target)
    smaller = TargetVideo(encode_target(images(20, (64, 48)), 25, group=10))
    assert smaller.frame_count == 20


def test_a_frame_larger_than_its_file_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder gets the limit, and releases what it has started."""
    monkeypatch.setattr(target_module, "_LIMITS", {"max_pixels": "1000"})
    video = TargetVideo(encode_target(images(20, (64, 48)), 25))
    for _ in range(3):
        with pytest.raises(MediaError, match="damaged"):
            video.image(0)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    write_take(tmp_path / "take")
    return tmp_path / "take"


@pytest.mark.parametrize(
    "name", ["../../x", "..", ".", "", "a/b", "/etc", "a\\b", "C:x", "a\0b", "x" * 300, 5]
)
def test_clips_elsewhere(dataset: Path, name: object) -> None:
    path = dataset / "take.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "clips": [name]}))
    with pytest.raises(DatasetError, match="is not a valid name of a clip"):
        Dataset.open(dataset)


@pytest.mark.parametrize(
    "name", ["take.json", "stage.mp4", "face.safetensors", "clips/one/landmarks.npy", "clips/one", "clips"]
)
def test_links_in_a_dataset(dataset: Path, name: str) -> None:
    path, away = dataset / name, dataset.parent / "away"
    shutil.move(path, away)
    path.symlink_to(away)
    with pytest.raises(DatasetError, match="link"):
        Dataset.open(dataset)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
@pytest.mark.parametrize(
    "name", ["take.json", "stage.mp4", "stage.safetensors", "clips/one/speech.npy", "clips/one/clip.json"]
)
def test_pipes_in_a_dataset(dataset: Path, name: str) -> None:
    (dataset / name).unlink()
    os.mkfifo(dataset / name)
    with pytest.raises(DatasetError, match=Path(name).name.replace(".", r"\.")):
        Dataset.open(dataset)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("frames", -1),
        ("frames", 10**12),
        ("frames", "20"),
        ("frames", 20.0),
        ("fps", "1e999999999"),
        ("fps", "0/1"),
        ("source", 5),
        ("people", None),
        ("more", 1),
    ],
)
def test_records_of_clips(dataset: Path, field: str, value: object) -> None:
    path = dataset / "clips" / "one" / "clip.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
    with pytest.raises(DatasetError, match=r"clip\.json"):
        Dataset.open(dataset)


def test_arrays_of_a_dataset(dataset: Path) -> None:
    folder = dataset / "clips" / "one"
    good = np.load(folder / "landmarks.npy")
    np.save(folder / "landmarks.npy", good.astype(np.float64))
    with pytest.raises(DatasetError, match="is of float64, expected float32"):
        Dataset.open(dataset)
    np.save(folder / "landmarks.npy", np.full_like(good, 1e30))
    with pytest.raises(DatasetError, match="beyond 1e\\+06"):
        _ = Dataset.open(dataset).clips[1].landmarks
    np.save(folder / "landmarks.npy", np.full_like(good, 7))
    spot = Dataset.open(dataset)
    assert np.isnan(spot.clips[1].mouth_shapes(spot.head)).all()
    np.save(folder / "landmarks.npy", np.array([{}] * 20, object), allow_pickle=True)
    with pytest.raises(DatasetError, match="promises object"):
        Dataset.open(dataset)
    np.save(folder / "landmarks.npy", good)
    face = load((dataset / "face.safetensors").read_bytes())
    (dataset / "face.safetensors").write_bytes(
        save({**face, "head.points": np.ones_like(face["head.points"])})
    )
    with pytest.raises(DatasetError, match="do not form a head"):
        Dataset.open(dataset)
