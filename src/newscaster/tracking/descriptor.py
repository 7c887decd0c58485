"""Face recognition: descriptors of faces, and a test whether two of them belong to one person.

A descriptor is 128 numbers, by dlib's face recognition network (Davis King, CC0; a ResNet with 29
convolutions, He et al. 2016, trained with a metric loss). Descriptors of one person lie close to each
other. tools/convert_face_descriptor.py makes the packaged file.

A descriptor is biometric data. This module computes it in memory; it writes nothing.

A face that is too small, too blurred, turned away or cut off gets no descriptor: its row is NaN. Callers
never count such a row as the same person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources

import numpy as np
from PIL import Image

from newscaster.errors import InputError
from newscaster.face.geometry import eye_distance
from newscaster.face.topology import LANDMARKS, LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from newscaster.inference import Session
from newscaster.types import ArrayF32, ArrayF64, ArrayFloat, ImageU8

DESCRIPTOR_SIZE = 128
MAX_DISTANCE = 0.55
"""Between descriptors of two single frames of one person."""
MAX_MEAN_DISTANCE = 0.50
"""Between means of `MEAN_FRAMES` frames or more: noise of single frames is averaged out."""
MEAN_FRAMES = 3

MIN_EYES_PX = 16.0
"""Inter-ocular distance (IOD) in the frame; chips have 74 px. Reduced to 16 px, faces of 44 people are 0.41
from sharp ones of the same person (median); at 10 px 0.52, at 74 px 0.33."""
MAX_YAW_DEGREES = 45.0
MIN_SHARPNESS = 0.08
"""Of the chip; see :func:`_sharpness`. Footage has 0.16 to 0.6. A blur of 3 px of the chip (4 % of the IOD)
leaves 0.10 and increases the distance of one person's faces from 0.33 to 0.44; 5 px leave 0.054 and increase
it to 0.55."""
MIN_INSIDE = 0.8
"""Fraction of the chip that lies within the frame."""

Describe = Callable[[Sequence[ImageU8], ArrayF32], ArrayF32]
"""A function from n frames and landmarks (n, 478, 3) to descriptors (n, D), NaN for a face that cannot be
described: :func:`describe_faces`, or a substitute in tests."""

_SIDE = 150
_PADDING = 0.25
_BATCH = 16
_MESH = (263, 362, 33, 133, 2)
"""Outer and inner corner of the eye at the image's right, the same at its left, and the base of the nose."""
_MEAN_FACE = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
"""Positions of these points in dlib's ``get_face_chip_details``, in sides of a chip without padding."""


def describe_faces(frames: Sequence[ImageU8], landmarks: ArrayFloat) -> ArrayF32:
    """Describe one face in each frame.

    Args:
        frames: n frames (H, W, 3), uint8 RGB, of any sizes.
        landmarks: (n, 478, 3) of the face mesh in pixels of the frames, depths in the scale of x; NaN if a
            frame shows no face.

    Returns:
        (n, 128) float32. A row is NaN if the face cannot be described: see the module.

    Raises:
        InputError: shapes do not fit.
    """
    if landmarks.shape != (len(frames), LANDMARKS, 3):
        raise InputError(
            f"landmarks are {landmarks.shape} for {len(frames)} frames; expected "
            f"({len(frames)}, {LANDMARKS}, 3)"
        )
    descriptors = np.full((len(frames), DESCRIPTOR_SIZE), np.nan, np.float32)
    chips: list[ImageU8] = []
    rows: list[int] = []
    for row, (frame, points) in enumerate(zip(frames, landmarks, strict=True)):
        chip = face_chip(frame, points)
        if chip is not None:
            chips.append(chip)
            rows.append(row)
    for start in range(0, len(chips), _BATCH):
        batch = np.stack(chips[start : start + _BATCH]).astype(np.float32)
        shape = len(batch), DESCRIPTOR_SIZE
        descriptors[rows[start : start + _BATCH]] = _session().run_one("embedding", shape, input=batch)
    return descriptors


def mean_descriptor(descriptors: ArrayF32) -> ArrayF32:
    """Return the mean (128,) of the measured descriptors among (n, 128); NaN if there are none."""
    measured = descriptors[np.isfinite(descriptors).all(axis=1)]
    if not len(measured):
        return np.full(DESCRIPTOR_SIZE, np.nan, np.float32)
    return np.asarray(measured.mean(axis=0), np.float32)


