"""The prepared dataset: footage as a folder of arrays. Its reader; `dataset_writer` is its writer.

Defines the files and the agreement between them. ``prepare`` makes their content and ``models`` use it::

    DATASET/
      take.json               format, fps, face crop, clips in order, target, warnings; written last
      face.safetensors        head.points, mask.hidden, mask.soft
      stage.mp4               the target video, on which mouths are rewritten (media.encode_target)
      stage.safetensors       landmarks, pose_matrix, pose_shift, transforms of the target's frames; share and
                              thumbnails if known
      clips/NAME/
        landmarks.npy         (F, 478, 3) float32 pixels of the source frame, raw; NaN if not present
        present.npy           (F,) bool: the person's face was found and tracked
        speech.npy            (N,) float32, 16 kHz mono; sample 0 is the audio at frame 0. (0,): no audio
        regions.npy           (F, S, S, 3) uint8 RGB crops; black if not present
        transforms.npy        (F, 2, 3) float64, frame to crop pixels; NaN if not present;
                              (F, 2, 4) if the crop has a curved surface (face.surface_warp)
        share.npy             (F,) float32: blend weight of a new mouth; old datasets lack it
        fits.npy              (F,) bool: the frame's audio matches its mouth, as far as measured; optional
        clip.json             origin of the clip and its finished steps; written last

Every file is written under another name and renamed, so that a killed writer leaves a dataset that can be
resumed. Without ``take.json``, the dataset is unfinished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newscaster.errors import DatasetError
from newscaster.face.crop import FaceCrop, Mask
from newscaster.face.frame_similarity import THUMBNAIL_SIDE
from newscaster.face.head_pose import Head, Poses
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import LANDMARKS
from newscaster.formats.dataset_clip import (
    NEXT,
    SPEECH_RATE,
    Clip,
    ClipRecord,
    read_dataset_json,
    read_record,
)
from newscaster.safety.readers import (
    MAX_TARGET_FRAMES,
    MAX_TENSOR_BYTES,
    check_range,
    fraction,
    read_regular_file,
    read_tensors,
)
from newscaster.texts import restored
from newscaster.types import ArrayF32, ArrayI64, ImageU8

__all__ = [
    "FORMAT",
    "SPEECH_RATE",
    "Clip",
    "ClipRecord",
    "Dataset",
    "Target",
    "TargetPart",
    "read_record",
]

FORMAT = 1

_SEPARATORS = frozenset("/\\:\0")
"""Characters that a clip's name must not contain: it names a folder in `clips`."""
MAX_CLIPS = 10_000
_MAX_VALUES = {
    "head.points": 100.0,
    "landmarks": 1e6,
    "pose_matrix": 1e5,
    "pose_shift": 1e6,
    "transforms": 1e7,
    "share": 1.0,
}
"""Largest possible absolute values, in IOD and pixels."""


@dataclass(frozen=True)
class TargetPart:
    """A segment of footage in the target video."""

    source: str
    start_frame: int
    frames: int


@dataclass(frozen=True)
class Target:
    """The target video, on which mouths are rewritten."""

    video: Path
    """H.264 in short closed groups, for ``media.TargetVideo``."""
    source: str
    """The footage that it was cut from, at :attr:`start_frame`."""
    start_frame: int
    size: tuple[int, int]
    """Width and height in pixels."""
    landmarks: ArrayF32
    """(F, 478, 3) pixels, raw."""
    poses: Poses
    """Smoothed poses of the head, (F,)."""
    transforms: SurfaceWarp
    """Frame to crop pixels, smoothed, (F,)."""
    loops: bool = False
    """Whether its end meets its start, so that it plays as a loop; else see ``synthesis.playback_order``."""
    parts: tuple[TargetPart, ...] = ()
    """Its segments, in order; empty: one segment from :attr:`start_frame` on."""
    blend_weight: ArrayF32 | None = None
    """(F,): blend weight of the new mouth in each frame, 0 to 1; None: 1 everywhere."""
    thumbnails: ImageU8 | None = None
    """(F, 2, 48, 48): the frames without the mouth (``face.frame_similarity``); None: unknown."""

    def __repr__(self) -> str:
        return f"Target({self.size[0]}x{self.size[1]}, {self.frames} frames)"

    @property
    def frames(self) -> int:
        return len(self.landmarks)

    @property
    def segment(self) -> ArrayI64:
        """(F,): index of the part of each frame."""
        frames = [part.frames for part in self.parts] or [self.frames]
        return np.repeat(np.arange(len(frames)), frames)


