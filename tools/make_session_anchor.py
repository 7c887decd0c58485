"""Make the pictures of the bundled anchor grid-s4 from footage of speaker 4 of the GRID corpus, untrained.

    python tools/make_session_anchor.py --footage FOLDER:NAMES.txt --work FOLDER --out NAME.anchor
    python tools/renew_motion.py NAME.anchor --footage FOLDER:NAMES.txt --work FOLDER \
        --out src/newscaster/data/grid-s4.anchor

The anchor of the first command speaks with the base motion network; the second one adapts it to her speech.
With ``--motion-of ANCHOR``, an anchor of the same key picture, the first command renews the pictures alone.

No frame of the footage is in it. Every picture is a mean of frames of several sentences of one session, each
aligned to the landmarks of the mean face::

    frames at rest, eyes open ─► key picture ─► target video: `newscaster.still` moves it
    frames with like mouths ───► key picture with that mouth: what the renderer copies from

Means are soft, so both are sharpened to the sharpness of single frames. ``--work`` keeps the prepared footage
and the pictures: the same command goes on from there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from train_base_motion import footage
from work_folder import work_folder

from newscaster.consent import Consent
from newscaster.errors import DatasetError
from newscaster.face.crop import Mask, cut_crop
from newscaster.face.mouth_basis import MouthBasis
from newscaster.face.references import References, spread_mouths
from newscaster.face.topology import LEFT_EYE_OUTER, MOUTH, OPENING_PAIRS, RIGHT_EYE_OUTER
from newscaster.formats.anchor import MATTE, MOTION, RENDERER_WEIGHTS, AnchorFile, write_anchor
from newscaster.formats.dataset import Clip, Dataset
from newscaster.media import encode_target, read_frames
from newscaster.prepare import prepare
from newscaster.still.head_motion import HeadMotion
from newscaster.still.photo import find_face
from newscaster.still.target import StillTarget
from newscaster.synthesis.photo_anchor import KnownFace, write_photo_anchor

NAME = "GRID speaker 4"
CONSENT = (
    "The speakers of the GRID corpus were recorded for research, and their recordings published under "
    "CC BY 4.0. For demonstrations of newscaster; every picture is a mean of many frames."
)
ATTRIBUTION = (
    "Made from speaker 4 of the GRID audiovisual sentence corpus: M. Cooke, J. Barker, S. Cunningham, "
    "X. Shao (2006), doi 10.5281/zenodo.3625687, CC BY 4.0. No frame of the corpus is shown."
)
SESSION = ("bbilzs", "bbwgza", "bgbu2a", "brwm8s", "bwbt5p", "lrbr2s")
"""Sentences of the session that is shown: the one in which head and shoulders are in the frame."""
FPS = Fraction(25)
SECONDS = 12.0
ENCODING: Mapping[str, Any] = {"preset": "veryslow", "crf": 14}
"""Of the target: as near to the frames as superfast and 12, in three fifths of the bytes."""
_KEY_FRAMES = 8
"""Frames of each sentence in the key picture."""
_MOUTHS, _MEMBERS = 72, 16
"""References, and frames of which each is the mean."""
_SHARPENING, _MOUTH_SHARPENING, _SHARPENING_PX = 1.0, 0.65, 1.1
"""Of the key picture, so that its moved face is as sharp as the footage, and of the references.

