"""Self-contained web pages: the dress that all reports wear, light and dark, and how they are written."""

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
    """Raise MissingExtraError unless what pages are rendered with is installed; it is not loaded."""
    if find_spec("jinja2") is None:
        raise MissingExtraError(purpose="the HTML report", extra="train", package="jinja2")


def rendered_page(template: str, **values: object) -> str:
    """A page of a Jinja template, which finds the style sheet as ``style`` and may load nothing else.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    need_jinja()
    import jinja2

    style = resources.files("newscaster.prepare").joinpath("page.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_steering,
        undefined=jinja2.StrictUndefined,  # a name that the page lacks is an error, not an empty place
    )
    return environment.from_string(template).render(style=style, **values)


def _without_steering(value: object) -> object:
    """A value of a page: in plain texts, such as a file's name, control characters are escaped."""
    return escaped(value) if type(value) is str else value  # what a template calls safe is a subclass


def write_page(path: Path | str, page: Callable[[], str]) -> None:
    """Write a page, made when it is certain that it can be written.

    Raises:
        OutputError: ``path`` cannot be written.
    """
    path = Path(path)
    check_output(path, suffixes=PAGE_SUFFIXES)
    text = page()
    with atomic_write(path) as temporary:
        temporary.write_text(shown(text), encoding="utf-8")
