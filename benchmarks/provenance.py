"""What signing, the label and the watermark do, and what they cost.

    python benchmarks/provenance.py --speech SOUND --work FOLDER [--anchor ANCHOR] [--outputs 100] [--times 9]

First, outputs of all kinds (every container; sound files, samples and texts; subtitles or none; a label or
none; the local certificate or one of a newsroom's) are verified as they were written, and again after one bit
was changed: in a packet of the picture, in one of the sound, and in the manifest. Then, in turns and in one
process, the same speech is spoken with none of them, with each, and with all; medians of wall and processor
time, with the least and the greatest, and of what is added in each turn. Ends with a line of JSON.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shlex
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

import newscaster
from newscaster import Outputs, Reading, SigningOptions, Style, media, provenance
from newscaster.formats.anchor import AnchorFile
from newscaster.provenance import toolkit
from newscaster.synthesis.labelling import place_label
from newscaster.watermark import Watermark

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from signing import write_certificate

ENDINGS = (".mp4", ".m4v", ".mov", ".mkv")
SPEECHES = ("file", "samples", "text")
SECONDS = 0.6
"""Of speech in each of the outputs that are verified."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--anchor", default="grid-s1")
    parser.add_argument("--outputs", type=int, default=100)
    parser.add_argument("--times", type=int, default=9)
    parser.add_argument("--lengths", type=float, nargs="*", default=[3.0, 20.0])
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault(provenance.credentials.HOME_VARIABLE, str(given.work / "home"))
    anchor = newscaster.open(given.anchor)
    audio = np.concatenate(list(media.read_audio_blocks(given.speech, rate=16_000, block_samples=16_000)))
    found = {**verified(anchor, audio, given.work, given.outputs), **timed(anchor, audio, given)}
    print(json.dumps(found))


def verified(anchor: newscaster.Anchor, audio: np.ndarray, work: Path, outputs: int) -> dict[str, object]:
    """How many outputs hold as they were written, and in how many a changed bit is found."""
    chance = random.Random(0)
    chain, key, authority = write_certificate(work / "newsroom")
    kinds = itertools.cycle(
        itertools.product(ENDINGS, SPEECHES, (None, "AI-generated"), (None, (chain, key)), (False, True))
    )
    chosen = list(itertools.islice(kinds, 96))
    chance.shuffle(chosen)
    counts = dict.fromkeys(("holds", "picture", "sound", "manifest"), 0)
    for number, (ending, speech, label, sign, subtitles) in zip(range(outputs), itertools.cycle(chosen)):
        out = work / f"output{ending}"
        signing = SigningOptions() if sign is None else SigningOptions(certificate=chain, key=key)
        speak(anchor, audio, out, speech, subtitles=subtitles, label=label or "", signing=signing)
        found = provenance.verify(out, trust=authority, watermark=False)
        wanted = "trusted" if sign else "untrusted"
        counts["holds"] += found.verdict == wanted and found.statement is not None
        if found.verdict != wanted:
            print(f"  output {number}: {ending} {speech}: {found}")
        for part in ("picture", "sound", "manifest"):
            counts[part] += tampering_is_found(out, part, chance)
    print(f"outputs that hold: {counts['holds']} of {outputs}")
    for part in ("picture", "sound", "manifest"):
        print(f"one bit of the {part} changed, and found: {counts[part]} of {outputs}")
    return {"outputs": outputs, **counts}


def speak(
    anchor: newscaster.Anchor,
    audio: np.ndarray,
    out: Path,
    kind: str,
    *,
    subtitles: bool,
    label: str,
    signing: SigningOptions,
) -> None:
    """One output, driven by one kind of speech."""
    part = audio[: round(SECONDS * 16_000)]
    wav = out.parent / "speech.wav"
    media.write_wav(wav, part, 16_000)
    if kind == "text":
        code = f"import sys; sys.stdout.buffer.write(open({str(wav)!r}, 'rb').read())"
        reading = Reading(command=shlex.join([sys.executable, "-c", code]))
        outputs, style = Outputs(subtitles=subtitles), Style(reading=reading, label=label)
        anchor.speak(None, out, text="The news.", outputs=outputs, signing=signing, style=style)
    else:
        anchor.speak(wav if kind == "file" else part, out, signing=signing, style=Style(label=label))


def tampering_is_found(path: Path, part: str, chance: random.Random) -> bool:
    """Change one bit, verify, and put it back."""
    sidecar = provenance.sidecar_of(path)
    held = sidecar if sidecar is not None and part == "manifest" else path
    data = bytearray(held.read_bytes())
    place = chance.choice(_places(path, part, data, chance))
    before = data[place]
    data[place] ^= 1 << chance.randrange(8)
    held.write_bytes(data)
    found = provenance.verify(path, watermark=False)
    data[place] = before
    held.write_bytes(data)
    if found.holds:
        print(f"  {path.name}: byte {place} of the {part} was changed, and not found")
    return not found.holds


