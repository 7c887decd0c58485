"""The matte of a target: stored, cached, or computed once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

import newscaster
from newscaster.errors import AnchorError
from newscaster.formats.anchor import MATTE, AnchorFile
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.matting.store import MatteStore
from newscaster.synthesis import target_matte
from newscaster.synthesis.options import Style
from newscaster.synthesis.target_matte import video_matte
from newscaster.withdrawal import withdraw
from tiny_anchor import tiny_matte, tiny_packed_matte, write_tiny_anchor


class Computed:
    """Stands in for the network: notes the frames, the faces and the starts of shots."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def __call__(self, frames: Iterable[object], faces: list[object], **options: Any) -> Iterator[FrameMatte]:
        self.calls.append({"faces": faces, **options})
        for _ in frames:
            yield OPAQUE


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Computed:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path / "home"))
    made = Computed()
    monkeypatch.setattr(target_matte, "matte_clip", made)
    return made


def test_a_stored_matte_is_read(computed: Computed, tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor", matte=tiny_matte(10, (96, 80)))
    assert MATTE in AnchorFile(path).members
    store = newscaster.open(path)._loaded.matte.load()
    assert store.frame(3).luma is not None
    assert not computed.calls


def test_a_packed_matte_is_unpacked_once(
    computed: Computed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor", matte=tiny_packed_matte())
    calls: list[object] = []
    unpack = target_matte.unpack

    def counted(data: bytes, file: BinaryIO, *, fast_bytes: int) -> None:
        calls.append(data)
        unpack(data, file, fast_bytes=fast_bytes)

    monkeypatch.setattr(target_matte, "unpack", counted)
    store = newscaster.open(path)._loaded.matte.load()
    assert (len(store), store.size) == (10, (96, 80))
    again = newscaster.open(path)._loaded.matte.load()
    assert again.stored(9) == store.stored(9)
    (cached,) = (tmp_path / "home" / "cache" / "mattes").iterdir()
    assert len(calls) == 1
    cached.write_bytes(cached.read_bytes()[:-9])
    assert len(newscaster.open(path)._loaded.matte.load()) == 10
    assert len(calls) == 2
    assert not computed.calls


def test_a_packed_matte_needs_no_cache(
    computed: Computed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path / "file"))
    path = write_tiny_anchor(tmp_path / "x.anchor", matte=tiny_packed_matte())
    assert len(newscaster.open(path)._loaded.matte.load()) == 10


def test_a_packed_matte_of_another_target_or_damaged_is_refused(computed: Computed, tmp_path: Path) -> None:
    shorter = write_tiny_anchor(tmp_path / "a.anchor", matte=tiny_packed_matte(9))
    with pytest.raises(AnchorError, match="9 frames"):
        newscaster.open(shorter)._loaded.matte.load()
    torn = write_tiny_anchor(tmp_path / "b.anchor", matte=tiny_packed_matte()[:-30])
    with pytest.raises(AnchorError, match="Train it again"):
        newscaster.open(torn)._loaded.matte.load()


def test_an_old_anchor_gets_its_matte_at_first_use(
    computed: Computed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor")
    with caplog.at_level(logging.WARNING):
        anchor = newscaster.open(path)
        assert anchor._loaded.matte.load() is anchor._loaded.matte.load()
    assert "'Tiny' has no matte yet: it is computed once, for 10 frames, and kept in" in caplog.text
    assert len(computed.calls) == 1
    assert len(computed.calls[0]["faces"]) == 10
    assert None not in computed.calls[0]["faces"]
    (cached,) = (tmp_path / "home" / "cache" / "mattes").iterdir()
    newscaster.open(path)._loaded.matte.load()
    assert len(computed.calls) == 1
    cached.write_bytes(cached.read_bytes()[:-9])
    newscaster.open(path)._loaded.matte.load()
    assert len(computed.calls) == 2
    assert len(MatteStore(cached)) == 10


def test_without_a_cache_it_stays_in_memory(
    computed: Computed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path / "file"))
    path = write_tiny_anchor(tmp_path / "x.anchor")
    assert len(newscaster.open(path)._loaded.matte.load()) == 10
    assert "the matte is not kept" in caplog.text
    anchor = newscaster.open(path)
    assert len(anchor.on_target(anchor.target)._loaded.matte.load()) == 10
    assert len(computed.calls) == 2


def test_segments_start_again_and_loops_run_up(computed: Computed, tmp_path: Path) -> None:
    segment = np.repeat([0, 1], 5)
    cut = newscaster.open(write_tiny_anchor(tmp_path / "a.anchor", segment=segment))
    cut._loaded.matte.load()
    assert computed.calls[0]["starts"] == {5}
    loop = newscaster.open(write_tiny_anchor(tmp_path / "b.anchor", frames=20, target_loops=True))
    assert len(loop._loaded.matte.load()) == 20
    assert len(computed.calls[1]["faces"]) == 12 + 20 + 8  # its end comes before its start, and that after it


def test_a_matte_made_for_an_anchor(computed: Computed, tmp_path: Path) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor", size=(97, 80)))
    seen: list[tuple[int, int]] = []
    data = video_matte(
        anchor.target._video,
        anchor.target.landmarks,
        size=anchor.size,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(number, 10) for number in range(1, 11)]
    assert MatteStore(data).size == (98, 80)
    assert len(computed.calls) == 1


def test_a_matte_survives_a_withdrawal(tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "x.anchor", matte=tiny_matte(10, (96, 80)))
    before = AnchorFile(path)
    withdraw(path)
    after = AnchorFile(path)
    assert after.identity == before.identity
    assert after.read(MATTE) == before.read(MATTE)


def test_the_network_runs_on_a_target(wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor", frames=2))
    assert anchor.speak(wav, tmp_path / "x.mp4", style=Style(background="blur")).frames > 20
