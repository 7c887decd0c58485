"""Damaged packets are skipped, with one warning for each file and command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from making_media import tone
from making_odd_media import write_audio
from newscaster import cli
from tiny_anchor import write_tiny_anchor


def test_damaged_audio_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    anchor = write_tiny_anchor(tmp_path / "tiny.anchor")
    path = write_audio(tmp_path / "a.aac", tone(4.0, rate=48_000), 48_000, codec="aac")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    for start in range(len(data) // 4, len(data) // 2, 40):
        data[start + 8 : start + 24] = rng.integers(0, 255, 16).astype(np.uint8).tobytes()
    path.write_bytes(data)
    for _ in range(2):
        assert cli.run(["speak", "-a", str(anchor), "-o", "out.mp4", "a.aac"]) == 0
        assert capsys.readouterr().err.count("damaged audio packets were skipped") == 1