@dataclass(frozen=True)
class Dataset:
    """Prepared footage, opened for reading."""

    folder: Path
    fps: Fraction
    crop: FaceCrop
    head: Head
    mask: Mask
    clips: tuple[Clip, ...]
    target: Target
    warnings: tuple[str, ...]
    """Warnings of the preparation."""

    def __repr__(self) -> str:
        length = f"{len(self.clips)} clips, {self.seconds:.0f} s at {float(self.fps):.5g} fps"
        return f"Dataset('{self.folder}', {length})"

    @property
    def frames(self) -> int:
        """Frames of all clips together."""
        return sum(clip.frames for clip in self.clips)

    @property
    def seconds(self) -> float:
        """Length of all clips together."""
        return float(self.frames / self.fps)

    @staticmethod
    def open(path: Path | str) -> Dataset:
        """Open a finished dataset and check that its parts exist and agree.

        Raises:
            DatasetError: the folder is no dataset, or it is unfinished, damaged, or of another version.
        """
        folder = Path(path)
        data = _read_description(folder)
        try:
            crop = FaceCrop.from_json(data["region"])
            fps = fraction(data["fps"])
            names, target = _names(data["clips"]), dict(data["stage"])
            head, mask = _read_face(folder / "face.safetensors", crop)
            clips = tuple(_read_clip(folder / "clips" / name, crop, fps) for name in names)
            return Dataset(
                folder,
                fps,
                crop,
                head,
                mask,
                clips,
                _read_target(folder, target, crop),
                tuple(map(str, data["warnings"])),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DatasetError(f"'{folder / 'take.json'}' is damaged ({error!r:.300}). {NEXT}") from error


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "take.json"
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise DatasetError(
            f"'{folder}' {problem}; a dataset is a folder made by the preparation. Prepare footage first"
        )
    if not path.exists():
        unfinished = (folder / "clips").is_dir()
        problem = "is an unfinished dataset" if unfinished else "is not a dataset"
        next_step = NEXT if unfinished else "Prepare footage first, into a new folder"
        raise DatasetError(f"'{folder}' {problem}: it contains no take.json. {next_step}")
    try:
        data = read_dataset_json(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"'{path}' is damaged ({error}). {NEXT}") from error
    version = data.get("format")
    if version != FORMAT:
        raise DatasetError(
            f"'{path}' has format {version!r:.40}; this version of newscaster reads format {FORMAT}. "
            f"Prepare the footage again with this version, into a new folder"
        )
    return data


def _names(values: object) -> list[str]:
    """Parse the names of clips. Each names a folder directly in `clips`."""
    if not isinstance(values, list) or len(values) > MAX_CLIPS:
        raise ValueError(f"its clips are not a list of at most {MAX_CLIPS}")
    for name in values:
        if (
            not isinstance(name, str)
            or not 0 < len(name) <= 255
            or name in (".", "..")
            or set(name) & _SEPARATORS
        ):
            raise ValueError(f"{name!r:.100} is not a valid name of a clip")
    if len(set(values)) < len(values):
        raise ValueError("a clip is listed twice")
    return values


def _read_tensors(path: Path, required: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays of a file. The required ones must be finite; all must be within their limits."""
    try:
        arrays = read_tensors(read_regular_file(path, most=MAX_TENSOR_BYTES, follow_links=False))
    except (OSError, ValueError) as error:
        raise DatasetError(f"'{path}' is missing or damaged ({error}). {NEXT}") from error
    for name, kind in required.items():
        array = arrays.get(name)
        if array is None or not array.dtype.name.startswith(kind):
            actual = "missing" if array is None else array.dtype
            raise DatasetError(f"'{path}': {name} is {actual}, expected {kind}. {NEXT}")
        if not np.isfinite(array).all():
            raise DatasetError(f"'{path}': {name} contains values that are not finite. {NEXT}")
    check_range(arrays, _MAX_VALUES, lambda why: DatasetError(f"'{path}': {why}. {NEXT}"))
    return arrays


def _read_face(path: Path, crop: FaceCrop) -> tuple[Head, Mask]:
    arrays = _read_tensors(path, {"head.points": "float", "mask.hidden": "uint8", "mask.soft": "uint8"})
    head = Head.from_arrays(arrays)
    if head.points.shape != (LANDMARKS, 3) or not head.has_depth:
        raise DatasetError(f"'{path}': head.points, {head.points.shape}, do not form a head. {NEXT}")
    mask = Mask(arrays["mask.hidden"].astype(bool), arrays["mask.soft"])
    if mask.hidden.shape != (crop.side,) * 2 or mask.soft.shape != mask.hidden.shape:
        raise DatasetError(
            f"'{path}' has a mask of shape {mask.hidden.shape}; the side of the crop is {crop.side}. {NEXT}"
        )
    return head, mask


def _read_clip(folder: Path, crop: FaceCrop, fps: Fraction) -> Clip:
    if folder.is_symlink() or folder.parent.is_symlink():
        raise DatasetError(
            f"'{folder}' is reached through a link; a dataset contains none. Replace it by the folder itself"
        )
    record = read_record(folder)
    if record is None:
        raise DatasetError(f"'{folder / 'clip.json'}' is missing or damaged. {NEXT}")
    if record.cropped_with is None:
        raise DatasetError(f"the clip '{folder}' is unfinished: it has no crops yet. {NEXT}")
    if record.fps != fps:
        raise DatasetError(f"the clip '{folder}' is at {record.fps} fps, the dataset at {fps}. {NEXT}")
    clip = Clip(folder, record)
    clip.check(crop.side)
    return clip


def _read_target(folder: Path, data: Mapping[str, Any], crop: FaceCrop) -> Target:
    video, tensors = folder / "stage.mp4", folder / "stage.safetensors"
    arrays = _read_tensors(
        tensors, dict.fromkeys(("landmarks", "pose_matrix", "pose_shift", "transforms"), "float")
    )
    if not video.is_file() or video.is_symlink():
        raise DatasetError(f"'{video}' is missing or a link. {NEXT}")
    width, height = data["size"]
    frames = int(data["frames"])
    shapes = {
        "landmarks": (frames, LANDMARKS, 3),
        "pose_matrix": (frames, 2, 3),
        "pose_shift": (frames, 2),
        "transforms": (frames, 2, 3 if crop.surface is None else 4),
        "share": (frames,),
        "thumbnails": (frames, 2, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    }
    if mismatched := [name for name, array in arrays.items() if array.shape != shapes.get(name)]:
        raise DatasetError(f"'{tensors}' does not have {frames} frames of {', '.join(mismatched)}. {NEXT}")
    target = Target(
        video,
        restored(str(data["source"])),
        int(data["start_frame"]),
        (int(width), int(height)),
        arrays["landmarks"],
        Poses(arrays["pose_matrix"].astype(np.float64), arrays["pose_shift"].astype(np.float64)),
        SurfaceWarp.from_array(arrays["transforms"], crop.side),
        parts=_parts(data.get("parts", [])),
        blend_weight=arrays.get("share"),
        thumbnails=arrays.get("thumbnails"),
    )
    if len(target.segment) != frames:
        raise DatasetError(f"'{tensors}' does not have the {len(target.segment)} frames of its parts. {NEXT}")
    return target


def _parts(values: Sequence[Mapping[str, Any]]) -> tuple[TargetPart, ...]:
    parts = tuple(
        TargetPart(restored(str(v["source"])), int(v["start_frame"]), int(v["frames"])) for v in values
    )
    frames = [part.frames for part in parts]
    if len(parts) > MAX_TARGET_FRAMES or min(frames, default=1) < 1 or sum(frames) > MAX_TARGET_FRAMES:
        raise ValueError(
            f"its target has {len(parts)} parts of {sum(frames)} frames; accepted are {MAX_TARGET_FRAMES}"
        )
    return parts
