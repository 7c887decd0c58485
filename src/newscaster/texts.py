"""Names and texts from elsewhere: bytes that are not UTF-8, and characters that steer what shows them.

Python holds bytes that are not UTF-8 as lone surrogates (PEP 383). In a file's name they are kept, and the
file system gets the bytes back. Elsewhere they can be neither written nor shown: a text that has them is
refused, and a name is shown with U+FFFD in their place. Control characters and bidirectional controls are
escaped wherever a line is shown, so that no name can forge a line or steer a terminal.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import unicodedata
from typing import TextIO

from newscaster.errors import InputError

ONCE = "newscaster_once"
"""Attribute of a log record that names its subject: a command shows one record of each. A file is often read
several times, whole or in part."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_RAW_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPED_BYTE = re.compile(r"(?<!\\)\\udc[89a-f][0-9a-f]")
"""As `repr` writes it, such as in the text of an `OSError`. A backslash of the name's own is doubled."""
_STORED_SHIFT = 0x10FE00 - 0xDC00
_STORED_BYTE = re.compile("[\U0010fe80-\U0010feff]")
_STEERING = ("Cc", "Cf", "Zl", "Zp")
"""Categories of Unicode: control, format, line and paragraph separators."""
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_JOINERS = "\u200c\u200d"
"""Format characters that spell words and emoji."""
_ERRORS = "newscaster"
"""Name of the error handler for output."""


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    return _SURROGATE.search(text) is None


def check_unicode(text: str, name: str) -> None:
    """Make sure that a text can be written as UTF-8.

    Args:
        text: as it was given.
        name: the option or field that it was given for.

    Raises:
        InputError: it cannot.
    """
    if not is_unicode(text):
        raise InputError(
            f"{name} is '{shown(text)[:60]}', which is not valid UTF-8. Write it in UTF-8: a terminal "
            "with another encoding, such as Latin-1, sends other bytes"
        )


def shown(name: str | os.PathLike[str]) -> str:
    """A file's name as text that can be written anywhere: U+FFFD for bytes that are not UTF-8."""
    return _SURROGATE.sub("\ufffd", os.fspath(name))


def quoted(value: object) -> str:
    """A given value for a message: a text in quotation marks, with control characters escaped, as `shown`."""
    return repr(shown(value) if isinstance(value, str) else value)


def escaped(text: str) -> str:
    r"""A text for one line of output: control and format characters as Python writes them, such as `\x1b`.

    Among them are line ends and bidirectional controls. Lone surrogates are left to the stream.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii") if _steers(character) else character
        for character in text
    )


def without_controls(text: str) -> str:
    """A text on one line, without control characters, bidirectional controls and other invisible ones."""
    return _CONTROLS.sub("", " ".join(text.split())).strip()


def json_text(value: object) -> str:
    """Indented JSON of names and texts from elsewhere, as `shown`, that steers no terminal."""
    text = shown(json.dumps(value, indent=2, ensure_ascii=False))
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        json.dumps(character)[1:-1] if character != "\n" and _steers(character) else character
        for character in text
    )


def _steers(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _STEERING


def without_escapes(message: str) -> str:
    """A library's message, in which Python's escape of a byte that is not UTF-8 becomes U+FFFD."""
    return _ESCAPED_BYTE.sub("\ufffd", message)


def shortened(name: str, *, max_bytes: int) -> str:
    """The beginning of a file's name: whole characters, and at most so many bytes in the file system."""
    name = name[:max_bytes]
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


def stored(name: str) -> str:
    """A file's name for JSON, which can be read back: a byte that is no UTF-8 becomes a private character."""
    return _RAW_BYTE.sub(lambda byte: chr(ord(byte.group()) + _STORED_SHIFT), name)


def restored(text: str) -> str:
    """The name that `stored` was given."""
    return _STORED_BYTE.sub(lambda byte: chr(ord(byte.group()) - _STORED_SHIFT), text)


def write_raw_names(stream: TextIO) -> None:
    """Have a stream write names with their bytes on disk, and escape what its encoding lacks."""
    codecs.register_error(_ERRORS, _encode_error)
    if callable(reconfigure := getattr(stream, "reconfigure", None)):
        # Click writes UTF-8 where Python takes a stream for ASCII, but with "?" for bytes of names.
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        reconfigure(encoding="utf-8" if is_ascii else None, errors=_ERRORS)


def _encode_error(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    if (raw := _RAW_BYTE.match(error.object, error.start)) is not None:
        return raw.group().encode("ascii", "surrogateescape"), raw.end()
    return error.object[error.start].encode("ascii", "backslashreplace").decode(), error.start + 1
