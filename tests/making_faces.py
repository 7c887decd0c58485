"""A cartoon face that moves and talks in front of a wall: training data of full-frame networks in tests."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faces import face_points, rotation
from newscaster.face.full_face_map import BROWS, CHANNELS, EYES, FACE_OVAL, IRISES, draw_full_face_map
from newscaster.face.head_pose import Head
from newscaster.face.topology import JAW
from newscaster.formats.dataset import Clip, ClipRecord
from newscaster.formats.dataset_writer import write_track
from newscaster.media import write_video
from newscaster.models.portrait.data import FullFrameData, WholeFrames
from newscaster.models.portrait.network import FullFrameConfig

SIZE, EYES_PX = (96, 80), 14.0
TINY = FullFrameConfig(
    size=SIZE,
    eye_distance_px=EYES_PX,
    channels=(8, 12),
    encoder_blocks=(1, 1),
    decoder_blocks=(1,),
    texture_channels=4,
    appearances=2,
    code=8,
)
_PAINTS = {
    "face oval": (200, 160, 140), "brows": (90, 60, 40), "nose": (190, 140, 120), "eyes": (240, 240, 240),
    "irises": (40, 60, 90), "upper lip": (170, 70, 80), "lower lip": (180, 80, 90),
    "inner mouth": (40, 10, 10),
}  # fmt: skip


def whole_face(opening: float = 0.0) -> npt.NDArray[np.float64]:
    """(478, 3) in inter-ocular distances; unlike `face_points` with true outline, brows and eyes."""
    points = face_points(opening)
    outline = [index for index in FACE_OVAL if index not in JAW]
    angle = np.linspace(0, 2 * np.pi, len(FACE_OVAL), endpoint=False) - np.pi / 2
    ring = np.stack([0.8 * np.cos(angle), 0.5 + 1.1 * np.sin(angle), 0.4 - 0.4 * np.cos(angle) ** 2], axis=1)
    for index, place in zip(FACE_OVAL, ring, strict=True):
        if index in outline:
            points[index] = place
    for side, (lids, brow, iris) in zip((-1, 1), zip(EYES, BROWS, IRISES, strict=True), strict=True):
        middle, turn = np.array([0.34 * side, 0.0, -0.05]), np.arange(len(lids)) * 2 * np.pi / len(lids)
        around = np.stack([-np.cos(turn) * -side * 0.16, -np.sin(turn) * 0.09, 0 * turn], axis=1)
        points[list(lids)] = middle + around
        bow = np.linspace(-0.2, 0.2, 5)
        above = np.stack([bow, -0.25 - 0 * bow, 0 * bow - 0.1], axis=1) + np.array([0.34 * side, 0, 0])
        points[list(brow)] = np.concatenate([above, above[::-1] + np.array([0, 0.06, 0])])
        points[list(iris)] = middle + 0.06 * np.array(
            [(0, 0, 0), (1, 0, 0), (0, -1, 0), (-1, 0, 0), (0, 1, 0)]
        )
    return points


HEAD = Head(whole_face())


def moving_faces(
    frames: int, *, seed: int = 0, place: tuple[float, float] = (48.0, 32.0), eyes_px: float = EYES_PX
) -> npt.NDArray[np.float32]:
    """Landmarks (F, 478, 3) of a head that moves and talks."""
    rng = np.random.default_rng(seed)
    phases, faces = rng.uniform(0, 6, 5), []
    for t in np.arange(frames) / 25:
        turn = rotation(
            yaw=8 * np.sin(3 * t + phases[0]), pitch=3 * np.sin(4 * t + phases[1]), roll=3 * np.sin(2 * t)
        )
        opening = 0.2 * max(0.0, np.sin(12 * t + phases[2]))
        points = eyes_px * whole_face(float(opening)) @ turn.T
        away = 0.25 * eyes_px * np.array([np.sin(2.5 * t + phases[3]), 0.6 * np.sin(3.5 * t + phases[4])])
        points[:, :2] += np.array(place) + away
        faces.append(points)
    return np.array(faces, np.float32)


def draw(
    landmarks: npt.NDArray[np.floating], *, size: tuple[int, int] = SIZE, session: int = 0
) -> npt.NDArray[np.uint8]:
    """(F, H, W, 3): the faces before a wall of stripes, which is shifted in another session."""
    xs, ys = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    wall = np.stack(
        [60 + 30 * ((xs + 4 * session) // 6 % 2), 70 + ys * 60 // size[1], 110 + 20 * ((ys // 5) % 2)],
        axis=-1,
    )
    images = []
    for face in landmarks:
        drawn = draw_full_face_map(face, size=size, cell=1)[..., None] / 255
        image = wall.astype(np.float64)
        for name, part in zip(CHANNELS, drawn, strict=True):
            if name in _PAINTS:
                image = image * (1 - part) + part * np.array(_PAINTS[name])
        images.append(image.round().astype(np.uint8))
    return np.stack(images)


def frames_of(clips: list[npt.NDArray[np.float32]], *, sessions: list[int] | None = None) -> WholeFrames:
    """Return frames of clips of landmarks, with the images in memory."""
    planes = []
    for landmarks in clips:
        poses = HEAD.poses(landmarks, sigma_frames=1.5)
        planes.append(np.concatenate([poses.matrix[:, :, :2], poses.shift[:, :, None]], axis=2))
    counts = [len(clip) for clip in clips]
    return WholeFrames(
        np.concatenate(
            [draw(c, session=s) for c, s in zip(clips, sessions or [0] * len(clips), strict=True)]
        ),
        np.arange(sum(counts)),
        np.concatenate(clips)[:, :, :2],
        np.concatenate(planes).astype(np.float32),
        np.concatenate([np.repeat(p.mean(axis=0)[None], len(p), axis=0) for p in planes]).astype(np.float32),
        np.repeat(np.arange(len(clips)), counts),
        np.concatenate([np.arange(count) for count in counts]),
    )


def two_sessions() -> FullFrameData:
    """Clips of a head in two places."""
    sessions = [0, 0, 1, 0, 1]
    places = [((44.0, 32.0), (53.0, 30.0))[session] for session in sessions]
    clips = [moving_faces(12, seed=seed, place=place) for seed, place in enumerate(places)]
    return FullFrameData.of(frames_of(clips, sessions=sessions))


def write_clip(
    folder: Path,
    *,
    seed: int = 0,
    frames: int = 24,
    absent: tuple[int, ...] = (),
    size: tuple[int, int] = SIZE,
    eyes_px: float = EYES_PX,
) -> Clip:
    """Write a clip and its source, a video in the same folder; the clip skips the first two frames."""
    folder.mkdir(parents=True)
    landmarks = moving_faces(frames + 2, seed=seed, place=(size[0] / 2, size[1] * 0.4), eyes_px=eyes_px)
    source = folder / "source.mp4"
    write_video(source, iter(draw(landmarks, size=size)), fps=Fraction(25), audio=None, crf=8)
    found = source.stat()
    record = ClipRecord(
        *(str(source), found.st_size, found.st_mtime_ns, 2, None, Fraction(25), size, None, 0, 1)
    )
    seen, present = landmarks[2:].copy(), np.ones(frames, bool)
    seen[list(absent)], present[list(absent)] = np.nan, False
    speech = np.zeros(frames * 640, np.float32)
    stored = write_track(folder, record, landmarks=seen, present=present, speech=speech)
    return Clip(folder, stored)
