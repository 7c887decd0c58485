"""Every figure of an anchor made from one person's footage, each measured as a user would run it.

    python benchmarks/spine.py --footage TRAIN... --test TEST... --people FOLDER --speech SOUND --work FOLDER

Steps, each skipped with ``--skip STEP``: ``train`` (one command, footage to anchor, timed), ``motion``
(networks from nothing on log-mel and on Whisper states, and the anchor's own; errors on the test footage),
``people`` (other people's speech), ``rendering`` (PSNR in the mask on the test footage), ``speak`` (frames
per second and peak memory of the whole command), ``start`` (import and info), ``offset`` (what is left of an
offset of 200 ms between a container's streams). Ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

CONSENT = "Recorded for, and published in, the GRID corpus under CC BY 4.0; used to measure newscaster."
ATTRIBUTION = (
    "Speaker 1 of the GRID audiovisual sentence corpus: M. Cooke, J. Barker, S. Cunningham, X. Shao, 2006, "
    "doi 10.5281/zenodo.3625687, CC BY 4.0"
)
STEPS = ("train", "motion", "people", "rendering", "speak", "start", "offset")
RECIPES: dict[str, tuple[dict[str, float], dict[str, Any]]] = {
    "log-mel": (
        {"dropout": 0.3, "input_dropout": 0.02},
        {"steps": 2200, "velocity": 1.6, "optimization": {"ema_decay": 0.998}},
    ),
    "whisper": ({"dropout": 0.4}, {"steps": 1200}),
}
"""Network and training of every input, chosen on clips that are neither trained nor tested on."""


def files(argument: str) -> list[Path]:
    """Files of FOLDER, or for FOLDER:NAMES.txt those that the list names, with or without suffix."""
    folder, _, names = argument.partition(":")
    found = sorted(path for path in Path(folder).iterdir() if path.is_file())
    if not names:
        return found
    wanted = {line.strip() for line in Path(names).read_text().splitlines()}
    return [path for path in found if path.name in wanted or path.stem in wanted]


def command(*arguments: str | Path) -> tuple[float, float]:
    """Run newscaster; wall seconds, and peak memory in MB as the system counts it."""
    code = (
        "import resource,subprocess,sys; c=subprocess.run(sys.argv[1:]).returncode; "
        "print('PEAK', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss/1024); sys.exit(c)"
    )
    newscaster = Path(sys.executable).with_name("newscaster")
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, str(newscaster), *map(str, arguments)], capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    print(done.stdout.strip(), flush=True)
    return seconds, float(done.stdout.rsplit("PEAK", 1)[1])


def train(a: argparse.Namespace) -> dict[str, float]:
    seconds, peak = command(
        "train", *files(a.footage), "-o", a.anchor, "--work-dir", a.work / "anchor",
        "--minutes", str(a.minutes), "--consent", CONSENT, "--attribution", ATTRIBUTION,
    )  # fmt: skip
    return {"footage to anchor, minutes": seconds / 60, "training peak memory, MB": peak}


def test_clips(a: argparse.Namespace):
    from newscaster.prepare.tracks import track_footage

    return track_footage(files(a.test), a.work / "test")


def motion(a: argparse.Namespace) -> dict[str, float]:
    import torch

    import newscaster
    from newscaster.evaluation.reenactment import motion_errors, opening_correlation, spoken
    from newscaster.face.mouth_basis import MouthBasis, mouth_shapes
    from newscaster.models.motion import speaker
    from newscaster.models.motion.base import load_base_motion
    from newscaster.models.motion.data import MotionClip, MotionTraining, motion_clip
    from newscaster.models.motion.network import MotionConfig, MotionNetwork
    from newscaster.models.motion.task import train_motion
    from newscaster.prepare.tracks import track_footage
    from newscaster.speech.encoder import load_encoder
    from newscaster.speech.features import FeatureSpec, extract

    anchor = newscaster.open(a.anchor)
    face = anchor.face
    figures: dict[str, float] = {}
    base = load_base_motion()
    learn, test = track_footage(files(a.footage), a.work / "learn"), test_clips(a)
    for kind, (shape, how) in RECIPES.items():
        spec = FeatureSpec(kind=kind, windowing=base.features.windowing)
        encoder = load_encoder(windowing=spec.windowing) if spec.needs_encoder else None

        def motion_of(clips, spec=spec, encoder=encoder) -> list[MotionClip]:
            return [
                motion_clip(
                    extract(c.speech, spec, encoder), mouth_shapes(c.landmarks, face.head) - face.basis.mean,
                    c.present, fps=c.record.fps,
                ) for c in clips
            ]  # fmt: skip

        clips = motion_of(learn)
        basis = MouthBasis.fit(np.concatenate([c.shapes[c.present] for c in clips]))
        offset = basis.mean
        basis = basis.with_mean(np.zeros_like(offset))
        clips = [MotionClip(c.features, (c.shapes - offset).astype(np.float32), c.present) for c in clips]
        tests = motion_of(test)
        tests = [MotionClip(c.features, (c.shapes - offset).astype(np.float32), c.present) for c in tests]
        torch.manual_seed(0)
        network = MotionNetwork(MotionConfig(inputs=spec.width, coefficients=basis.size, **shape))
        network.normalise_with(torch.from_numpy(np.concatenate([c.features for c in clips])))
        started = time.perf_counter()
        train_motion(network, clips, basis, a.work / f"motion-{kind}", config=MotionTraining.from_values(how))
        figures[f"{kind} from nothing, training s"] = time.perf_counter() - started
        for name, value in asdict(speaker.motion_errors(network, tests, basis)).items():
            figures[f"{kind} from nothing, {name}"] = value
        audio = torch.from_numpy(np.concatenate([c.features for c in clips])[None, :1500])
        figures[f"{kind} network, 1 min of audio, ms (PyTorch)"] = 1e3 * _median(
            lambda network=network, audio=audio: network(audio)
        )
    own = [spoken(anchor, clip, face.head) for clip in test]
    found = motion_errors(own)
    figures |= {
        "anchor, own voice, MSE": found.mse,
        "anchor, own voice, MAE": found.mae,
        "anchor, own voice, Int-MSE": found.int_mse,
        "anchor, own voice, r of the opening": opening_correlation(own),
    }
    return figures


def people(a: argparse.Namespace) -> dict[str, float]:
    import newscaster
    from newscaster.evaluation.reenactment import opening_std, spoken
    from newscaster.prepare.tracks import track_footage

    anchor = newscaster.open(a.anchor)
    own = [spoken(anchor, clip, anchor.face.head) for clip in test_clips(a)]
    clips = track_footage(files(a.people), a.work / "people", fps=anchor.fps)
    others = [spoken(anchor, clip) for clip in clips]
    agreements = [clip.agreement for clip in others]
    for clip, found in zip(clips, agreements, strict=True):
        print(f"  {clip.name}: r {found.correlation:.2f} at {found.lag:+.0f} frames")
    return {
        "other people, mean r": float(np.mean([f.correlation for f in agreements])),
        "other people, median r": float(np.median([f.correlation for f in agreements])),
        "other people, opening over own voice's": opening_std(others) / opening_std(own),
        "other people, clips": len(others),
    }


def rendering(a: argparse.Namespace) -> dict[str, float]:
    from newscaster.evaluation.reenactment import psnr, rendered
    from newscaster.formats.anchor import RENDERER, AnchorFile
    from newscaster.inference import Session

    file = AnchorFile(a.anchor)
    session = Session(file.read(RENDERER), threads=2)
    clips = [rendered(file, clip, session=session) for clip in test_clips(a)]
    crop = np.zeros((1, file.info.crop.side, file.info.crop.side, 3), np.uint8)
    landmark_map = np.zeros((1, 4, file.info.map_side, file.info.map_side), np.uint8)
    figures = {"rendering, PSNR inside the mask, dB": psnr(clips, file.face().mask.hidden)}
    for threads in (1, 2):
        timed = Session(file.read(RENDERER), threads=threads)
        figures[f"renderer, ms per frame, {threads} thread(s)"] = 1e3 * _median(
            lambda timed=timed: timed.run(region=crop, face_map=landmark_map)
        )
    return figures


def speak(a: argparse.Namespace) -> dict[str, float]:
    from newscaster.media import probe, read_audio, write_wav

    audio = read_audio(a.speech)
    figures: dict[str, float] = {}
    for seconds in (60, 600):
        wav = a.work / f"speech-{seconds}.wav"
        write_wav(wav, np.resize(audio, seconds * 16000), 16000)
        video = a.work / f"speech-{seconds}.mp4"
        runs = [
            command("speak", wav, "--anchor", a.anchor, "-o", video) for _ in range(3 if seconds == 60 else 1)
        ]
        rate = probe(video).video.fps
        figures[f"speak {seconds} s, frames/s"] = (
            seconds * float(rate) / statistics.median(s for s, _ in runs)
        )
        figures[f"speak {seconds} s, peak memory, MB"] = statistics.median(m for _, m in runs)
    return figures


def start(a: argparse.Namespace) -> dict[str, float]:
    bare = [sys.executable, "-c", "import newscaster"]
    info = [str(Path(sys.executable).with_name("newscaster")), "info", str(a.anchor)]
    return {
        "import newscaster, s": _median(lambda: subprocess.run(bare, check=True)),
        "newscaster info, s": _median(lambda: subprocess.run(info, check=True, stdout=subprocess.DEVNULL)),
    }


def offset(a: argparse.Namespace) -> dict[str, float]:
    """A test clip whose sound begins 200 ms after its picture, in the file and by its time stamps."""
    import av

    from newscaster.prepare.tracks import track_footage

    source, late = files(a.test)[0], a.work / "late.mkv"
    rate, delay = 16000, 3200
    plain = track_footage([source], a.work / "plain")[0].speech
    with av.open(str(source)) as container, av.open(str(late), "w") as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "12"})
        video.width, video.height = container.streams.video[0].width, container.streams.video[0].height
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("pcm_s16le", rate=rate, layout="mono")
        for i, frame in enumerate(container.decode(video=0)):
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode())
        samples = (plain[delay:] * 32767).astype(np.int16)[None]
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = rate, delay, Fraction(1, rate)
        out.mux(audio.encode(block))
        out.mux(audio.encode())
    found = track_footage([late], a.work / "late")[0].speech
    length = min(len(plain), len(found))
    before, after = (np.fft.rfft(audio[delay:length], 2 * length) for audio in (plain, found))
    lag = int(np.argmax(np.fft.irfft(before.conj() * after)))
    lag = lag - 2 * length if lag > length else lag
    return {"offset of 200 ms in the container, ms left": 1e3 * abs(lag) / rate}


def _median(run: Callable[[], object], repeats: int = 9) -> float:
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", required=True, help="FOLDER or FOLDER:NAMES.txt of one person")
    parser.add_argument("--test", required=True, help="the same, held out")
    parser.add_argument("--people", required=True, help="FOLDER of other people talking")
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--anchor", type=Path, help="by default WORK/bench.anchor")
    parser.add_argument("--minutes", type=float, default=10.0, help="of rendering training")
    parser.add_argument("--skip", nargs="*", default=[], choices=STEPS)
    arguments = parser.parse_args()
    arguments.anchor = arguments.anchor or arguments.work / "bench.anchor"
    arguments.work.mkdir(parents=True, exist_ok=True)
    steps = {
        "train": train,
        "motion": motion,
        "people": people,
        "rendering": rendering,
        "speak": speak,
        "start": start,
        "offset": offset,
    }
    figures: dict[str, float] = {}
    for name, step in steps.items():
        if name in arguments.skip:
            continue
        print(f"{name} (load {os.getloadavg()[0]:.1f})", flush=True)
        found = step(arguments)
        for key, value in found.items():
            print(f"  {key}: {value:.4g}", flush=True)
        figures |= found
    print(json.dumps({key: float(f"{value:.5g}") for key, value in figures.items()}))


if __name__ == "__main__":
    main()
