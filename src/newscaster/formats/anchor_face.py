"""The face of an anchor as arrays: their names, shapes, types and limits.

`anchor` contains the file around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from newscaster.errors import AnchorError
from newscaster.face.crop import Mask
from newscaster.face.frame_similarity import THUMBNAIL_SIDE
from newscaster.face.head_pose import Head, Poses
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import LANDMARKS, MOUTH_POINTS
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.safety.readers import check_range
from newscaster.types import ArrayF32, ArrayI64, ImageU8

Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class AnchorFace:
    """The face of an anchor: the person, and the head in each of the target's F frames."""

    basis: MouthBasis
    head: Head
    mask: Mask
    poses: Poses
    """Smoothed poses, F."""
    transforms: SurfaceWarp
    """Frame to crop pixels, F."""
    landmarks: ArrayF32
    """(F, 478, 3) px on the target's frames, as detected."""
    blend_weight: ArrayF32 | None = None
    """(F,): blend weight of the new mouth in each frame, 0 to 1; None: 1 everywhere."""
    segment: ArrayI64 | None = None
    """(F,): number of the segment of footage of each frame, 0 first; None: one segment."""
    thumbnails: ImageU8 | None = None
    """(F, 2, 48, 48): the frames without the mouth (``face.frame_similarity``); None: unknown."""

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the arrays to store; :meth:`from_arrays` is the inverse."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            **self.basis.to_arrays(),
            **self.head.to_arrays(),
            "mask.hidden": self.mask.hidden.astype(np.uint8),
            "mask.soft": self.mask.soft,
            "stage.pose_matrix": self.poses.matrix,
            "stage.pose_shift": self.poses.shift,
            "stage.transforms": self.transforms.to_array(),
            "stage.landmarks": self.landmarks.astype(np.float32),
        }
        if self.blend_weight is not None:
            arrays["stage.share"] = self.blend_weight.astype(np.float32)
        if self.segment is not None:
            arrays["stage.stretch"] = self.segment.astype(np.uint16)
        if self.thumbnails is not None:
            arrays["stage.thumbnails"] = self.thumbnails
        return arrays

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[np.generic]], info: AnchorInfo) -> AnchorFace:
        """Return the face stored by :meth:`to_arrays`.

        Raises:
            AnchorError: an array is missing, unknown, not finite, or its shape disagrees with `info`.
        """
        required, optional = _shapes(info), _optional_shapes(info)
        if unexpected := sorted((arrays.keys() - optional.keys()) ^ required.keys()):
            raise AnchorError(
                f"it has the arrays {sorted(arrays)}; missing or unknown: {', '.join(unexpected)}"
            )
        for name, array in arrays.items():
            shape, kind = {**required, **optional}[name], _UNSIGNED.get(name, "float")
            if array.shape != shape or not array.dtype.name.startswith(kind):
                raise AnchorError(f"its array {name} is {array.dtype} {array.shape}; expected {kind} {shape}")
            if not np.isfinite(array).all():
                raise AnchorError(f"its array {name} contains values that are not finite")
        check_range(arrays, _MAX_VALUES, AnchorError)
        floats = {name: array.astype(np.float64) for name, array in arrays.items() if array.dtype.kind == "f"}
        return AnchorFace(
            basis=MouthBasis.from_arrays(floats),
            head=Head.from_arrays(floats),
            mask=Mask(arrays["mask.hidden"].astype(np.bool_), arrays["mask.soft"].astype(np.uint8)),
            poses=_check_poses(Poses(floats["stage.pose_matrix"], floats["stage.pose_shift"])),
            transforms=_check_transforms(
                SurfaceWarp.from_array(floats["stage.transforms"], info.crop.side), info.crop.side
            ),
            landmarks=arrays["stage.landmarks"].astype(np.float32),
            blend_weight=_optional_array(arrays, "stage.share", np.float32),
            segment=_optional_array(arrays, "stage.stretch", np.int64),
            thumbnails=_optional_array(arrays, "stage.thumbnails", np.uint8),
        )


_UNSIGNED = {
    "mask.hidden": "uint8",
    "mask.soft": "uint8",
    "stage.stretch": "uint16",
    "stage.thumbnails": "uint8",
}
"""Types of the arrays that are not of floats."""


_MAX_VALUES = {
    "basis.mean": 100.0,
    "basis.components": 100.0,
    "basis.deviations": 100.0,
    "head.points": 100.0,
    "stage.pose_matrix": 1e5,
    "stage.pose_shift": 1e6,
    "stage.transforms": 1e7,
    "stage.landmarks": 1e6,
}
"""Largest possible absolute values, in IOD and pixels."""
_MIN_SCALE, _MAX_SCALE = 1e-2, 1e2
"""Crop pixels per pixel of the target's frames."""
_MAX_BEND = 4.0
"""Over one side of the crop; real values stay below 1.5."""


def _check_poses(poses: Poses) -> Poses:
    """Return the poses. Raise AnchorError if one is not invertible."""
    if not (np.abs(np.linalg.det(poses.matrix[:, :, :2])) > 1e-6).all():
        raise AnchorError("its array stage.pose_matrix contains poses that no head can have")
    return poses


def _check_transforms(transforms: SurfaceWarp, side: int) -> SurfaceWarp:
    """Return the transforms. Raise AnchorError if one shrinks a frame to nothing or folds it."""
    scales = np.linalg.svd(transforms.matrix[..., :2], compute_uv=False)
    bends = np.abs(transforms.bend) * side
    if not ((scales >= _MIN_SCALE) & (scales <= _MAX_SCALE) & (bends <= _MAX_BEND)).all():
        raise AnchorError("its array stage.transforms contains transforms that cannot crop a face")
    return transforms


def _optional_array(
    arrays: Mapping[str, npt.NDArray[np.generic]], name: str, dtype: type[Number]
) -> npt.NDArray[Number] | None:
    """Return an array that old anchors lack, or None."""
    return arrays[name].astype(dtype) if name in arrays else None


def _optional_shapes(info: AnchorInfo) -> dict[str, tuple[int, ...]]:
    frames = info.target_frames
    return {
        "stage.share": (frames,),
        "stage.stretch": (frames,),
        "stage.thumbnails": (frames, 2, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    }


def _shapes(info: AnchorInfo) -> dict[str, tuple[int, ...]]:
    frames, side, size = info.target_frames, info.crop.side, info.coefficients
    return {
        "basis.mean": (MOUTH_POINTS, 2),
        "basis.components": (size, MOUTH_POINTS, 2),
        "basis.deviations": (size,),
        "head.points": (LANDMARKS, 3),
        "mask.hidden": (side, side),
        "mask.soft": (side, side),
        "stage.pose_matrix": (frames, 2, 3),
        "stage.pose_shift": (frames, 2),
        "stage.transforms": (frames, 2, 3 if info.crop.surface is None else 4),
        "stage.landmarks": (frames, LANDMARKS, 3),
    }
