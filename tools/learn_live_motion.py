"""Let a motion network learn to follow live speech as it follows files; see newscaster.models.motion.live.

    python tools/learn_live_motion.py BASE.safetensors --person FOLDER[:NAMES.txt] --people FOLDER... \
        --work FOLDER --out src/newscaster/data/base_motion.safetensors
    python tools/learn_live_motion.py NAME.anchor --person FOLDER[:NAMES.txt] --people FOLDER... \
        --work FOLDER --out NEW.anchor

Only the audio of the footage is used. ``train_base_motion.py`` makes a base network. An anchor keeps all but
its motion network.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from renew_motion import write_with_motion
from train_base_motion import footage

from newscaster.formats.anchor import MOTION, AnchorFile
from newscaster.media import read_audio
from newscaster.models.motion.base import load_base_motion, save_base_motion
from newscaster.models.motion.live import Recording, learn_live
from newscaster.models.motion.network import MotionNetwork
from newscaster.speech.encoder import SpeechEncoder, load_encoder
from newscaster.speech.features import STEP_SAMPLES, FeatureSpec, extract
from newscaster.speech.level import Leveller, loud_peak

MAX_SECONDS = 25
"""Of each file."""


def recordings(folders: list[str], features: FeatureSpec, encoder: SpeechEncoder) -> list[Recording]:
    """Audio and features of all files, in whole steps."""
    made = []
    for file in (file for folder in folders for file in footage(folder)):
        speech = read_audio(file)
        speech = speech[: min(len(speech) // STEP_SAMPLES, 25 * MAX_SECONDS) * STEP_SAMPLES]
        if len(speech):
            levelled = Leveller(loud_peak(speech)).push(speech)
            made.append(Recording(speech, extract(levelled, features, encoder).astype(np.float16)))
    return made


def fractions(parts: list[list[Recording]]) -> list[float]:
    """How often each recording is drawn: by length, and each part as often as the others."""
    lengths = [np.array([len(recording.features) for recording in part], float) for part in parts if part]
    return list(np.concatenate([own / own.sum() for own in lengths]))


def restore_weights(network: MotionNetwork, model: bytes) -> None:
    """Load the weights of an anchor's network, which may be in half precision."""
    stored = {tensor.name: tensor for tensor in onnx.load_model_from_string(model).graph.initializer}
    arrays = {
        name: onnx.numpy_helper.to_array(stored[name if name in stored else f"{name}.half"])
        for name in network.state_dict()
    }
    network.load_state_dict({name: torch.from_numpy(array.copy()).float() for name, array in arrays.items()})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", type=Path, help="a base motion network, or an anchor")
    parser.add_argument("--person", required=True, help="half of all updates")
    parser.add_argument("--people", nargs="*", default=[])
    parser.add_argument("--work", type=Path, required=True, help="the training; resumed from")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    anchor = AnchorFile(arguments.network) if arguments.network.suffix == ".anchor" else None
    base = load_base_motion(None if anchor else arguments.network)
    if anchor:
        restore_weights(base.network, anchor.read(MOTION))
    encoder = load_encoder(windowing=base.features.windowing)
    parts = [
        recordings(folders, base.features, encoder) for folders in ([arguments.person], arguments.people)
    ]
    network = learn_live(
        base.network,
        base.basis,
        [recording for part in parts for recording in part],
        arguments.work,
        features=base.features,
        encoder=encoder,
        fractions=fractions(parts),
    )
    if anchor:
        write_with_motion(arguments.out, anchor, anchor.info, anchor.face(), network)
    else:
        save_base_motion(arguments.out, replace(base, network=network))


if __name__ == "__main__":
    main()