For these, 16 and 0.65 were chosen by the six sentences, each rendered from references of the other five:
33.8 dB and 1.00 of the sharpness, 0.83 to 1.20. With 10 and 0.45, it is 0.91. With 24 and 0.85, one of three
loses 0.2 dB.
"""
_CELL = 12
_REACH_PX = 14.0
"""Distance over which a landmark moves the pixels around it."""
_BODY_PX = (10, 100)
"""Distances below the chin at which pixels start to follow the head less, and follow it no more."""
_BORDER_PX = (30, 12)
"""Columns at the left and right, and rows at the top, that show the end of the backdrop."""
_LIDS = ((159, 145), (386, 374))
_FACE = 468


@dataclass(frozen=True)
class Session:
    """The frames of a session, and the landmarks in them."""

    clips: Sequence[Clip]
    landmarks: np.ndarray
    """(F, 478, 3) in pixels of the frames."""
    places: np.ndarray
    """(F, 2): clip and frame of each."""

    @staticmethod
    def of(dataset: Dataset) -> Session:
        """Return the session that is shown."""
        clips = [clip for clip in dataset.clips if Path(clip.record.source).stem in SESSION]
        rows = [(index, number) for index, clip in enumerate(clips) for number in range(clip.frames)]
        landmarks = np.concatenate([clip.landmarks for clip in clips]).astype(np.float64)
        return Session(clips, landmarks, np.array(rows))

    def distance(self, first: int, second: int) -> np.ndarray:
        """Return the distance of two landmarks in each frame, in IOD, (F,)."""
        unit = np.linalg.norm(
            self.landmarks[:, LEFT_EYE_OUTER, :2] - self.landmarks[:, RIGHT_EYE_OUTER, :2], axis=1
        )
        apart = np.linalg.norm(self.landmarks[:, first, :2] - self.landmarks[:, second, :2], axis=1)
        return np.asarray(apart / unit)

    def images(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the frames with these numbers, in any order."""
        for index, clip in enumerate(self.clips):
            mine = {int(self.places[n, 1]): int(n) for n in numbers if self.places[n, 0] == index}
            for number, image in enumerate(read_frames(Path(clip.record.source), fps=FPS)):
                if number in mine:
                    yield mine[number], image


def resting(session: Session, dataset: Dataset) -> np.ndarray:
    """Return the numbers of frames with open eyes, closed lips and the usual pose."""
    angles = np.concatenate([dataset.head.poses(clip.landmarks).angles for clip in session.clips])
    eyes = np.mean([session.distance(*pair) for pair in _LIDS], axis=0)
    gap = np.mean([session.distance(*pair) for pair in OPENING_PAIRS], axis=0)
    possible = (eyes > np.percentile(eyes, 55)) & (gap < np.percentile(gap, 30))
    turned = np.linalg.norm(angles - np.median(angles[possible], axis=0), axis=1)
    cost = turned / 0.8 + np.abs(gap - np.percentile(gap, 8)) / 0.006
    cost += np.maximum(0, np.percentile(eyes, 80) - eyes) / 0.006
    cost[~possible] = np.inf
    chosen = []
    for index in range(len(session.clips)):
        mine = np.flatnonzero((session.places[:, 0] == index) & possible)
        chosen.append(mine[np.argsort(cost[mine])][:_KEY_FRAMES])
    return np.concatenate(chosen)


