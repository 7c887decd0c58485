"""The user's exceptions: written forms and how they are read.

A text file in UTF-8 with one exception a line, `WHO = the World Health Organization`. A tab may stand in
place of the equals sign. Lines that are empty, or that start with "#" and a space, are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from newscaster.errors import InputError
from newscaster.safety.readers import read_option
from newscaster.system.folders import config_folder
from newscaster.texts import quoted

FILE_NAME = "pronunciations.txt"
"""Name of the user's own file, in the folder of the configuration."""
MAX_BYTES = 1 << 20
MAX_ENTRIES = 10_000
MAX_WRITTEN_CHARACTERS = 100
MAX_READING_CHARACTERS = 400
_FIRST = re.compile(r"\w+|\S")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")


class Pronunciations:
    """Written forms and their readings.

    A form matches whole words: "Rio" does not match in "Rioja". A form without capital letters matches in any
    case, any other one exactly as it is written. Longer forms precede shorter ones.

    Args:
        readings: the reading of each written form.

    Raises:
        InputError: a form or a reading is empty, too long, or has control characters; there are too many.
    """

    def __init__(self, readings: Mapping[str, str]) -> None:
        if len(readings) > MAX_ENTRIES:
            raise InputError(f"there are {len(readings)} pronunciations; expected {MAX_ENTRIES} or fewer")
        self._readings: dict[str, str] = {}
        for written, reading in readings.items():
            self._readings[_one_line(written)] = _checked(_one_line(written), _one_line(reading))
        self._by_first: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for written in sorted(self._readings, key=len, reverse=True):
            first = _FIRST.match(written)
            assert first is not None
            pair = (_pattern(written), self._readings[written])
            self._by_first.setdefault(first[0].lower(), []).append(pair)

    @classmethod
    def read(cls, path: Path | str) -> Pronunciations:
        """Read a file.

        Raises:
            InputError: it cannot be read, or a line is not as expected; the message has its number.
        """
        path = Path(path)
        try:
            text = read_option(path, most=MAX_BYTES).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"the pronunciations '{path}' are not UTF-8 ({error.reason} at byte {error.start}). "
                "Save them as UTF-8"
            ) from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"the pronunciations '{path}' cannot be read ({reason}); expected a text file with lines "
                "such as: WHO = W.H.O"
            ) from error
        readings: dict[str, str] = {}
        lines: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            try:
                entry = _entry(line)
                if entry is None:
                    continue
                written = _one_line(entry[0])
                if written in lines:
                    raise InputError(
                        f"{quoted(written)} is also on line {lines[written]}; remove one of them"
                    )
                readings[written] = _checked(written, _one_line(entry[1]))
                lines[written] = number
            except InputError as error:
                raise InputError(f"the pronunciations '{path}', line {number}: {error}") from error
        try:
            return cls(readings)
        except InputError as error:
            raise InputError(f"the pronunciations '{path}': {error}") from error

    @classmethod
    def of_user(cls) -> Pronunciations:
        """Read the user's own file; none if there is no such file.

        Raises:
            InputError: as in `read`.
        """
        try:
            path = config_folder() / FILE_NAME
            exists = path.is_file()
        except (RuntimeError, OSError):  # no home folder, or not the user's
            return cls({})
        return cls.read(path) if exists else cls({})

    def with_more(self, readings: Mapping[str, str]) -> Pronunciations:
        """Return a copy with further readings, which precede those of equal forms.

        Raises:
            InputError: as in the constructor.
        """
        return Pronunciations({**self._readings, **readings})

    def match(self, text: str, position: int) -> tuple[int, str] | None:
        """Return the end and the reading of the longest form that starts at a position, or None."""
        if not self._by_first:
            return None
        first = _FIRST.match(text, position)
        for pattern, reading in self._by_first.get(first[0].lower(), ()) if first else ():
            if (match := pattern.match(text, position)) is not None:
                return match.end(), reading
        return None

    def __len__(self) -> int:
        return len(self._readings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pronunciations) and self._readings == other._readings

    def __hash__(self) -> int:
        return hash(frozenset(self._readings.items()))

    def __repr__(self) -> str:
        return f"Pronunciations({self._readings!r})"


def _one_line(words: str) -> str:
    return " ".join(words.split(" ")).strip()


def _checked(written: str, reading: str) -> str:
    """Return the reading.

    Raises:
        InputError: one of the two cannot be used.
    """
    for name, words, most in (
        ("written form", written, MAX_WRITTEN_CHARACTERS),
        ("reading", reading, MAX_READING_CHARACTERS),
    ):
        if not words:
            raise InputError(f"the {name} is empty; expected a form and its reading, such as: WHO = W.H.O")
        if len(words) > most:
            raise InputError(f"the {name} has {len(words)} characters; expected {most} or fewer")
        if _CONTROL.search(words) is not None:
            raise InputError(f"the {name} {quoted(words)} has control characters. Remove them")
    return reading


def _entry(line: str) -> tuple[str, str] | None:
    """Return the written form and the reading of a line; None for an empty line and a comment.

    Raises:
        InputError: it has neither a tab nor an equals sign.
    """
    line = line.strip()
    if not line or line == "#" or line.startswith("# "):
        return None
    for separator in ("\t", " = ", "="):
        written, found, reading = line.partition(separator)
        if found:
            return written.strip(), reading.strip()
    raise InputError(
        f"{quoted(line[:60])} has no equals sign and no tab; expected a form and its reading, such as: "
        "WHO = W.H.O"
    )


def _pattern(written: str) -> re.Pattern[str]:
    """Return the pattern of a form: whole words, any spaces, and both kinds of apostrophe."""
    parts = [re.sub("['’]", "['’]", re.escape(part)) for part in written.split()]
    before = r"(?<![\w])" if written[0].isalnum() else ""
    after = r"(?![\w])" if written[-1].isalnum() else ""
    flags = re.NOFLAG if any(letter.isupper() for letter in written) else re.IGNORECASE
    return re.compile(before + r"\s+".join(parts) + after, flags)
