"""Reading what somebody else has written: plain files, JSON, fractions and arrays that can do no harm.

Everything raises ValueError (OSError where a file cannot be read) and says what is wrong; which file it is,
and what to do, is for the callers to say. docs/files.md has the limits.

NumPy is loaded where arrays are read: commands that stream live have yet to tell it to keep to one thread.
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
"""Objects and lists within each other."""
MAX_INTEGER = 2**63 - 1
MAX_TARGET_FRAMES = 3_000
"""Of a stage: 50 s at 60 per second. In which order they are shown is found by comparing all with all."""
MAX_PIXELS = 1 << 25
"""Of a picture: 8K."""
MAX_TENSOR_BYTES = 1 << 30
MAX_TENSORS = 64

_FRACTION = re.compile(r"[0-9]{1,9}(/[0-9]{1,9})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Characters that steer a terminal, or turn what follows them round."""


def open_regular_file(path: Path, *, follow_links: bool = True) -> BinaryIO:
    """Open a regular file to read: pipes, devices and folders are refused, and do not block.

    Raises:
        OSError: it cannot be opened, or is no regular file; or a link, where those are not followed.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    )
    if not follow_links and path.is_symlink():
        raise OSError(None, "it is a link, and not a file itself")
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a null character in its name
        raise OSError(None, str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def read_regular_file(path: Path, *, most: int, follow_links: bool = True) -> bytes:
    """All of a regular file that has no more than so many bytes.

    Raises:
        OSError: as of :func:`open_regular_file`.
        ValueError: it is longer.
    """
    with open_regular_file(path, follow_links=follow_links) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is longer than {most} bytes")
    return data


def read_option(path: Path, *, most: int) -> bytes:
    """All of a file that an option names; pipes such as `<(...)` are read, too.

    Raises:
        OSError: it cannot be read.
        ValueError: it is longer than so many bytes.
    """
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is longer than {most:,} bytes")
    return data


def read_json(data: bytes) -> dict[str, Any]:
    """A JSON object whose names are there once, of bounded depth, in characters that can be written again.

    Raises:
        ValueError: it is none.
    """
    if len(data) > MAX_JSON_BYTES:
        raise ValueError(f"it has {len(data)} bytes; accepted are {MAX_JSON_BYTES}")
    try:
        found = json.loads(data, object_pairs_hook=_object)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST_JSON} deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"it is a {type(found).__name__}; expected an object")
    _check_json(found, DEEPEST_JSON)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _check_json(value: object, depth: int) -> None:
    if isinstance(value, str):
        if not is_unicode(value):
            raise ValueError("a text in it is not Unicode")
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"a number in it is beyond {MAX_INTEGER}")
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError(f"it is nested more than {DEEPEST_JSON} deep")
        for part in (*value, *value.values()) if isinstance(value, dict) else value:
            _check_json(part, depth - 1)


def fraction(text: object) -> Fraction:
    """A fraction of two numbers of up to nine digits, such as 30000/1001.

    Raises:
        ValueError: it is none. Python's own reader would compute 1e999999999.
    """
    if not isinstance(text, str) or not _FRACTION.fullmatch(text):
        raise ValueError(f"{text!r:.40} is no fraction such as '25/1'")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r} divides by zero") from None


def is_plain_text(text: str, *, most: int) -> bool:
    """Whether a text is short and can be shown in a terminal as it is."""
    return len(text) <= most and not _CONTROL.search(text)


def read_tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a safetensors file.

    Raises:
        ValueError: it is damaged, or holds too much, or arrays that NumPy has no type for.
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
        raise ValueError(f"it holds no arrays that can be read ({error})") from error
    if len(arrays) > MAX_TENSORS:
        raise ValueError(f"it holds {len(arrays)} arrays; accepted are {MAX_TENSORS}")
    return arrays


def map_array(path: Path) -> npt.NDArray[Any]:
    """The array of a .npy file within a take, memory-mapped to read; what its header promises is there.

    Raises:
        OSError: it cannot be read, or is a link, or no regular file.
        ValueError: it is no array, or cut short, or of objects.
    """
    import numpy as np

    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with open_regular_file(path, follow_links=False) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            read = headers[np.lib.format.read_magic(file)]  # type: ignore[no-untyped-call,unused-ignore]
            shape, fortran, dtype = read(file)  # type: ignore[no-untyped-call,unused-ignore]
        # A header is a Python literal, and what reading one raises has many names.
        except Exception as error:
            raise ValueError(f"its header is damaged: {error!s:.100}") from error
        begin, promised = file.tell(), math.prod(shape) * dtype.itemsize
    if dtype.hasobject or min(shape, default=0) < 0 or begin + promised > size:
        raise ValueError(f"it has {size} bytes, and promises {dtype} of shape {shape!s:.100}")
    order: Literal["F", "C"] = "F" if fortran else "C"
    if promised == 0:  # which cannot be mapped
        return np.empty(shape, dtype, order)
    return np.memmap(path, dtype, "r", begin, shape, order)


def check_range(
    arrays: Mapping[str, npt.NDArray[Any]], limits: Mapping[str, float], fail: Callable[[str], Exception]
) -> None:
    """Make sure that arrays hold nothing beyond plus or minus their limit; NaN is let through."""
    for name, limit in limits.items():
        if name in arrays and (abs(arrays[name]) > limit).any():
            raise fail(f"its array {name} holds values beyond {limit:g}")
