"""The motion of a video in an .npz file, for measurements: landmarks and shapes of every frame.

Spooled to disk during synthesis and written at the end, in constant memory.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster import media
from newscaster.face.topology import MOUTH_POINTS
from newscaster.types import ArrayBool, ArrayFloat

_COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "landmarks": (np.float32, (MOUTH_POINTS, 2)),
    "shapes": (np.float32, (MOUTH_POINTS, 2)),
    "stage_frames": (np.int32, ()),
    "shares": (np.float32, ()),
}


class SynthesisedFrames:
    """The frames of a video that have a synthesised mouth."""

    def __init__(self) -> None:
        self.count = 0
        """Frames added so far."""
        self._runs: list[list[int]] = []

    @property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """Runs of frames with a synthesised mouth, in whole or in part: (first, end), end exclusive."""
        return tuple((first, end) for first, end in self._runs)

    def add(self, synthesised: ArrayBool) -> None:
        """Append frames: whether each has a synthesised mouth, (f,)."""
        steps = np.flatnonzero(np.diff(synthesised, prepend=False, append=False)) + self.count
        for first, end in steps.reshape(-1, 2).tolist():
            if self._runs and self._runs[-1][1] == first:
                self._runs[-1][1] = end
            else:
                self._runs.append([first, end])
        self.count += len(synthesised)


class MotionLog:
    """Collects the motion of frames; only counts them if `path` is None. A context manager; see `save`."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.passthrough_frames = 0
        """Frames that keep the original mouth, in whole or in part."""
        self.synthesised = SynthesisedFrames()
        """All frames added so far."""
        self._stack = ExitStack()

    def __enter__(self) -> MotionLog:
        if self._path is not None:
            folder = self._stack.enter_context(media.scratch_folder())
            self._paths = {name: folder / name for name in _COLUMNS}
            self._files = {
                name: self._stack.enter_context(path.open("wb")) for name, path in self._paths.items()
            }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def add(
        self,
        landmarks: ArrayFloat,
        shapes: ArrayFloat,
        target_frames: npt.NDArray[np.integer[Any]],
        blend_weights: ArrayFloat,
    ) -> None:
        """Append frames: (f, 57, 2), (f, 57, 2), (f,), (f,)."""
        self.passthrough_frames += int((blend_weights < 1).sum())
        self.synthesised.add(blend_weights > 0)
        if self._path is None:
            return
        columns = {
            "landmarks": landmarks,
            "shapes": shapes,
            "stage_frames": target_frames,
            "shares": blend_weights,
        }
        try:
            for name, array in columns.items():
                self._files[name].write(array.astype(_COLUMNS[name][0]).tobytes())
        except OSError as error:
            raise media.no_temporary_room(error) from error

    def save(self, *, fps: Fraction) -> None:
        """Write the file. Do nothing without a path.

        Raises:
            OutputError: the file cannot be written.
        """
        save_logs([self], fps=fps)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the columns; requires a path."""
        try:
            for file in self._files.values():
                file.flush()
        except OSError as error:
            raise media.no_temporary_room(error) from error
        return {
            name: np.memmap(self._paths[name], dtype, "r").reshape(-1, *shape)
            for name, (dtype, shape) in _COLUMNS.items()
        }

    @property
    def path(self) -> Path | None:
        """The file to write."""
        return self._path


def save_logs(logs: Sequence[MotionLog], *, fps: Fraction) -> None:
    """Write the motion of the mouths of one video into the file of the first log, if it has one.

    The arrays of the second mouth are named `landmarks_2`, `shapes_2` and so on.

    Raises:
        OutputError: the file cannot be written.
    """
    path = logs[0].path
    if path is None:
        return
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, log in enumerate(logs, 1):
        suffix = "" if number == 1 else f"_{number}"
        arrays |= {f"{name}{suffix}": column for name, column in log.arrays().items()}
    arrays["fps"] = np.array([fps.numerator, fps.denominator])
    arrays["frames"] = np.array(len(arrays["stage_frames"]))
    # As np.savez, which raises a second error if the disk is full.
    with media.atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array)  # type: ignore[no-untyped-call,unused-ignore]
