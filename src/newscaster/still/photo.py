"""Photographs: reading them as upright sRGB, and the landmarks of the person's face.

A photograph that cannot become a target video is refused here, with the reason. ``target`` animates it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from newscaster.errors import FootageError, MediaError
from newscaster.face.head_pose import Head
from newscaster.face.topology import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from newscaster.media.srgb import converted_profile, eight_bits, split_alpha
from newscaster.prepare.mouth_occlusion import OcclusionMeter, covered_frames
from newscaster.safety.readers import open_regular_file
from newscaster.tracking import FaceDetector, FaceMesh, FaceRoi
from newscaster.tracking.roi import overlap
from newscaster.types import ArrayBool, ImageU8, Landmarks

MAX_SIDE_PX = 2048
"""Longer side of the photographs returned; larger ones are reduced."""
MAX_PHOTO_PIXELS = 1 << 26
"""Maximum pixels of a file: 67 million."""
MIN_FACE_PX = 96
"""Minimum height of a face, from the hairline to the chin."""
MAX_YAW_DEGREES = 35.0
_MIN_PRESENCE = 0.5
_SAME_FACE = 0.5
"""Two detections that overlap by more are one face."""
_BYSTANDER = 0.4
"""A face smaller than this fraction of the largest one does not make the choice ambiguous."""
_MESH_STEPS = 3
"""Runs of the mesh; each is placed by the landmarks before. The result is stable from the second."""
_MAX_ROLL_DEGREES = 50.0
"""A face that is tilted by more lies on its side."""
_CLEARLY = 2.0
"""Difference of the logits of two presences. In first frames of 112 videos, the upright one leads the three
others by 4.7 or more."""
_GREY = 128
_FORMATS = "a JPEG, PNG, WebP, TIFF or BMP"
_ADVICE = "Give a photograph that shows the face from the front, free and well lit"


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph."""

    pixels: ImageU8
    """(H, W, 3) RGB in sRGB, upright; H and W are even and at most :data:`MAX_SIDE_PX`."""
    notes: tuple[str, ...] = ()
    """What was changed, one sentence each."""


def read_photo(path: Path) -> Photo:
    """Read a photograph: orientation of the EXIF data applied, colour profile converted to sRGB.

    Transparent pixels lie over mid-grey. 16-bit and palette images become 8-bit RGB.

    Raises:
        MediaError: the file is missing, damaged, no still image, or too large.
    """
    try:
        with open_regular_file(path) as file, Image.open(file) as image:
            _check(image, path)
            image.draft(None, (2 * MAX_SIDE_PX, 2 * MAX_SIDE_PX))  # JPEG: decodes no more than is needed
            notes: list[str] = []
            return _fitted(_to_srgb(ImageOps.exif_transpose(image), path, notes), path, notes)
    except UnidentifiedImageError as error:
        raise MediaError(f"'{path}' is not an image that can be read; expected {_FORMATS} file") from error
    except FileNotFoundError as error:
        raise MediaError(f"no such file: '{path}'. Give {_FORMATS} file") from error
    except Image.DecompressionBombError as error:
        raise MediaError(_too_large(path, "too many")) from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise MediaError(
            f"'{path}' cannot be read ({error!s:.200}). Export it again, or give another"
        ) from error


def upright(photo: Photo) -> Photo:
    """Return a photograph turned by the quarter turns that set its largest face upright, with a note.

    Cameras write the orientation into the EXIF data, which many programs drop. An upside-down face may look
    like an upright one with a covered mouth, or even like a free one. So all four ways are compared.
    """
    logits = [_upright_logit(np.ascontiguousarray(np.rot90(photo.pixels, turns))) for turns in range(4)]
    turns = int(np.argmax(logits))
    if turns == 0 or logits[turns] < logits[0] + _CLEARLY:
        return photo
    was = "upside down" if turns == 2 else "on its side"
    pixels = np.ascontiguousarray(np.rot90(photo.pixels, turns))
    note = f"the face is {was}, so the photograph was turned"
    return replace(photo, pixels=pixels, notes=(*photo.notes, note))


def find_face(pixels: ImageU8, *, name: str, face: int | None = None) -> Landmarks:
    """Return the landmarks (478, 3) of the one person in a photograph.

    Args:
        pixels: (H, W, 3) RGB.
        name: of the photograph, for errors.
        face: number of the face if there are several; 0 is the leftmost.

    Raises:
        FootageError: there is no face, it is too small, turned away or covered, none has this number, or
            there are several and ``face`` is None.
    """
    faces = _find_faces(pixels)
    landmarks = _chosen(faces, name, face)
    height = _size(landmarks)
    if height < MIN_FACE_PX:
        raise FootageError(
            f"the face in '{name}' is {height:.0f} pixels high; accepted are {MIN_FACE_PX} or more. "
            "Give a larger photograph, or one from closer"
        )
    yaw = float(Head.fit(landmarks[None]).poses(landmarks[None]).angles[0, 0])
    if abs(yaw) > MAX_YAW_DEGREES:
        raise FootageError(
            f"the face in '{name}' is turned by {abs(yaw):.0f} degrees to the side; accepted are at most "
            f"{MAX_YAW_DEGREES:.0f}. {_ADVICE}"
        )
    if _is_mouth_covered(pixels, landmarks):
        raise FootageError(
            f"the mouth of the face in '{name}' is covered, or too bright, dark or coarse to be made out; "
            f"expected free lips and a free chin. {_ADVICE}"
        )
    return landmarks


