"""Old names of the Python interface: they work for one release, with a DeprecationWarning.

A keyword was renamed, or it became a field of an object. `moved_keywords` maps both::

    @moved_keywords(Grouped("limits", Limits, {"most_text": "max_chars"}), stage_start="target_start")
    def play(self, *, target_start: int = 0, limits: Limits | None = None) -> None: ...

    play(stage_start=8, most_text=10)
    # DeprecationWarning: play() got old keywords: write play(target_start=..., limits=Limits(max_chars=...))

An attribute or a method was renamed. `renamed_attributes` maps it::

    @renamed_attributes(colour="color")
    @dataclass
    class Pen:
        color: str

    Pen("red").colour
    # DeprecationWarning: Pen.colour is now Pen.color
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type[Any])


@dataclass(frozen=True)
class Grouped:
    """Keywords that became fields of one object."""

    parameter: str
    """The parameter for the object."""
    group: type
    """Its class."""
    fields: Mapping[str, str | tuple[str, ...]]
    """Old keyword to field. The value of an old keyword with several fields is a tuple, or None for none."""

    def spelling(self, old: list[str]) -> str:
        """Return how these old keywords are written now."""
        names = [name for keyword in old for name in _names(self.fields[keyword])]
        return f"{self.parameter}={self.group.__name__}({', '.join(f'{name}=...' for name in names)})"

    def make(self, old: Mapping[str, Any]) -> object:
        """Return the object that has the values of these old keywords."""
        values: dict[str, Any] = {}
        for keyword, value in old.items():
            field = self.fields[keyword]
            if isinstance(field, str):
                values[field] = value
            elif value is not None:
                values.update(zip(field, value, strict=True))
        return self.group(**values)


def moved_keywords(*groups: Grouped, **renamed: str) -> Callable[[F], F]:
    """Let a function take its old keywords, too.

    Args:
        groups: keywords that became fields.
        renamed: old keyword to new one.

    Returns:
        A decorator. The function keeps its signature. It raises a TypeError that names both if an old keyword
        and what replaces it are given.
    """
    moved = {*renamed, *(keyword for group in groups for keyword in group.fields)}

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapper(*arguments: Any, **keywords: Any) -> Any:
            if not moved.isdisjoint(keywords):
                keywords = _translated(function.__name__, keywords, groups, renamed)
            return function(*arguments, **keywords)

        return cast(F, wrapper)

    return decorate


def _translated(
    function: str, keywords: dict[str, Any], groups: tuple[Grouped, ...], renamed: Mapping[str, str]
) -> dict[str, Any]:
    """Replace old keywords by new ones, and warn the caller's caller."""
    kept = dict(keywords)
    spellings: list[str] = []

    def move(old: list[str], new: str, spelling: str) -> dict[str, Any]:
        if kept.get(new) is not None:
            raise TypeError(f"{function}() got {', '.join(old)} and {new}; expected {spelling} alone")
        spellings.append(spelling)
        return {keyword: kept.pop(keyword) for keyword in old}

    for keyword, new in renamed.items():
        if keyword in kept:
            kept[new] = move([keyword], new, f"{new}=...")[keyword]
    for group in groups:
        if old := [keyword for keyword in group.fields if keyword in kept]:
            kept[group.parameter] = group.make(move(old, group.parameter, group.spelling(old)))
    warnings.warn(
        f"{function}() got old keywords: write {function}({', '.join(spellings)})",
        DeprecationWarning,
        stacklevel=3,
    )
    return kept


def _names(field: str | tuple[str, ...]) -> tuple[str, ...]:
    return (field,) if isinstance(field, str) else field


def renamed_attributes(**renamed: str) -> Callable[[C], C]:
    """Let instances of a class have the old names of attributes and methods, too. Old names are read-only.

    Args:
        renamed: old name to new one.

    Returns:
        A decorator. On a dataclass it goes above `@dataclass`: old names are no fields.
    """

    def decorate(cls: C) -> C:
        for old, new in renamed.items():
            setattr(cls, old, _old_attribute(cls.__name__, old, new))
        return cls

    return decorate


def _old_attribute(owner: str, old: str, new: str) -> property:
    """Return a property that warns the caller, and returns the attribute `new`."""

    def value(self: object) -> Any:
        warnings.warn(f"{owner}.{old} is now {owner}.{new}", DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(value, doc=f"Use `{new}`; this name is deprecated.")