def _places(path: Path, part: str, data: bytes, chance: random.Random) -> range:
    """Bytes of a file that belong to a part."""
    if part == "manifest":
        if provenance.sidecar_of(path) is not None:
            return range(len(data))
        begin = data.find(b"uuid") - 4
        return range(begin, begin + int.from_bytes(data[begin : begin + 4], "big"))
    kind = {"picture": "video", "sound": "audio"}[part]
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        packets = [(packet.pos, packet.size) for packet in container.demux(stream) if packet.size]
    place, size = chance.choice(packets)
    return range(place, place + size)


def timed(anchor: newscaster.Anchor, audio: np.ndarray, given: argparse.Namespace) -> dict[str, object]:
    """Seconds with and without, taken in turns."""
    found: dict[str, object] = {}
    for length in given.lengths:
        speech = np.resize(audio, round(length * 16_000))
        took: dict[str, list[tuple[float, float]]] = {}
        for turn in range(given.times + 1):  # the first warms up
            for name, signs, style in _ways(turn):
                spent = _spoken(anchor, speech, given.work / "timed.mp4", signs=signs, style=style)
                if turn:
                    took.setdefault(name, []).append(spent)
        for name in ("plain", "signed", "labelled", "marked", "all"):
            for clock, which in (("wall", 0), ("processor", 1)):
                values = [spent[which] for spent in took[name]]
                pairs = zip(took[name], took["plain"], strict=True)
                added = [100 * (spent[which] / plain[which] - 1) for spent, plain in pairs]
                print(
                    f"{length:g} s of speech, {name:9s} {clock:10s} {statistics.median(values):7.3f} s "
                    f"({min(values):.3f} to {max(values):.3f}), added {statistics.median(added):6.2f} %"
                )
                found[f"{name} {length:g} s, {clock}, added %"] = round(statistics.median(added), 2)
        plain_ms = 1000 * statistics.median(spent[1] for spent in took["plain"])
        for name, alone in (("signing", _signing_alone), ("label", _label_alone), ("mark", _mark_alone)):
            spent_ms = 1000 * alone(anchor, speech, given.work)
            fraction = 100 * spent_ms / plain_ms
            print(
                f"{length:g} s of speech, {name} alone: {spent_ms:.1f} ms, {fraction:.2f} % of processor time"
            )
            found[f"{name} alone {length:g} s, %"] = round(fraction, 2)
    return found


def _ways(turn: int) -> Iterator[tuple[str, bool, Style]]:
    """Five ways, each turn in another order."""
    plain, label = Style(label="", watermark=False), "AI-generated"
    ways = [
        ("plain", False, plain),
        ("signed", True, plain),
        ("labelled", False, Style(label=label, watermark=False)),
        ("marked", False, Style(label="", watermark=True)),
        ("all", True, Style(label=label, watermark=True)),
    ]
    return iter(ways[turn % 5 :] + ways[: turn % 5])


def _spoken(
    anchor: newscaster.Anchor, speech: np.ndarray, out: Path, *, signs: bool, style: Style
) -> tuple[float, float]:
    is_there = toolkit.is_there
    if not signs:
        toolkit.is_there = lambda: False
    try:
        wall, processor = time.perf_counter(), time.process_time()
        anchor.speak(speech, out, style=style)
        return time.perf_counter() - wall, time.process_time() - processor
    finally:
        toolkit.is_there = is_there


def _signing_alone(anchor: newscaster.Anchor, speech: np.ndarray, work: Path) -> float:
    """Median seconds of the processor that it takes to sign the finished file, certificate included."""
    out = work / "signed.mp4"
    anchor.speak(speech, out)
    said = provenance.verify(out, watermark=False).statement
    assert said is not None
    seconds = []
    for _ in range(9):
        began = time.process_time()
        provenance.sign_video(out, said, provenance.find_credentials(), place=out)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def _label_alone(anchor: newscaster.Anchor, speech: np.ndarray, work: Path) -> float:
    """Median seconds of the processor that it takes to place a label and write it on all frames."""
    image, seconds = anchor.target.frame(0).image, []
    for _ in range(9):
        began = time.process_time()
        label = place_label("AI-generated", anchor.target.landmarks, size=anchor.size)
        for _ in range(round(len(speech) / 16_000 * anchor.fps)):
            label.put_on(image)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def _mark_alone(anchor: newscaster.Anchor, speech: np.ndarray, work: Path) -> float:
    """Median seconds of the processor that it takes to make a watermark and put it on all frames."""
    image, seconds = anchor.target.frame(0).image, []
    identity = AnchorFile(anchor.path).identity
    for _ in range(9):
        began = time.process_time()
        watermark = Watermark(identity, like=image)
        for _ in range(round(len(speech) / 16_000 * anchor.fps)):
            watermark.put_on(image)
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