def descriptor_distance(one: ArrayF32, other: ArrayF32) -> ArrayF64:
    """Return the Euclidean distance of two descriptors (..., 128), which broadcast; NaN if one is missing."""
    return np.asarray(np.linalg.norm(one.astype(np.float64) - other, axis=-1))


def is_same_person(one: ArrayF32, other: ArrayF32, *, max_distance: float = MAX_MEAN_DISTANCE) -> bool | None:
    """Return whether two descriptors (128,) belong to one person; None if one could not be measured."""
    distance = float(descriptor_distance(one, other))
    return None if np.isnan(distance) else distance <= max_distance


def face_chip(frame: ImageU8, points: ArrayFloat) -> ImageU8 | None:
    """Return the face (150, 150, 3) as input of the network; None if too little of it is visible.

    Args:
        frame: (H, W, 3) uint8 RGB.
        points: (478, 3) landmarks in pixels.
    """
    if not np.isfinite(points).all():
        return None
    if float(eye_distance(points)) < MIN_EYES_PX or abs(_yaw_degrees(points)) > MAX_YAW_DEGREES:
        return None
    matrix = _chip_matrix(points[list(_MESH), :2].astype(np.float64))
    if _fraction_inside(matrix, frame) < MIN_INSIDE:
        return None
    chip = _cut(frame, matrix)
    return chip if _sharpness(chip) >= MIN_SHARPNESS else None


def _yaw_degrees(points: ArrayFloat) -> float:
    """Return the angle of the line of the eyes with the image's plane."""
    across = points[RIGHT_EYE_OUTER] - points[LEFT_EYE_OUTER]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def _chip_matrix(points: ArrayF64) -> ArrayF64:
    """Fit the similarity (2, 3) from frame to chip pixels on five points (5, 2) (Umeyama 1991).

    With complex numbers, a similarity is z -> a z + b, and a is a ratio of inner products.
    """
    chip_points = _SIDE * (np.array(_MEAN_FACE) + _PADDING) / (1 + 2 * _PADDING)
    source, target = points @ [1, 1j], chip_points @ [1, 1j]
    centred = source - source.mean()
    factor = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    shift = target.mean() - factor * source.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def _corners(matrix: ArrayF64) -> ArrayF64:
    """Return the chip's corners (4, 2) in frame pixels."""
    inverse = np.linalg.inv(matrix[:, :2])
    chip = np.array([[0, 0], [_SIDE, 0], [_SIDE, _SIDE], [0, _SIDE]], np.float64)
    return np.asarray((chip - matrix[:, 2]) @ inverse.T)


def _fraction_inside(matrix: ArrayF64, frame: ImageU8) -> float:
    """Return the fraction of the chip within the frame, from a grid of 16 x 16 points."""
    steps = (np.arange(16) + 0.5) * _SIDE / 16
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    places = (grid - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    height, width = frame.shape[:2]
    return float(((places >= 0) & (places < (width, height))).all(axis=1).mean())


def _cut(frame: ImageU8, matrix: ArrayF64) -> ImageU8:
    """Return the chip, black outside the frame. Large faces are reduced first, against aliasing."""
    height, width = frame.shape[:2]
    corners = _corners(matrix)
    left, top = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, [width - 1, height - 1]).tolist()
    right, bottom = np.clip(
        np.ceil(corners.max(axis=0)).astype(int) + 2, [left + 1, top + 1], [width, height]
    ).tolist()
    image = Image.fromarray(np.ascontiguousarray(frame[top:bottom, left:right]))
    inverse = np.linalg.inv(matrix[:, :2])
    factor = max(1, int(1 / np.hypot(*matrix[:, 0])))  # frame pixels per chip pixel
    if factor > 1:
        image = image.reduce(factor)
    offset = -inverse @ matrix[:, 2] - (left, top)
    affine = np.column_stack([inverse, offset]) / factor
    size = (_SIDE, _SIDE)
    chip = image.transform(
        size, Image.Transform.AFFINE, affine.reshape(6).tolist(), resample=Image.Resampling.BILINEAR
    )
    return np.asarray(chip, np.uint8)


def _sharpness(chip: ImageU8) -> float:
    """Return the standard deviation of the Laplacian over that of the luma, at half size; 0 if flat."""
    half = Image.fromarray(chip).reduce(2)
    luma = np.asarray(half, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    inner = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((around - 4 * inner).std() / max(float(luma.std()), 8.0))


@cache
def _session() -> Session:
    """Return the packaged network on one thread; loaded at the first face."""
    model = resources.files("newscaster").joinpath("data/face_descriptor.onnx").read_bytes()
    return Session(model, threads=1, name="the face descriptor network", trusted=True)