def similarity(source: np.ndarray, goal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return matrix (2, 2) and offset (2,) of the similarity that maps points (P, 2) nearest to others."""
    a, b = source - source.mean(axis=0), goal - goal.mean(axis=0)
    along, across = (a * b).sum(), (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()
    matrix = np.array([[along, -across], [across, along]]) / (a**2).sum()
    return matrix, goal.mean(axis=0) - matrix @ source.mean(axis=0)


STEADY = np.array([i for i in range(_FACE) if i not in set(MOUTH) | {p for pair in _LIDS for p in pair}])
"""Landmarks that neither speech nor blinks move."""


def aligned(
    image: np.ndarray, landmarks: np.ndarray, goal: np.ndarray, box: tuple[int, int, int, int] | None = None
) -> np.ndarray:
    """Move a frame (H, W, 3) with landmarks (478, 2) so that they lie at others (478, 2).

    Hair follows the head, the body stays, and each landmark of the face moves the pixels around it. Of the
    result, a box is returned: left, top, right and bottom, multiples of the cell; by default all of it.
    """
    left, top, right, bottom = box or (0, 0, image.shape[1], image.shape[0])
    xs, ys = np.arange(left, right + 1, _CELL), np.arange(top, bottom + 1, _CELL)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).astype(np.float64)
    matrix, offset = similarity(goal[STEADY], landmarks[STEADY])
    first, last = goal[:_FACE, 1].max() + _BODY_PX[0], goal[:_FACE, 1].max() + _BODY_PX[1]
    follows = 1 - np.clip((grid[..., 1:] - first) / (last - first), 0, 1)
    follows = follows * follows * (3 - 2 * follows)
    source = grid + follows * (grid @ matrix.T + offset - grid)
    across, down = (
        np.exp(-((line[:, None] - goal[None, :_FACE, axis]) ** 2) / (2 * _REACH_PX**2))
        for axis, line in enumerate((xs, ys))
    )
    weights = down[:, None] * across[None]
    total = weights.sum(axis=-1, keepdims=True)
    rest = landmarks[:_FACE] - (goal[:_FACE] @ matrix.T + offset)
    source += weights @ rest / np.maximum(total, 1e-9) * np.clip(2 * total, 0, 1)
    mesh = []
    for i, j in np.ndindex(len(ys) - 1, len(xs) - 1):
        corners = (source[i, j], source[i + 1, j], source[i + 1, j + 1], source[i, j + 1])
        cell = (int(xs[j] - left), int(ys[i] - top), int(xs[j + 1] - left), int(ys[i + 1] - top))
        mesh.append((cell, tuple(np.concatenate(corners).tolist())))
    size = (int(xs[-1] - left), int(ys[-1] - top))
    return np.asarray(
        Image.fromarray(image).transform(size, Image.Transform.MESH, mesh, Image.Resampling.BICUBIC)
    )


def sharpened(image: np.ndarray, strength: float = _SHARPENING) -> np.ndarray:
    """Return a mean (H, W, 3) float as uint8, as sharp as the frames that it is the mean of."""
    reach = round(3 * _SHARPENING_PX)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * _SHARPENING_PX**2))
    soft = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    for axis in (0, 1):
        size = image.shape[axis]
        parts = [soft.take(range(k, k + size), axis=axis) * w for k, w in enumerate(kernel / kernel.sum())]
        soft = np.sum(parts, axis=0)
    return np.rint(np.clip(image + strength * (image - soft), 0, 255)).astype(np.uint8)


def mean_face(session: Session, numbers: np.ndarray) -> np.ndarray:
    """Return the mean landmarks (478, 2) of frames, each aligned to the mean."""
    points = session.landmarks[numbers][:, :, :2]
    goal = points.mean(axis=0)
    for _ in range(3):
        maps = [similarity(face[STEADY], goal[STEADY]) for face in points]
        goal = np.mean([face @ m.T + o for face, (m, o) in zip(points, maps, strict=True)], axis=0)
    return np.asarray(goal)


def key_picture(session: Session, numbers: np.ndarray) -> np.ndarray:
    """Return the mean (H, W, 3) of frames, sharp, in front of a backdrop without edges."""
    goal = mean_face(session, numbers)
    frames = [
        aligned(image, session.landmarks[n][:, :2], goal).astype(np.float32)
        for n, image in session.images(numbers)
    ]
    return without_edges(sharpened(np.mean(frames, axis=0)))


def without_edges(picture: np.ndarray) -> np.ndarray:
    """Replace the edge of a picture (H, W, 3), which is beyond the backdrop, by the backdrop."""
    height, width = picture.shape[:2]
    rows = np.arange(height).clip(_BORDER_PX[1], None)
    columns = np.arange(width).clip(_BORDER_PX[0], width - 1 - _BORDER_PX[0])
    return picture[rows][:, columns]


class Mouths:
    """The key picture with the mouths of the session, each the mean of several frames.

    Args:
        session: the frames.
        key: the key picture (H, W, 3).
        landmarks: of its face, (478, 2).
    """

    def __init__(self, session: Session, key: np.ndarray, landmarks: np.ndarray) -> None:
        self._session, self._key, self._landmarks = session, key, landmarks
        placed = []
        for face in session.landmarks[:, :, :2]:
            matrix, offset = similarity(face[STEADY], landmarks[STEADY])
            placed.append(face[list(MOUTH)] @ matrix.T + offset)
        self._mouths = np.array(placed)
        """(F, 57, 2): the mouth of each frame as it lies in the key picture."""

    def members(self) -> list[np.ndarray]:
        """Return the numbers of the frames of each mouth; together, they cover the mouths of the session."""
        flat = self._mouths.reshape(len(self._mouths), -1)
        chosen = spread_mouths(self._mouths, _MOUTHS)
        return [np.argsort(((flat - flat[n]) ** 2).sum(axis=1))[:_MEMBERS] for n in chosen]

    def references(self, known: KnownFace, basis: MouthBasis) -> References:
        """Return the face crops that the renderer copies from. The first is the key picture itself."""
        return self.inside(known.mask(basis), known)

    def inside(self, mask: Mask, known: KnownFace) -> References:
        """Return the same for a mask: outside it, each is the key picture."""
        groups = self.members()
        needed = np.unique(np.concatenate(groups))
        images = dict(self._session.images(needed))
        soft = mask.soft.astype(np.float32)[..., None] / 255
        rest = cut_crop(self._key, known.warp, known.crop.side)
        crops, points = [rest], [known.mouth]
        edge = known.warp.outline(0, 0, known.crop.side, known.crop.side)
        left, top = (np.floor(edge.min(axis=0) / _CELL - 1).clip(0).astype(int) * _CELL).tolist()
        limit = np.array(self._key.shape[1::-1]) // _CELL
        right, bottom = (
            np.minimum(np.ceil(edge.max(axis=0) / _CELL + 1), limit).astype(int) * _CELL
        ).tolist()
        warp = known.warp.from_corner(left, top)
        for group in groups:
            goal = self._landmarks.copy()
            goal[list(MOUTH)] = self._mouths[group].mean(axis=0)
            faces = [self._session.landmarks[n][:, :2] for n in group]
            box = (left, top, right, bottom)
            frames = [aligned(images[n], face, goal, box) for n, face in zip(group, faces, strict=True)]
            mean = sharpened(np.mean(frames, axis=0, dtype=np.float32), _MOUTH_SHARPENING)
            crop = cut_crop(mean, warp, known.crop.side).astype(np.float32)
            ring = (soft[..., 0] > 0.02) & (soft[..., 0] < 0.5)
            crop += rest[ring].mean(axis=0) - crop[ring].mean(axis=0)
            mixed = rest + (np.clip(crop, 0, 255) - rest) * soft
            crops.append(np.rint(mixed).astype(np.uint8))
            points.append(known.warp.apply(goal[None][:, list(MOUTH)])[0])
        return References(crops, np.asarray(points, np.float32) / known.crop.side)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", required=True, metavar="FOLDER[:NAMES.txt]")
    parser.add_argument("--work", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the motion of the head")
    parser.add_argument("--motion-of", type=Path, help="an anchor whose motion network and matte are kept")
    given = parser.parse_args()
    with work_folder(given.work, what="tool"):
        make(given)


def make(given: argparse.Namespace) -> None:
    """Make the target of the footage, and write the anchor."""
    try:
        dataset = Dataset.open(given.work / "take")
    except DatasetError:
        dataset = prepare(footage(given.footage), given.work / "take")
    session = Session.of(dataset)
    stored = given.work / "key.png"
    if not stored.is_file():
        Image.fromarray(key_picture(session, resting(session, dataset))).save(stored)
    key = np.asarray(Image.open(stored).convert("RGB"))
    landmarks = find_face(key, name=str(stored))
    motion = HeadMotion.generate(fps=float(FPS), seconds=SECONDS, style="calm", seed=given.seed)
    still, mouths = (
        StillTarget(key, landmarks, motion),
        Mouths(session, key, landmarks[:, :2].astype(np.float64)),
    )
    if given.motion_of is not None:
        renew_pictures(AnchorFile(given.motion_of), still, mouths, given.out)
    else:
        write_photo_anchor(
            still,
            given.out,
            name=NAME,
            fps=FPS,
            consent=Consent.of(CONSENT),
            attribution=(ATTRIBUTION,),
            reuse_encoder=True,
            references=mouths.references,
            training={"footage seconds": round(dataset.seconds, 1), "frames averaged": len(session.places)},
            synthetic_target=True,
            **ENCODING,
        )
    print(f"{given.out}: {given.out.stat().st_size / 1e6:.1f} MB")


def renew_pictures(anchor: AnchorFile, still: StillTarget, mouths: Mouths, out: Path) -> None:
    """Write an anchor with new frames of the same motion, and new references; all else stays.

    Raises:
        SystemExit: the anchor has another key picture, or its head moves otherwise.
    """
    face = anchor.face()
    if not np.array_equal(face.landmarks, still.landmarks):
        raise SystemExit(f"{anchor.path}: its head moves otherwise. Make the anchor without --motion-of")
    write_anchor(
        out,
        anchor.info,
        face,
        motion=anchor.read(MOTION),
        renderer=anchor.read(RENDERER_WEIGHTS),
        target=encode_target(iter(still), FPS, **ENCODING),
        matte=anchor.read(MATTE) if MATTE in anchor.members else None,
        references=mouths.inside(face.mask, KnownFace(still)),
    )


if __name__ == "__main__":
    main()
