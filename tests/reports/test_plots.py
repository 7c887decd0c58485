"""Plots as SVG."""

from __future__ import annotations

import numpy as np

from newscaster.reports.plots import Line, plot


def test_plots_have_gaps_where_nothing_was_measured() -> None:
    values = np.sin(np.arange(100) / 9)
    values[40:50] = np.nan
    drawn = plot("Waves & more", [Line("a", values, "c1")], seconds=4.0, shade=values > 0)
    assert drawn.svg.count("<path") == 2
    assert "nan" not in drawn.svg
    assert "Waves &amp; more" in drawn.svg
    assert 'class="shade"' in drawn.svg
    flat = plot("Flat", [Line("a", np.zeros(10), "c1"), Line("b", np.full(10, np.nan), "c2")], seconds=1.0)
    assert "inf" not in flat.svg
