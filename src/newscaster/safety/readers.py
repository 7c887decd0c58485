"""Safe readers of untrusted input: regular files, JSON, fractions and arrays.

All raise ValueError (OSError if a file cannot be read) with the problem alone; the callers add the file and
the next step. docs/files.md has the limits.

NumPy is imported lazily: commands that stream live must first limit it to one thread.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from newscaster.texts import is_unicode

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_JSON_BYTES = 4 << 20
DEEPEST_JSON = 32
"""Nesting of objects and lists."""
MAX_INTEGER = 2**63 - 1
MAX_TARGET_FRAMES = 3_000
"""Frames of a target video: 50 s at 60 fps. The playback order compares all pairs of them."""
MAX_PIXELS = 1 << 25
"""Pixels of a frame: 8K."""
MAX_TENSOR_BYTES = 1 << 30
MAX_TENSORS = 64

_FRACTION = re.compile(r"[0-9]{1,9}(/[0-9]{1,9})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters, line separators and bidirectional overrides."""


def open_regular_file(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """Open a regular file for reading. Refuse pipes, devices and folders, without blocking.

    Raises:
        OSError: it cannot be opened, is not a regular file, or is a link and `follow_links` is false.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    )
    if not follow_links and path.is_symlink():
        raise OSError(None, "it is a link, not a file")
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a null character in its name
        raise OSError(None, str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: Path, *, most: int, follow_links: bool = True) -> bytes:
    """Read a regular file of at most `most` bytes.

    Raises:
        OSError: as :func:`open_regular_file`.
        ValueError: it is longer.
    """
    with open_regular_file(path, follow_links=follow_links) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is longer than {most} bytes")
    return data


def read_option(path: Path, *, most: int) -> bytes:
    """Read a file that a command-line option names; pipes such as `<(...)` are accepted, too.

    Raises:
        OSError: it cannot be read.
        ValueError: it is longer than `most` bytes.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is longer than {most:,} bytes")
    return data


def read_json(data: bytes) -> dict[str, Any]:
    """Parse a JSON object of unique names, bounded depth and valid Unicode.

    Raises:
        ValueError: the data are not such an object.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"it has {len(data)} bytes; accepted are {MAX_JSON_BYTES}")
    try:
        values = json.loads(data, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST_JSON} deep") from None
    if not isinstance(values, dict):
        raise ValueError(f"it is a {type(values).__name__}; expected an object")
    _check_json(values, DEEPEST_JSON)
    return values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _check_json(value: object, depth: int) -> None:
    if isinstance(value, str):
        if not is_unicode(value):
            raise ValueError("a text in it is not Unicode")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"an integer in it is beyond {MAX_INTEGER}")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"it is nested more than {DEEPEST_JSON} deep")
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_json(part, depth - 1)


def fraction(text: object) -> Fraction:
    """Parse a fraction of two numbers of up to nine digits, such as 30000/1001.

    Raises:
        ValueError: it is malformed. Python's own parser would compute 1e999999999.
    """
    if not isinstance(text, str) or not _FRACTION.fullmatch(text):
        raise ValueError(f"{text!r:.40} is not a fraction such as '25/1'")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r} divides by zero") from None


def is_plain_text(text: str, *, most: int) -> bool:
    """Return whether a text has at most `most` characters and is safe to print in a terminal."""
    return len(text) <= most and not _CONTROL.search(text)


def read_tensors(data: bytes, *, limit: int = MAX_TENSORS) -> dict[str, npt.NDArray[Any]]:
    """Parse the arrays of a safetensors file.

    Args:
        data: the file.
        limit: how many arrays it may have.

    Raises:
        ValueError: it is damaged or too large, or has arrays of types that NumPy lacks.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if len(data) > MAX_TENSOR_BYTES:
        raise ValueError(f"it has {len(data)} bytes; accepted are {MAX_TENSOR_BYTES}")
    if len(data) >= 8 and int.from_bytes(data[:8], "little") > MAX_JSON_BYTES:
        raise ValueError("its header is damaged, or too long")
    try:
        arrays = load(data)
    except (SafetensorError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"it has no readable arrays ({error})") from error
    if len(arrays) > limit:
        raise ValueError(f"it has {len(arrays)} arrays; accepted are {limit}")
    return arrays


def map_array(path: Path) -> npt.NDArray[Any]:
    """Memory-map the array of a .npy file of a dataset for reading, after a check of its header.

    Raises:
        OSError: it cannot be read, is a link, or is not a regular file.
        ValueError: it is not an array, is truncated, or has objects.
    """
    import numpy as np

    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with open_regular_file(path, follow_links=False) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            read = headers[np.lib.format.read_magic(file)]  # type: ignore[no-untyped-call,unused-ignore]
            shape, fortran, dtype = read(file)  # type: ignore[no-untyped-call,unused-ignore]
        # A header is a Python literal, and parsing one can raise many errors.
        except Exception as error:
            raise ValueError(f"its header is damaged: {error!s:.100}") from error
        start, length = file.tell(), math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or start + length > size:
        raise ValueError(f"it has {size} bytes, but its header promises {dtype} of shape {shape!s:.100}")
    order: Literal["F", "C"] = "F" if fortran else "C"
    if length == 0:  # cannot be mapped
        return np.empty(shape, dtype, order)
    return np.memmap(path, dtype, "r", start, shape, order)


def check_range(
    arrays: Mapping[str, npt.NDArray[Any]], limits: Mapping[str, float], fail: Callable[[str], Exception]
) -> None:
    """Raise `fail` if an array has values beyond plus or minus its limit; NaN is accepted."""
    for name, limit in limits.items():
        if name in arrays and (abs(arrays[name]) > limit).any():
            raise fail(f"its array {name} has values beyond {limit:g}")
