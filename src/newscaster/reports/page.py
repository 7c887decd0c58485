"""Self-contained web pages: rendered from a template with one style sheet, light and dark, and written."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

from newscaster.errors import MissingExtraError
from newscaster.media import atomic_write, check_output
from newscaster.texts import escaped, shown

PAGE_SUFFIXES = (".html", ".htm")


def need_jinja() -> None:
    """Raise MissingExtraError unless jinja2 is installed; it is not loaded."""
    if find_spec("jinja2") is None:
        raise MissingExtraError(purpose="the HTML report", extra="train", package="jinja2")


def rendered_page(template: str, **values: object) -> str:
    """Render a Jinja template, which gets the style sheet as ``style`` and cannot load files.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    need_jinja()
    import jinja2

    style = resources.files("newscaster.reports").joinpath("page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_control_characters,
        undefined=jinja2.StrictUndefined,  # a missing value raises an error and does not leave a gap
    )
    return environment.from_string(template).render(style=style, **values)


def _without_control_characters(value: object) -> object:
    """Escape control characters in plain texts, such as file names."""
    return escaped(value) if type(value) is str else value  # "safe" in a template makes a subclass of str


def write_page(path: Path | str, page: Callable[[], str]) -> None:
    """Write the result of ``page``, which is called only once ``path`` is known to be writable.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    path = Path(path)
    check_output(path, suffixes=PAGE_SUFFIXES)
    text = page()
    with atomic_write(path) as temporary:
        temporary.write_text(shown(text), encoding="utf-8")
