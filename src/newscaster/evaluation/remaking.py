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
from newscaster.face.geometry import runs
from newscaster.face.mouth import place_mouth
from newscaster.face.region import crop
from newscaster.media import Picture, scratch_folder, write_video, write_wav
from newscaster.provenance import Statement
from newscaster.runtime.anchor import Anchor
from newscaster.runtime.articulation import AS_TRAINED, Articulation
from newscaster.runtime.made import tags
from newscaster.runtime.options import Style
from newscaster.runtime.record import SynthesisedFrames
from newscaster.runtime.signing import UNSIGNED, Heard, Signing
from newscaster.runtime.stage import Stage
from newscaster.speech.level import loud_peak
from newscaster.take import SPEECH_RATE

Array = npt.NDArray[np.float64]

Way = Literal["real", "rendered", "mouth", "sound"]
"""How a clip is made anew: not at all, from its true mouth shapes (looked at before the video is encoded, and
in the video), or from its sound."""
WAYS: tuple[Way, ...] = ("real", "rendered", "mouth", "sound")
CRF = 18
"""x264's quality, as `speak` has it by default."""


@dataclass(frozen=True)
class Remade:
    """A clip of F frames made anew."""

    way: Way
    path: Path
    """A video; of `rendered` the bytes of the regions (F, S, S, 3) of the pictures before encoding."""
    mouths: Array
    """(F, 57, 2): the mouth of each frame in region pixels; NaN where the footage shows no face."""
    painted: npt.NDArray[np.bool_]
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
    stage, head = held.stage(anchor), anchor.face.head

    def made(way: Way, path: Path, shapes: Array, painted: npt.NDArray[np.bool_]) -> Remade:
        mouths = held.transforms.apply(place_mouth(shapes, head, held.poses))
        mouths[~held.present] = np.nan
        return Remade(way, path, mouths, painted)

    def video(way: Way) -> Path:
        return folder / f"{held.name}.{way}.mp4"

    seen, nothing = held.present, np.zeros_like(held.present)
    painted = seen & (stage.shares(np.arange(held.frames)) > 0)

    def told(path: Path, heard: Heard) -> Statement:
        frames = SynthesisedFrames()
        frames.add(painted)
        style = Style(label="", watermark=False)
        return anchor.on_stage(stage).statement(path.name, frames=frames, heard=heard, style=style)

    _write(video("real"), held, anchor, _pictures(anchor, stage, held.shapes, nothing))
    regions = work / f"{held.name}.regions"
    pictures = _keeping(_pictures(anchor, stage, held.shapes, seen), held, regions, anchor.info.region.side)
    _write(video("mouth"), held, anchor, pictures, signing, told)
    found = [
        made("real", video("real"), held.shapes, nothing),
        made("rendered", regions, held.shapes, seen),
        made("mouth", video("mouth"), held.shapes, seen),
    ]
    if held.clip.has_speech:
        shapes = spoken_shapes(held, anchor, articulation)
        _write(video("sound"), held, anchor, _pictures(anchor, stage, shapes, seen), signing, told)
        found.append(made("sound", video("sound"), shapes, seen))
    return found


def spoken_shapes(held: HeldOut, anchor: Anchor, articulation: Articulation) -> Array:
    """The mouth shapes (F, 57, 2) that an anchor hears in a clip's sound."""
    stream = anchor.motion_stream(articulation=articulation)
    stream.expect_level(loud_peak(held.clip.speech))
    return np.concatenate([stream.push(held.clip.speech), stream.flush(total_frames=held.frames)])


def _pictures(
    anchor: Anchor, stage: Stage, shapes: Array, painted: npt.NDArray[np.bool_]
) -> Iterator[Picture]:
    on_footage = anchor.on_stage(stage)
    after = 0
    for start, stop in [*runs(painted), (len(painted), len(painted))]:
        for frame in stage.frames(range(after, start)):
            yield frame.picture
        if start < stop:
            yield from on_footage.show(shapes[start:stop], target_start=start)
        after = stop


def _keeping(pictures: Iterator[Picture], held: HeldOut, path: Path, side: int) -> Iterator[Picture]:
    """The pictures as they are; their regions go into a file."""
    with path.open("wb") as file:
        for i, picture in enumerate(pictures):
            file.write(crop(picture.rgb(), held.transforms[i], side).tobytes())
            yield picture


def _write(
    path: Path,
    held: HeldOut,
    anchor: Anchor,
    pictures: Iterator[Picture],
    signing: Signing = UNSIGNED,
    told: Callable[[Path, Heard], Statement] | None = None,
) -> None:
    """A video; `told` says of one in which something is painted what it is."""
    with scratch_folder() as folder:
        sound = folder / "sound.wav" if held.clip.has_sound else None
        if sound is not None:
            write_wav(sound, held.clip.speech, SPEECH_RATE)
        metadata, finish = None, None
        if told is not None:
            seconds = len(held.clip.speech) / SPEECH_RATE
            heard = Heard.of_file(sound, seconds=seconds, synthetic_voice=False)
            metadata = tags(anchor.info, synthetic_voice=False)
            finish = signing.finishing(path, lambda: told(path, heard))
        write_video(path, pictures, fps=anchor.fps, audio=sound, metadata=metadata, crf=CRF, finish=finish)
