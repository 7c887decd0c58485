"""A small prepared dataset, written as preparation writes one, without footage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from faces import face_points, talking
from making_media import moving_pattern
from newscaster.face.crop import FaceCrop, lower_face_mask
from newscaster.face.head_pose import Head
from newscaster.face.topology import MOUTH
from newscaster.formats.dataset import ClipRecord, Dataset, Target, TargetPart
from newscaster.formats.dataset_writer import DatasetWriter, write_track, write_transforms, writing_crops
from newscaster.media import encode_target

FPS, FRAMES = Fraction(30_000, 1001), 20
HEAD, CROP = Head(face_points()), FaceCrop(128, 2.0)


def record() -> ClipRecord:
    return ClipRecord("/footage/a.mp4", 1234, 5678, 100, 120, FPS, (320, 240), None, 0, 1)


def write_clip(folder: Path) -> None:
    landmarks, present = talking(FRAMES), np.ones(FRAMES, bool)
    present[4] = False
    landmarks[4] = np.nan
    speech = np.zeros(round(FRAMES * 16_000 / FPS), np.float32)
    stored = write_track(folder, record(), landmarks=landmarks, present=present, speech=speech)
    with writing_crops(folder, frames=FRAMES, side=128) as crops:
        crops[:] = 7
    transforms = CROP.transforms(HEAD, HEAD.poses(landmarks, present))
    write_transforms(folder, stored, transforms, "fingerprint")


def write_take(folder: Path) -> Dataset:
    landmarks = talking(12)
    poses = HEAD.poses(landmarks)
    transforms = CROP.transforms(HEAD, poses)
    mask = lower_face_mask(transforms.apply(landmarks[:, list(MOUTH), :2]), CROP)
    target = Target(
        folder,
        "/footage/a.mp4",
        103,
        (96, 64),
        landmarks,
        poses,
        transforms,
        parts=(TargetPart("/footage/a.mp4", 103, 5), TargetPart("/footage/b.mp4", 0, 7)),
        blend_weight=np.linspace(0, 1, 12, dtype=np.float32),
        thumbnails=np.full((12, 2, 48, 48), 9, np.uint8),
    )
    with DatasetWriter(folder) as writer:
        for name in ("one", "two"):
            write_clip(writer.clip_folder(name))
        writer.write_face(HEAD, mask)
        writer.write_target(encode_target(moving_pattern(12), FPS), target)
        return writer.finish(fps=FPS, crop=CROP, clips=["two", "one"], target=target, warnings=["note"])
