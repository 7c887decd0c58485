"""Untrusted names and texts: bytes that are not UTF-8, and control characters.

Python represents bytes that are not UTF-8 as lone surrogates (PEP 383). File names keep them, so that the
file system gets the bytes back. They can be neither encoded nor displayed: a text with them raises an error,
and a name is displayed with U+FFFD in their place. Control characters and bidirectional controls are escaped
in output, so that no name can forge a line or control a terminal.
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
"""Attribute of a log record with its subject: a command shows one record per subject. Files are often read
several times."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_RAW_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPED_BYTE = re.compile(r"(?<!\\)\\udc[89a-f][0-9a-f]")
"""As in `repr`, for instance in the text of an `OSError`. A backslash in the name itself is doubled."""
_STORED_SHIFT = 0x10FE00 - 0xDC00
_STORED_BYTE = re.compile("[\U0010fe80-\U0010feff]")
_CONTROL_CATEGORIES = ("Cc", "Cf", "Zl", "Zp")
"""Unicode categories: control, format, line separator and paragraph separator."""
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]"
)
_JOINERS = "\u200c\u200d"
"""Format characters that are part of words and emoji."""
_ERRORS = "newscaster"
"""Name of the encoding error handler for output."""


def is_unicode(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8."""
    return _SURROGATE.search(text) is None


def check_unicode(text: str, name: str) -> None:
    """Check that a text can be encoded as UTF-8.

    Args:
        text: value of an option or a field.
        name: name of the option or the field.

    Raises:
        InputError: it cannot be encoded.
    """
    if not is_unicode(text):
        raise InputError(
            f"{name} is '{shown(text)[:60]}', which is not valid UTF-8. Write it in UTF-8: a terminal "
            "with another encoding, such as Latin-1, sends other bytes"
        )


def shown(name: str | os.PathLike[str]) -> str:
    """Return a file name as text that can be encoded: U+FFFD for bytes that are not UTF-8."""
    return _SURROGATE.sub("\ufffd", os.fspath(name))


def quoted(value: object) -> str:
    """Return a value for a message: a text in quotes, with control characters escaped, as `shown`."""
    return repr(shown(value) if isinstance(value, str) else value)


def escaped(text: str) -> str:
    r"""Return a text for one line of output: control and format characters as Python escapes, such as `\x1b`.

    Line ends and bidirectional controls are among them. The stream handles lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii") if _is_control(character) else character
        for character in text
    )


def without_controls(text: str) -> str:
    """Return a text on one line, without control, bidirectional and other invisible characters."""
    return _CONTROLS.sub("", " ".join(text.split())).strip()


def one_line(text: str) -> str:
    """Return a text as one line, with single spaces."""
    return " ".join(text.split())


def json_text(value: object) -> str:
    """Return indented JSON of untrusted names and texts, as `shown`, with control characters escaped."""
    text = shown(json.dumps(value, indent=2, ensure_ascii=False))
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        json.dumps(character)[1:-1] if character != "\n" and _is_control(character) else character
        for character in text
    )


def _is_control(character: str) -> bool:
    return character not in _JOINERS and unicodedata.category(character) in _CONTROL_CATEGORIES


def without_escapes(message: str) -> str:
    """Return the message of a library, with U+FFFD for Python's escapes of bytes that are not UTF-8."""
    return _ESCAPED_BYTE.sub("\ufffd", message)


def shortened(name: str, *, max_bytes: int) -> str:
    """Return the start of a file name: whole characters, and at most `max_bytes` bytes in the file system."""
    name = name[:max_bytes]
    while len(os.fsencode(name)) > max_bytes:
        name = name[:-1]
    return name


def stored(name: str) -> str:
    """Return a file name for JSON: a byte that is not UTF-8 becomes a private character. See `restored`."""
    return _RAW_BYTE.sub(lambda byte: chr(ord(byte.group()) + _STORED_SHIFT), name)


def restored(text: str) -> str:
    """Return the file name that `stored` encoded."""
    return _STORED_BYTE.sub(lambda byte: chr(ord(byte.group()) - _STORED_SHIFT), text)


def write_raw_names(stream: TextIO) -> None:
    """Make a stream write file names with their bytes on disk, and escape what it cannot encode."""
    codecs.register_error(_ERRORS, _encode_error)
    if callable(reconfigure := getattr(stream, "reconfigure", None)):
        # Click writes UTF-8 if the encoding of a stream is ASCII, but with "?" for bytes of file names.
        is_ascii = codecs.lookup(stream.encoding).name == "ascii"
        reconfigure(encoding="utf-8" if is_ascii else None, errors=_ERRORS)


def _encode_error(error: UnicodeError) -> tuple[str | bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    if (raw := _RAW_BYTE.match(error.object, error.start)) is not None:
        return raw.group().encode("ascii", "surrogateescape"), raw.end()
    return error.object[error.start].encode("ascii", "backslashreplace").decode(), error.start + 1
