"""The user's list of exceptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from newscaster.errors import InputError
from newscaster.speech.spoken import Pronunciations
from newscaster.speech.spoken.pronunciations import FILE_NAME, MAX_ENTRIES
from newscaster.system.folders import config_folder


def read(text: str | bytes, folder: Path) -> Pronunciations:
    path = folder / "words.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Pronunciations.read(path)


def test_a_file(tmp_path: Path) -> None:
    text = "\ufeff# names\n#\n\n#MeToo = me too\nKeir Starmer\tkeer starmer\na=b = c\r\nO'Neil=oh neel\n"
    found = read(text, tmp_path)
    assert found == Pronunciations(
        {"#MeToo": "me too", "Keir Starmer": "keer starmer", "a=b": "c", "O'Neil": "oh neel"}
    )
    assert len(found) == 4
    assert found.match("of Keir  Starmer's", 3) == (16, "keer starmer")
    assert found.match("O’Neil", 0) == (6, "oh neel")
    assert found.match("O’Neill", 0) is None


def test_the_longest_form_counts() -> None:
    found = Pronunciations({"New": "noo", "New York": "noo york"})
    assert found.match("New York", 0) == (8, "noo york")
    assert found.match("New Yorker", 0) == (3, "noo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("WHO = W.H.O\nrubbish", "line 2: 'rubbish' has no equals sign and no tab"),
        ("\n= x", "line 2: the written form is empty"),
        ("x =", "line 1: the reading is empty"),
        ("x = y\nx = z", "line 2: 'x' is also on line 1"),
        ("x = " + "y" * 401, "line 1: the reading has 401 characters"),
        ("x" * 101 + " = y", "line 1: the written form has 101 characters"),
        ("x = \x1b[31my", "has control characters"),
        (b"x = \xff", "are not UTF-8"),
        ("x" * ((1 << 20) + 1), "cannot be read"),
    ],
)
def test_bad_lines(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(text, tmp_path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file"):
        Pronunciations.read(tmp_path / "none.txt")


def test_too_many() -> None:
    with pytest.raises(InputError, match=f"there are {MAX_ENTRIES + 1} pronunciations"):
        Pronunciations({f"word{number}": "x" for number in range(MAX_ENTRIES + 1)})


def test_the_users_own_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))
    assert len(Pronunciations.of_user()) == 0
    config_folder().mkdir()
    (config_folder() / FILE_NAME).write_text("WHO = W.H.O\n")
    assert Pronunciations.of_user() == Pronunciations({"WHO": "W.H.O"})


def test_folders_of_the_platforms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEWSCASTER_HOME")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/ada/.settings")
    assert config_folder() == Path("/home/ada/.settings/newscaster")
    monkeypatch.setattr("sys.platform", "darwin")
    assert config_folder().parts[-3:] == ("Library", "Application Support", "newscaster")
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("APPDATA", "C:/Users/ada/AppData/Roaming")
    assert config_folder() == Path("C:/Users/ada/AppData/Roaming/newscaster")
