"""docs/formats.md against written files: every field is documented, and every required field is written."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

import newscaster
from making_mouths import talking_clip
from newscaster.consent import Consent
from newscaster.errors import DatasetError
from newscaster.face.crop import FaceCrop
from newscaster.face.head_pose import Poses
from newscaster.face.references import References
from newscaster.face.surface_warp import Surface
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.anchor_info import FORMATS as ANCHOR_FORMATS
from newscaster.formats.anchor_references import references_to_bytes
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.formats.dataset import FORMAT as TAKE_FORMAT
from newscaster.formats.dataset import Dataset
from newscaster.formats.named_clips import NamedClip
from newscaster.inference import Session
from newscaster.media.containers import CONTAINERS
from newscaster.speech.encoder import packaged_encoder
from newscaster.speech.features import KINDS, MOTION_HZ, FeatureSpec
from small_dataset import write_take
from ticking import TickingClock
from tiny_anchor import COEFFICIENTS, tiny_basis, tiny_face, tiny_matte, write_tiny_anchor

PAGE = Path(__file__).parents[1] / "docs" / "formats.md"
Row = dict[str, str]
CLIPS = (NamedClip(name="nod", start=2, stop=5, from_footage=True),)


def tables() -> dict[str, dict[str, Row]]:
    """The tables of the page, by heading and first cell; several tables under one heading are joined."""
    found: dict[str, dict[str, Row]] = {}
    heading, columns = "", []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not columns:
            columns = cells
        elif not set(line) <= set("|-"):
            for key in re.findall(r"`([^`]+)`", cells[0]):
                row = dict(zip(columns, cells, strict=True))
                assert key not in found.setdefault(heading, {}), f"{key} is documented twice"
                found[heading][key] = row
    return found


TABLES = tables()


def documented(heading: str) -> set[str]:
    return set(TABLES[heading])


def required(heading: str) -> set[str]:
    return {key for key, row in TABLES[heading].items() if row["required"] == "yes"}


def keys(values: Mapping[str, Any], free: tuple[str, ...] = ()) -> Iterator[str]:
    """Dotted names of an object and all within it; what lies in `free` objects is left to other tables."""
    for name, value in values.items():
        yield name
        if name in free:
            continue
        inner = value.values() if name == "members" else value
        several = name == "members" or (isinstance(value, list) and value and isinstance(value[0], dict))
        for part in inner if several else [value]:
            if isinstance(part, dict):
                yield from (f"{name}.{'*.' if several else ''}{key}" for key in keys(part))


def check_keys(values: Mapping[str, Any], heading: str, free: tuple[str, ...] = ()) -> None:
    found = set(keys(values, free))
    assert found <= documented(heading)
    assert required(heading) <= found


def check_arrays(arrays: Mapping[str, np.ndarray], heading: str, sizes: Mapping[str, int]) -> None:
    assert set(arrays) <= documented(heading)
    assert required(heading) <= set(arrays)
    for name, array in arrays.items():
        row = TABLES[heading][name]
        assert array.dtype.name.startswith(row["type"]), name
        names = re.findall(r"\w+", row["shape"])
        shape = tuple(sizes[axis] if axis in sizes else int(axis) for axis in names)
        bent = name.endswith("transforms") and "bent" in sizes
        assert array.shape == ((*shape[:-1], 4) if bent else shape), name


def anchors(folder: Path) -> Iterator[Path]:
    yield from map(anchor_path, newscaster.bundled())
    yield write_tiny_anchor(
        folder / "small.anchor",
        matte=tiny_matte(10, (96, 80)),
        clips=CLIPS,
    )
    blend_weight, segment = np.linspace(0, 1, 10).astype(np.float32), np.repeat([0, 1], 5)
    yield write_tiny_anchor(
        folder / "large.anchor", features="whisper", blend_weight=blend_weight, segment=segment
    )


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_anchors_hold_what_is_documented(tmp_path: Path) -> None:
    seen: set[str] = set()
    for path in anchors(tmp_path):
        members = contents(path)
        assert set(members) <= documented("Members")
        assert required("Members") <= set(members)
        header = json.loads(members["anchor.json"])
        assert header["format"] == ANCHOR_FORMATS["matte.bin" in members]
        check_keys(header, "anchor.json", free=("training", "consent"))
        assert set(header["training"]) <= documented("Training metrics")
        check_keys(header["consent"], "Consent record")
        info = AnchorFile(path).info
        sizes = {"F": info.target_frames, "S": info.crop.side, "K": info.coefficients}
        check_arrays(load(members["face.safetensors"]), "face.safetensors", sizes)
        seen |= set(keys(header)) | set(members) | set(load(members["face.safetensors"]))
    optional = documented("Members") | documented("anchor.json") | documented("face.safetensors")
    assert optional - seen == {"region.surface", "stage.thumbnails"}  # see the test of a turning head


def test_references_hold_what_is_documented() -> None:
    clip = talking_clip(5, side=128)
    angles = np.zeros((5, 3), np.float32)
    references = References(list(clip.crops), np.asarray(clip.points / 128, np.float32), angles)
    arrays = load(references_to_bytes(references))
    check_arrays(arrays, "references.safetensors", {"N": 5, "bytes": arrays["images"].size})


def test_the_face_of_a_turning_head() -> None:
    crop = FaceCrop(128, 1.8, Surface(0.1, 0.2, 0.3))
    assert {f"region.{key}" for key in crop.to_json()} <= documented("anchor.json")
    face = tiny_face(frames=3, size=(96, 80), crop=crop, scale=24.0)
    turned = Poses(np.add(face.poses.matrix, (0, 0, 6.0)), face.poses.shift)  # by some degrees of yaw
    transforms, thumbnails = crop.transforms(face.head, turned), np.zeros((3, 2, 48, 48), np.uint8)
    arrays = replace(face, poses=turned, transforms=transforms, thumbnails=thumbnails).to_arrays()
    sizes = {"F": 3, "S": 128, "K": COEFFICIENTS, "bent": 1}
    check_arrays(arrays, "face.safetensors", sizes)


def test_the_networks_of_anchors_have_the_documented_ends(tmp_path: Path) -> None:
    members = contents(anchor_path("grid-s1"))
    for name in ("networks/motion.onnx", "networks/renderer.onnx", "networks/speech_encoder.onnx"):
        model = members.get(name) or packaged_encoder()
        session, row = Session(model, threads=1, name=name), TABLES["Networks"][name]
        for ends, column in ((session.inputs, "input"), (session.outputs, "output")):
            shapes = dict(re.findall(r"`(\w+)` \(([^)]*)\)", row[column]))
            assert set(shapes) == set(ends)
            for end, shape in ends.items():
                written = shapes[end].split(", ")
                assert len(written) == len(shape)
                assert all(
                    int(a) == b
                    for a, b in zip(written, shape, strict=True)
                    if a.isdigit() and isinstance(b, int)
                )


def test_kinds_of_features() -> None:
    rows = {name: row for name, row in TABLES["Networks"].items() if "D" in row}
    assert set(rows) == set(KINDS)
    for kind, row in rows.items():
        spec = FeatureSpec(kind=kind)
        assert (row["rate"], row["channels"]) == (f"{spec.rate_hz} Hz", str(spec.channels))
        assert int(row["D"]) == spec.width == spec.channels * spec.rate_hz // MOTION_HZ


def test_a_record_of_consent_that_says_everything() -> None:
    consent = Consent(statement="news", who="Ada Byron", when=date(2026, 1, 2), until=date(2027, 1, 2))
    check_keys(consent.record().withdraw("asked to").to_json(), "Consent record")
    assert set(consent.record().withdraw("asked to").to_json()) == documented("Consent record")


def test_prepared_datasets_hold_what_is_documented(tmp_path: Path) -> None:
    folder = tmp_path / "take"
    dataset = write_take(folder)
    files = {
        re.sub(r"^clips/[^/]+/", "clips/NAME/", path.relative_to(folder).as_posix())
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert files <= documented("Files")
    assert required("Files") <= files
    description = json.loads((folder / "take.json").read_text(encoding="utf-8"))
    assert description["format"] == TAKE_FORMAT
    check_keys(description, "take.json")
    assert documented("take.json") - set(keys(description)) == {"region.surface"}
    side = dataset.crop.side
    face = load((folder / "face.safetensors").read_bytes())
    check_arrays(face, "face.safetensors of a dataset", {"S": side})
    target = load((folder / "stage.safetensors").read_bytes())
    check_arrays(target, "stage.safetensors", {"F": dataset.target.frames})
    assert set(target) == documented("stage.safetensors")
    for clip in dataset.clips:
        record = json.loads((clip.folder / "clip.json").read_text(encoding="utf-8"))
        check_keys(record, "clip.json")
        arrays = {path.stem: np.load(path) for path in clip.folder.glob("*.npy")}
        check_arrays(arrays, "Arrays of a clip", {"F": clip.frames, "S": side, "N": len(arrays["speech"])})


@pytest.mark.parametrize("file", ["take.json", "clip.json"])
def test_a_dataset_without_a_required_key_is_refused(tmp_path: Path, file: str) -> None:
    folder = tmp_path / "take"
    write_take(folder)
    path = folder / file if file == "take.json" else folder / "clips" / "one" / file
    whole = json.loads(path.read_text(encoding="utf-8"))
    for key in sorted(required(file)):
        *outer, last = key.split(".")
        if "*" in outer:
            continue
        changed = json.loads(json.dumps(whole))
        place = changed
        for name in outer:
            place = place[name]
        del place[last]
        path.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(DatasetError):
            Dataset.open(folder)
    path.write_text(json.dumps(whole), encoding="utf-8")
    Dataset.open(folder)


def motion_run(folder: Path) -> None:
    from newscaster.models.motion.data import MotionClip, MotionTraining
    from newscaster.models.motion.network import MotionConfig, MotionNetwork
    from newscaster.models.motion.task import train_motion

    rng, basis = np.random.default_rng(0), tiny_basis()
    shapes = basis.reconstruct(rng.normal(size=(40, COEFFICIENTS))) - basis.mean
    clip = MotionClip(
        rng.normal(size=(40, 6)).astype(np.float32), shapes.astype(np.float32), np.ones(40, bool)
    )
    network = MotionNetwork(MotionConfig(inputs=6, coefficients=COEFFICIENTS, channels=16, dilations=(1,)))
    config = MotionTraining(steps=3, batch=4, segment=20)
    train_motion(network, [clip], basis, folder, config=config)


def renderer_run(folder: Path) -> None:
    from making_mouths import TINY, hidden_mask, talking_clip
    from newscaster.models.losses import Sharpening
    from newscaster.models.renderer.data import STILL, RenderingData
    from newscaster.models.renderer.training import RenderingTraining, train_renderer
    from newscaster.training.budget import Ramp

    data = RenderingData.of([talking_clip(seed=seed) for seed in range(3)], hidden_mask())
    how = RenderingTraining(
        batch=4, variation=STILL, sharpening=Sharpening(ramp=Ramp(start=0.1, duration=0.1))
    )
    train_renderer(data, folder, minutes=0.02, device="cpu", config=TINY, training=how, clock=TickingClock())


def full_frame_run(folder: Path) -> None:
    from making_faces import TINY, two_sessions
    from newscaster.models.portrait.training import FullFrameTraining, train_full_frame

    how = FullFrameTraining(pairs=2, check_frames=6, last_check_frames=6)
    train_full_frame(
        two_sessions(), folder, minutes=0.02, device="cpu", config=TINY, training=how, clock=TickingClock()
    )


RUNS: dict[str, Callable[[Path], None]] = {
    "motion": motion_run,
    "renderer": renderer_run,
    "full frame": full_frame_run,
}


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_training_runs_hold_what_is_documented(tmp_path: Path, run: str) -> None:
    RUNS[run](tmp_path / "run")
    check_run(tmp_path / "run", run)


def check_run(folder: Path, run: str) -> None:
    """The files of a run, all of which are documented for runs of this kind."""
    from newscaster.training.checkpoints import read_checkpoint

    def rows(heading: str, column: str) -> set[str]:
        return {
            key
            for key, row in TABLES[heading].items()
            if column in row and ("run" not in row or row["run"] == "all" or run in row["run"].split(", "))
        }

    assert {path.name for path in folder.iterdir()} <= documented("Files of a run")
    assert set(read_checkpoint(folder / "weights.safetensors").facts) == rows("weights.safetensors", "run")
    state = read_checkpoint(folder / "state.safetensors")
    identity = {f"identity.{key}" for key in state.facts["identity"]}
    assert set(state.facts) | identity == rows("state.safetensors", "run")
    patterns = [
        re.escape(name).replace(r"\*", ".+").replace("INDEX", r"\d+").replace("KIND", r"\w+")
        for name in rows("state.safetensors", "tensors")
    ]
    assert [name for name in state.tensors if not any(re.fullmatch(p, name) for p in patterns)] == []
    with (folder / "progress.csv").open(encoding="utf-8") as file:
        assert set(next(csv.reader(file))) == rows("progress.csv", "column")


def test_video_containers() -> None:
    rows = {row.suffix: row for row in CONTAINERS if row.suffix is not None}
    assert set(rows) == documented("Video containers")
    places = {"embedded": "in the file", "beside": "beside it, `NAME.c2pa`", None: "none"}
    for suffix, row in rows.items():
        shown = TABLES["Video containers"][suffix]
        assert shown["`speak`"] == ("no" if row.file_options is None else "yes")
        assert shown["`--subtitles`"] == ("no" if row.subtitle_codec is None else "yes")
        assert shown["C2PA manifest"] == places[row.manifest]
