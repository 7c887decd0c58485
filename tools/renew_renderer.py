"""Give an anchor with a painted stage a renderer of today; its stage and its motion stay as they are.

    python tools/renew_renderer.py NAME.anchor --footage FOLDER[:NAMES.txt] --work FOLDER --out NEW.anchor

The renderer learns from the real mouths of the footage, put into the very pictures that it will work on:
each mouth of a clip, its colours matched, is faded into a run of the stage whose pose is like that clip;
and from the footage as it is.
The network that painted the stage is not needed.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from train_base_motion import footage
from work_folder import work_folder

from newscaster.face.crop import cut_crop
from newscaster.face.topology import MOUTH
from newscaster.formats.anchor import MATTE, MOTION, TARGET, AnchorFace, AnchorFile, write_anchor
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.formats.dataset import Clip
from newscaster.media import TargetVideo, read_frames
from newscaster.models.portrait.target import RING_UNITS, with_real_mouths
from newscaster.models.renderer.data import RenderingClip, RenderingData, set_aside
from newscaster.models.renderer.training import export_renderer, load_renderer, train_renderer
from newscaster.onnx_weights import in_half
from newscaster.prepare.tracks import track_footage


def stage_regions(anchor: AnchorFile, face: AnchorFace) -> np.ndarray:
    """The region in every frame of the stage, (F, S, S, 3)."""
    video = TargetVideo(anchor.read(TARGET), name=TARGET)
    return np.stack(
        [
            cut_crop(video.frame(i), face.transforms[i], anchor.info.crop.side)
            for i in range(video.frame_count)
        ]
    )


def learnt_from(clip: Clip, info: AnchorInfo, face: AnchorFace, target: np.ndarray) -> list[RenderingClip]:
    """A clip's mouths in a run of the stage's regions, of the nearest pose, and the clip itself.

    The stage alone would teach what surrounds a mouth there and nothing else: other pictures of the person
    would be torn.
    """
    poses = face.head.steady_poses(clip.landmarks, clip.present, fps=info.fps)
    transforms = info.crop.transforms(face.head, poses)
    points = transforms.apply(clip.landmarks[:, list(MOUTH), :2].astype(np.float64))
    shown = np.flatnonzero(clip.present)
    real = np.zeros((clip.frames, *target.shape[1:]), np.uint8)
    frames = read_frames(Path(clip.record.source), fps=info.fps, stop_frame=clip.frames)
    for i, frame in enumerate(frames):
        if clip.present[i]:
            real[i] = cut_crop(frame, transforms[i], info.crop.side)
    turned = np.abs(face.poses.angles[:, :2] - np.median(poses.angles[shown, :2], axis=0)).sum(axis=1)
    below = target[(int(turned.argmin()) + np.arange(clip.frames)) % len(target)]
    ring_px = RING_UNITS * info.crop.pixels_per_unit
    crops = np.zeros_like(real)
    crops[shown] = with_real_mouths(below[shown], real[shown], face.mask, ring_px=ring_px)
    return [RenderingClip(crops, points), RenderingClip(real, points)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("anchor", type=Path)
    parser.add_argument("--footage", required=True, help="FOLDER or FOLDER:NAMES.txt of the anchor's person")
    parser.add_argument("--work", type=Path, required=True, help="landmarks and training; resumed from")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with work_folder(arguments.work):
        renew(arguments)


def renew(arguments: argparse.Namespace) -> None:
    """Train the renderer, and write the anchor."""
    anchor = AnchorFile(arguments.anchor)
    face, info = anchor.face(), anchor.info
    target = stage_regions(anchor, face)
    tracked = track_footage(footage(arguments.footage), arguments.work / "tracks", fps=info.fps)
    clips = [learnt_from(clip, info, face, target) for clip in tracked if clip.present.any()]
    learn, check = set_aside(clips, lambda both, part: both)
    parts = [[clip for both in some for clip in both] for some in (learn, check)]
    data = RenderingData.of(parts[0], face.mask.hidden, held_out=parts[1])
    result = train_renderer(data, arguments.work / "rendering", minutes=arguments.minutes)
    figures = {
        "rendering minutes": round(result.minutes, 1),
        "rendering steps": result.steps,
        "rendering PSNR in the mask, dB": round(result.psnr, 2),
    }
    kept = {name: value for name, value in info.training.items() if not name.startswith("rendering ")}
    write_anchor(
        arguments.out,
        # A stage that was painted has no grain, and its mouths are to have none.
        replace(info, training={**kept, **figures}, grain=0.0),
        face,
        motion=anchor.read(MOTION),
        renderer=in_half(export_renderer(load_renderer(result.weights))),
        target=anchor.read(TARGET),
        matte=anchor.read(MATTE) if MATTE in anchor.members else None,
        speech_encoder=None if info.shared_encoder else anchor.speech_encoder(),
    )
    print(f"{arguments.out}: {figures}")


if __name__ == "__main__":
    main()
