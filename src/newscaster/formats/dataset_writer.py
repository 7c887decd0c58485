"""The writer of a prepared dataset, for `prepare`; its functions also run in worker processes.

`dataset` defines the files, and reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from newscaster.face.crop import FaceCrop, Mask
from newscaster.face.head_pose import Head
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.formats.dataset import FORMAT, Dataset, Target
from newscaster.formats.dataset_clip import ClipRecord, fraction_text
from newscaster.system.files import atomic_write, new_array
from newscaster.system.leases import exclusive_lock
from newscaster.texts import shown, stored
from newscaster.types import ArrayBool, ArrayF32, ImageU8


def write_track(
    folder: Path,
    record: ClipRecord,
    *,
    landmarks: ArrayF32,
    present: ArrayBool,
    speech: ArrayF32,
) -> ClipRecord:
    """Store a clip's face track and speech, which invalidates its crops. Return the record as stored."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("clip.json", "share.npy", "fits.npy"):
        (folder / stale).unlink(missing_ok=True)
    for kind, array in (("landmarks", landmarks), ("present", present), ("speech", speech)):
        with atomic_write(folder / f"{kind}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    return _write_record(folder, replace(record, frames=len(present), cropped_with=None))


def write_audio(
    folder: Path, record: ClipRecord, speech: ArrayF32, *, shift_ms: int, dropped: bool
) -> ClipRecord:
    """Replace a clip's audio and record its shift in the footage. Return the record as stored.

    If the write is interrupted, the clip counts as not tracked.
    """
    (folder / "clip.json").unlink(missing_ok=True)
    with atomic_write(folder / "speech.npy") as temporary:
        np.save(temporary, speech, allow_pickle=False)
    return _write_record(folder, replace(record, audio_shift_ms=shift_ms, audio_dropped=dropped))


@contextmanager
def writing_crops(folder: Path, *, frames: int, side: int) -> Iterator[ImageU8]:
    """Yield a black (F, S, S, 3) uint8 array on disk for crops; the clip gets it if the block succeeds."""
    with atomic_write(folder / "regions.npy") as temporary:
        array: Any = new_array(temporary, (frames, side, side, 3))
        yield array
        array.flush()


def write_transforms(
    folder: Path, record: ClipRecord, transforms: SurfaceWarp, cropped_with: str
) -> ClipRecord:
    """Store the transforms of finished crops and mark them as finished."""
    with atomic_write(folder / "transforms.npy") as temporary:
        np.save(temporary, transforms.to_array(), allow_pickle=False)
    return _write_record(folder, replace(record, cropped_with=cropped_with))


def write_blend_weights(folder: Path, blend_weight: ArrayF32) -> None:
    """Store the blend weights of a clip, (F,)."""
    with atomic_write(folder / "share.npy") as temporary:
        np.save(temporary, blend_weight.astype(np.float32), allow_pickle=False)


def write_audio_fits(folder: Path, fits: ArrayBool) -> None:
    """Store which frames of a clip have audio that matches the mouth, (F,)."""
    with atomic_write(folder / "fits.npy") as temporary:
        np.save(temporary, fits, allow_pickle=False)


def _write_record(folder: Path, record: ClipRecord) -> ClipRecord:
    _write_json(folder / "clip.json", record.to_json())
    return record


class DatasetWriter:
    """The exclusive writer of a dataset, a context manager.

    Raises:
        OutputError: the folder cannot be created, or another process writes to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        lock = exclusive_lock(
            self.folder, what="preparation", next_step="give another folder for the dataset"
        )
        self._stack.enter_context(lock)
        for left_over in self.folder.rglob(".*.part*"):  # of a writer that was killed
            left_over.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def clip_folder(self, name: str) -> Path:
        return self.folder / "clips" / name

    def begin(self) -> None:
        """Mark the dataset as unfinished: from here on, its files may disagree."""
        (self.folder / "take.json").unlink(missing_ok=True)

    def write_face(self, head: Head, mask: Mask) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {
            **head.to_arrays(),
            "mask.hidden": mask.hidden.astype(np.uint8),
            "mask.soft": mask.soft,
        }
        self._write_tensors("face.safetensors", arrays)

    def write_target(self, video: bytes, target: Target) -> None:
        """Store the target video and its arrays; ``target.video`` is ignored."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "landmarks": target.landmarks.astype(np.float32),
            "pose_matrix": target.poses.matrix,
            "pose_shift": target.poses.shift,
            "transforms": target.transforms.to_array(),
        }
        for name, array in (("share", target.blend_weight), ("thumbnails", target.thumbnails)):
            if array is not None:
                arrays[name] = array
        self._write_tensors("stage.safetensors", arrays)
        with atomic_write(self.folder / "stage.mp4") as temporary:
            temporary.write_bytes(video)

    def finish(
        self,
        *,
        fps: Fraction,
        crop: FaceCrop,
        clips: Sequence[str],
        target: Target,
        warnings: Sequence[str] = (),
    ) -> Dataset:
        """Write ``take.json`` and open the dataset."""
        _write_json(
            self.folder / "take.json",
            {
                "format": FORMAT,
                "fps": fraction_text(fps),
                "region": crop.to_json(),
                "clips": list(clips),
                "stage": {
                    "source": stored(target.source),
                    "start_frame": target.start_frame,
                    "frames": target.frames,
                    "size": list(target.size),
                    "parts": [{**part.__dict__, "source": stored(part.source)} for part in target.parts],
                },
                "warnings": [shown(warning) for warning in warnings],
            },
        )
        return Dataset.open(self.folder)

    def _write_tensors(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        with atomic_write(self.folder / name) as temporary:
            temporary.write_bytes(
                save(contiguous)
            )  # safetensors' own file writer hides the reason of a failure


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
