"""Files of mattes: written in order, read at any place, refused if damaged."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from newscaster.matting.planes import OPAQUE
from newscaster.matting.store import MatteStore, MatteWriter
from tiny_anchor import tiny_matte


def test_frames_of_a_file_and_of_bytes(tmp_path: Path) -> None:
    data = tiny_matte(3, (97, 80))
    path = tmp_path / "x.matte"
    path.write_bytes(data)
    for store in (MatteStore(data), MatteStore(path)):
        assert (len(store), store.size) == (3, (98, 80))
        for index in (2, 0, 1):
            luma = store.frame(index).luma
            assert luma is not None
            assert luma.full_alpha().shape == (80, 98)
            assert 0 < (luma.full_alpha() == 255).mean() < 1


def test_only_so_many_bytes_are_stored_fast() -> None:
    store = MatteStore(tiny_matte(1, (97, 80)))
    sizes = {}
    for limit in (0, 30, 1 << 20):
        buffer = io.BytesIO()
        with MatteWriter(buffer, size=store.size, fast_bytes=limit) as writer:
            for _ in range(2):
                writer.add(store.frame(0))
        sizes[limit] = len(buffer.getvalue())
        assert len(MatteStore(buffer.getvalue())) == 2
    assert sizes[0] < sizes[30] < sizes[1 << 20]


def test_an_unfinished_file_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()

    def write() -> None:
        with MatteWriter(buffer, size=(8, 8)) as writer:
            writer.add(OPAQUE)
            raise KeyError

    with pytest.raises(KeyError):
        write()
    with pytest.raises(ValueError, match="cut short"):
        MatteStore(buffer.getvalue() + bytes(40))
    (tmp_path / "empty").touch()
    with pytest.raises(ValueError, match="empty"):
        MatteStore(tmp_path / "empty")


def test_damaged_files_are_refused() -> None:
    data = tiny_matte(2, (96, 80))
    index = len(data) - 20 - 8 * 3
    torn = bytearray(data)
    torn[index] ^= 0x55
    huge = bytearray(data)
    huge[-20:-12] = np.array([1 << 20, 1 << 20], "<u4").tobytes()
    many = bytearray(data)
    many[-12:-8] = np.array([1 << 20], "<u4").tobytes()
    for bad in (
        b"",
        b"RIFF" + data,
        data[:-1],
        data[: len(data) // 2],
        bytes(torn),
        bytes(huge),
        bytes(many),
    ):
        with pytest.raises(ValueError, match="it"):
            MatteStore(bad)
