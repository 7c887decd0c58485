"""How an anchor's mouth moves under every voice: its own, other people's, synthetic ones; and live.

    python benchmarks/voices.py --anchor NAME.anchor --test TEST... --align FOLDER --people NAME=FOLDER...
        --work FOLDER [--audios FOLDER] [--out FILE.md]

``--test`` is footage of the anchor's own person, held out; ``--align`` holds its word times in GRID's format.
Figures are of the motion network alone but where they say "as shown": there the lips rest in silence. Writes
a table in Markdown; ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from spine import ATTRIBUTION, files

import newscaster
from newscaster.evaluation.reenactment import (
    SpokenClip,
    motion_errors,
    opening_correlation,
    spoken,
)
from newscaster.evaluation.voices import (
    Word,
    closed_below,
    closure_fraction,
    envelope_lag_ms,
    opening_lag_ms,
    read_alignment,
    silence_ratio,
    spoken_steps,
)
from newscaster.face.mouth_basis import opening
from newscaster.media import read_audio
from newscaster.prepare.tracks import track_footage
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.voice_activity import load_voice_activity
from newscaster.speech.voices import Reading, synthesize
from newscaster.synthesis.motion import frame_count

LookAheads = tuple[int | None, ...]
VOICES = ("hibari", "joe")
NETWORK_ALONE = newscaster.Articulation(rests=False)
TEXT = """\
Good evening. The government has published its plans for the coming year. Ministers want to spend more
on schools, bridges and hospitals, and less on roads. The opposition called the budget a missed
opportunity. In sport, the home team won by two goals to one after a remarkable second half. Both goals
came from penalties. Police in the north are looking for the driver of a blue van that was seen near the
bank this morning. And finally the weather: most of us will have a mild and cloudy night, with showers
moving in from the west by morning. Temperatures will be between five and eleven degrees. On Monday,
more sunshine, but a cold wind along the coast. That is all for now. My name is Emma, and we will be
back at ten."""

HEAD = f"""\
# Other voices

Made by `benchmarks/voices.py`, with one anchor. *Own voice* is the person of the anchor, on held-out clips.
The others are strangers on video, whose mouths are compared with the anchor's. The last rows are voices
without video.

- **MSE**, **MAE**, **Int-MSE**: errors of the mouth shape, and of its change from frame to frame, in IOD
  (distance of the outer eye corners), against raw landmarks.
- **r**: correlation of the opening between the inner lips with the real one; for other people, at the best
  lag within 8 frames.
- **mean r**, **median r**: over clips. Each counts alike, whatever its length and whoever is in it. The other
  GRID speakers are nine people in ten sentences, one man with two. The strangers are 14 clips of 4 to 60 s.
- **Opening over own voice's**: standard deviation of the opening, relative to that for the own voice.
- **b, p, m on which the lips meet**: opening below the 20th percentile of the real video during words,
  within two frames of the phoneme.
- **Behind the real mouth**: the lag with the best correlation of both openings, over all clips together.
  Footage whose audio and video are not in sync shows that here, too. **Behind the audio level**: the same
  with the loudness of the audio; compare it with that of the real mouth.
- **look-ahead**: motion with bounded look-ahead, in ms. As in live speech, the level is not known in
  advance, so the noise before the first word is amplified.
- **As shown**: with lips that rest in silence, and meet if they nearly do. The other rows are of the motion
  network alone. In the half second before speech people draw breath, and the lips may open, too: **silence**
  leaves it out.

Footage of the own voice: {ATTRIBUTION}."""
Figures = dict[str, float]


def own_voice(anchor, clips, look_aheads: LookAheads) -> tuple[Figures, float]:
    """Figures on the anchor's own person, and the deviation of the opening in speech, as predicted."""
    figures: Figures = {}
    for look_ahead in look_aheads:
        said = [
            spoken(anchor, c, anchor.face.head, articulation=NETWORK_ALONE, look_ahead_ms=look_ahead)
            for c in clips
        ]
        errors, name = motion_errors(said), _name(look_ahead)
        figures[f"own voice, {name}, MSE x 1e5"] = 1e5 * errors.mse
        figures[f"own voice, {name}, MAE x 1e3"] = 1e3 * errors.mae
        figures[f"own voice, {name}, Int-MSE x 1e5"] = 1e5 * errors.int_mse
        figures[f"own voice, {name}, r of the opening"] = opening_correlation(said)
    return figures, float(np.concatenate([opening(s.predicted) for s in whole(anchor, clips)]).std())


def whole(anchor, clips, articulation=NETWORK_ALONE) -> list[SpokenClip]:
    return [spoken(anchor, c, anchor.face.head, articulation=articulation) for c in clips]


