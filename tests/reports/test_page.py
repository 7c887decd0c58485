"""Pages from templates."""

from __future__ import annotations

import pytest

from newscaster.reports.page import rendered_page


def test_names_on_a_page_cannot_steer_it() -> None:
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    page = rendered_page("{{ name }} {{ 5 }} {{ svg|safe }}", name="<b>\x1b[2A\u202e\nx", svg="<svg>\n</svg>")
    assert page == "&lt;b&gt;\\x1b[2A\\u202e\\nx 5 <svg>\n</svg>"