def _check(image: Image.Image, path: Path) -> None:
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise MediaError(f"'{path}' has several images; expected a single one: {_FORMATS} file")
    if image.width * image.height > MAX_PHOTO_PIXELS:
        raise MediaError(_too_large(path, f"{image.width}x{image.height}"))
    if image.mode == "F":
        raise MediaError(f"'{path}' has floating-point pixels; expected 8 or 16 bits. Export it as a PNG")


def _too_large(path: Path, found: str) -> str:
    limit = MAX_PHOTO_PIXELS >> 20
    return f"'{path}' has {found} pixels; accepted are {limit} Mi in all. Give a smaller version"


def _to_srgb(image: Image.Image, path: Path, notes: list[str]) -> Image.Image:
    """Convert an image of any mode and profile to sRGB, over mid-grey."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") and np.asarray(image, np.float64).max(initial=0) > 0xFFFF:
        raise MediaError(f"'{path}' has 32-bit pixels; expected 8 or 16 bits. Export it as a PNG")
    colours, alpha = split_alpha(eight_bits(image))
    converted = converted_profile(colours, profile) if profile else None
    if profile and converted is None:
        notes.append("the colour profile is damaged and was ignored; sRGB is assumed")
    rgb = converted or colours.convert("RGB")
    if alpha is None or alpha.getextrema()[0] == 255:
        return rgb
    notes.append("transparent pixels were filled with grey")
    return Image.composite(rgb, Image.new("RGB", rgb.size, (_GREY,) * 3), alpha)


def _fitted(image: Image.Image, path: Path, notes: list[str]) -> Photo:
    """Reduce an image to :data:`MAX_SIDE_PX`, and drop a last odd row and column."""
    width, height = image.size
    scale = min(1.0, MAX_SIDE_PX / max(width, height))
    if scale < 1:
        size = (round(width * scale), round(height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
        notes.append(f"the photograph was reduced to {size[0]}x{size[1]} pixels")
    width, height = (side - side % 2 for side in image.size)
    if min(width, height) < MIN_FACE_PX:
        raise MediaError(
            f"'{path}' has {image.width}x{image.height} pixels; accepted are {MIN_FACE_PX} or more on each "
            "side. Give a larger photograph"
        )
    return Photo(np.asarray(image.crop((0, 0, width, height)), np.uint8), tuple(notes))


def _upright_logit(pixels: ImageU8) -> float:
    """Return the logit of the presence of the largest face that is not tilted much; minus infinity if none.

    Faces that are too small do not count: what is found in the dark of a profile may be one of them.
    """
    presences = [
        (_size(landmarks), presence)
        for landmarks, presence in _present_faces(pixels)
        if abs(_roll(landmarks)) <= _MAX_ROLL_DEGREES and _size(landmarks) >= MIN_FACE_PX
    ]
    if not presences:
        return -np.inf
    presence = np.clip(max(presences)[1], 1e-15, 1 - 1e-15)
    return float(np.log(presence / (1 - presence)))


def _roll(landmarks: Landmarks) -> float:
    """Return the angle of the line from the image's left eye to its right, in degrees."""
    across = landmarks[RIGHT_EYE_OUTER, :2] - landmarks[LEFT_EYE_OUTER, :2]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def _find_faces(pixels: ImageU8) -> list[Landmarks]:
    """Return the landmarks of all faces, from left to right."""
    faces = [landmarks for landmarks, _ in _present_faces(pixels)]
    return sorted(faces, key=lambda points: float(points[:, 0].mean()))


def _present_faces(pixels: ImageU8) -> list[tuple[Landmarks, float]]:
    """Return the landmarks and the presence of each face, 0 to 1."""
    mesh, faces = FaceMesh(), []
    boxes: list[FaceRoi] = []
    for roi in FaceDetector().detect(pixels).rois():
        if any(overlap(roi.box, other.box) > _SAME_FACE for other in boxes):
            continue
        boxes.append(roi)
        presence = 0.0
        for _ in range(_MESH_STEPS):
            landmarks, scores = mesh.find([(pixels, roi)])
            presence = float(scores[0])
            if presence <= _MIN_PRESENCE:
                break
            roi = FaceRoi.of_landmarks(landmarks[0])
        if presence > _MIN_PRESENCE:
            faces.append((landmarks[0], presence))
    return faces


def _size(landmarks: Landmarks) -> float:
    """Return the height of a face in pixels, of whatever roll: its longer side."""
    return float(np.ptp(landmarks[:, :2], axis=0).max())


def _chosen(faces: list[Landmarks], name: str, face: int | None) -> Landmarks:
    if not faces:
        raise FootageError(f"no face was found in '{name}'. {_ADVICE}")
    accepted = "0" if len(faces) == 1 else f"0 (leftmost) to {len(faces) - 1}"
    if face is not None:
        if not 0 <= face < len(faces):
            count = "1 face was" if len(faces) == 1 else f"{len(faces)} faces were"
            raise FootageError(
                f"face={face} was requested, but {count} found in '{name}'; accepted: {accepted}"
            )
        return faces[face]
    largest = max(faces, key=_size)
    candidates = sum(_size(points) >= _BYSTANDER * _size(largest) for points in faces)
    if candidates > 1:
        raise FootageError(
            f"'{name}' shows {len(faces)} faces; expected one person. Select one with face={accepted}, or "
            "give a photograph of one person"
        )
    return largest


def _is_mouth_covered(pixels: ImageU8, landmarks: Landmarks) -> bool:
    meter = OcclusionMeter()
    meter.add(0, pixels, landmarks)
    present: ArrayBool = np.ones(1, np.bool_)
    return bool(covered_frames(meter.fractions(1), present, 25.0)[0])
