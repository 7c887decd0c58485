"""What the watermark survives, and how often it is found where it is not.

Pieces of 5 s, of the built-in anchor and of footage that is marked as if newscaster had made it, are encoded
again in many ways and looked at. Pieces of footage as they are, cropped, mirrored, made smaller and encoded
again are looked at for a mark that is not there. Luma alone is encoded, since the mark is nowhere else.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import math
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from PIL import Image

import newscaster
from newscaster.formats.anchor import AnchorFile
from newscaster.media import YuvFrame
from newscaster.media.sampling import PlaneSampler
from newscaster.synthesis.options import Style
from newscaster.watermark import Watermark, id_of
from newscaster.watermark.pattern import SMALLER_SIDE_PX
from newscaster.watermark.reading import (
    PLACES,
    AveragedPlanes,
    Lock,
    aligned,
    averaged_planes,
    mark_of,
    searched,
    seen_pieces,
    threshold,
)

IDENTITY = "5eed1e"
SECONDS = 5
DISPLAYS = "standard_fhd", "standard_phone"
"""Of ColorVideoVDP: a monitor of 24 inches at 60 cm (38 pixels per degree), and a phone at 120."""
BILINEAR = Image.Resampling.BILINEAR
OF_SPEAK = {"crf": 18, "preset": "superfast", "rc-lookahead": 10}
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Y (H, W), U and V (H/2, W/2) uint8 of a frame; H and W are even."""
Frames = list[Planes]


@dataclass(frozen=True)
class Condition:
    """What is done to a piece: one thing after the other, and at last it is encoded."""

    name: str
    crf: int = 23
    size: float = 1.0
    crop: tuple[float, float, float, float] = (0, 0, 0, 0)
    """Shares that are cut off: left, top, right, bottom."""
    pad: float = 0
    """Share of black that is put at the left and the right."""
    mirror: bool = False
    every: int = 1
    """Of so many frames one is left, so that speech is so much faster, or the rate lower: it is the same."""
    gain: float = 1.0
    codec: str = "libx264"
    options: dict[str, object] = field(default_factory=dict)
    still: bool = False
    """One picture as JPEG, and nothing else."""


