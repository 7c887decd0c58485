"""Sequences of images as output: numbered PNG files, and the audio beside them as WAV.

The files are written to a folder beside, and moved to their place when all are finished. Leaves encoding to
`writer`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newscaster.errors import OutputError
from newscaster.media.containers import container_of
from newscaster.system.durable import move_files_durably
from newscaster.system.files import listed_temporary
from newscaster.system.os_errors import why

_NUMBER = re.compile(r"%0?(\d*)d")
_IN_FOLDER = "frame_%05d.png"
_AUDIO = "audio.wav"


def sequence_path(path: Path) -> Path:
    """Return the pattern of a sequence in an existing folder; other paths stay as they are."""
    return path / _IN_FOLDER if path.is_dir() else path


def is_sequence(path: Path) -> bool:
    """Return whether a path names a sequence of images, by its suffix."""
    container = container_of(path)
    return container is not None and container.is_sequence


def sequence_audio(path: Path) -> Path:
    """Return the WAV file with the audio of a sequence."""
    stem = _NUMBER.sub("", path.stem).strip("_-. ")
    return path.with_name(f"{stem}.wav" if stem and path.name != _IN_FOLDER else _AUDIO)


def check_sequence(path: Path) -> None:
    """Check the name of a sequence, and that no image of it exists.

    Raises:
        OutputError: the name has no number, or images would mix with older ones.
    """
    numbers = _NUMBER.findall(path.name)
    if len(numbers) != 1 or path.name.count("%") != 1:
        name = _NUMBER.sub("", path.stem).replace("%", "") or "frame"
        raise OutputError(
            f"'{path}' names a single image; a sequence needs one number in its name. Name it "
            f"'{path.with_name(f'{name}_%05d{path.suffix}')}', or give an existing folder"
        )
    if "%" in str(path.absolute().parent):
        raise OutputError(f"the folder '{path.parent}' has a % in its name. Write to another folder")
    if (old := next(_images(path), None)) is not None:
        raise OutputError(
            f"'{old}' exists, and images of two videos would mix. Remove the old images, or write to another "
            "folder"
        )


@contextmanager
def atomic_sequence(path: Path) -> Iterator[Path]:
    """Yield the pattern of the sequence in a temporary folder; move the images if the block succeeds.

    Raises:
        OutputError: the disk is full, or an image cannot be moved.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=".newscaster-", suffix=".part", dir=path.parent))
        try:
            with listed_temporary(folder):
                yield folder / path.name
                move_files_durably(folder, path.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}' ({why(error)}). Free some space, or write elsewhere"
        ) from error


def _images(path: Path) -> Iterator[Path]:
    """Yield the existing images of a sequence."""
    before, after = _NUMBER.split(path.name)[0], _NUMBER.split(path.name)[-1]
    name = re.compile(rf"{re.escape(before)}\d+{re.escape(after)}")
    if path.parent.is_dir():
        with os.scandir(path.parent) as entries:
            yield from (Path(entry.path) for entry in entries if name.fullmatch(entry.name))
