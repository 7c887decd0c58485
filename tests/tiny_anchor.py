"""An anchor that needs no training and no footage: tiny networks, a drawn stage, the real feature code."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.face.crop import FaceCrop, lower_face_mask
from newscaster.face.head_pose import Head, Poses
from newscaster.face.mouth_basis import MouthBasis, place_mouth
from newscaster.face.topology import (
    INNER_LIPS,
    JAW,
    LANDMARKS,
    LEFT_EYE_OUTER,
    MOUTH,
    OUTER_LIPS,
    RIGHT_EYE_OUTER,
)
from newscaster.formats.anchor import AnchorFace, write_anchor
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.matting import Matte
from newscaster.matting.moved import MovedImage, encode_moved
from newscaster.matting.packed import is_packed, packed
from newscaster.matting.planes import FrameMatte
from newscaster.matting.store import MatteStore, MatteWriter
from newscaster.media import YuvFrame
from newscaster.media.color import ColourTags, FromRgb
from newscaster.speech.encoder import packaged_encoder
from newscaster.speech.features import FeatureSpec
from onnx_networks import motion_network, renderer_network

COEFFICIENTS = 4
CONTEXT_STEPS = 3


def speech_like(seconds: float, rate: int = 16_000, *, seed: int = 0) -> np.ndarray:
    """A buzz through moving formants, in syllables, taken for speech by newscaster: (N,) float32."""
    return _speech_like(seconds, rate, seed).copy()


@lru_cache(maxsize=64)
def _speech_like(seconds: float, rate: int, seed: int) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    turns = 2 * np.pi * t + np.random.default_rng(seed).uniform(0, 6)
    pitch = 115 + 12 * np.sin(0.6 * turns) + 6 * np.sin(2.3 * turns)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = ((500 + 200 * np.sin(2.9 * turns), 80, 1.0), (1500 + 500 * np.sin(1.7 * turns), 110, 0.6))
    buzz = np.zeros(len(t))
    for k in range(1, 40):
        buzz += np.sin(k * phase) * sum(g / (1 + ((k * pitch - f) / width) ** 2) for f, width, g in formants)
    loud = np.clip(0.55 + 0.6 * np.sin(3.7 * turns), 0.02, 1)
    return (0.12 * buzz * loud).astype(np.float32)


def head() -> Head:
    """A drawn face: eyes, lips as ellipses, the jaw as an arc."""
    points = np.zeros((LANDMARKS, 3))
    around = np.pi + np.arange(len(OUTER_LIPS)) / len(OUTER_LIPS) * 2 * np.pi
    for ring, (rx, ry) in ((OUTER_LIPS, (0.28, 0.12)), (INNER_LIPS, (0.2, 0.05))):
        points[list(ring), 0] = rx * np.cos(around)
        points[list(ring), 1] = 0.85 + ry * np.sin(around)
    along = np.linspace(0, np.pi, len(JAW))
    points[list(JAW), 0] = 0.65 * np.cos(along)
    points[list(JAW), 1] = 0.6 + 0.7 * np.sin(along)
    points[list(MOUTH), 2] = -0.1
    points[LEFT_EYE_OUTER, 0], points[RIGHT_EYE_OUTER, 0] = -0.5, 0.5
    return Head(points)


def poses(frames: int, size: tuple[int, int], scale: float) -> Poses:
    """A head that nods a little, upright in the middle of the picture."""
    t = np.arange(frames)
    roll = 0.05 * np.sin(t)
    rows = np.stack(
        [
            np.stack([np.cos(roll), -np.sin(roll), np.zeros(frames)], axis=1),
            np.stack([np.sin(roll), np.cos(roll), np.zeros(frames)], axis=1),
        ],
        axis=1,
    )
    width, height = size
    shift = np.stack([width / 2 + np.cos(t), height * 0.3 + np.sin(t)], axis=1)
    return Poses(scale * rows, shift)


@cache
def _encoded(frames: int, size: tuple[int, int], fps: Fraction) -> bytes:
    """The stage's video. Once for all: under load, x264 now and then encodes some pixels otherwise."""
    return media.encode_target(iter(images(frames, size)), fps)


def images(frames: int, size: tuple[int, int]) -> np.ndarray:
    """(F, H, W, 3) uint8: slow colours that tell the frames apart."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    out = [
        np.stack([x * 200 / width + 2 * i, y * 200 / height, np.full_like(x, 10 * (i % 20))], axis=-1)
        for i in range(frames)
    ]
    return np.clip(out, 0, 255).astype(np.uint8)


def tiny_matte(frames: int, size: tuple[int, int]) -> bytes:
    """A stored matte: a rectangle in the middle of each frame, with a soft edge of four pixels."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    inside = np.minimum(np.minimum(x - width // 4, 3 * width // 4 - 1 - x), y - height // 4)
    alpha = np.clip(inside * 51, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=(width + width % 2, height + height % 2)) as writer:
        for image in images(frames, size):
            frame = YuvFrame(FromRgb(ColourTags.for_height(height))(image), size)
            writer.add(FrameMatte.of(Matte(alpha, image, True), frame))
    return buffer.getvalue()


