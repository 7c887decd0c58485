"""Reconstruction of held-out footage by an anchor: the footage is the target video, with a new mouth.

The synthesis code of `speak` does the work, up to the video file. The metrics therefore describe what users
see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from newscaster.evaluation.held_out import HeldOut
from newscaster.face.crop import cut_crop
from newscaster.face.geometry import runs
from newscaster.face.mouth_basis import place_mouth
from newscaster.formats.dataset import SPEECH_RATE
from newscaster.media import YuvFrame, scratch_folder, write_video, write_wav
from newscaster.provenance import Statement
from newscaster.speech.level import loud_peak
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.options import Style
from newscaster.synthesis.result import tags
from newscaster.synthesis.signing import UNSIGNED, Signing, SpeechSource
from newscaster.synthesis.target import Target
from newscaster.types import ArrayBool, ArrayF64

Condition = Literal["real", "rendered", "mouth", "sound"]
"""How a clip is reconstructed: not at all (``real``), from its true mouth shapes before encoding
(``rendered``) and in the video (``mouth``), or from its audio (``sound``)."""
CONDITIONS: tuple[Condition, ...] = ("real", "rendered", "mouth", "sound")
CRF = 18
"""CRF of x264, the default of `speak`."""


@dataclass(frozen=True)
class Remade:
    """A reconstructed clip of F frames."""

    condition: Condition
    path: Path
    """A video; for ``rendered`` a file with the bytes of the crops (F, S, S, 3) before encoding."""
    mouths: ArrayF64
    """(F, 57, 2): the mouth of each frame in crop pixels; NaN if the footage shows no face."""
    rendered: ArrayBool
    """(F,): whether the frame got a new mouth. Other frames are unchanged."""


def remake(
    held: HeldOut,
    anchor: Anchor,
    folder: Path,
    work: Path,
    *,
    articulation: Articulation = AS_TRAINED,
    signing: Signing = UNSIGNED,
) -> list[Remade]:
    """Reconstruct a clip under every condition: `NAME.CONDITION.mp4` in a folder, with the clip's audio.

    The real frames are encoded like the others, once as the target and once as the video, but nothing is
    rendered. A clip without speech has no ``sound``.

    Args:
        held: the clip.
        anchor: the anchor whose person it shows.
        folder: folder for the videos.
        work: folder for other files.
        articulation: how the mouth moves to the clip's audio.
        signing: signs the videos that have rendered frames.

    Raises:
        OutputError: a video cannot be written.
    """
    target, head = held.target(anchor), anchor.face.head

    def made(condition: Condition, path: Path, shapes: ArrayF64, rendered: ArrayBool) -> Remade:
        mouths = held.transforms.apply(place_mouth(shapes, head, held.poses))
        mouths[~held.present] = np.nan
        return Remade(condition, path, mouths, rendered)

    def video(condition: Condition) -> Path:
        return folder / f"{held.name}.{condition}.mp4"

    seen, nothing = held.present, np.zeros_like(held.present)
    rendered = seen & (target.blend_weights(np.arange(held.frames)) > 0)

    def statement(path: Path, source: SpeechSource) -> Statement:
        frames = SynthesisedFrames()
        frames.add(rendered)
        style = Style(label="", watermark=False)
        return anchor.on_target(target).statement(path.name, frames=frames, speech=source, style=style)

    _write(video("real"), held, anchor, _images(anchor, target, held.shapes, nothing))
    crops = work / f"{held.name}.crops"
    images = _store_crops(_images(anchor, target, held.shapes, seen), held, crops, anchor.info.crop.side)
    _write(video("mouth"), held, anchor, images, signing, statement)
    reconstructions = [
        made("real", video("real"), held.shapes, nothing),
        made("rendered", crops, held.shapes, seen),
        made("mouth", video("mouth"), held.shapes, seen),
    ]
    if held.clip.has_speech:
        shapes = spoken_shapes(held, anchor, articulation)
        _write(video("sound"), held, anchor, _images(anchor, target, shapes, seen), signing, statement)
        reconstructions.append(made("sound", video("sound"), shapes, seen))
    return reconstructions


def spoken_shapes(held: HeldOut, anchor: Anchor, articulation: Articulation) -> ArrayF64:
    """Return the mouth shapes (F, 57, 2) that an anchor predicts from a clip's audio."""
    stream = anchor.motion_stream(articulation=articulation)
    stream.expect_level(loud_peak(held.clip.speech))
    return np.concatenate([stream.push(held.clip.speech), stream.flush(total_frames=held.frames)])


def _images(anchor: Anchor, target: Target, shapes: ArrayF64, rendered: ArrayBool) -> Iterator[YuvFrame]:
    on_footage = anchor.on_target(target)
    after = 0
    for start, stop in [*runs(rendered), (len(rendered), len(rendered))]:
        for frame in target.frames(range(after, start)):
            yield frame.image
        if start < stop:
            yield from on_footage.show(shapes[start:stop], target_start=start)
        after = stop


def _store_crops(images: Iterator[YuvFrame], held: HeldOut, path: Path, side: int) -> Iterator[YuvFrame]:
    """Yield the frames unchanged, and write their crops to a file."""
    with path.open("wb") as file:
        for i, image in enumerate(images):
            file.write(cut_crop(image.rgb(), held.transforms[i], side).tobytes())
            yield image


def _write(
    path: Path,
    held: HeldOut,
    anchor: Anchor,
    images: Iterator[YuvFrame],
    signing: Signing = UNSIGNED,
    statement: Callable[[Path, SpeechSource], Statement] | None = None,
) -> None:
    """Write a video; ``statement`` makes the claims of a video that has rendered frames."""
    with scratch_folder() as folder:
        audio = folder / "audio.wav" if held.clip.has_audio else None
        if audio is not None:
            write_wav(audio, held.clip.speech, SPEECH_RATE)
        metadata, finish = None, None
        if statement is not None:
            seconds = len(held.clip.speech) / SPEECH_RATE
            source = SpeechSource.of_file(audio, seconds=seconds, synthetic_voice=False)
            metadata = tags(anchor.info, synthetic_voice=False)
            finish = signing.finishing(path, lambda: statement(path, source))
        write_video(path, images, fps=anchor.fps, audio=audio, metadata=metadata, crf=CRF, finish=finish)
