"""Measures a dub: quality beside `evaluate`, onsets of captions, and audio against frames.

    python benchmarks/dub.py quality ANCHOR CLIP...         own audio, by `dub` and by `evaluate`'s way
    python benchmarks/dub.py timing DUB.mp4 --motion M.npz [--script CUES.srt] [--speech SPEECH.wav]

Prints a table, and one line of JSON at the end. Speed and memory are measured on the command itself:
`/usr/bin/time -v newscaster dub ...`.
"""

from __future__ import annotations

import argparse
import json
import re
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

import newscaster
from newscaster import DubOptions, Style, media
from newscaster.evaluation.held_out import find_held_out, retracked
from newscaster.evaluation.metrics import compare, figures
from newscaster.evaluation.motion import best_lag
from newscaster.evaluation.reconstruction import Remade, remake
from newscaster.face.mouth_basis import opening, place_mouth
from newscaster.face.topology import MOUTH
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.options import Outputs
from newscaster.tracking import FaceTracker

RATE = 16_000
LOUD = 0.02
"""Of the peak of a cue: its speech starts at the first sample this loud."""
WINDOW_SECONDS = 12


def quality(anchor_name: str, clips: list[Path]) -> dict[str, float]:
    """Compare dubs of clips with `evaluate`'s reconstructions from the same audio, measured in one way."""
    anchor = newscaster.open(anchor_name)
    person = anchor_descriptor(anchor.target)
    style = Style(label="", watermark=False)
    with TemporaryDirectory() as name:
        folder = Path(name)
        held_out = find_held_out(anchor, clips, folder / "footage", person=person, workers=0)
        by_evaluate, by_dub = [], []
        for held in held_out:
            (sound,) = [r for r in remake(held, anchor, folder, folder) if r.condition == "sound"]
            out, motion = folder / f"{held.name}.dub.mp4", folder / f"{held.name}.npz"
            made = anchor.dub(
                held.clip.record.source,
                None,
                out,
                style=style,
                options=DubOptions(fit="video"),
                outputs=Outputs(motion=motion),
            )
            shapes = np.load(motion)["shapes"]
            mouths = held.transforms.apply(place_mouth(shapes, anchor.face.head, held.poses))
            mouths[~held.present] = np.nan
            weights = np.load(motion)["shares"]
            by_evaluate.append((held, sound))
            by_dub.append((held, Remade("sound", out, mouths, weights > 0)))
            print(f"{held.name}: {made.rewritten_frames} of {made.frames} frames rewritten", flush=True)
        pairs = [*by_evaluate, *by_dub]
        landmarks = retracked(
            [r.path for _, r in pairs], folder / "made", fps=anchor.fps, person=person, workers=0
        )
        rows = {}
        for title, kind in (("evaluate", by_evaluate), ("dub", by_dub)):
            compared = [compare(held, [made], landmarks, anchor)[0] for held, made in kind]
            rows[title] = figures(compared, fps=anchor.fps)
    for title, row in rows.items():
        print(f"{title:9s} PSNR {row.psnr:.2f} dB  r {row.correlation:.4f}  lag {row.lag_ms:.1f} ms")
    return {
        "clips": len(held_out),
        "psnr_evaluate": rows["evaluate"].psnr,
        "psnr_dub": rows["dub"].psnr,
        "r_evaluate": rows["evaluate"].correlation,
        "r_dub": rows["dub"].correlation,
    }


def timing(path: Path, motion: Path, script: Path | None, speech: Path | None) -> dict[str, float]:
    """Measure time stamps, onsets of cues, and the lag of frames and audio at start, middle and end."""
    out = _stamps(path)
    audio = media.read_audio(path, rate=RATE)
    if script is not None:
        offsets = _onsets(audio, script)
        out |= {"cues": len(offsets), "max_onset_ms": float(np.abs(offsets).max() * 1000)}
    if speech is not None:
        out |= {f"audio_lag_ms_{k}": v for k, v in _audio_lags(audio, speech).items()}
    out |= {f"mouth_lag_frames_{k}": v for k, v in _mouth_lags(path, motion).items()}
    return out


