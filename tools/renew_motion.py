"""Give an anchor the motion of the package's present base network; its pictures stay as they are.

    python tools/renew_motion.py NAME.anchor --footage TRAIN... --work FOLDER --out NEW.anchor

For anchors that were made with an older base network: motion is adapted to the footage anew, around the
anchor's own mouth at rest, in a minute; the renderer, which took much longer, is kept.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import asdict, replace
from pathlib import Path

from train_base_motion import footage
from work_folder import work_folder

from newscaster.face.mouth_basis import mouth_shapes
from newscaster.formats.anchor import (
    MATTE,
    RENDERER,
    RENDERER_WEIGHTS,
    TARGET,
    AnchorFace,
    AnchorFile,
    AnchorInfo,
    write_anchor,
)
from newscaster.models.motion.base import load_base_motion, motion_of_speaker
from newscaster.models.motion.data import motion_clip
from newscaster.models.motion.network import MotionNetwork
from newscaster.models.motion.speaker import ADAPTING_DROPOUT, adapt
from newscaster.onnx_weights import in_half
from newscaster.prepare.tracks import track_footage
from newscaster.speech.encoder import load_encoder, packaged_encoder
from newscaster.speech.features import extract


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("anchor", type=Path)
    parser.add_argument("--footage", required=True, help="FOLDER or FOLDER:NAMES.txt of the anchor's person")
    parser.add_argument("--work", type=Path, required=True, help="landmarks and training; resumed from")
    parser.add_argument("--base", type=Path, help="a base motion network; by default the package's")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with work_folder(arguments.work):
        renew(arguments)


def renew(arguments: argparse.Namespace) -> None:
    """Adapt the motion, and write the anchor."""
    anchor = AnchorFile(arguments.anchor)
    face, info = anchor.face(), anchor.info
    base = load_base_motion(arguments.base, dropout=ADAPTING_DROPOUT)
    encoder = load_encoder(windowing=base.features.windowing)
    tracked = track_footage(footage(arguments.footage), arguments.work / "tracks", fps=info.fps)
    clips = [
        motion_clip(
            extract(clip.speech, base.features, encoder),
            mouth_shapes(clip.landmarks, face.head) - face.basis.mean,
            clip.present,
            fps=clip.record.fps,
        )
        for clip in tracked
    ]
    speech = [clip.speech for clip in tracked]
    motion = adapt(base, clips, speech, face.basis.mean, arguments.work / "motion", encoder=encoder)
    kept = {name: value for name, value in info.training.items() if not name.startswith("motion ")}
    errors = {} if motion.errors is None else asdict(motion.errors)
    figures = {f"motion {name}": float(f"{value:.4g}") for name, value in errors.items()}
    info = replace(
        info,
        features=base.features,
        coefficients=motion.basis.size,
        context_steps=motion.network.config.context_steps,
        training={**kept, "motion clips": motion.clips, **figures},
    )
    write_with_motion(arguments.out, anchor, info, replace(face, basis=motion.basis), motion.network)
    print(f"{arguments.out}: {figures}")


def write_with_motion(
    path: Path, anchor: AnchorFile, info: AnchorInfo, face: AnchorFace, network: MotionNetwork
) -> None:
    """Write an anchor with another motion network; all else but ``info`` and ``face`` stays."""
    shared = packaged_encoder() if info.shared_encoder else anchor.speech_encoder()
    write_anchor(
        path,
        replace(info, shared_encoder=hashlib.sha256(shared).hexdigest() if info.shared_encoder else None),
        face,
        motion=in_half(motion_of_speaker(network)),
        renderer=anchor.read(RENDERER_WEIGHTS if info.copies else RENDERER),
        target=anchor.read(TARGET),
        matte=anchor.read(MATTE) if MATTE in anchor.members else None,
        speech_encoder=None if info.shared_encoder else shared,
        references=anchor.references() if info.copies else None,
    )


if __name__ == "__main__":
    main()
