"""What a training shows of itself while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from newscaster.server.footage_process import training_figures


def test_the_figures_are_those_of_the_newest_run_as_last_measured(tmp_path: Path) -> None:
    assert training_figures(tmp_path) == ({}, None)
    older, newer = (tmp_path / "work" / f"rendering-{number}" for number in (2, 1))
    for time, run in enumerate((older, newer)):
        run.mkdir(parents=True)
        os.utime(run, (time, time))
    assert training_figures(tmp_path) == ({}, None)
    table = newer / "progress.csv"
    table.write_text("step,minutes,psnr,grain\n1,0.5,,\n")
    os.utime(newer, (2, 2))
    assert training_figures(tmp_path) == ({}, None)
    table.write_text("step,minutes,psnr,grain\n1,0.5,24.1,0.2\n2,1.5,26.349,0.1\n3,1.6,,\n")
    (newer / "preview.png").write_bytes(b"image")
    assert training_figures(tmp_path) == ({"minutes": 1.5, "psnr_db": 26.35}, newer / "preview.png")