def rest_and_closure(anchor, clips, align: Path) -> Figures:
    """Opening in silence, lips on b, p and m, and when the mouth opens, on sentences with word times."""
    words: list[list[Word]] = [read_alignment(align / f"{clip.name}.align") for clip in clips]
    figures: Figures = {}
    alone, rested = whole(anchor, clips), whole(anchor, clips, newscaster.Articulation())
    openings = {
        "real": [opening(s.seen) for s in alone],
        "network alone": [opening(s.predicted) for s in alone],
        "as shown": [opening(s.predicted) for s in rested],
    }
    speaking = [spoken_steps(said, len(o)) for said, o in zip(words, openings["real"], strict=True)]
    below = closed_below(openings["real"], speaking)
    for name, found in openings.items():
        figures[f"{name}: opening in silence over speech, 95th percentiles"] = silence_ratio(found, speaking)
        figures[f"{name}: the same with the half second before speech"] = silence_ratio(
            found, speaking, breathing=True
        )
        figures[f"{name}: b, p, m on which the lips meet"] = closure_fraction(found, words, below)
    for name in ("network alone", "as shown"):
        figures[f"{name}: b, p, m over the real video's"] = (
            figures[f"{name}: b, p, m on which the lips meet"]
            / figures["real: b, p, m on which the lips meet"]
        )
    figures["as shown: r of the opening"] = opening_correlation(rested)
    for name in ("network alone", "as shown"):
        figures[f"{name}: behind the real mouth, ms"] = opening_lag_ms(openings[name], openings["real"])
    audios = [clip.speech for clip in clips]
    for name in ("real", "network alone"):
        figures[f"{name}: behind the audio level, ms"] = envelope_lag_ms(openings[name], audios)
    return figures


def other_people(anchor, clips, own_deviation: float, name: str, look_aheads: LookAheads) -> Figures:
    figures: Figures = {}
    for look_ahead in look_aheads:
        said = [spoken(anchor, c, articulation=NETWORK_ALONE, look_ahead_ms=look_ahead) for c in clips]
        found = [s.agreement.correlation for s in said]
        figures[f"{name}, {_name(look_ahead)}, mean r"] = float(np.mean(found))
        figures[f"{name}, {_name(look_ahead)}, median r"] = float(np.median(found))
        if look_ahead is None:
            std = np.concatenate([opening(s.predicted) for s in said]).std()
            figures[f"{name}, opening over own voice's"] = float(std / own_deviation)
            figures[f"{name}, behind the real mouth, ms"] = opening_lag_ms(
                [opening(s.predicted) for s in said], [opening(s.seen) for s in said]
            )
    return figures


def voices_without_video(anchor, audios: dict[str, np.ndarray], own_deviation: float) -> Figures:
    """Opening over the own voice's, where there is speech, and when the mouth opens."""
    figures: Figures = {}
    openings = []
    activity = load_voice_activity()
    for name, audio in audios.items():
        stream = anchor.motion_stream(articulation=NETWORK_ALONE)
        total = frame_count(len(audio), SAMPLE_RATE, anchor.fps)
        found = opening(np.concatenate([stream.push(audio), stream.flush(total_frames=total)]))
        heard = activity.stream()
        speaking = np.concatenate([heard.push(audio), heard.flush()])[: len(found)] > 0.5
        figures[f"{name}: opening in speech over own voice's"] = float(found[speaking].std() / own_deviation)
        openings.append(found)
    figures["these voices: behind the audio level, ms"] = envelope_lag_ms(openings, list(audios.values()))
    return figures


def _name(look_ahead_ms: int | None) -> str:
    return "full context" if look_ahead_ms is None else f"{look_ahead_ms} ms look-ahead"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--anchor", default="grid-s1")
    parser.add_argument("--test", required=True, help="FOLDER or FOLDER:NAMES.txt of the anchor's own person")
    parser.add_argument("--align", type=Path, required=True)
    parser.add_argument(
        "--people",
        nargs="*",
        default=[],
        help="NAME=FOLDER of other people talking; NAME is what the table says",
    )
    parser.add_argument("--audios", type=Path, help="folder of speech without video")
    parser.add_argument(
        "--look-aheads", type=int, nargs="*", default=[320, 200, 120], help="in ms, besides full context"
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    a = parser.parse_args()
    anchor, look_aheads = newscaster.open(a.anchor), (None, *a.look_aheads)
    # First, since a voice that is not installed would end the program after all else.
    audios = {name: synthesize(TEXT, reading=Reading(voice=name), rate=SAMPLE_RATE)[0] for name in VOICES}
    clips = track_footage(files(a.test), a.work / "test")
    figures, std = own_voice(anchor, clips, look_aheads)
    figures |= rest_and_closure(anchor, clips, a.align)
    print(f"own voice: {len(clips)} clips", flush=True)
    for given in a.people:
        name, folder = given.split("=", 1)
        others = track_footage(files(folder), a.work / name, fps=anchor.fps)
        figures |= other_people(anchor, others, std, name, look_aheads)
        print(f"{name}: {len(others)} clips", flush=True)
    for file in sorted(a.audios.iterdir()) if a.audios else []:
        audios[file.stem] = read_audio(file)[: 60 * SAMPLE_RATE]
    figures |= voices_without_video(anchor, audios, std)
    table = "\n".join(
        ["| figure | value |", "|---|---|", *(f"| {name} | {value:.3g} |" for name, value in figures.items())]
    )
    print(table)
    if a.out is not None:
        a.out.write_text(f"{HEAD}\n\n{table}\n")
    print(json.dumps({name: float(f"{value:.5g}") for name, value in figures.items()}))


if __name__ == "__main__":
    main()
