"""Scripts: text files to read aloud, in UTF-8 or with a byte-order mark. Other documents are refused."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import TypeGuard

from newscaster.errors import InputError

_MAX_TEXT_BYTES = 4 << 20
_UTF_8 = "utf-8-sig"
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16: it starts with that mark
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DOCUMENTS = {
    b"{\\rtf": "an RTF document",
    b"%PDF-": "a PDF document",
    b"%!PS-": "a PostScript document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"\x7fELF": "a program",
    b"\x89PNG": "an image",
    b"GIF87a": "an image",
    b"GIF89a": "an image",
    b"\xff\xd8\xff": "an image",
    b"SQLite format 3": "a database",
}
"""First bytes of files that are not plain text."""
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\v\f\r")
_TERMINAL_SEQUENCE = re.compile(rb"\x1b[\[\]()]")
_MAX_STRAY_CONTROLS = 8
_MAX_CONTROL_FRACTION = 0.05
"""Of the bytes of a text. Stray control characters are removed; more of them indicate a binary file."""


def is_script(speech: object) -> TypeGuard[str | Path]:
    """Return whether it is the path of a text to read aloud."""
    return isinstance(speech, str | Path) and Path(speech).suffix.lower() == ".txt"


def read_script(path: Path) -> str:
    """Read the text of a script.

    Raises:
        InputError: the file is missing, neither UTF-8 nor UTF-16 with a byte-order mark, larger than 4 MiB,
            or not a text: a document, an image or another binary file.
    """
    try:
        size = path.stat().st_size
        if size > _MAX_TEXT_BYTES:
            raise InputError(
                f"the text '{path}' has {size} bytes; expected {_MAX_TEXT_BYTES} at most. Split it"
            )
        content = path.read_bytes()
        _check_is_text(content, path)
        return content.decode(_encoding_of(content))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the text '{path}' cannot be read ({why}). Give an existing UTF-8 text file"
        ) from error


def _encoding_of(content: bytes) -> str:
    """Return the encoding of a byte-order mark, or else UTF-8."""
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), _UTF_8)


def _check_is_text(content: bytes, path: Path) -> None:
    """Check that a file is plain text. Some documents and binary files are valid UTF-8.

    Raises:
        InputError: the file is a document or a binary file.
    """
    kind = next((kind for start, kind in _DOCUMENTS.items() if content.startswith(start)), None)
    if kind is None and _encoding_of(content) == _UTF_8:
        rest = _TERMINAL_SEQUENCE.sub(b"", content)
        controls = len(rest) - len(rest.translate(None, _CONTROLS))
        if controls > max(_MAX_STRAY_CONTROLS, _MAX_CONTROL_FRACTION * len(rest)):
            kind = f"a binary file: {controls} of its {len(content)} bytes are control characters"
    if kind is not None:
        raise InputError(
            f"the text '{path}' is {kind}, not plain text. Save or export it as plain text (.txt, UTF-8)"
        )
