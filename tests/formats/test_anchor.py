from __future__ import annotations

import hashlib
import io
import json
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load, save

from newscaster.errors import AnchorError, OutputError
from newscaster.formats.anchor import (
    FACE,
    HEADER,
    MOTION,
    RENDERER,
    SPEECH_ENCODER,
    TARGET,
    AnchorFace,
    AnchorFile,
    write_anchor,
)
from newscaster.formats.anchor_info import FORMATS, AnchorInfo
from newscaster.speech.encoder import packaged_encoder
from newscaster.version import VERSION
from tiny_anchor import write_tiny_anchor


def rewritten(path: Path, out: Path, **members: bytes | None) -> Path:
    """Return a copy with other members (None drops one); hashes are not updated."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            data = members.pop(name, source.read(name))
            if data is not None:
                target.writestr(name, data)
        for name, data in members.items():
            assert data is not None
            target.writestr(name, data)
    return out


def header(path: Path) -> dict:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(HEADER))


def test_what_was_written_is_read(tiny: Path) -> None:
    file = AnchorFile(tiny)
    assert (file.info.name, file.info.fps, file.info.size) == ("Tiny", Fraction(25), (96, 80))
    assert list(file.members) == [FACE, MOTION, RENDERER, TARGET]
    assert AnchorInfo.from_json(json.loads(json.dumps(file.info.to_json()))) == file.info
    face = file.face()
    assert len(face.poses) == len(face.transforms) == file.info.target_frames == 10
    assert face.mask.hidden.dtype == bool
    assert file.read(TARGET)[4:8] == b"ftyp"


def test_the_same_content_makes_the_same_file(tmp_path: Path) -> None:
    files = [write_tiny_anchor(tmp_path / f"{i}.anchor", created="2026-01-01T00:00:00+00:00") for i in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_the_speech_encoder_is_there_exactly_where_it_is_needed(tmp_path: Path, tiny: Path) -> None:
    file = AnchorFile(write_tiny_anchor(tmp_path / "whisper.anchor", features="whisper"))
    assert "networks/speech_encoder.onnx" in file.members
    plain = AnchorFile(tiny)
    with pytest.raises(AnchorError, match="do not need a speech encoder"):
        write_anchor(
            tmp_path / "x.anchor",
            plain.info,
            plain.face(),
            motion=b"",
            renderer=b"",
            target=b"",
            speech_encoder=b"x",
        )


def test_a_shared_speech_encoder_is_not_stored_again(tmp_path: Path) -> None:
    ours = hashlib.sha256(packaged_encoder()).hexdigest()
    path = write_tiny_anchor(tmp_path / "a.anchor", features="whisper", shared_encoder=ours)
    file = AnchorFile(path)
    assert SPEECH_ENCODER not in file.members
    assert file.speech_encoder() == packaged_encoder()
    assert path.stat().st_size < 4e6
    other = write_tiny_anchor(tmp_path / "b.anchor", features="whisper", shared_encoder="ab" * 32)
    with pytest.raises(AnchorError, match=r"needs the speech encoder with sha256 abababab"):
        AnchorFile(other).speech_encoder()


def test_headers_from_before_a_field_are_read(tiny: Path) -> None:
    old = AnchorFile(tiny).info.to_json()
    del old["stage_loops"], old["shared_encoder"], old["synthetic_target"], old["nods"]
    assert AnchorInfo.from_json(old) == AnchorFile(tiny).info
    assert AnchorInfo.from_json({**old, "training": {"stage minutes": 48.0}}).synthetic_target
    assert not AnchorInfo.from_json({**old, "synthetic_target": False}).synthetic_target
    assert AnchorInfo.from_json({**old, "renderer": {"map_side": 64}}).grain == 0
    with pytest.raises(AnchorError, match=r"grain is 99\.0; expected 8-bit pixel values of 0 to 4"):
        AnchorInfo.from_json({**old, "renderer": {"map_side": 64, "grain": 99.0}})
    with pytest.raises(AnchorError, match="stage_loops is 'yes'; expected bool"):
        AnchorInfo.from_json({**old, "stage_loops": "yes"})
    for nods in ([1, 1], [-1], [2, 10_000], ["1"], [True], "1"):
        with pytest.raises(AnchorError, match="nods is"):
            AnchorInfo.from_json({**old, "nods": nods})
    assert AnchorInfo.from_json({**old, "nods": [0, 2]}).nods == (0, 2)


def test_optional_arrays_of_a_target(tmp_path: Path, tiny: Path) -> None:
    plain = AnchorFile(tiny).face()
    assert plain.blend_weight is None
    assert plain.segment is None
    assert plain.thumbnails is None
    blend_weight, segment = np.linspace(0, 1, 10, dtype=np.float32), np.repeat([0, 1], [4, 6])
    path = write_tiny_anchor(tmp_path / "a.anchor", blend_weight=blend_weight, segment=segment)
    face = AnchorFile(path).face()
    np.testing.assert_array_equal(face.blend_weight, blend_weight)
    np.testing.assert_array_equal(face.segment, segment)
    with pytest.raises(AnchorError, match=r"stage.share is float32 \(9,\); expected float \(10,\)"):
        write_tiny_anchor(tmp_path / "b.anchor", blend_weight=blend_weight[:9])
    arrays = {**face.to_arrays(), "stage.other": blend_weight}
    with pytest.raises(AnchorError, match=r"missing or unknown: stage\.other"):
        AnchorFace.from_arrays(arrays, AnchorFile(path).info)


@pytest.mark.parametrize("content", [b"", b"RIFF....WAVE", b"PK\x05\x06" + bytes(18)])
def test_something_else_is_not_an_anchor(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.anchor"
    path.write_bytes(content)
    with pytest.raises(AnchorError, match="not an anchor"):
        AnchorFile(path)


def test_a_zip_of_other_things_is_not_an_anchor(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("hello.txt", "hello")
    (tmp_path / "x.anchor").write_bytes(buffer.getvalue())
    with pytest.raises(AnchorError, match=r"zip file without anchor\.json"):
        AnchorFile(tmp_path / "x.anchor")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AnchorError, match="no such file"):
        AnchorFile(tmp_path / "x.anchor")
    with pytest.raises(AnchorError, match="is a folder"):
        AnchorFile(tmp_path)


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short(tmp_path: Path, tiny: Path, fraction: float) -> None:
    data = tiny.read_bytes()
    path = tmp_path / "x.anchor"
    path.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(AnchorError, match="cut short"):
        AnchorFile(path)


def test_a_newer_format_is_named(tmp_path: Path, tiny: Path) -> None:
    values = {**header(tiny), "format": FORMATS[-1] + 1, "newscaster": "9.9"}
    path = rewritten(tiny, tmp_path / "x.anchor", **{HEADER: json.dumps(values).encode()})
    with pytest.raises(
        AnchorError, match=rf"format 3 .*newscaster 9\.9.*{VERSION} reads the formats 1 to 2.*Upgrade"
    ):
        AnchorFile(path)


@pytest.mark.parametrize("name", [FACE, MOTION, RENDERER, TARGET])
def test_a_changed_byte_names_the_member(tmp_path: Path, tiny: Path, name: str) -> None:
    with zipfile.ZipFile(tiny) as archive:
        data = bytearray(archive.read(name))
        begin = archive.getinfo(name).header_offset + 30 + len(name)
    data[len(data) // 2] ^= 1
    mended = rewritten(tiny, tmp_path / "mended.anchor", **{name: bytes(data)})
    with pytest.raises(AnchorError, match=rf"changed or damaged: {name}"):
        AnchorFile(mended)
    raw = tiny.read_bytes()
    torn = tmp_path / "torn.anchor"
    torn.write_bytes(raw[: begin + 200] + bytes([raw[begin + 200] ^ 1]) + raw[begin + 201 :])
    with pytest.raises(AnchorError, match=name):
        AnchorFile(torn)


def test_any_changed_byte_is_an_anchor_error_or_harmless(tmp_path: Path, tiny: Path) -> None:
    raw = tiny.read_bytes()
    path = tmp_path / "x.anchor"
    directory = raw.rindex(b"PK\x01\x02", 0, raw.index(b"PK\x01\x02") + 4)
    random = np.random.default_rng(0)
    places = [*range(0, 120), *range(directory, len(raw)), *random.integers(0, len(raw), 60).tolist()]
    whole = {name: AnchorFile(tiny).read(name) for name in AnchorFile(tiny).members}
    for place in places:
        changed = bytearray(raw)
        changed[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(changed))
        try:
            file = AnchorFile(path)
        except AnchorError:
            continue
        assert {name: file.read(name) for name in file.members} == whole


def test_a_change_after_opening_is_noticed(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "x.anchor"
    path.write_bytes(tiny.read_bytes())
    file = AnchorFile(path)
    rewritten(tiny, path, **{TARGET: b"other"})
    with pytest.raises(AnchorError, match=TARGET):
        file.read(TARGET)


@pytest.mark.parametrize("name", ["../evil.py", "/etc/passwd", "networks/other.onnx", "C:\\x"])
def test_unknown_members_are_refused(tmp_path: Path, tiny: Path, name: str) -> None:
    with pytest.raises(AnchorError, match="has the unknown members"):
        AnchorFile(rewritten(tiny, tmp_path / "x.anchor", **{name: b"x"}))


def test_missing_members_are_named(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(AnchorError, match=f"lacks '{RENDERER}'"):
        AnchorFile(rewritten(tiny, tmp_path / "x.anchor", **{RENDERER: None}))


def test_a_member_twice_is_refused(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "x.anchor"
    path.write_bytes(tiny.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(TARGET, b"x")
    with pytest.raises(AnchorError, match=f"'{TARGET}' more than once"):
        AnchorFile(path)


def test_compressed_members_are_refused(tmp_path: Path, tiny: Path) -> None:
    path = tmp_path / "x.anchor"
    with zipfile.ZipFile(tiny) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(AnchorError, match="is compressed"):
        AnchorFile(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fps", "25/0"),
        ("fps", 25),
        ("size", [96]),
        ("size", ["96", 80]),
        ("stage_frames", 0),
        ("stage_frames", True),
        ("region", {"side": 100, "extent": 1.8}),
        ("features", "smell"),
        ("motion", {"rate_hz": 30, "coefficients": 4, "context_steps": 3}),
        ("attribution", [1]),
        ("members", {}),
        ("name", " "),
    ],
)
def test_headers_that_make_no_sense(tmp_path: Path, tiny: Path, field: str, value: object) -> None:
    values = {**header(tiny), field: value}
    path = rewritten(tiny, tmp_path / "x.anchor", **{HEADER: json.dumps(values).encode()})
    with pytest.raises(AnchorError, match=field):
        AnchorFile(path)


def test_arrays_of_the_wrong_shape(tmp_path: Path, tiny: Path) -> None:
    file = AnchorFile(tiny)
    arrays = load(file.read(FACE))
    for change, message in (
        ({"stage.landmarks": arrays["stage.landmarks"][:-1]}, r"stage\.landmarks is float32 \(9, 478, 3\)"),
        ({"mask.soft": arrays["mask.soft"].astype(np.float32)}, r"mask\.soft is float32"),
        ({"basis.mean": np.full((57, 2), np.nan, np.float32)}, "not finite"),
        ({"extra": np.zeros(1)}, "missing or unknown: extra"),
    ):
        data = save({name: np.ascontiguousarray(a) for name, a in {**arrays, **change}.items()})
        with pytest.raises(AnchorError, match=message):
            _with_face(tiny, tmp_path / "x.anchor", data).face()
    with pytest.raises(AnchorError, match=FACE):
        _with_face(tiny, tmp_path / "x.anchor", b"\xff" * 40).face()


def _with_face(tiny: Path, out: Path, data: bytes) -> AnchorFile:
    import hashlib

    values = header(tiny)
    values["members"][FACE] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return AnchorFile(rewritten(tiny, out, **{FACE: data, HEADER: json.dumps(values).encode()}))


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        write_tiny_anchor(tmp_path / "none" / "x.anchor")
    with pytest.raises(OutputError, match=r"\.anchor"):
        write_tiny_anchor(tmp_path / "x.zip")
    assert not list(tmp_path.iterdir())