def _stamps(path: Path) -> dict[str, float]:
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        times = [p.pts * p.time_base for p in container.demux(video) if p.size and p.pts is not None]
        fps = Fraction(video.average_rate)
        ends = {
            "video_seconds": float(video.duration * video.time_base),
            "audio_seconds": float(audio.duration * audio.time_base),
        }
    due = [Fraction(i) / fps for i in range(len(times))]
    worst = max(abs(float(a - b)) for a, b in zip(sorted(times), due, strict=True))
    return {"frames": len(times), "fps": float(fps), "max_stamp_error_ms": worst * 1000, **ends}


def _onsets(audio: np.ndarray, script: Path) -> np.ndarray:
    """Return how much later than its time each cue starts, in seconds."""
    starts = [
        3600 * int(h) + 60 * int(m) + int(s) + int(ms) / 1000
        for h, m, s, ms in re.findall(r"(\d+):(\d+):(\d+),(\d+) -->", script.read_text())
    ]
    late = []
    for start in starts:
        first = round((start - 0.3) * RATE)
        part = np.abs(audio[max(first, 0) : first + round(1.5 * RATE)])
        late.append(np.flatnonzero(part > LOUD * part.max())[0] / RATE + max(first, 0) / RATE - start)
    return np.array(late)


def _windows(frames: int, size: int) -> dict[str, int]:
    return {"start": 0, "middle": (frames - size) // 2, "end": frames - size}


def _audio_lags(audio: np.ndarray, speech: Path) -> dict[str, float]:
    """Return how much later than in the speech the audio of the video is, in ms."""
    own = media.read_audio(speech, rate=RATE)
    size, reach = WINDOW_SECONDS * RATE, RATE // 10
    lags = {}
    for name, first in _windows(min(len(own), len(audio)), size).items():
        a, b = audio[first : first + size], own[first : first + size]
        product = np.fft.irfft(np.fft.rfft(a, 2 * size) * np.conj(np.fft.rfft(b, 2 * size)))
        around = np.concatenate([product[-reach:], product[: reach + 1]])
        lags[name] = float((int(around.argmax()) - reach) / RATE * 1000)
    return lags


def _mouth_lags(path: Path, motion: Path) -> dict[str, float]:
    """Return how many frames later than predicted the mouth opens in the video."""
    stored = np.load(motion)
    predicted = opening(stored["landmarks"])
    info = media.probe(path).video
    assert info is not None
    size = round(WINDOW_SECONDS * info.fps)
    lags = {}
    for name, first in _windows(len(predicted), size).items():
        tracker, seen = FaceTracker(1, fps=float(info.fps)), []
        for frame in media.read_frames(path, start_frame=first, stop_frame=first + size):
            faces = tracker.step(frame)
            shape = faces[0].landmarks[list(MOUTH), :2] if faces else np.full((len(MOUTH), 2), np.nan)
            seen.append(float(opening(shape)))
        found = best_lag([np.array(seen)], [predicted[first : first + len(seen)]])
        lags[name] = found.lag
        print(f"{name}: mouth {found.lag:+.2f} frames late, r {found.correlation:.3f}", flush=True)
    return lags


def main() -> None:
    """Parse the command line, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_quality = commands.add_parser("quality")
    of_quality.add_argument("anchor")
    of_quality.add_argument("clips", nargs="+", type=Path)
    of_timing = commands.add_parser("timing")
    of_timing.add_argument("video", type=Path)
    of_timing.add_argument("--motion", type=Path, required=True)
    of_timing.add_argument("--script", type=Path)
    of_timing.add_argument("--speech", type=Path)
    options = parser.parse_args()
    if options.command == "quality":
        measured = quality(options.anchor, options.clips)
    else:
        measured = timing(options.video, options.motion, options.script, options.speech)
    print(json.dumps({key: round(value, 4) for key, value in measured.items()}))


if __name__ == "__main__":
    main()
