"""Dubbing of given videos: two people at once, shots of other people, and the lag of a video's own audio.

    python benchmarks/dubbing.py --data ../shared/data --second s4.anchor [--work DIR]

The bundled anchor is GRID speaker s1; `--second` is an anchor of GRID speaker s4, such as one of
`newscaster train grid_s4_hq/clips --minutes 1`. All videos are put together from GRID sentences.

*People*: s1 and s4 side by side, 24 s; each is dubbed with other 24 s of running speech, in one command. The
opening of each mouth, as tracked in the encoded result, is compared with the motion predicted from either
speech: Pearson's r at the best lag within 8 frames. The two predictions are compared with each other, too:
they set what can be expected across.

*Shots*: s1, s4, s1, no one, s1. Frames are compared with the decoded video just before encoding.

*Lag*: own audio of s1, shifted by known times, for videos of 3 to 24 s. Errors are relative to the lag
that is measured without a shift, since GRID has one of its own. Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import newscaster
from newscaster import Anchor, DubOptions, Outputs, Speaker, Style, media
from newscaster.evaluation.motion import best_lag
from newscaster.face.mouth_basis import opening
from newscaster.prepare.speaking import raw_openings
from newscaster.prepare.video_track import WantedPerson, track_people, track_video
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.own_audio import measure_own_lag
from newscaster.synthesis.speech_input import open_speech
from newscaster.types import ImageU8

SIZE = (360, 288)
PLAIN = Style(label="", watermark=False)
SHIFTS_MS = (-200, -80, 80, 200)
CLIPS = (1, 2, 4, 8)
RATE = 16_000


def sentences(data: Path, folder: str, names: str, part: slice) -> list[Path]:
    listed = (data / folder / f"{names}.txt").read_text().split()[part]
    return [next((data / folder / "clips").glob(f"{Path(name).stem}.*")) for name in listed]


def frames_of(clips: Iterable[Path]) -> Iterator[ImageU8]:
    """The frames of clips one after another, at one size."""
    for clip in clips:
        for frame in media.read_frames(clip, fps=25):  # type: ignore[arg-type]
            yield np.asarray(Image.fromarray(frame).resize(SIZE, Image.Resampling.LANCZOS))


def audio_of(clips: Iterable[Path]) -> np.ndarray:
    """The audio of clips, each as long as its 75 frames."""
    parts = [media.read_audio(clip, rate=RATE)[: 3 * RATE] for clip in clips]
    return np.concatenate([np.pad(part, (0, 3 * RATE - len(part))) for part in parts])


def part_of(path: Path, start: float, seconds: float, out: Path) -> Path:
    media.write_wav(out, media.read_audio(path, start_seconds=start, stop_seconds=start + seconds), RATE)
    return out


def measure_people(data: Path, second: Path, work: Path) -> dict[str, Any]:
    left = sentences(data, "grid_s1", "test", slice(0, 8))
    right = sentences(data, "grid_s4_hq", "train", slice(16, 24))
    pairs = zip(frames_of(left), frames_of(right), strict=False)
    video = work / "people.mp4"
    media.write_video(video, (np.concatenate(p, axis=1) for p in pairs), fps=25, audio=None, crf=14)  # type: ignore[arg-type]
    english = data / "speech" / "english.flac"
    speakers = [
        Speaker(anchor=anchor, face=face, speech=part_of(english, 30.0 * face, 24.0, work / f"{face}.wav"))
        for face, anchor in enumerate((newscaster.open("grid-s1"), newscaster.open(second)))
    ]
    out, motion = work / "people-dubbed.mp4", work / "people.npz"
    made = newscaster.dub(video, speakers, out, style=PLAIN, outputs=Outputs(motion=motion))
    tracks = track_people(out, [WantedPerson(name=f"face {face}", face=face) for face in (0, 1)])
    seen = [raw_openings(track.landmarks) for track in tracks]
    stored = np.load(motion)
    spoken = [opening(stored[name].astype(np.float64)) for name in ("shapes", "shapes_2")]
    r = {
        f"mouth {i}, speech {j}": best_lag([seen[i]], [spoken[j]]).correlation for i in (0, 1) for j in (0, 1)
    }
    r["speech 0, speech 1"] = best_lag([spoken[0]], [spoken[1]]).correlation
    print(f"people: {made.frames} frames, {made.rewritten_frames} rewritten")
    for name, value in r.items():
        print(f"  {name}: r {value:.3f}")
    return {"frames": made.frames, "r": {name: round(value, 3) for name, value in r.items()}}


def measure_shots(data: Path, work: Path) -> dict[str, Any]:
    own = sentences(data, "grid_s1", "test", slice(8, 11))
    other = sentences(data, "grid_s4_hq", "test", slice(0, 1))
    ramp = np.linspace(20, 200, SIZE[0], dtype=np.uint8)
    empty = [np.repeat(np.roll(ramp, n)[None, :, None], SIZE[1], axis=0).repeat(3, axis=2) for n in range(75)]
    shots: list[Iterable[ImageU8]] = [
        frames_of(own[:1]),
        frames_of(other),
        frames_of(own[1:2]),
        empty,
        frames_of(own[2:]),
    ]
    lengths: list[int] = []

    def counted() -> Iterator[ImageU8]:
        for shot in shots:
            count = 0
            for count, frame in enumerate(shot, 1):  # noqa: B007
                yield frame
            lengths.append(count)

    video = work / "shots.mp4"
    media.write_video(video, counted(), fps=25, audio=None, crf=14)  # type: ignore[arg-type]
    speech = part_of(data / "speech" / "english.flac", 0.0, sum(lengths) / 25, work / "shots.wav")
    changed = changed_frames(newscaster.open("grid-s1"), video, speech, work / "shots-dubbed.mp4")
    ends = np.cumsum(lengths)
    rows = []
    names = ("s1", "s4", "s1", "no one", "s1")
    for name, start, stop in zip(names, ends - lengths, ends, strict=True):
        rows.append({"shot": name, "frames": int(stop - start), "changed": int(changed[start:stop].sum())})
        print(f"shots: {name}, {stop - start} frames, {rows[-1]['changed']} differ before encoding")
    return {"shots": rows}


def changed_frames(anchor: Anchor, video: Path, speech: Path, out: Path) -> np.ndarray:
    """Whether any sample of each frame, as it goes to the encoder, differs from the decoded video, (F,)."""
    changed: list[bool] = []
    real = media.write_video

    def compared(path: Path, frames: Iterable[media.YuvFrame], **options: Any) -> int:
        def passed() -> Iterator[media.YuvFrame]:
            for frame, own in zip(frames, media.read_yuv_frames(video), strict=True):
                pairs = zip(frame.planes, own.planes, strict=True)
                changed.append(any((a != b).any() for a, b in pairs))
                yield frame

        return real(path, passed(), **options)

    media.write_video = compared  # type: ignore[assignment]
    try:
        anchor.dub(video, speech, out, style=PLAIN, options=DubOptions(fit="shortest"))
    finally:
        media.write_video = real
    return np.array(changed)


def measure_lags(data: Path, work: Path) -> dict[str, Any]:
    person = anchor_descriptor(newscaster.open("grid-s1").target)
    rows: dict[int, list[list[float | None]]] = {count: [] for count in CLIPS}
    for first in range(0, 24, max(CLIPS)):
        clips = sentences(data, "grid_s1", "test", slice(first, first + max(CLIPS)))
        video = work / f"lag-{first}.mp4"
        media.write_video(video, frames_of(clips), fps=25, audio=None, crf=14)  # type: ignore[arg-type]
        track = track_video(video, person=person, name="s1", cache=work / "tracks")
        audio = audio_of(clips)
        parts = [(count, start) for count in CLIPS for start in range(0, len(clips), count)]
        for count, start in parts:
            frames = slice(75 * start, 75 * (start + count))
            part = replace(
                track,
                landmarks=track.landmarks[frames],
                present=track.present[frames],
                covered=track.covered[frames],
            )
            samples = audio[3 * RATE * start : 3 * RATE * (start + count)]
            shifted = [np.roll(samples, round(ms / 1000 * RATE)) for ms in (0, *SHIFTS_MS)]
            rows[count].append([lag_of(part, samples) for samples in shifted])
    return {f"{3 * count} s": lag_row(f"{3 * count} s", lags) for count, lags in rows.items()}


def lag_row(name: str, lags: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Figures of videos of one length; of each the lag without a shift, and with those of SHIFTS_MS."""
    measured = [of_video for of_video in lags if of_video[0] is not None]
    errors = [
        abs(1000 * (lag - of_video[0]) - ms)  # type: ignore[operator]
        for of_video in measured
        for lag, ms in zip(of_video[1:], SHIFTS_MS, strict=True)
        if lag is not None
    ]
    row = {
        "measured": sum(lag is not None for of_video in lags for lag in of_video),
        "of": sum(map(len, lags)),
        "unshifted_ms": [round(1000 * of_video[0]) for of_video in measured],  # type: ignore[operator]
        "median_error_ms": round(float(np.median(errors)), 1) if errors else None,
        "largest_error_ms": round(float(max(errors)), 1) if errors else None,
    }
    print(f"lag, videos of {name}: {row}")
    return row


def lag_of(track: Any, audio: np.ndarray) -> float | None:
    with open_speech(audio.astype(np.float32), audible=False) as speech:
        return measure_own_lag(track, speech, start_seconds=0.0).seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--second", type=Path, help="an anchor of GRID speaker s4, for the two people")
    parser.add_argument("--work", type=Path, help="folder that keeps the videos")
    parser.add_argument("--only", choices=["people", "shots", "lag"])
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        parts = {
            "people": lambda: measure_people(options.data, options.second, work),
            "shots": lambda: measure_shots(options.data, work),
            "lag": lambda: measure_lags(options.data, work),
        }
        chosen = [name for name in parts if options.only in (None, name)]
        if options.second is None:
            chosen = [name for name in chosen if name != "people"]
        results = dict(itertools.chain.from_iterable({name: parts[name]()}.items() for name in chosen))
    print(json.dumps({**results, "seconds": round(time.perf_counter() - started)}))


if __name__ == "__main__":
    main()
