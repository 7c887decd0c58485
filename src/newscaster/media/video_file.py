"""Video files: frames and an audio file into one H.264 and AAC file, in constant memory.

Frames decide the length of the video, and the audio is kept in full. Encoding runs in a second thread, beside
the generator that makes the frames.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np

from newscaster.errors import MediaError, OutputError
from newscaster.media.audio import AudioSource, open_audio
from newscaster.media.background import in_background
from newscaster.media.captions import Subtitles
from newscaster.media.containers import container_of, file_suffixes
from newscaster.media.downmix import Downmix, Samples
from newscaster.media.frame import YuvFrame
from newscaster.media.reader import reason
from newscaster.media.writer import AAC_LAYOUTS, FILE_CRF, FILE_X264, Image, Writer
from newscaster.system.files import atomic_write, check_output


def write_video(
    path: Path,
    frames: Iterable[Image | YuvFrame],
    *,
    fps: Fraction,
    audio: Path | None,
    metadata: Mapping[str, str] | None = None,
    subtitles: Subtitles | None = None,
    crf: int = FILE_CRF,
    preset: str = "superfast",
    finish: Callable[[Path], None] | None = None,
) -> int:
    """Write a video file: H.264 (4:2:0, limited range, BT.709 from 720 lines, BT.601 below) and AAC.

    There is a key frame every 2 s or more often, and the index is at the file's start.

    Args:
        path: its suffix names the container: see `file_suffixes`. Written under another name beside it, then
            renamed.
        frames: all of one size, taken one by one: (H, W, 3) uint8 RGB images, whose odd sides grow by one
            pixel, or decoded pictures, which reach the encoder unchanged.
        fps: frames per second; frame `i` is shown at i/fps.
        audio: file whose sound is heard from time 0, from its first sample to its last, at its own rate and
            channels where AAC knows them; a channel of inverted polarity is inverted back; None writes no
            sound.
        metadata: tags of the container, such as title and comment.
        subtitles: captions to be switched on and off, as a track of their own.
        crf: x264's quality: lower is better and larger.
        preset: x264's trade of speed for size.
        finish: called with the finished file while it still has another name, such as to sign it.

    Returns:
        How many frames were written.

    Raises:
        OutputError: `path` cannot be written.
        MediaError: the sound cannot be read, or there are no frames.
        Exception: whatever `frames` or `finish` raises; no half file is left then.
    """
    path = Path(path)
    check_output(path, suffixes=file_suffixes())
    container = container_of(path)
    assert container is not None
    tags = metadata or {}
    with atomic_write(path) as temporary:
        begin = partial(
            Writer,
            f"file:{temporary}",
            container=container,
            fps=Fraction(fps),
            x264={"crf": str(crf), **FILE_X264, "preset": preset},
            options=container.muxer_options(tags),
            tags=tags,
            subtitles=subtitles,
        )
        try:
            count = in_background(frames, partial(_encode, begin, audio))
        except av.FFmpegError as error:
            raise OutputError(
                f"cannot write '{path}' ({reason(error)}). Free some space or memory, or write elsewhere"
            ) from error
        if finish is not None:
            finish(temporary)
    return count


def _encode(begin: Callable[..., Writer], audio: Path | None, images: Iterator[Image | YuvFrame]) -> int:
    """Write frames, and audio as far as they have come; begin when the first one is there."""
    with ExitStack() as stack:
        source = None if audio is None else stack.enter_context(open_audio(audio))
        first = next(images, None)
        if first is None:
            raise MediaError(
                "there are no frames to write: the speech is shorter than half a frame. Give longer speech"
            )
        if source is None:
            writer = stack.enter_context(begin(first))
            blocks: Iterator[Samples] = iter(())
        else:
            channels = source.channels if source.channels in AAC_LAYOUTS else 1
            writer = stack.enter_context(begin(first, audio=(source.rate, channels)))
            blocks = _blocks(source, str(audio))
        for image in itertools.chain([first], images):
            writer.write(image)
            writer.write_audio(blocks, until=writer.seconds)
        writer.write_audio(blocks)
        return writer.count


def _blocks(source: AudioSource, name: str) -> Iterator[Samples]:
    """Audio as AAC takes it: (channels, n) float32 in [-1, 1]; channels in a number that it has not, as one.

    Raises:
        MediaError: the audio breaks off, or has samples that are not numbers.
    """
    downmix = Downmix(source.channels, source.rate)
    count = 0
    for block in source.blocks():
        if not np.isfinite(block).all():
            raise MediaError(
                f"the sound of '{name}' holds samples that are not numbers (NaN or infinite) at "
                f"{count / source.rate:.2f} s. Export it again"
            )
        count += block.shape[1]
        # Players that mix the channels themselves hear nothing of those that are out of phase.
        mixed = downmix.align(block) if source.channels in AAC_LAYOUTS else downmix.mix(block)[None]
        yield np.clip(mixed, -1.0, 1.0)  # FFmpeg's AAC encoder never returns from samples of 1e10
