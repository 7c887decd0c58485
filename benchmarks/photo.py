"""Anchors of one photograph, against footage of the same people.

    python benchmarks/photo.py CLIP... --work FOLDER [--motion calm] [--sentences CLIP... --align FOLDER]

From the first frame of each clip an anchor is made, which speaks the clip's own audio. Faces of both videos
are tracked alike. Results stay in FOLDER, and a run that was stopped goes on. Prints a table in Markdown, and
ends with one line of JSON.

- anchor s, ms/frame: processor time of making the anchor, and of speaking.
- psnr, ssim, cpbd: of faces that are set upright and reduced to 128x96, as in Vougioukas et al., *Realistic
  Speech-Driven Facial Animation with GANs* (2019); heads move otherwise than in the clip, so that the first
  two tell little. real cpbd: of the clip's.
- r: correlation of the openings of the mouths, at the best lag within 5 frames. Its steps: network, the
  motion network's with the clip's; asked, the same with lips that rest in silence; shown, the video's with
  those that were asked for.
- blinks: per second of the anchor's loop.
- identity: distance of face descriptors between the video and the photograph, over that between real frames
  and the first one.
- face, lips: sharpness over the photograph's; clip face, clip lips: those of the clip.
- b, p, m; silence: as in `voices.py`, of the anchor that speaks GRID sentences with word times; real, of
  those clips. The lips meet below the 20th percentile of the real opening in speech.
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
from newscaster.evaluation.blur_detection import cpbd
from newscaster.evaluation.image_metrics import psnr, squared_errors, structural_similarities
from newscaster.evaluation.motion import best_lag
from newscaster.evaluation.voices import (
    closed_below,
    closure_fraction,
    read_alignment,
    silence_ratio,
    spoken_steps,
)
from newscaster.face.geometry import Similarity
from newscaster.face.head_pose import Head
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.measures import eyes_open
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.face.surface_warp import SurfaceWarp, warped
from newscaster.face.topology import MOUTH, OUTER_LIPS
from newscaster.formats.anchor import AnchorFile
from newscaster.prepare.video_track import VideoTrack, track_video
from newscaster.speech.level import loud_peak
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis.motion import frame_count
from newscaster.tracking.descriptor import describe_faces, descriptor_distance, mean_descriptor

CONSENT = "Evaluation of photographs; the anchor is deleted afterwards."
_SIDE = 128
_ROWS = slice(0, 128)
_COLUMNS = slice(16, 112)
_MAX_LAG_FRAMES = 5
_DESCRIBED = 8
_CLOSED = 0.5
"""Of the usual opening of the eyes: below, they blink."""


def measured(clip: Path, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Make an anchor of the first frame of a clip, let it speak, and compare."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "result.json"
    if stored.exists():
        return dict(json.loads(stored.read_text()))
    photo, path, video = folder / "photo.png", folder / "photo.anchor", folder / "made.mp4"
    figures = {}
    if not path.exists():
        Image.fromarray(next(iter(media.read_frames(clip)))).save(photo)
        fps: Fraction = media.probe(clip).video.fps
        started = time.process_time()
        newscaster.train(photo, path, consent=CONSENT, motion=options.motion, fps=fps)
        figures["anchor s"] = time.process_time() - started
    anchor = newscaster.open(path)
    if not video.exists():
        started = time.process_time()
        result = anchor.speak(clip, out=video)
        figures["ms/frame"] = 1000 * (time.process_time() - started) / result.frames
    cache = options.work / "tracks"
    real, made = _Tracked(clip, cache), _Tracked(video, cache)
    figures |= _compare(real, made) | _steps(anchor, clip, real.openings(), made.openings())
    figures["blinks"] = _blinks(AnchorFile(path).face().landmarks, anchor.fps)
    if options.sentences:
        figures |= _closures(anchor, options.sentences, options.align, folder, cache)
    stored.write_text(json.dumps(figures))
    return figures


def _asked(anchor: newscaster.Anchor, clip: Path, *, rests: bool) -> np.ndarray:
    """Return the openings of the mouth that an anchor is asked for, (F,)."""
    audio = media.read_audio(clip)
    stream = anchor.motion_stream(articulation=newscaster.Articulation(rests=rests))
    stream.expect_level(loud_peak(audio))
    total = frame_count(len(audio), SAMPLE_RATE, anchor.fps)
    return opening(np.concatenate([stream.push(audio), stream.flush(total_frames=total)]))


def _steps(anchor: newscaster.Anchor, clip: Path, real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """Return the correlations of the openings after each step with those before."""
    alone, asked = (_asked(anchor, clip, rests=rests) for rests in (False, True))
    pairs = {"r": (made, real), "network": (alone, real), "asked": (asked, real), "shown": (made, asked)}
    lags = {name: best_lag([late], [early], reach=_MAX_LAG_FRAMES) for name, (late, early) in pairs.items()}
    return {name: lag.correlation for name, lag in lags.items()} | {"lag": lags["r"].lag}


def _closures(
    anchor: newscaster.Anchor, clips: list[Path], align: Path, folder: Path, cache: Path
) -> dict[str, float]:
    """Return how often lips meet on b, p and m, and how far they open in silence, in GRID sentences."""
    seen, made = [], []
    for clip in clips:
        video = folder / f"{clip.stem}.mp4"
        if not video.exists():
            anchor.speak(clip, out=video)
        seen.append(_Tracked(clip, cache).openings())
        made.append(_Tracked(video, cache).openings())
    words = [read_alignment(align / f"{clip.stem}.align") for clip in clips]
    speaking = [spoken_steps(of_clip, len(openings)) for of_clip, openings in zip(words, seen, strict=True)]
    below = closed_below(seen, speaking)
    figures = {}
    for name, openings in (("", made), ("real ", seen)):
        figures[f"{name}b, p, m"] = closure_fraction(openings, words, below)
        counted = [o[: len(s)] for o, s in zip(openings, speaking, strict=True)]
        figures[f"{name}silence"] = silence_ratio(
            counted, [s[: len(o)] for o, s in zip(counted, speaking, strict=True)]
        )
    return figures


class _Tracked:
    """A video, and the face in it."""

    def __init__(self, path: Path, cache: Path) -> None:
        self.track: VideoTrack = track_video(path, person=None, name=path.stem, cache=cache)
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

    def descriptors(self) -> np.ndarray:
        """Return descriptors of some frames, (n, 128)."""
        chosen = np.unique(np.linspace(0, len(self.images) - 1, _DESCRIBED).round().astype(int))
        return describe_faces([self.images[n] for n in chosen], self.landmarks[chosen])


def _blinks(landmarks: np.ndarray, fps: Fraction) -> float:
    """Return the blinks per second of landmarks (F, 478, 3)."""
    opened = eyes_open(landmarks)
    closed = opened < _CLOSED * np.median(opened)
    return int((np.diff(closed.astype(int)) == 1).sum()) / float(len(closed) / fps)


def _compare(real: _Tracked, made: _Tracked) -> dict[str, float]:
    count = min(len(real.images), len(made.images))
    faces, others = real.upright()[:count], made.upright()[:count]
    everywhere = np.ones(faces.shape[1:3], bool)
    first = describe_faces(real.images[:1], real.landmarks[:1])[0]
    own, new = (mean_descriptor(video.descriptors()) for video in (real, made))
    to_photo, among_real = (float(descriptor_distance(one, first)) for one in (new, own))
    return {
        "psnr": psnr(squared_errors(others, faces, everywhere)),
        "ssim": float(structural_similarities(others, faces, everywhere).mean()),
        "cpbd": float(np.nanmean([cpbd(face) for face in others])),
        "real cpbd": float(np.nanmean([cpbd(face) for face in faces])),
        "identity": to_photo / max(among_real, 1e-6),
        "face": _sharpness(made, lips=False) / _sharpness(real, lips=False, frames=1),
        "clip face": _sharpness(real, lips=False) / _sharpness(real, lips=False, frames=1),
        "lips": _sharpness(made, lips=True) / _sharpness(real, lips=True, frames=1),
        "clip lips": _sharpness(real, lips=True) / _sharpness(real, lips=True, frames=1),
    }


def _sharpness(video: _Tracked, *, lips: bool, frames: int | None = None) -> float:
    """Return the median variance of the Laplacian on the lips, or on the upper face, of the first frames."""
    values = []
    for image, points in zip(video.images[:frames:3], video.landmarks[:frames:3], strict=False):
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
    parser.add_argument("--sentences", type=Path, nargs="*", default=[], help="GRID clips to speak")
    parser.add_argument("--align", type=Path, help="folder of their word times")
    options = parser.parse_args()
    rows = {}
    for clip in options.clips:
        rows[clip.stem] = measured(clip, options.work / clip.stem, options)
        print(clip.stem, {k: round(v, 3) for k, v in rows[clip.stem].items()}, flush=True)
    names = [name for name in next(iter(rows.values())) if all(name in row for row in rows.values())]
    print("\n| clip | " + " | ".join(names) + " |\n|---" + "|---" * len(names) + "|")
    for clip_name, figures in rows.items():
        print(f"| {clip_name} | " + " | ".join(f"{figures[name]:.3g}" for name in names) + " |")
    means = {name: float(np.mean([figures[name] for figures in rows.values()])) for name in names}
    print("| mean | " + " | ".join(f"{means[name]:.3g}" for name in names) + " |")
    print(json.dumps(means))


if __name__ == "__main__":
    main()
