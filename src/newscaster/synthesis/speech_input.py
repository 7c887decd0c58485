"""Speech input: a file, samples, standard input, or a text that is read aloud.

Converts each of them to an audio file, its exact length, and blocks of 16 kHz samples. Input that cannot
drive an anchor raises an error here, before rendering.
"""

from __future__ import annotations

import logging
import sys
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from newscaster import media
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.speech.captions import TimedSentence
from newscaster.speech.level import QUIETEST_DBFS, level_dbfs, loud_peak
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis.script_file import is_script, read_script
from newscaster.types import ArrayF32, ArrayFloat

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading

_log = logging.getLogger("newscaster.synthesis")

SpeechInput = str | Path | BinaryIO | ArrayFloat
"""An audio or video file, a .txt file, a binary stream of an audio file, or samples (N,)."""

BLOCK_SAMPLES = SAMPLE_RATE


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Checked speech."""

    name: str
    """Name in messages."""
    audio: Path | None
    """A file with the output audio; None for samples without audio output."""
    samples: int
    """Length in samples at `rate`."""
    rate: int
    """Original sampling rate in Hz."""
    loud: float
    """Peak of the loud passages, 1.0 = full scale."""
    sentences: tuple[TimedSentence, ...] = field(default=(), repr=False)
    """Sentences and their times, if a text-to-speech voice read a text."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """Parts of a text that are not read as written, a line each."""
    array: ArrayF32 | None = field(default=None, repr=False)
    """The samples themselves, if they were given at 16 kHz."""
    stamp: tuple[int, int] | None = field(default=None, repr=False)
    """Size and modification time of the file when it was measured, see `check_unchanged`."""

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples / self.rate

    @property
    def synthetic(self) -> bool:
        """Whether a text-to-speech voice spoke it."""
        return bool(self.sentences)

    @property
    def audio_file(self) -> Path:
        """The file with the output audio. Requires `audio`."""
        assert self.audio is not None
        return self.audio

    def check_unchanged(self) -> None:
        """Check that the file has not changed since it was measured: it is read several times.

        Raises:
            MediaError: the file has changed or is missing.
        """
        if self.stamp is not None and _stamp(self.audio_file) != self.stamp:
            raise MediaError(
                f"'{self.audio}' changed or disappeared during synthesis. Run this again when it is complete"
            )

    def blocks(self) -> Iterator[ArrayF32]:
        """Yield blocks (n,), float32 mono at 16 kHz."""
        if self.array is not None:
            return blocks_of(self.array)
        return media.read_audio_blocks(self.audio_file, rate=SAMPLE_RATE, block_samples=BLOCK_SAMPLES)


@contextmanager
def open_speech(
    speech: SpeechInput | None,
    *,
    text: str | None = None,
    rate: int = SAMPLE_RATE,
    reading: Reading | None = None,
    audible: bool = True,
    lead_seconds: float = 0.0,
) -> Iterator[Speech]:
    """Open and check speech of any kind. Temporary files are removed at the end of the block.

    Args:
        speech: see SpeechInput; None if `text` is given.
        text: text to read aloud, instead of `speech`.
        rate: sampling rate of samples given as an array, in Hz.
        reading: voice and speed for a text.
        audible: whether the audio is also needed as a file.
        lead_seconds: silence before a text, during which the mouth opens as before any speech.

    Raises:
        InputError: neither or both of speech and text are given; `reading` is given without a text; or the
            voice cannot be used.
        MediaError: a file is missing, unreadable, empty or without audio.
        SpeechError: the speech is empty, silent or not finite.
        MissingExtraError: the voice for a text is not installed.
    """
    if (speech is None) == (text is None):
        problem = (
            "neither speech nor a text is given" if speech is None else "both speech and a text are given"
        )
        raise InputError(f"{problem}; give either speech, such as an audio file, or a text to read aloud")
    with ExitStack() as stack:
        if is_script(speech):
            text, speech = read_script(Path(speech)), None
        if text is not None:
            yield _from_text(text, reading, _temporary(stack), lead_seconds)
            return
        if reading is not None:
            raise InputError(
                "a voice or its speed is given, but the speech is audio, which needs no voice. Give a text "
                "or a .txt file to read aloud, or omit voice and speed"
            )
        if isinstance(speech, np.ndarray):
            needs_file = audible or rate != SAMPLE_RATE
            yield _from_samples(speech, rate, _temporary(stack) if needs_file else None)
        elif isinstance(speech, str | Path):
            yield _from_path(Path(speech), stack)
        elif speech is not None and hasattr(speech, "read"):
            name = "standard input" if speech is getattr(sys.stdin, "buffer", None) else "the audio stream"
            yield _from_stream(speech, name, stack)
        else:
            raise InputError(
                f"speech is a {type(speech).__name__}; expected the path of an audio file, a binary stream, "
                "or samples as a NumPy array"
            )


def blocks_of(samples: ArrayF32) -> Iterator[ArrayF32]:
    """Yield samples in blocks."""
    for first in range(0, len(samples), BLOCK_SAMPLES):
        yield samples[first : first + BLOCK_SAMPLES]


def check_rate(rate: int) -> None:
    """Raise InputError unless this sampling rate in Hz is supported."""
    if not 4000 <= rate <= 384_000:
        raise InputError(f"rate is {rate} Hz; expected 4000 to 384000")


def check_magnitudes(samples: ArrayFloat) -> None:
    """Check that samples (n,) can be audio.

    Raises:
        SpeechError: one is not finite, or far beyond full scale.
    """
    is_audio = np.abs(samples) <= media.MAX_MAGNITUDE  # false for NaN
    if not is_audio.all():
        first = int(np.flatnonzero(~is_audio)[0])
        problem = "far beyond full scale" if np.isfinite(samples[first]) else "not finite"
        raise SpeechError(
            f"the speech is {problem}: sample {first} of {len(samples)} is {samples[first]}. Fix or remove it"
        )


def check_samples(samples: ArrayFloat, rate: int) -> ArrayF32:
    """Return samples as float32. Raise an error if they cannot drive an anchor.

    Raises:
        SpeechError: the samples are of another type or shape, empty, silent or not finite.
        InputError: the rate is out of range.
    """
    check_rate(rate)
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise SpeechError(
            f"the samples are {samples.dtype} {samples.shape}; expected float (N,): mono, in [-1, 1]. "
            "Take the mean of the channels; divide 16-bit integers by 32768"
        )
    if not len(samples):
        raise SpeechError("the speech is empty: 0 samples. Give at least one sentence")
    check_magnitudes(samples)
    _check_level(float(np.abs(samples).max()), "the speech")
    return np.ascontiguousarray(samples, np.float32)


def _check_level(peak: float, name: str) -> None:
    level = level_dbfs(peak)
    if level < QUIETEST_DBFS:
        raise SpeechError(
            f"{name} is silent: its peak is {level:.1f} dBFS; expected {QUIETEST_DBFS:.0f} dBFS or more. "
            "Check that the right microphone or track was recorded, or raise its level"
        )
    if peak > 1.05:
        _log.warning(
            "%s exceeds full scale (peak %.1f, expected 1.0 at most): it will be clipped", name, peak
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return size and modification time of a file; None if it is missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def measure_speech(audio: Path, *, name: str) -> Speech:
    """Measure and check the speech in an audio file.

    Raises:
        MediaError: the file cannot be read.
        SpeechError: the speech is empty, silent or not finite.
    """
    stamp = _stamp(audio)
    measure = media.measure_audio(audio)
    if measure.samples == 0:
        raise SpeechError(f"{name} is empty: 0 samples. Give at least one sentence")
    if not measure.is_audio:
        raise SpeechError(
            f"{name} has samples that are not finite (NaN or infinity) or far beyond full scale. "
            "Export it again, for instance as 16-bit WAV"
        )
    _check_level(measure.peak, name)
    return Speech(
        name=name,
        audio=audio,
        samples=measure.samples,
        rate=measure.rate,
        loud=measure.loud,
        stamp=stamp,
        notes=media.length_notes(audio),
    )


def _from_text(text: str, reading: Reading | None, audio: Path, lead_seconds: float) -> Speech:
    sentences, notes = _read_aloud(text, audio, reading, lead_seconds)
    return replace(measure_speech(audio, name="the audio of the voice"), sentences=sentences, notes=notes)


def _from_path(path: Path, stack: ExitStack) -> Speech:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, which can be read only once
        return _from_stream(stack.enter_context(path.open("rb")), f"'{path}'", stack)
    return measure_speech(path, name=f"the audio of '{path}'")


def _from_stream(stream: BinaryIO, name: str, stack: ExitStack) -> Speech:
    """Measure a temporary copy. Messages name the stream, not the copy."""
    audio = stack.enter_context(media.spooled(stream, name=name))
    try:
        measured = measure_speech(audio, name=name)
    except MediaError as error:
        raise MediaError(str(error).replace(f"'{audio}'", name)) from error
    return replace(measured, notes=tuple(note.replace(f"'{audio}'", name) for note in measured.notes))


def _from_samples(samples: ArrayFloat, rate: int, audio: Path | None) -> Speech:
    checked = check_samples(samples, rate)
    if audio is not None:
        media.write_wav(audio, checked, rate)
    array = checked if rate == SAMPLE_RATE else None
    return Speech(
        name="the samples",
        audio=audio,
        samples=len(checked),
        rate=rate,
        loud=loud_peak(checked, rate),
        array=array,
    )


def _temporary(stack: ExitStack) -> Path:
    return stack.enter_context(media.scratch_folder()) / "speech.wav"


def _read_aloud(
    text: str, audio: Path, reading: Reading | None, lead_seconds: float
) -> tuple[tuple[TimedSentence, ...], tuple[str, ...]]:
    """Read a text aloud into a WAV file, sentence by sentence.

    Returns:
        The times of the sentences, and notes on parts that are not read as written, which are also logged.
    """
    from newscaster.speech.voices import speak_sentences

    notes: list[str] = []

    def note(line: str) -> None:
        _log.warning("%s", line)
        notes.append(line)

    spoken = speak_sentences(text, reading=reading, on_note=note)
    # Errors of the voice or the text are raised before a file is open.
    first = next(spoken)  # there is at least one, or an error
    timed: list[TimedSentence] = []
    start = round(lead_seconds * first.rate)
    with wave.open(str(audio), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(first.rate)
        file.writeframes(bytes(2 * start))
        for sentence in chain([first], spoken):
            file.writeframes(np.round(sentence.samples * 32767).astype("<i2").tobytes())
            timed.append(
                TimedSentence(
                    text=sentence.text,
                    start_seconds=start / first.rate,
                    stop_seconds=(start + sentence.spoken_samples) / first.rate,
                    letters=sentence.letters,
                )
            )
            start += len(sentence.samples)
    return tuple(timed), tuple(notes)