def tiny_packed_matte(frames: int = 10, size: tuple[int, int] = (96, 80)) -> bytes:
    """A packed matte: the rectangle of :func:`tiny_matte`, with noise in its alpha, so that packing pays."""
    width, height = size
    rng, image = np.random.default_rng(0), next(iter(images(1, size)))
    frame = YuvFrame(FromRgb(ColourTags.for_height(height))(image), size)
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=size) as writer:
        for _ in range(frames):
            alpha = np.zeros((height, width), np.uint8)
            alpha[8:-8, 8:-8] = rng.integers(3, 252, (height - 16, width - 16))
            writer.add(FrameMatte.of(Matte(alpha, image, True), frame))
    small = packed(buffer.getvalue())
    assert is_packed(small)
    return small


def tiny_moved_matte(frames: int = 10, size: tuple[int, int] = (96, 80)) -> bytes:
    """A stored matte: the rectangle of the first frame, moved to and fro."""
    width, height = size
    columns, rows = np.linspace(0, width, 7).astype(np.int64), np.linspace(0, height, 6).astype(np.int64)
    places = np.stack(np.meshgrid(columns, rows), axis=-1).astype(np.float64)
    grids = np.stack([places] * frames)
    grids[:, 1:-1, 1:-1, 0] += 2 * np.sin(np.arange(frames))[:, None, None]
    grids[:, 1:-1, 1:-1, 1] += np.cos(np.arange(frames))[:, None, None]
    matte = MatteStore(tiny_matte(1, size)).frame(0)
    image, coefficients = MovedImage.of(matte, grids, columns, rows)
    buffer = io.BytesIO()
    with MatteWriter(buffer, size=size, image=encode_moved(image)) as writer:
        for row in coefficients:
            writer.add_moved(row)
    return buffer.getvalue()


def tiny_basis() -> MouthBasis:
    """Four directions in which the drawn mouth moves, any which way."""
    flat = np.random.default_rng(1).standard_normal((2 * len(MOUTH), COEFFICIENTS))
    components = np.linalg.qr(flat)[0].T.reshape(COEFFICIENTS, len(MOUTH), 2)
    return MouthBasis(head().points[list(MOUTH), :2], components, np.full(COEFFICIENTS, 0.1))


def tiny_face(
    *, frames: int, size: tuple[int, int], crop: FaceCrop, scale: float, person: Head | None = None
) -> AnchorFace:
    person, stands = person or head(), poses(frames, size, scale)
    basis = tiny_basis()
    transforms = crop.transforms(person, stands)
    placed = transforms.apply(
        place_mouth(np.broadcast_to(basis.mean, (frames, *basis.mean.shape)), person, stands)
    )
    landmarks = np.zeros((frames, LANDMARKS, 3), np.float32)
    landmarks[:, :, :2] = stands.project(person.points)
    return AnchorFace(
        basis=basis,
        head=person,
        mask=lower_face_mask(placed, crop),
        poses=stands,
        transforms=transforms,
        landmarks=landmarks,
    )


def write_tiny_anchor(
    path: Path,
    *,
    fps: Fraction = Fraction(25),
    frames: int = 10,
    size: tuple[int, int] = (96, 80),
    features: str = "log-mel",
    motion: bytes | None = None,
    renderer: bytes | None = None,
    target: bytes | None = None,
    matte: bytes | None = None,
    stage_fps: Fraction | None = None,
    side: int = 128,
    map_side: int = 64,
    scale: float = 24.0,
    person: Head | None = None,
    blend_weight: np.ndarray | None = None,
    segment: np.ndarray | None = None,
    **changes: object,
) -> Path:
    """Write it; `person` is whose head it has, and `changes` are fields of its AnchorInfo."""
    crop = FaceCrop(side, 1.8)
    spec = FeatureSpec(kind=features)
    face = tiny_face(frames=frames, size=size, crop=crop, scale=scale, person=person)
    face = replace(face, blend_weight=blend_weight, segment=segment)
    values: dict = {
        "name": "Tiny",
        "fps": fps,
        "size": size,
        "target_frames": frames,
        "crop": crop,
        "features": spec,
        "coefficients": COEFFICIENTS,
        "context_steps": CONTEXT_STEPS,
        "map_side": map_side,
        "consent": {"statement": "drawn by a test"},
        "attribution": ("Drawn by a test", "CC0"),
    }
    return write_anchor(
        path,
        AnchorInfo(**{**values, **changes}),
        face,
        motion=motion
        or motion_network(width=spec.width, coefficients=COEFFICIENTS, context_steps=CONTEXT_STEPS),
        renderer=renderer or renderer_network(side=side, map_side=map_side),
        target=target or _encoded(frames, size, Fraction(stage_fps or fps)),
        matte=matte,
        speech_encoder=packaged_encoder() if spec.needs_encoder and "shared_encoder" not in changes else None,
    )
