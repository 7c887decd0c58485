"""Comparison of an anchor with real footage: its mouth under a clip's audio against the clip's own mouth.

Also renders the mouths of footage of the anchor's own person, with the anchor's head and crop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError
from newscaster.evaluation.motion import Agreement, opening_agreement
from newscaster.face.crop import cut_crop
from newscaster.face.head_pose import Head
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.face.measures import ShapeErrors, shape_errors
from newscaster.face.mouth_basis import mouth_shapes, opening
from newscaster.face.topology import MOUTH
from newscaster.formats.anchor import RENDERER, AnchorFace, AnchorFile
from newscaster.formats.dataset import SPEECH_RATE, Clip
from newscaster.inference import Session
from newscaster.media import read_frames
from newscaster.speech.level import loud_peak
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.motion import frame_count
from newscaster.types import ArrayBool, ArrayF64, ImageU8

_HEAD_FRAMES = 400


@dataclass(frozen=True)
class SpokenClip:
    """Shapes of an anchor's mouth under a clip's audio, and of the clip's own mouth."""

    predicted: ArrayF64
    """(F, 57, 2) shapes of the anchor's mouth, at the anchor's frame rate."""
    seen: ArrayF64
    """(F, 57, 2) raw shapes of the clip's mouth, in its own head's frame; NaN in frames without a face."""
    present: ArrayBool

    @property
    def agreement(self) -> Agreement:
        """Correlation and lag of the two openings."""
        return opening_agreement(opening(self.predicted), opening(self.seen), self.present)


NETWORK_ALONE = Articulation(rests=False)


def spoken(
    anchor: Anchor,
    clip: Clip,
    head: Head | None = None,
    *,
    articulation: Articulation = NETWORK_ALONE,
    look_ahead_ms: int | None = None,
) -> SpokenClip:
    """Drive an anchor with the audio of a clip.

    Args:
        anchor: the anchor that speaks.
        clip: tracked at the anchor's frame rate.
        head: head of the person in the clip; by default fitted to the clip.
        articulation: how the mouth moves. By default the motion network alone decides, also in silence.
            People open their mouths to breathe before they speak, whereas an anchor's lips rest.
        look_ahead_ms: look-ahead of the motion in ms; by default all that it can use.

    Raises:
        FootageError: the clip contains no speech.
    """
    if not clip.has_speech:
        missing = "speech" if clip.has_audio else "audio"
        raise FootageError(
            f"'{clip.record.source}' has no {missing} to drive the anchor. Give footage with speech"
        )
    stream = anchor.motion_stream(articulation=articulation, look_ahead_ms=look_ahead_ms)
    stream.expect_level(loud_peak(clip.speech))
    frames = frame_count(len(clip.speech), SPEECH_RATE, anchor.fps)
    predicted = np.concatenate([stream.push(clip.speech), stream.flush(total_frames=frames)])
    if head is None:
        landmarks = clip.landmarks[clip.present]
        head = Head.fit(landmarks[:: -(-len(landmarks) // _HEAD_FRAMES)])
    count = min(len(predicted), clip.frames)
    seen = mouth_shapes(clip.landmarks[:count], head)
    return SpokenClip(predicted[:count], seen, clip.present[:count])


def motion_errors(clips: Sequence[SpokenClip]) -> ShapeErrors:
    """Return errors against raw landmarks, over all clips together."""
    return shape_errors([c.predicted for c in clips], [c.seen for c in clips], [c.present for c in clips])


def opening_correlation(clips: Sequence[SpokenClip]) -> float:
    """Return Pearson's r of the opening without lag, over all clips together."""
    seen = np.concatenate([opening(c.seen[c.present]) for c in clips])
    predicted = np.concatenate([opening(c.predicted[c.present]) for c in clips])
    return float(np.corrcoef(predicted, seen)[0, 1])


def opening_std(clips: Iterable[SpokenClip]) -> float:
    """Return the standard deviation of the opening of the anchor's mouth, over all clips together."""
    return float(np.concatenate([opening(clip.predicted) for clip in clips]).std())


@dataclass(frozen=True)
class RenderedClip:
    """Real crops of a clip, and the renderer's crops from their surroundings and true mouth shapes."""

    real: ImageU8
    """(F, S, S, 3)."""
    rendered: ImageU8
    """(F, S, S, 3), before blending."""


def rendered(file: AnchorFile, clip: Clip, *, session: Session | None = None) -> RenderedClip:
    """Render a clip of the anchor's own person from its true mouth shapes."""
    face: AnchorFace = file.face()
    info = file.info
    session = session or Session(file.read(RENDERER), name=RENDERER)
    poses = face.head.steady_poses(clip.landmarks, clip.present, fps=info.fps)
    transforms = info.crop.transforms(face.head, poses)
    mouths = transforms.apply(clip.landmarks[:, list(MOUTH), :2])
    real, made = [], []
    frames = read_frames(Path(clip.record.source), fps=info.fps, stop_frame=clip.frames)
    for i, frame in enumerate(frames):
        if not clip.present[i]:
            continue
        crop = cut_crop(frame, transforms[i], info.crop.side)
        landmark_map = draw_landmark_map(mouths[i], side=info.crop.side, map_side=info.map_side)
        real.append(crop)
        inputs = {"region": crop[None], "face_map": landmark_map[None]}
        made.append(session.run(**inputs)["rendered"][0])
    return RenderedClip(np.stack(real), np.stack(made))


def psnr(clips: Sequence[RenderedClip], hidden: ArrayBool) -> float:
    """Return the PSNR in dB over the hidden pixels of all frames together, of RGB 0 to 255."""
    error = np.concatenate(
        [(c.real[:, hidden].astype(np.float32) - c.rendered[:, hidden]).reshape(-1) ** 2 for c in clips]
    )
    return float(10 * np.log10(255.0**2 / error.mean(dtype=np.float64)))