CONDITIONS = (
    Condition("as it is made, again at crf 18", crf=18),
    Condition("H.264, crf 23"),
    Condition("H.264, crf 28", crf=28),
    Condition("H.264, crf 33", crf=33),
    Condition("H.264, crf 38", crf=38),
    Condition("H.264, crf 28, veryfast", crf=28, options={"preset": "veryfast"}),
    Condition(
        "VP8, 500 kbit/s", codec="libvpx", options={"b": "500k", "deadline": "realtime", "cpu-used": 8}
    ),
    Condition("MPEG-4 (Xvid's), 800 kbit/s", codec="mpeg4", options={"b": "800k"}),
    Condition("scaled to 3/4, crf 23", size=0.75),
    Condition("scaled to half, crf 18", size=0.5, crf=18),
    Condition("scaled to half, crf 23", size=0.5),
    Condition("scaled to half, crf 28", size=0.5, crf=28),
    Condition("scaled to a third, crf 18", size=1 / 3, crf=18),
    Condition("scaled to twice, crf 23", size=2.0),
    Condition("cropped by 5 % at every side, crf 23", crop=(0.05, 0.05, 0.05, 0.05)),
    Condition("cropped by 10 % at every side, crf 23", crop=(0.1, 0.1, 0.1, 0.1)),
    Condition("cropped by 20 % at right and bottom, crf 23", crop=(0, 0, 0.2, 0.2)),
    Condition("cropped by 10 % at every side, crf 28", crf=28, crop=(0.1, 0.1, 0.1, 0.1)),
    Condition("cropped by 10 % and scaled to 3/4, crf 23", size=0.75, crop=(0.1, 0.1, 0.1, 0.1)),
    Condition("black at both sides, crf 23", pad=0.2),
    Condition("mirrored, crf 23", mirror=True),
    Condition("every second frame, crf 23", every=2),
    Condition("contrast 0.7, crf 23", gain=0.7),
    Condition("one still, JPEG of quality 85", still=True),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speech", type=Path, nargs="*", default=[], help="what the built-in anchor says")
    parser.add_argument("--marked", type=Path, nargs="*", default=[], help="footage that is marked")
    parser.add_argument("--unmarked", type=Path, nargs="*", default=[], help="footage without a mark")
    parser.add_argument("--pieces", type=int, default=1000, help="unmarked pieces")
    parser.add_argument("--visible", type=Path, nargs="*", default=[], help="footage to see the mark on")
    parser.add_argument("--grey", action="store_true", help="that footage in black and white")
    parser.add_argument("--ways", nargs="*", help="parts of names of ways; by default all")
    given = parser.parse_args()
    ways = [way for way in CONDITIONS if not given.ways or any(part in way.name for part in given.ways)]
    found: dict[str, object] = {}
    if given.speech:
        found["built-in anchor"] = survived("the built-in anchor", builtin_pieces(given.speech), ways)
    if given.marked:
        found["footage"] = survived("footage", footage_pieces(given.marked, grey=given.grey), ways)
    if given.unmarked:
        found["unmarked"] = false_alarms(given.unmarked, given.pieces)
    if given.visible:
        found["visible"] = visibility(given.visible, grey=given.grey)
    print(json.dumps(found))


def builtin_pieces(speeches: Iterable[Path]) -> Iterator[tuple[Frames, str]]:
    """What `speak` writes, in pieces, and the id that they should carry."""
    anchor = newscaster.open("grid-s1")
    carried = id_of(AnchorFile(anchor.path).identity)
    with TemporaryDirectory() as folder:
        marked, plain = Path(folder) / "marked.mp4", Path(folder) / "plain.mp4"
        for speech in speeches:
            anchor.speak(speech, marked)
            anchor.speak(speech, plain, style=Style(watermark=False))
            print(f"{speech.name}: {100 * (marked.stat().st_size / plain.stat().st_size - 1):+.1f} % of size")
            yield from ((piece, carried) for piece in whole_pieces(marked))


def footage_pieces(paths: Iterable[Path], *, grey: bool = False) -> Iterator[tuple[Frames, str]]:
    """Pieces of footage, marked, and encoded as `speak` does."""
    squares, larger = [], []
    for path in paths:
        for piece in whole_pieces(path):
            piece = [in_grey(planes) for planes in piece] if grey else piece
            images = [YuvFrame(frame_of(planes)) for planes in piece]
            mark = Watermark(IDENTITY, like=images[0])
            squares.append(float((mark.levels.astype(float) ** 2).mean()))
            plain = len(encoded(piece, options=OF_SPEAK))
            for image in images:
                mark.put_on(image)
            data = encoded([image.planes for image in images], options=OF_SPEAK)
            larger.append(100 * (len(data) / plain - 1))
            yield decoded(io.BytesIO(data)), IDENTITY
    psnr = [10 * math.log10(255**2 / square) for square in squares]
    print(f"PSNR of the marked plane: {statistics.median(psnr):.1f} dB ({min(psnr):.1f} to {max(psnr):.1f})")
    print(f"size: {statistics.median(larger):+.1f} % ({min(larger):+.1f} to {max(larger):+.1f})")


def survived(name: str, pieces: Iterator[tuple[Frames, str]], ways: Sequence[Condition]) -> dict[str, object]:
    """In how many pieces the mark and its id are read, by what was done to them."""
    counts: dict[str, list[int]] = {way.name: [0, 0, 0] for way in ways}
    scores: dict[str, list[float]] = {way.name: [] for way in ways}
    wrong = 0
    with TemporaryDirectory() as folder:
        path = Path(folder) / "piece.mkv"
        for piece, carried in pieces:
            for way in ways:
                path.write_bytes(done(piece, way))
                (averages,) = seen_pieces(path)
                mark = mark_of([averages])
                counts[way.name][0] += 1
                counts[way.name][1] += mark is not None
                counts[way.name][2] += mark is not None and mark.id == carried
                wrong += mark is not None and mark.id not in (None, carried)
                scores[way.name].append(score(searched if any(way.crop) else aligned, averages))
    for way_name, (pieces_in_all, marked, read) in counts.items():
        print(
            f"{name}, {way_name}: mark in {marked} of {pieces_in_all}, id read in {read}; score "
            f"{statistics.median(scores[way_name]):.1f}, {min(scores[way_name]):.1f} at least"
        )
    print(f"{name}, wrong ids: {wrong}", flush=True)
    return {**counts, "wrong ids": wrong}


def done(piece: Frames, way: Condition) -> bytes:
    """A piece, changed and encoded."""
    changed = [_changed(planes, way) for planes in piece[:: way.every]]
    if way.still:
        return encoded([_through_jpeg(changed[0])], options={"crf": 0})
    options = way.options if way.codec != "libx264" else {"crf": way.crf, **way.options}
    return encoded(changed, size=way.size, codec=way.codec, options=options)


def _changed(planes: Planes, way: Condition) -> Planes:
    height, width = planes[1].shape
    left, top, right, bottom = (round(s * n) for s, n in zip(way.crop, (width, height) * 2, strict=True))
    changed = []
    for number, plane in enumerate(planes):
        step, middle, black = (2, 16 + 109, 16) if number == 0 else (1, 128, 128)
        part = plane[step * top : step * (height - bottom), step * left : step * (width - right)]
        part = part[:, ::-1] if way.mirror else part
        if way.gain != 1:
            part = np.round(way.gain * (part.astype(float) - middle) + middle).astype(np.uint8)
        more = step * round(way.pad * width)
        changed.append(np.pad(part, ((0, 0), (more, more)), constant_values=black))
    return changed[0], changed[1], changed[2]


def _through_jpeg(planes: Planes) -> Planes:
    data = io.BytesIO()
    Image.fromarray(frame_of(planes).to_ndarray(format="rgb24")).save(data, "jpeg", quality=85)
    image = np.asarray(Image.open(data).convert("RGB"))
    return planes_of(av.VideoFrame.from_ndarray(image, format="rgb24"))


def false_alarms(paths: list[Path], wanted: int) -> dict[str, object]:
    """The best scores of pieces without a mark, and how many are beyond what counts as found."""
    whole, cropped, alarms, seconds = [], [], 0, []
    for piece in itertools.islice(unmarked_pieces(paths), wanted):
        began = time.perf_counter()
        averages = averaged_planes(seen(piece[::5]))
        whole.append(score(aligned, averages))
        cropped.append(score(searched, averages))
        seconds.append(time.perf_counter() - began)
        alarms += whole[-1] >= threshold(PLACES[0]) or cropped[-1] >= threshold(PLACES[1])
        if len(whole) % 100 == 0:
            print(f"  {len(whole)} pieces, {alarms} alarms", flush=True)
    for name, scores, places in (("whole", whole, PLACES[0]), ("cropped", cropped, PLACES[1])):
        print(
            f"unmarked, as {name}: best scores {statistics.median(scores):.2f}, {max(scores):.2f} at most; "
            f"found from {threshold(places):.2f} on"
        )
    print(f"false alarms: {alarms} of {len(whole)} pieces; {statistics.median(seconds):.2f} s for each")
    return {"pieces": len(whole), "alarms": alarms, "whole": max(whole), "cropped": max(cropped)}


def unmarked_pieces(paths: list[Path]) -> Iterator[Frames]:
    """Pieces of all files in turn, which overlap by half; each once as it is, and once changed."""
    chance = random.Random(0)
    for number in itertools.count():
        some = False
        for path in paths:
            frames = decoded(path, stop=(number // 2 + 2) * SECONDS * 13)
            length = min(len(frames), SECONDS * 25)
            piece = frames[number // 2 * length // 2 :][:length]
            if len(piece) < length:
                continue
            some = True
            yield decoded(io.BytesIO(done(piece, _any_way(chance)))) if number % 2 else piece
        if not some:
            return


def _any_way(chance: random.Random) -> Condition:
    return Condition(
        "by chance",
        crf=chance.choice([23, 28, 33]),
        size=chance.choice([0.5, 0.75, 1.0]),
        crop=tuple(chance.choice([0, chance.uniform(0, 0.2)]) for _ in range(4)),
        mirror=chance.random() < 0.5,
    )


def score(looking: Callable[..., Lock | None], averages: AveragedPlanes) -> float:
    """Standard deviations of the best place, in either plane."""
    locks = [looking(average, least=-99.0) for average in averages]
    return max(lock.score for lock in locks if lock is not None)


def seen(frames: Frames) -> list[tuple[np.ndarray, np.ndarray]]:
    """As `find_mark` sees them: no larger than it needs."""
    sampler = PlaneSampler(SMALLER_SIDE_PX)
    return [sampler(frame_of(planes)) for planes in frames]


def visibility(paths: Iterable[Path], *, grey: bool = False) -> dict[str, dict[str, float]]:
    """How far marked first frames are from unmarked ones, in just objectionable differences below 10."""
    import pycvvdp

    measures = {name: pycvvdp.cvvdp(display_name=name) for name in DISPLAYS}
    found = {}
    for path in paths:
        (planes,) = decoded(path, stop=1)
        image = YuvFrame(frame_of(in_grey(planes) if grey else planes))
        before = shown(image.planes)
        Watermark(IDENTITY, like=image).put_on(image)
        after = shown(image.planes)
        found[path.name] = {
            name: float(measure.predict(after, before, dim_order="HWC")[0])
            for name, measure in measures.items()
        }
        values = ", ".join(f"{value:.3f} ({name})" for name, value in found[path.name].items())
        print(f"{path.name}: {values}", flush=True)
    return found


def shown(planes: Planes) -> np.ndarray:
    """(H, W, 3) float32 RGB, 0 to 1, not rounded: BT.709 in limited range."""
    height, width = planes[0].shape
    luma = (planes[0].astype(np.float32) - 16) / 219
    blue, red = (
        np.asarray(Image.fromarray(plane.astype(np.float32) - 128).resize((width, height), BILINEAR)) / 224
        for plane in planes[1:]
    )
    rgb = np.stack([luma + 1.5748 * red, luma - 0.1873 * blue - 0.4681 * red, luma + 1.8556 * blue], axis=2)
    return np.clip(rgb, 0, 1)


def whole_pieces(path: Path) -> Iterator[Frames]:
    """All pieces of 5 s of a file; the file itself where it has a little less."""
    with av.open(str(path)) as container:
        frames = (planes_of(frame) for frame in container.decode(video=0))
        for number in itertools.count():
            piece = list(itertools.islice(frames, SECONDS * 25))
            if len(piece) < SECONDS * 25 and number:
                return
            yield piece


def decoded(source: Path | io.BytesIO, *, stop: int | None = None) -> Frames:
    """The frames of a video."""
    with av.open(source if isinstance(source, io.BytesIO) else str(source)) as container:
        frames = itertools.islice(container.decode(video=0), stop)
        return [planes_of(frame) for frame in frames]


def in_grey(planes: Planes) -> Planes:
    """A frame in black and white."""
    return planes[0], *(np.full_like(plane, 128) for plane in planes[1:])


def planes_of(frame: av.VideoFrame) -> Planes:
    """Y, U and V as 4:2:0 in limited range; odd sides lose a pixel."""
    image = YuvFrame(frame.reformat(format="yuv420p"))
    height, width = (side // 2 * 2 for side in image.planes[0].shape)
    y, u, v = image.planes
    return (
        y[:height, :width].copy(),
        u[: height // 2, : width // 2].copy(),
        v[: height // 2, : width // 2].copy(),
    )


def encoded(
    frames: Frames, *, size: float = 1.0, codec: str = "libx264", options: Mapping[str, object]
) -> bytes:
    """A video in memory."""
    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=25, options={k: str(v) for k, v in options.items()})
        height, width = (round(side * size / 2) * 2 for side in frames[0][0].shape)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, planes in enumerate(frames):
            frame = frame_of(planes).reformat(width=width, height=height, interpolation="BICUBIC")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return data.getvalue()


def frame_of(planes: Planes) -> av.VideoFrame:
    """A frame of 4:2:0 in limited range."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, "yuv420p")
    for part, plane in zip(YuvFrame(frame).planes, planes, strict=True):
        part[:] = plane
    return frame


if __name__ == "__main__":
    main()
