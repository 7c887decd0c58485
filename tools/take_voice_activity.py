"""The voice activity network that newscaster ships, out of the wheel of the package silero-vad.

Silero VAD (Silero Team, MIT licence) lies in a wheel on the Python package index::

    pip download --no-deps silero-vad==6.2.3 -d wheels
    python tools/take_voice_activity.py wheels/silero_vad-*.whl
    python tools/take_voice_activity.py wheels/silero_vad-*.whl --check

The first form writes ``src/newscaster/data/voice_activity.onnx``: the wheel's network for 16 kHz that takes
many frames in one call, as it is. The second form compares it with the wheel's network of one frame per call.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np

MANY = "silero_vad/data/silero_vad_16k_sequence.onnx"
ONE = "silero_vad/data/silero_vad_16k_op15.onnx"
DESTINATION = Path(__file__).resolve().parent.parent / "src/newscaster/data/voice_activity.onnx"


def read(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        if name not in archive.namelist():
            raise SystemExit(f"{wheel} holds no {name}; expected the wheel of silero-vad 6.2.3")
        return archive.read(name)


def largest_difference(many: bytes, one: bytes, *, frames: int = 600) -> float:
    """Between the probabilities of both networks, on syllables of noise and tones."""
    from newscaster.inference import Session

    time = np.arange(64 + 512 * frames) / 16_000
    tones = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    noise = np.random.default_rng(0).standard_normal(len(time))
    audio = (0.1 * (tones + 0.1 * noise) * np.clip(np.sin(2 * np.pi * 1.3 * time), 0, None)).astype(
        np.float32
    )
    windows = np.lib.stride_tricks.sliding_window_view(audio, 576)[::512]
    nothing = np.zeros((1, 1, 128), np.float32)
    together = Session(many, trusted=True).run(input=windows, h=nothing, c=nothing)["speech_probs"]
    session, state, apart = Session(one, trusted=True), np.zeros((2, 1, 128), np.float32), []
    for window in windows:
        given = session.run(input=window[None], state=state, sr=np.array(16_000))
        state = given["stateN"]
        apart.append(float(given["output"][0, 0]))
    print(f"probabilities from {min(apart):.3f} to {max(apart):.3f}")
    return float(np.abs(together - np.array(apart)).max())


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path, help="the wheel of silero-vad")
    parser.add_argument("--output", type=Path, default=DESTINATION)
    parser.add_argument("--check", action="store_true", help="compare the two networks; nothing is written")
    arguments = parser.parse_args()
    data = read(arguments.wheel, MANY)
    if arguments.check:
        difference = largest_difference(data, read(arguments.wheel, ONE))
        print(f"many frames per call against one: largest difference {difference:.2e}")
        return 0 if difference < 1e-4 else 1
    temporary = arguments.output.with_suffix(".part")
    temporary.write_bytes(data)
    temporary.replace(arguments.output)
    print(f"{arguments.output}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
