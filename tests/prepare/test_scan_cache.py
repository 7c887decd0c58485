from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster import media
from newscaster.media import MeasuredScan, measured_scan, scan
from newscaster.prepare.scan_cache import use_cached_scan

SHA256 = "ab" * 32


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "x.mp4"
    media.write_video(path, moving_pattern(12), fps=Fraction(25), audio=None)
    return path


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are measured."""
    paths: list[Path] = []
    measure = scan._measure

    def counted(path: Path) -> MeasuredScan:
        paths.append(path)
        return measure(path)

    monkeypatch.setattr(scan, "_measure", counted)
    monkeypatch.setattr(scan, "_scans", scan._Scans())
    return paths


def test_a_stored_scan_is_not_measured_again(
    tmp_path: Path, video: Path, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    use_cached_scan(cache, video, SHA256)
    first = measured_scan(video)
    assert measured == [video]
    monkeypatch.setattr(scan, "_scans", scan._Scans())  # as in a new process
    use_cached_scan(cache, video, SHA256)
    assert measured_scan(video) == first
    assert len(list(media.read_frames(video))) == 12
    assert measured == [video]


def test_all_of_a_scan_is_stored(tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = MeasuredScan("progressive", None, ((0.0, "top first"), (1.25, "bottom first")))
    monkeypatch.setattr(scan, "_measure", lambda path: mixed)
    monkeypatch.setattr(scan, "_scans", scan._Scans())
    use_cached_scan(tmp_path, video, SHA256)
    monkeypatch.setattr(scan, "_measure", lambda path: pytest.fail("it is measured again"))
    monkeypatch.setattr(scan, "_scans", scan._Scans())
    use_cached_scan(tmp_path, video, SHA256)
    assert measured_scan(video) == mixed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        json.dumps({"version": 0, "marked": None, "unmarked": None, "runs": []}),
        json.dumps({"version": 1, "marked": "sideways", "unmarked": None, "runs": []}),
        json.dumps({"version": 1, "marked": ["top first"], "unmarked": None, "runs": []}),
        json.dumps({"version": 1, "marked": None, "unmarked": None, "runs": [[0]]}),
        json.dumps({"version": 1, "marked": None, "unmarked": None, "runs": [["x", "top first"]]}),
        json.dumps({"version": 1, "marked": None, "unmarked": None}),
    ],
)
def test_a_damaged_one_is_measured_and_replaced(
    tmp_path: Path, video: Path, measured: list[Path], text: str
) -> None:
    file = tmp_path / f"{SHA256[:32]}.scan"
    file.write_text(text)
    use_cached_scan(tmp_path, video, SHA256)
    assert measured == [video]
    assert json.loads(file.read_text())["version"] == 1


def test_a_file_is_measured_once_by_any_path(
    video: Path, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(video.parent)
    for path in (video, Path(video.name), video.parent / ".." / video.parent.name / video.name):
        measured_scan(path)
    assert measured == [video]


def test_a_changed_file_is_measured_again(tmp_path: Path, video: Path, measured: list[Path]) -> None:
    media.remember_scan(video, MeasuredScan("top first", "top first"))
    assert measured_scan(video).unmarked == "top first"
    media.write_video(video, [np.zeros((48, 64, 3), np.uint8)] * 9, fps=Fraction(25), audio=None)
    assert measured_scan(video).unmarked != "top first"
    assert measured == [video]
