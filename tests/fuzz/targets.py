"""What is fuzzed: sound files, what a script makes of them, and how they are then opened and used.

The rule for all: either a NewscasterError, in one sentence, or something that works.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame

from fuzz.scripts import Script, changed, drawn, rezipped, zip_step, zipped
from making_media import moving_pattern
from newscaster import media
from newscaster.cli.commands import _metadata
from newscaster.consent import Consent
from newscaster.errors import InputError
from newscaster.formats.anchor import MOTION, TARGET, AnchorFile
from newscaster.formats.dataset import Dataset
from newscaster.inference import Session
from newscaster.matting.packed import unpacked
from newscaster.matting.store import MatteStore
from newscaster.provenance import find_credentials, verify
from newscaster.safety.readers import read_json
from newscaster.synthesis.anchor import Anchor
from signing import signed
from small_dataset import write_take
from tiny_anchor import CONTEXT_STEPS, speech_like, tiny_moved_matte, tiny_packed_matte, write_tiny_anchor

_CREATED = "2026-01-01T00:00:00+00:00"


@dataclass(frozen=True)
class Target:
    """One thing that reads files."""

    draw: Callable[[random.Random, list[Script]], Script]
    """A script, from a seed and the scripts that are known."""
    use: Callable[[Script], None]
    """Makes the file and uses it."""


def _members(folder: Path) -> dict[str, bytes]:
    file = AnchorFile(
        write_tiny_anchor(
            folder / "sound.anchor",
            created=_CREATED,
            blend_weight=np.linspace(0, 1, 10, dtype=np.float32),
            consent=Consent.of("who: Ada\nfor: tests\nwhen: 2026-01-01").to_json(),
        )
    )
    header = {**file.info.to_json(), "members": file.members}
    return {"anchor.json": json.dumps(header).encode(), **{name: file.read(name) for name in file.members}}


def _anchor(folder: Path) -> Target:
    members, path, speech = _members(folder), folder / "x.anchor", speech_like(0.3)

    def draw(rng: random.Random, known: list[Script]) -> Script:
        script = drawn(rng, list(members), known)
        if rng.random() < 0.15:
            script = [step for step in script if step["in"] == "zip"] + [zip_step(rng)]
        return [*[s for s in script if s["in"] != "signed"], {"in": "signed", "yes": rng.random() < 0.9}]

    def use(script: Script) -> None:
        made = dict(members)
        for step in script:
            if step["in"] in made:
                made[step["in"]] = changed(made[step["in"]], step)
        data = zipped(made, signed=all(step.get("yes", True) for step in script))
        for step in script:
            if step["in"] == "zip":
                data = rezipped(data, step)
        path.write_bytes(data)
        file = AnchorFile(path)
        list(_metadata(file))
        anchor = Anchor(file, workers=1, backend="onnxruntime")
        for image in itertools.islice(anchor.render(speech), 6):
            assert image.shape == (*anchor.size[::-1], 3)
        list(itertools.islice(anchor.target.order(), 50))

    return Target(draw, use)


def _take(folder: Path) -> Target:
    audio, place = folder / "sound", folder / "take"
    write_take(audio)
    files = ["take.json", "face.safetensors", "stage.safetensors", "stage.mp4"]
    files += [f"clips/one/{path.name}" for path in sorted((audio / "clips" / "one").iterdir())]

    def draw(rng: random.Random, known: list[Script]) -> Script:
        script = drawn(rng, files, known)
        if rng.random() < 0.1:
            to = rng.choice(["/etc/passwd", "/dev/zero", "../sound/take.json", "nowhere", "."])
            script.append({"in": rng.choice(files), "do": rng.choice(["link", "pipe", "folder"]), "to": to})
        return script

    def use(script: Script) -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(audio, place)
        for step in script:
            path = place / step["in"]
            if step["do"] in ("link", "pipe", "folder"):
                _odd(path, step)
            elif path.is_file() and not path.is_symlink():
                path.write_bytes(changed(path.read_bytes(), step))
        dataset = Dataset.open(place)
        for clip in dataset.clips:
            clip.mouth_points(), clip.learnable_points(), clip.mouth_shapes(dataset.head)
            clip.teaches_motion(dataset.head), clip.crops[:1].sum()
        _ = dataset.target.segment, repr(dataset), dataset.seconds
        media.TargetVideo(dataset.target.video).frame(0)

    return Target(draw, use)


def _odd(path: Path, step: dict[str, Any]) -> None:
    if path.is_file() or path.is_symlink():
        path.unlink()
    if path.exists():
        return
    if step["do"] == "link":
        path.symlink_to(step["to"])
    elif step["do"] == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


def _network(folder: Path) -> Target:
    audio = _members(folder)[MOTION]
    features = np.zeros((1, 2 * CONTEXT_STEPS + 20, 320), np.float32)

    def use(script: Script) -> None:
        data = audio
        for step in script:
            data = changed(data, step)
        session = Session(data, threads=1, name="motion.onnx")
        session.run_one("coefficients", (1, features.shape[1], 4), features=features)

    return Target(lambda rng, known: drawn(rng, ["motion.onnx"], known), use)


def _target(folder: Path) -> Target:
    audio = _members(folder)[TARGET]

    def use(script: Script) -> None:
        data = audio
        for step in script:
            data = changed(data, step)
        video = media.TargetVideo(data)
        for index in (0, video.frame_count - 1, 0):
            video.image(index).rgb()

    return Target(lambda rng, known: drawn(rng, ["stage.mp4"], known), use)


def _matte(folder: Path) -> Target:
    sound = tiny_moved_matte()

    def use(script: Script) -> None:
        data = sound
        for step in script:
            data = changed(data, step)
        try:
            store = MatteStore(data)
            for index in (0, len(store) - 1):
                image = media.YuvFrame(VideoFrame(*store.size, "yuv420p"))
                store.frame(index).composite(image, (16, 128, 128))
        except ValueError as error:
            raise InputError(f"matte.bin: {error}") from error

    return Target(lambda rng, known: drawn(rng, ["matte.bin"], known), use)


def _packed(folder: Path) -> Target:
    sound = tiny_packed_matte()

    def use(script: Script) -> None:
        data = sound
        for step in script:
            data = changed(data, step)
        try:
            MatteStore(unpacked(data)).frame(0)
        except ValueError as error:
            raise InputError(f"matte.bin: {error}") from error

    return Target(lambda rng, known: drawn(rng, ["matte.bin"], known), use)


def _manifest(folder: Path) -> Target:
    plain = folder / "plain.mp4"
    media.write_video(plain, moving_pattern(5, width=64, height=48), fps=Fraction(25), audio=None)
    audio = signed(plain, folder / "signed.mp4", find_credentials()).read_bytes()
    path = folder / "x.mp4"

    def draw(rng: random.Random, known: list[Script]) -> Script:
        return drawn(rng, ["x.mp4"], known)

    def use(script: Script) -> None:
        data = audio
        for step in script:
            data = changed(data, step)
        path.write_bytes(data)
        if not (found := verify(path, watermark=False)).holds:
            raise InputError("; ".join(found.reasons) or found.verdict)

    return Target(draw, use)


def _consent(folder: Path) -> Target:
    record = json.dumps({"who": "Ada", "for": "news", "when": "2026-01-01", "until": "2027-01-01"}).encode()

    def use(script: Script) -> None:
        data = record
        for step in script:
            data = changed(data, step)
        text = data.decode("utf-8", "replace")
        made = Consent.of(text)
        assert Consent.from_json(made.to_json()) == made
        try:
            values = read_json(data)
        except ValueError as error:
            raise InputError(str(error)) from error
        Consent.from_json({"statement": "news", **values})

    return Target(lambda rng, known: drawn(rng, ["consent.json"], known), use)


def _wrong(folder: Path) -> Target:
    """What no target may do, to test who watches them."""

    def use(script: Script) -> None:
        for step in script:
            if step["do"] == "raise":
                raise KeyError(step["do"])
            if step["do"] == "die":
                os.abort()
            if step["do"] == "talk":
                raise InputError("two\nlines")
            if step["do"] == "eat":
                np.ones(1100 << 20, np.uint8)

    return Target(lambda rng, known: [], use)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "anchor": _anchor,
    "take": _take,
    "network": _network,
    "stage": _target,
    "matte": _matte,
    "packed": _packed,
    "manifest": _manifest,
    "consent": _consent,
    "wrong": _wrong,
}
"""Each is made to work in a folder of its own."""
