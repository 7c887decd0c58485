"""Held-out footage made anew by an anchor, as `speak` would: its frames the stage, another mouth in them.

The anchor's own runtime does the work, up to the video file: what is measured is what a user sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

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

Array = npt.NDArray[np.float64]

Condition = Literal["real", "rendered", "mouth", "sound"]
"""How a clip is made anew: not at all, from its true mouth shapes (looked at before the video is encoded, and
in the video), or from its sound."""
CONDITIONS: tuple[Condition, ...] = ("real", "rendered", "mouth", "sound")
CRF = 18
"""x264's quality, as `speak` has it by default."""


@dataclass(frozen=True)
class Remade:
    """A clip of F frames made anew."""

    condition: Condition
    path: Path
    """A video; of `rendered` the bytes of the regions (F, S, S, 3) of the pictures before encoding."""
    mouths: Array
    """(F, 57, 2): the mouth of each frame in region pixels; NaN where the footage shows no face."""
    rendered: npt.NDArray[np.bool_]
    """(F,): whether the frame got a new mouth. Others were passed on as they were."""


def remake(
    held: HeldOut,
    anchor: Anchor,
    folder: Path,
    work: Path,
    *,
    articulation: Articulation = AS_TRAINED,
    signing: Signing = UNSIGNED,
) -> list[Remade]:
    """Make a clip anew in every way it can be: `NAME.WAY.mp4` in a folder, with the clip's sound.

    The real pictures go the same way as the others, except that nothing is painted: through the stage's
    encoding and the video's. Without sound there is no `sound`.

    Args:
        held: the clip.
        anchor: whose person is seen in it.
        folder: where the videos go,
        work: and what is not a video.
        articulation: how the mouth moves to the clip's sound.
        signing: who signs the videos in which something is painted.

    Raises:
        OutputError: a video cannot be written.
    """
    target, head = held.target(anchor), anchor.face.head

    def made(condition: Condition, path: Path, shapes: Array, rendered: npt.NDArray[np.bool_]) -> Remade:
        mouths = held.transforms.apply(place_mouth(shapes, head, held.poses))
        mouths[~held.present] = np.nan
        return Remade(condition, path, mouths, rendered)

    def video(condition: Condition) -> Path:
        return folder / f"{held.name}.{condition}.mp4"

    seen, nothing = held.present, np.zeros_like(held.present)
    rendered = seen & (target.blend_weights(np.arange(held.frames)) > 0)

    def told(path: Path, heard: SpeechSource) -> Statement:
        frames = SynthesisedFrames()
        frames.add(rendered)
        style = Style(label="", watermark=False)
        return anchor.on_target(target).statement(path.name, frames=frames, speech=heard, style=style)

    _write(video("real"), held, anchor, _images(anchor, target, held.shapes, nothing))
    crops = work / f"{held.name}.regions"
    images = _keeping(_images(anchor, target, held.shapes, seen), held, crops, anchor.info.crop.side)
    _write(video("mouth"), held, anchor, images, signing, told)
    found = [
        made("real", video("real"), held.shapes, nothing),
        made("rendered", crops, held.shapes, seen),
        made("mouth", video("mouth"), held.shapes, seen),
    ]
    if held.clip.has_speech:
        shapes = spoken_shapes(held, anchor, articulation)
        _write(video("sound"), held, anchor, _images(anchor, target, shapes, seen), signing, told)
        found.append(made("sound", video("sound"), shapes, seen))
    return found


def spoken_shapes(held: HeldOut, anchor: Anchor, articulation: Articulation) -> Array:
    """The mouth shapes (F, 57, 2) that an anchor hears in a clip's sound."""
    stream = anchor.motion_stream(articulation=articulation)
    stream.expect_level(loud_peak(held.clip.speech))
    return np.concatenate([stream.push(held.clip.speech), stream.flush(total_frames=held.frames)])


def _images(
    anchor: Anchor, target: Target, shapes: Array, rendered: npt.NDArray[np.bool_]
) -> Iterator[YuvFrame]:
    on_footage = anchor.on_target(target)
    after = 0
    for start, stop in [*runs(rendered), (len(rendered), len(rendered))]:
        for frame in target.frames(range(after, start)):
            yield frame.image
        if start < stop:
            yield from on_footage.show(shapes[start:stop], target_start=start)
        after = stop


def _keeping(images: Iterator[YuvFrame], held: HeldOut, path: Path, side: int) -> Iterator[YuvFrame]:
    """The pictures as they are; their regions go into a file."""
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
    told: Callable[[Path, SpeechSource], Statement] | None = None,
) -> None:
    """A video; `told` says of one in which something is painted what it is."""
    with scratch_folder() as folder:
        audio = folder / "sound.wav" if held.clip.has_audio else None
        if audio is not None:
            write_wav(audio, held.clip.speech, SPEECH_RATE)
        metadata, finish = None, None
        if told is not None:
            seconds = len(held.clip.speech) / SPEECH_RATE
            heard = SpeechSource.of_file(audio, seconds=seconds, synthetic_voice=False)
            metadata = tags(anchor.info, synthetic_voice=False)
            finish = signing.finishing(path, lambda: told(path, heard))
        write_video(path, images, fps=anchor.fps, audio=audio, metadata=metadata, crf=CRF, finish=finish)
