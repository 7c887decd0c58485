"""Video files: frames and an audio file, encoded to one file in constant memory, or to a sequence of images.

The frames determine the length of the video; the audio is kept in full. Encoding runs in a second thread, in
parallel with the generator of the frames.
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
from newscaster.media.audio import AudioSource, copy_as_wav, open_audio
from newscaster.media.background import in_background
from newscaster.media.captions import Subtitles
from newscaster.media.containers import container_of, file_suffixes
from newscaster.media.downmix import Downmix
from newscaster.media.encoders import Codec
from newscaster.media.frame import YuvFrame
from newscaster.media.kept_tracks import KeptTracks
from newscaster.media.reader import reason
from newscaster.media.sequence import atomic_sequence, check_sequence, sequence_audio
from newscaster.media.writer import AAC_LAYOUTS, FILE_CRF, FILE_X264, Writer
from newscaster.system.files import atomic_write, check_output
from newscaster.types import AudioF32, ImageU8


def write_video(
    path: Path,
    frames: Iterable[ImageU8 | YuvFrame],
    *,
    fps: Fraction,
    audio: Path | None,
    metadata: Mapping[str, str] | None = None,
    subtitles: Subtitles | None = None,
    kept: KeptTracks | None = None,
    audio_tags: Mapping[str, str] | None = None,
    codec: Codec = "h264",
    crf: int = FILE_CRF,
    preset: str = "superfast",
    finish: Callable[[Path], None] | None = None,
) -> int:
    """Write a video file: by default H.264 and AAC.

    RGB images become 4:2:0 in limited range, BT.709 from 720 lines and BT.601 below. Decoded frames keep
    their layout, range, colour space and rotation. A key frame comes at least every 2 s, and the index is at
    the start of the file.

    Args:
        path: its suffix names the container and its codecs: see `containers`. It is written under a temporary
            name beside it, then renamed. Images are numbered from 1, and their audio is a file beside them:
            see `sequence`.
        frames: all of one size, taken one by one: (H, W, 3) uint8 RGB images, whose odd sides grow by one
            pixel, or decoded frames, which reach the encoder unchanged, with or without alpha.
        fps: frames per second; frame `i` is shown at i/fps.
        audio: audio file that plays from time 0, from its first sample to its last, at its own rate and
            channels if AAC supports them; a channel of inverted polarity is inverted back. None writes no
            audio.
        metadata: tags of the container, such as title and comment.
        subtitles: captions as a separate track, which viewers can switch on and off.
        kept: tracks of another file to copy, see `open_kept_tracks`.
        audio_tags: of the audio track, such as language.
        codec: compression format of the video.
        crf: x264's and x265's quality: lower is better and larger.
        preset: x264's trade-off between speed and size.
        finish: called with the finished file under its temporary name, for example to sign it.

    Returns:
        Number of frames written.

    Raises:
        OutputError: `path` cannot be written.
        MediaError: the audio cannot be read, or there are no frames.
        Exception: any exception of `frames` or `finish`; no partial file is left then.
    """
    path = Path(path)
    check_output(path, suffixes=file_suffixes())
    container = container_of(path)
    assert container is not None
    if container.is_sequence:
        check_sequence(path)
    tags = metadata or {}
    with atomic_sequence(path) if container.is_sequence else atomic_write(path) as temporary:
        open_writer = partial(
            Writer,
            str(temporary) if container.is_sequence else f"file:{temporary}",
            container=container,
            fps=Fraction(fps),
            x264={"crf": str(crf), **FILE_X264, "preset": preset},
            options=container.muxer_options(tags),
            tags=tags,
            subtitles=subtitles,
            kept=kept,
            audio_tags=audio_tags,
            codec=codec,
        )
        try:
            count = in_background(frames, partial(_encode, open_writer, audio))
        except av.FFmpegError as error:
            raise OutputError(
                f"cannot write '{path}' ({reason(error)}). Free some space or memory, or write elsewhere"
            ) from error
        if finish is not None:
            finish(temporary)
        if container.is_sequence and audio is not None:
            copy_as_wav(audio, sequence_audio(path))
    return count


def _encode(
    open_writer: Callable[..., Writer], audio: Path | None, images: Iterator[ImageU8 | YuvFrame]
) -> int:
    """Write frames, and the audio up to each; open the writer when the first frame has come."""
    with ExitStack() as stack:
        source = None if audio is None else stack.enter_context(open_audio(audio))
        first = next(images, None)
        if first is None:
            raise MediaError(
                "there are no frames to write: the speech is shorter than half a frame. Give longer speech"
            )
        if source is None:
            writer = stack.enter_context(open_writer(first))
            blocks: Iterator[AudioF32] = iter(())
        else:
            channels = source.channels if source.channels in AAC_LAYOUTS else 1
            writer = stack.enter_context(open_writer(first, audio=(source.rate, channels)))
            blocks = _read_blocks(source, str(audio))
        for image in itertools.chain([first], images):
            writer.write(image)
            writer.write_audio(blocks, until=writer.seconds)
        writer.write_audio(blocks)
        return writer.count


def _read_blocks(source: AudioSource, name: str) -> Iterator[AudioF32]:
    """Yield audio for AAC: (channels, n) float32 in [-1, 1].

    If AAC has no layout for the number of channels, it is mono.

    Raises:
        MediaError: the audio breaks off, or has samples that are not finite.
    """
    downmix = Downmix(source.channels, source.rate)
    count = 0
    for block in source.blocks():
        if not np.isfinite(block).all():
            raise MediaError(
                f"the audio of '{name}' holds samples that are not numbers (NaN or infinite) at "
                f"{count / source.rate:.2f} s. Export it again"
            )
        count += block.shape[1]
        # Channels of opposite polarity would cancel in players that mix them.
        mixed = downmix.align(block) if source.channels in AAC_LAYOUTS else downmix.mix(block)[None]
        yield np.clip(mixed, -1.0, 1.0)  # FFmpeg's AAC encoder never returns from samples of 1e10
