"""Places on disk: checking that one can be written, writing beside it and renaming, WAV files, stdin."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
import wave
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from newscaster.errors import MediaError, OutputError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv")
"""Endings of the video files that can be written: containers that take H.264 and AAC."""


def check_output(path: Path, *, suffixes: Collection[str] | None = VIDEO_SUFFIXES) -> None:
    """Make sure, before any work is done, that `path` can be written.

    Args:
        path: the file to come.
        suffixes: the endings that are accepted, with the dot; None accepts any.

    Raises:
        OutputError: its folder is missing or cannot be written to, it is a folder, or it ends wrongly.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(
            f"'{path}' is a folder. Give the name of a file to write, such as '{path / 'news.mp4'}'"
        )
    if suffixes is not None and path.suffix.lower() not in suffixes:
        accepted = ", ".join(suffixes)
        found = f"ends in '{path.suffix}'" if path.suffix else "has no ending"
        raise OutputError(
            f"'{path}' {found}; accepted are {accepted}. "
            f"Name the file '{path.with_suffix(next(iter(suffixes)))}'"
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"cannot write '{path}': there is no folder '{folder}'. Make it first, or write elsewhere"
        )
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}': the folder '{folder}' cannot be written to ({error.strerror}). "
            f"Write elsewhere"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it when the block ends well and removed when it does not.

    Raises:
        OutputError: the disk is full, or the file cannot be renamed.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"cannot write '{path}' ({error.strerror or error}). Free some space, or write elsewhere"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_wav(path: Path, samples: npt.NDArray[np.float32], rate: int) -> None:
    """Write (N,) mono samples, 1.0 = full scale, as 16-bit WAV; louder ones are clipped.

    Raises:
        OutputError: `path` cannot be written.
    """
    check_output(path, suffixes=(".wav",))
    pcm = np.round(np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2")
    with replacing(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())


@contextmanager
def spooled(stream: BinaryIO, *, name: str = "standard input") -> Iterator[Path]:
    """Copy a stream that cannot be read twice into a temporary file, gone when the block ends.

    Raises:
        MediaError: nothing came in.
    """
    with tempfile.TemporaryDirectory(prefix="newscaster-") as folder:
        path = Path(folder) / "input"
        with path.open("wb") as file:
            shutil.copyfileobj(stream, file, length=1 << 20)
        if path.stat().st_size == 0:
            raise MediaError(
                f"nothing came in on {name}, where a sound file is needed. "
                f"Pipe one in, for example: cat news.wav | ..."
            )
        yield path
