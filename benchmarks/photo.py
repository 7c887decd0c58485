"""Anchors of one photograph, against footage of the same people.

    python benchmarks/photo.py CLIP... --work FOLDER [--motion calm]

From the first frame of each clip an anchor is made, which speaks the clip's own audio. Faces of both videos
are tracked alike. Results stay in FOLDER, and a run that was stopped goes on. Prints a table in Markdown, and
ends with one line of JSON.

- psnr, ssim: of faces that are set upright and reduced to 128x96, as in Vougioukas et al., *Realistic
  Speech-Driven Facial Animation with GANs* (2019); heads move otherwise than in the clip, so that this tells
  little.
- r: correlation of the openings of the mouths, at the best lag within 5 frames.
- blinks: per second.
- identity: distance of face descriptors between the video and the photograph, over that between real frames
  and the first one.
- face, lips: sharpness over the photograph's.
"""

from __future__ import annotations

import argparse
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

import newscaster
from newscaster import media
from newscaster.evaluation.image_metrics import psnr, squared_errors, structural_similarities
from newscaster.evaluation.motion import best_lag
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.measures import eyes_open
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.face.surface_warp import SurfaceWarp, warped
from newscaster.face.topology import MOUTH, OUTER_LIPS
from newscaster.prepare.video_track import VideoTrack, track_video
from newscaster.tracking.descriptor import describe_faces, descriptor_distance, mean_descriptor

CONSENT = "Evaluation of photographs; the anchor is deleted afterwards."
_SIDE = 128
_ROWS = slice(0, 128)
_COLUMNS = slice(16, 112)
_MAX_LAG_FRAMES = 5
_DESCRIBED = 8
_CLOSED = 0.5
"""Of the usual opening of the eyes: below, they blink."""


def measured(clip: Path, folder: Path, motion: str) -> dict[str, float]:
    """Make an anchor of the first frame of a clip, let it speak, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "result.json"
    if stored.exists():
        return dict(json.loads(stored.read_text()))
    frames = list(media.read_frames(clip))
    photo, anchor, video = folder / "photo.png", folder / "photo.anchor", folder / "made.mp4"
    Image.fromarray(frames[0]).save(photo)
    fps: Fraction = media.probe(clip).video.fps
    started = time.perf_counter()
    newscaster.train(photo, anchor, consent=CONSENT, motion=motion, fps=fps)
    made_at = time.perf_counter()
    result = newscaster.open(anchor).speak(clip, out=video)
    figures = {"seconds": made_at - started, "frames/s": result.frames / (time.perf_counter() - made_at)}
    real, made = _Tracked(clip), _Tracked(video)
    figures |= _compare(real, made)
    stored.write_text(json.dumps(figures))
    return figures


class _Tracked:
    """A video, and the face in it."""

    def __init__(self, path: Path) -> None:
        self.track: VideoTrack = track_video(path, person=None, name=path.stem)
        self.frames = list(media.read_frames(path, fps=self.track.fps))
        self.landmarks = self.track.landmarks[self.track.present]
        self.images = [f for f, seen in zip(self.frames, self.track.present, strict=False) if seen]
        self.head = Head.fit(self.landmarks)

    def openings(self) -> np.ndarray:
        """Return the openings of the mouth, (F,), NaN where the face is not seen."""
        values = np.full(len(self.track), np.nan)
        values[self.track.present] = opening(mouth_shapes(self.landmarks, self.head))
        return values

    def upright(self, scale: float = 44.0) -> np.ndarray:
        """Return the faces set upright, (F, 128, 96, 3)."""
        poses = self.head.poses(self.landmarks)
        to = Similarity.of(scale=scale, shift=(_SIDE / 2, _SIDE * 0.38))
        warp = SurfaceWarp.of(poses.upright(np.array([0.0, 0.5, 0.0]), to=to))
        faces = [warped(Image.fromarray(image), warp[n], _SIDE) for n, image in enumerate(self.images)]
        return np.stack(faces)[:, _ROWS, _COLUMNS]

    def blinks(self) -> float:
        """Return blinks per second."""
        opened = eyes_open(self.landmarks)
        closed = opened < _CLOSED * np.median(opened)
        return int((np.diff(closed.astype(int)) == 1).sum()) / float(len(closed) / self.track.fps)

    def descriptors(self) -> np.ndarray:
        """Return descriptors of some frames, (n, 128)."""
        chosen = np.unique(np.linspace(0, len(self.images) - 1, _DESCRIBED).round().astype(int))
        return describe_faces([self.images[n] for n in chosen], self.landmarks[chosen])


def _compare(real: _Tracked, made: _Tracked) -> dict[str, float]:
    count = min(len(real.images), len(made.images))
    faces, others = real.upright()[:count], made.upright()[:count]
    lag = best_lag([made.openings()], [real.openings()], reach=_MAX_LAG_FRAMES)
    everywhere = np.ones(faces.shape[1:3], bool)
    first = describe_faces(real.images[:1], real.landmarks[:1])[0]
    own, new = (mean_descriptor(video.descriptors()) for video in (real, made))
    to_photo, among_real = (float(descriptor_distance(one, first)) for one in (new, own))
    return {
        "psnr": psnr(squared_errors(others, faces, everywhere)),
        "ssim": float(structural_similarities(others, faces, everywhere).mean()),
        "r": lag.correlation,
        "lag": lag.lag,
        "blinks": made.blinks(),
        "identity": to_photo / max(among_real, 1e-6),
        "face": _sharpness(made, lips=False) / _sharpness(real, lips=False),
        "lips": _sharpness(made, lips=True) / _sharpness(real, lips=True),
    }


def _sharpness(video: _Tracked, *, lips: bool) -> float:
    """Return the median variance of the Laplacian on the lips, or on the upper face."""
    values = []
    for image, points in zip(video.images[::3], video.landmarks[::3], strict=False):
        grey = image.astype(np.float32).mean(axis=2)
        around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
        detail = around - 4 * grey[1:-1, 1:-1]
        inside = _lips(points, detail.shape) if lips else _upper_face(points, detail.shape)
        values.append(float(detail[inside].var()))
    return float(np.median(values))


def _lips(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    side = max(shape)
    maps = draw_landmark_map(points[list(MOUTH), :2], side=side, map_side=side)
    assert len(OUTER_LIPS) == 20
    return (maps[1] + maps[2] > 127)[: shape[0], : shape[1]]


def _upper_face(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    left, top = points[:, :2].min(axis=0).astype(int)
    right, middle = int(points[:, 0].max()), int(np.median(points[:, 1]))
    inside = np.zeros(shape, bool)
    inside[max(top, 0) : middle, max(left, 0) : right] = True
    return inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--motion", default="calm")
    options = parser.parse_args()
    rows = {}
    for clip in options.clips:
        rows[clip.stem] = measured(clip, options.work / clip.stem, options.motion)
        print(clip.stem, {k: round(v, 3) for k, v in rows[clip.stem].items()}, flush=True)
    names = list(next(iter(rows.values())))
    print("\n| clip | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
    for clip_name, figures in rows.items():
        print(f"| {clip_name} | " + " | ".join(f"{figures[name]:.3g}" for name in names) + " |")
    means = {name: float(np.mean([figures[name] for figures in rows.values()])) for name in names}
    print("| mean | " + " | ".join(f"{means[name]:.3g}" for name in names) + " |")
    print(json.dumps(means))


if __name__ == "__main__":
    main()
