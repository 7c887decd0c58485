"""The speech of `live`: text, audio or standard input, pushed into a stream by a thread of its own."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from newscaster.errors import MediaError, SpeechError
from newscaster.system.os_errors import why

if TYPE_CHECKING:
    from newscaster.media import PipedAudio
    from newscaster.synthesis.live import Live
    from newscaster.types import ArrayF32


_AHEAD_SECONDS = 2.0
"""Audio that is read ahead of the audio shown."""
POLL_SECONDS = 0.02
_PCM_BYTES = 1920

Feeding = Callable[["Live"], None]
"""Pushes all speech into a stream; returns when the stream has accepted it."""


class Feed(threading.Thread):
    """A thread that feeds a stream.

    Args:
        stream: the stream to feed.
        feeding: pushes the speech.
        ahead: whether speech may be synthesised before the output is open.

    Attributes:
        error: the exception that ended the thread, or None.
    """

    def __init__(self, stream: Live, feeding: Feeding, *, ahead: bool) -> None:
        super().__init__(name="newscaster-feed", daemon=True)  # may wait for standard input forever
        self.error: BaseException | None = None
        self.ahead = ahead
        self._stream = stream
        self._feeding = feeding

    def run(self) -> None:
        try:
            self._feeding(self._stream)
        except BaseException as error:  # raised again in the thread taking frames
            self.error = error


def feeding_of(
    speech: str | None, text: str | None, rate: int, *, checks_all: bool, replaces: bool
) -> Feeding:
    """Return the function that pushes the speech into a stream.

    Args:
        speech: audio file, or - for standard input.
        text: text to speak instead.
        rate: sample rate of raw samples on standard input, in Hz.
        checks_all: whether to decode all of an audio file first, since an existing output may be replaced.
        replaces: whether an existing output is replaced: then wait for the first bytes of standard input.

    Raises:
        MediaError: the audio file, or the start of standard input, is missing, damaged, empty or text.
        SpeechError: the audio contains NaN or infinite samples.
    """
    if text is not None:
        script = text
        return lambda stream: stream.say(script).result()
    if speech == "-":
        from newscaster import media

        piped = media.PipedAudio(sys.stdin.buffer)
        if replaces:
            _check_piped(piped)
        return lambda stream: _push_piped(stream, piped, rate)
    if speech is not None:
        from newscaster import media

        path = Path(speech)
        audio = media.probe(path, header_only=True).audio
        if audio is None:
            raise MediaError(f"'{path}' has no audio track, only video. Give a file with audio")
        if checks_all:
            _check_audio(path)
        blocks = media.read_audio_blocks(path, rate=audio.rate, block_samples=audio.rate // 5)
        first = next(blocks, None)  # decoding errors show before any output
        if first is None:
            raise SpeechError(f"'{path}' is empty: 0 samples. Give at least one sentence")
        return lambda stream: _push_all(stream, itertools.chain([first], blocks), audio.rate)
    return lambda stream: None


def _push_piped(stream: Live, piped: PipedAudio, rate: int) -> None:
    """Push the data of a pipe: the audio of a file, or raw samples at `rate`."""
    _check_piped(piped)
    if piped.container is None:
        _push_all(stream, _raw(piped), rate)
        return
    with piped.opened("standard input") as audio:
        _push_all(stream, audio.mono_blocks(), audio.rate)


def _check_piped(piped: PipedAudio) -> None:
    """Wait for the first bytes.

    Raises:
        MediaError: there are none, or they are text.
    """
    if piped.is_empty:
        raise MediaError(
            "standard input is empty; expected raw samples or an audio file. Check the command before the "
            "pipe"
        )
    if piped.is_text:
        raise MediaError(
            "standard input is text; expected raw samples or an audio file. Give --text, or a .txt file as "
            "--speech"
        )


def _check_audio(path: Path) -> None:
    """Decode all of an audio file.

    Raises:
        SpeechError: it contains samples that are no valid audio.
    """
    from newscaster import media

    measure = media.measure_audio(path)
    if not measure.is_audio:
        raise SpeechError(
            f"the audio of '{path}' contains NaN, infinite, or far too large samples. Export it again, for "
            "instance as 16-bit WAV"
        )


def _push_all(stream: Live, blocks: Iterator[ArrayF32], rate: int) -> None:
    for block in blocks:
        stream.push(block, rate)
        while stream.counts.waiting_seconds > _AHEAD_SECONDS:
            time.sleep(POLL_SECONDS)
    stream.flush()


def _raw(source: PipedAudio) -> Iterator[ArrayF32]:
    """Yield raw audio as it arrives: signed 16-bit little-endian, as (n,) float32 in [-1, 1]."""
    import numpy as np

    pending = b""
    # Read what is available: a microphone's audio must not wait for a full block.
    while data := _read(source.read):
        pending += data
        even_length = len(pending) // 2 * 2
        yield np.frombuffer(pending[:even_length], "<i2").astype(np.float32) / np.float32(32768)
        pending = pending[even_length:]


def _read(read: Callable[[int], bytes]) -> bytes:
    try:
        return read(_PCM_BYTES)
    except OSError as error:
        raise MediaError(f"standard input cannot be read ({why(error)}). Pipe raw audio in") from error
