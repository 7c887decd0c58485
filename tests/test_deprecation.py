from __future__ import annotations

import inspect
import warnings
from dataclasses import asdict, dataclass, fields
from typing import Any

import pytest

from newscaster.deprecation import Grouped, moved_keywords, renamed_attributes


@dataclass(frozen=True, kw_only=True)
class Point:
    x: int = 0
    y: int = 0
    name: str = ""


@moved_keywords(
    Grouped("at", Point, {"position": ("x", "y"), "called": "name"}), size="width", colour="color"
)
def draw(
    shape: str, *, width: int = 1, color: str | None = None, at: Point | None = None
) -> tuple[str, int, str | None, Point | None]:
    """Draw a shape."""
    return shape, width, color, at


@pytest.mark.parametrize(
    ("old", "new", "spelling"),
    [
        ({"size": 3}, {"width": 3}, r"write draw\(width=\.\.\.\)$"),
        ({"called": "p"}, {"at": Point(name="p")}, r"write draw\(at=Point\(name=\.\.\.\)\)$"),
        ({"position": (1, 2)}, {"at": Point(x=1, y=2)}, r"at=Point\(x=\.\.\., y=\.\.\.\)"),
        ({"position": None}, {"at": Point()}, r"at=Point\(x=\.\.\., y=\.\.\.\)"),
        (
            {"colour": None, "size": 2, "called": "p", "position": (1, 2)},
            {"width": 2, "at": Point(x=1, y=2, name="p")},
            r"write draw\(width=\.\.\., color=\.\.\., at=Point\(x=\.\.\., y=\.\.\., name=\.\.\.\)\)$",
        ),
        ({"size": 3, "at": Point(x=4)}, {"width": 3, "at": Point(x=4)}, r"write draw\(width=\.\.\.\)$"),
        ({"called": "p", "at": None}, {"at": Point(name="p")}, r"at=Point\(name=\.\.\.\)"),
    ],
)
def test_old_keywords_are_moved(old: dict[str, Any], new: dict[str, Any], spelling: str) -> None:
    with pytest.warns(DeprecationWarning, match=spelling) as caught:
        assert draw("dot", **old) == draw("dot", **new)
    assert [one.filename for one in caught] == [__file__]


def test_new_keywords_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert draw("dot", width=2, at=Point(x=1)) == ("dot", 2, None, Point(x=1))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"size": 1, "width": 0}, r"draw\(\) got size and width; expected width=\.\.\. alone"),
        (
            {"position": (1, 2), "called": "p", "at": Point()},
            r"got position, called and at; expected at=Point\(x=\.\.\., y=\.\.\., name=\.\.\.\) alone",
        ),
    ],
)
def test_old_and_new_keywords_for_one_thing_are_refused(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        draw("dot", **keywords)


@pytest.mark.parametrize("keywords", [{"nonsense": 1}, {"nonsense": 1, "size": 3}])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_unknown_keywords_are_refused_as_ever(keywords: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"draw\(\) got an unexpected keyword argument 'nonsense'"):
        draw("dot", **keywords)


def test_the_signature_is_the_new_one() -> None:
    assert [*inspect.signature(draw).parameters] == ["shape", "width", "color", "at"]
    assert draw.__doc__ == "Draw a shape."


@renamed_attributes(colour="color", redraw="draw")
@dataclass(frozen=True, kw_only=True)
class Pen:
    color: str

    def draw(self, width: int) -> str:
        return self.color * width


@pytest.mark.parametrize(("old", "new"), [("colour", "color"), ("redraw", "draw")])
def test_old_attributes_are_the_new_ones(old: str, new: str) -> None:
    pen = Pen(color="red")
    with pytest.warns(DeprecationWarning, match=rf"^Pen\.{old} is now Pen\.{new}$") as caught:
        assert getattr(pen, old) == getattr(pen, new)
    assert [one.filename for one in caught] == [__file__]


def test_new_attributes_are_not_warned_of() -> None:
    pen = Pen(color="red")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pen.color == "red"
        assert pen.draw(2) == "redred"
        assert repr(pen).endswith("Pen(color='red')")
        assert asdict(pen) == {"color": "red"}


def test_old_attributes_are_no_fields_and_read_only() -> None:
    assert [field.name for field in fields(Pen)] == ["color"]
    with pytest.raises(TypeError, match="colour"):
        Pen(colour="red")  # type: ignore[call-arg]
    with pytest.raises(AttributeError, match="colour"):
        Pen(color="red").colour = "blue"  # type: ignore[attr-defined]
