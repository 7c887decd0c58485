from __future__ import annotations

from pathlib import Path

import pytest

from newscaster.errors import InputError
from newscaster.synthesis.script_file import is_script, read_script


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{\\rtf1\\ansi Hello.", "an RTF document"),
        (b"%PDF-1.7 Hello.", "a PDF document"),
        (b"PK\x03\x04 Hello.", "a ZIP archive or an office document"),
        (b"\xd0\xcf\x11\xe0 Hello.", "an office document"),
        ("Hello there.".encode("utf-16-le"), "a binary file: 12 of its 24 bytes are control characters"),
        (bytes(range(16)) * 100, "a binary file: 1"),
        (b"caf\xe9", r"cannot be read .*Give an existing UTF-8 text file"),
        (b"a" * ((4 << 20) + 1), "expected 4194304 at most"),
    ],
    ids=["rtf", "pdf", "zip", "office", "utf-16", "binary", "latin-1", "large"],
)
def test_files_that_are_no_text(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "news.txt").write_bytes(content)
    with pytest.raises(InputError, match=kind):
        read_script(tmp_path / "news.txt")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_script(tmp_path / "news.txt")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "news.txt").write_bytes("Größe.".encode(encoding))
    assert read_script(tmp_path / "news.txt") == "Größe."


def test_what_is_a_script() -> None:
    assert all(is_script(speech) for speech in ("a.txt", Path("b/c.TXT")))
    assert not any(is_script(speech) for speech in ("a.wav", "-", None, b"a.txt", Path("txt")))
