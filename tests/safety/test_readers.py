from __future__ import annotations

import contextlib
import json
import os
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newscaster.errors import MediaError
from newscaster.media.target_file import check_target_file
from newscaster.safety import readers
from newscaster.safety.onnx_guard import RefusedError, read_onnx

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders here")
def test_pipes_devices_and_folders_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match=r"regular file|directory"):
            readers.open_regular_file(path)
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    assert readers.read_regular_file(tmp_path / "link", most=1) == b"x"
    with pytest.raises(OSError, match="it is a link"):
        readers.read_regular_file(tmp_path / "link", most=1, follow_links=False)
    with pytest.raises(OSError, match="null"):
        readers.open_regular_file(tmp_path / "a\0b")
    (tmp_path / "file").write_bytes(b"xx")
    with pytest.raises(ValueError, match="longer than 1 bytes"):
        readers.read_regular_file(tmp_path / "file", most=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 200_000, "nested"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested more than 32"),
        ("[]", "is a list"),
        ('{"a": 1, "a": 2}', "twice"),
        ('{"a": "\\ud800"}', "not Unicode"),
        ('{"\\udfff": 1}', "not Unicode"),
        ('{"a": 1' + "0" * 30 + "}", "beyond"),
        ('{"a": 1' + "0" * 5000 + "}", "digits"),
        ("{", "line 1"),
    ],
)
def test_json_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        readers.read_json(text.encode())
    with pytest.raises(ValueError, match="accepted are"):
        readers.read_json(b" " * (readers.MAX_JSON_BYTES + 1))


@given(st.dictionaries(st.text(max_size=4), ANY_JSON, max_size=4))
def test_json_is_read_as_it_was_or_refused(values: dict) -> None:
    text = json.dumps(values)
    try:
        found = readers.read_json(text.encode())
    except ValueError:
        return
    assert json.dumps(found) == text
    json.dumps(found, ensure_ascii=False).encode()


@given(st.text(max_size=20) | st.from_regex(r"-?[0-9]{0,12}[/e.]?[0-9]{0,12}", fullmatch=True))
def test_fractions_are_small_or_refused(text: str) -> None:
    try:
        found = readers.fraction(text)
    except ValueError:
        return
    assert found == Fraction(text)
    assert found.numerator < 10**9


@pytest.mark.parametrize("text", ["1/0", "1e999999999", "25.0", "-1", " 25", "1/1/1", "", "٣/١", 25, None])
def test_fractions_that_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"fraction|zero"):
        readers.fraction(text)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_readers_of_bytes_refuse_any_bytes(data: bytes) -> None:
    with pytest.raises(RefusedError):
        read_onnx(data)
    with pytest.raises(MediaError):
        check_target_file(memoryview(data), "stage.mp4")
    with contextlib.suppress(ValueError):
        assert readers.read_tensors(data) == {}


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, "no readable arrays"),
        ({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, "no readable arrays"),
        ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 2**40]}}, "no readable arrays"),
        ({str(i): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(65)}, "65 arrays"),
    ],
)
def test_tensors_that_are_refused(header: dict, words: str) -> None:
    text = json.dumps(header).encode()
    with pytest.raises(ValueError, match=words):
        readers.read_tensors(struct.pack("<Q", len(text)) + text + bytes(4 if "a" in header else 0))
    with pytest.raises(ValueError, match="too long"):
        readers.read_tensors(struct.pack("<Q", 2**62) + text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 1099511627776), }", "promises"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (9,), }", "promises"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "promises"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "promises"),
        ("(" * 9000, "header"),
        ("-" * 9000, "header"),
        ("__import__('os').abort()", "header"),
    ],
)
def test_arrays_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    header = text.encode() + b"\n"
    path = tmp_path / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(32))
    with pytest.raises(ValueError, match=words):
        readers.map_array(path)


@pytest.mark.parametrize(
    "array", [np.arange(6.0).reshape(2, 3), np.zeros((0, 3)), np.asfortranarray(np.eye(3))]
)
def test_arrays_are_mapped(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    found = readers.map_array(tmp_path / "x.npy")
    np.testing.assert_array_equal(found, array)
    assert found.dtype == array.dtype
