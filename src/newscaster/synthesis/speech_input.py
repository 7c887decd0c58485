"""Speech from wherever it comes: a file, samples, standard input, or a text to be read aloud.

Knows how each becomes one thing: a sound file that can be heard, its exact length, and blocks of 16 kHz
samples. Everything that cannot drive an anchor is refused here, before anything is rendered.
"""

from __future__ import annotations

import codecs
import logging
import re
import sys
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeGuard

import numpy as np
import numpy.typing as npt

from newscaster import media
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.speech.captions import TimedSentence
from newscaster.speech.level import QUIETEST_DBFS, level_dbfs, loud_peak
from newscaster.speech.spectral import SAMPLE_RATE

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading

_log = logging.getLogger("newscaster.synthesis")

Samples = npt.NDArray[np.floating[Any]]
SpeechInput = str | Path | BinaryIO | Samples
"""A sound or video file, a .txt file, a binary stream that holds a sound file, or samples (N,)."""

BLOCK_SAMPLES = SAMPLE_RATE
_LARGEST_TEXT_BYTES = 4 << 20
_UTF_8 = "utf-8-sig"
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16's, with which it begins
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_DOCUMENTS = {
    b"{\\rtf": "an RTF document",
    b"%PDF-": "a PDF document",
    b"%!PS-": "a PostScript document",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\xd0\xcf\x11\xe0": "an office document",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"GIF87a": "a picture",
    b"GIF89a": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a database",
}
"""How files begin that are no text."""
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\t\n\v\f\r")
_TERMINAL_SEQUENCE = re.compile(rb"\x1b[\[\]()]")
_MAX_STRAY_CONTROLS = 8
_MAX_CONTROL_FRACTION = 0.05
"""Of a text's bytes: stray control characters are removed, more of them are a sign of another file."""


@dataclass(frozen=True, kw_only=True)
class Speech:
    """Speech that has been checked."""

    name: str
    """What it is called in messages."""
    audio: Path | None
    """A file with the sound as it will be heard; None for samples that nobody will hear."""
    samples: int
    """Its length, at its own rate."""
    rate: int
    """Its own rate in Hz."""
    loud: float
    """Peak of its loud passages, 1.0 = full scale."""
    sentences: tuple[TimedSentence, ...] = field(default=(), repr=False)
    """What is said and when, where a text-to-speech voice spoke it."""
    notes: tuple[str, ...] = field(default=(), repr=False)
    """What of a text is not read as it is written, a line each."""
    given: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    """The samples themselves, where they were given at 16 kHz."""
    stamp: tuple[int, int] | None = field(default=None, repr=False)
    """What was to be told of a user's own file when it was measured: see `check_unchanged`."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.samples / self.rate

    @property
    def synthetic(self) -> bool:
        """Whether a text-to-speech voice spoke it."""
        return bool(self.sentences)

    @property
    def audio_file(self) -> Path:
        """The file with the sound, where there is one."""
        assert self.audio is not None
        return self.audio

    def check_unchanged(self) -> None:
        """Make sure that what was read later is what was measured: a file is read several times.

        Raises:
            MediaError: the file has changed, or has gone.
        """
        if self.stamp is not None and _stamp(self.audio_file) != self.stamp:
            raise MediaError(
                f"'{self.audio}' has changed or gone while it was spoken. Run this again when it is whole"
            )

    def blocks(self) -> Iterator[npt.NDArray[np.float32]]:
        """(n,) float32 mono at 16 kHz, block by block."""
        if self.given is not None:
            return blocks_of(self.given)
        return media.read_audio_blocks(self.audio_file, rate=SAMPLE_RATE, block_samples=BLOCK_SAMPLES)


@contextmanager
def open_speech(
    speech: SpeechInput | None,
    *,
    text: str | None = None,
    rate: int = SAMPLE_RATE,
    reading: Reading | None = None,
    audible: bool = True,
) -> Iterator[Speech]:
    """Make one thing of what was given; temporary files are gone when the block ends.

    Args:
        speech: see SpeechInput; None where `text` is given.
        text: what is to be said, in place of `speech`.
        rate: of samples given as an array, in Hz.
        reading: how a text is read aloud.
        audible: whether the sound is needed as a file, too.

    Raises:
        InputError: neither or both of speech and text are given, or there is nothing to be read as `reading`
            says; or the voice cannot be used.
        MediaError: a file is missing, unreadable, empty or without sound.
        SpeechError: the speech is empty, silent or not finite.
        MissingExtraError: there is a text, and its voice is not installed.
    """
    if (speech is None) == (text is None):
        given = "neither speech nor a text is given" if speech is None else "both speech and a text are given"
        raise InputError(f"{given}; give either a sound file, for instance, or a text to be spoken")
    with ExitStack() as stack:
        if is_script(speech):
            text, speech = read_script(Path(speech)), None
        if text is not None:
            yield _from_text(text, reading, _temporary(stack))
            return
        if reading is not None:
            raise InputError(
                "a voice or its pace is given, and the speech is a sound, which needs no voice. Give a text "
                "or a .txt file to be read aloud, or leave them out"
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
                f"speech is a {type(speech).__name__}; expected the path of a sound file, a binary stream, "
                "or samples as a NumPy array"
            )


def is_script(speech: SpeechInput | None) -> TypeGuard[str | Path]:
    """Whether it is the path of a text to be read aloud."""
    return isinstance(speech, str | Path) and Path(speech).suffix.lower() == ".txt"


def blocks_of(samples: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    """Samples, block by block."""
    for first in range(0, len(samples), BLOCK_SAMPLES):
        yield samples[first : first + BLOCK_SAMPLES]


def check_rate(rate: int) -> None:
    """Raise InputError unless a sound may have this rate, in Hz."""
    if not 4000 <= rate <= 384_000:
        raise InputError(f"rate is {rate} Hz; expected 4000 to 384000")


def check_magnitudes(samples: npt.NDArray[np.floating]) -> None:
    """Check that samples (n,) can be audio.

    Raises:
        SpeechError: one is not finite, or far beyond full scale.
    """
    is_audio = np.abs(samples) <= media.MAX_MAGNITUDE  # false for NaN
    if not is_audio.all():
        where = int(np.flatnonzero(~is_audio)[0])
        what = "far beyond full scale" if np.isfinite(samples[where]) else "not finite"
        raise SpeechError(
            f"the speech is {what}: sample {where} of {len(samples)} is {samples[where]}. "
            "Repair it, or leave it out"
        )


def check_samples(samples: Samples, rate: int) -> npt.NDArray[np.float32]:
    """Samples as float32, if they can drive an anchor.

    Raises:
        SpeechError: they are of another type or shape, empty, silent or not finite.
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
        raise SpeechError("the speech is empty: 0 samples. Give a sentence at least")
    check_magnitudes(samples)
    _check_level(float(np.abs(samples).max()), "the speech")
    return np.ascontiguousarray(samples, np.float32)


def _check_level(peak: float, name: str) -> None:
    level = level_dbfs(peak)
    if level < QUIETEST_DBFS:
        raise SpeechError(
            f"{name} is silent: its loudest sample is at {level:.1f} dBFS, and speech reaches at least "
            f"{QUIETEST_DBFS:.0f} dBFS. Check that the right microphone or track was recorded, or raise it"
        )
    if peak > 1.05:
        _log.warning(
            "%s is louder than full scale (peak %.1f, expected 1.0 at most): it will be clipped", name, peak
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, which change with it; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def measured_speech(audio: Path, *, name: str) -> Speech:
    stamp = _stamp(audio)
    measure = media.measure_audio(audio)
    if measure.samples == 0:
        raise SpeechError(f"{name} is empty: 0 samples. Give a sentence at least")
    if not measure.is_audio:
        raise SpeechError(
            f"{name} holds samples that are not numbers (NaN or infinite), or far beyond full scale. "
            "Export it again, as 16-bit WAV for instance"
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


def _from_text(text: str, reading: Reading | None, audio: Path) -> Speech:
    sentences, notes = _read_aloud(text, audio, reading)
    return replace(measured_speech(audio, name="the audio of the voice"), sentences=sentences, notes=notes)


def _from_path(path: Path, stack: ExitStack) -> Speech:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe, which is read once
        return _from_stream(stack.enter_context(path.open("rb")), f"'{path}'", stack)
    return measured_speech(path, name=f"the sound of '{path}'")


def _from_stream(stream: BinaryIO, name: str, stack: ExitStack) -> Speech:
    """As measured_speech, of a temporary copy, which messages do not name."""
    audio = stack.enter_context(media.spooled(stream, name=name))
    try:
        found = measured_speech(audio, name=name)
    except MediaError as error:
        raise MediaError(str(error).replace(f"'{audio}'", name)) from error
    return replace(found, notes=tuple(note.replace(f"'{audio}'", name) for note in found.notes))


def _from_samples(samples: Samples, rate: int, audio: Path | None) -> Speech:
    checked = check_samples(samples, rate)
    if audio is not None:
        media.write_wav(audio, checked, rate)
    given = checked if rate == SAMPLE_RATE else None
    return Speech(
        name="the samples",
        audio=audio,
        samples=len(checked),
        rate=rate,
        loud=loud_peak(checked, rate),
        given=given,
    )


def _temporary(stack: ExitStack) -> Path:
    return stack.enter_context(media.scratch_folder()) / "speech.wav"


def read_script(path: Path) -> str:
    """A text that is to be read aloud.

    Raises:
        InputError: it is missing, no UTF-8 (or UTF-16 with a byte-order mark), longer than 4 MiB, or no text:
            a document, a picture or another binary file.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_TEXT_BYTES:
            raise InputError(
                f"the text '{path}' has {size} bytes; expected {_LARGEST_TEXT_BYTES} at most. Split it"
            )
        content = path.read_bytes()
        _check_is_text(content, path)
        return content.decode(_encoding_of(content))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"the text '{path}' cannot be read ({why}). Give an existing UTF-8 text file"
        ) from error


def _encoding_of(content: bytes) -> str:
    """UTF-8, or what a byte-order mark says."""
    return next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), _UTF_8)


def _check_is_text(content: bytes, path: Path) -> None:
    """Refuse documents and binary files, some of which are valid UTF-8.

    Raises:
        InputError: it is one.
    """
    kind = next((kind for begin, kind in _DOCUMENTS.items() if content.startswith(begin)), None)
    if kind is None and _encoding_of(content) == _UTF_8:
        rest = _TERMINAL_SEQUENCE.sub(b"", content)
        controls = len(rest) - len(rest.translate(None, _CONTROLS))
        if controls > max(_MAX_STRAY_CONTROLS, _MAX_CONTROL_FRACTION * len(rest)):
            kind = f"a binary file: {controls} of its {len(content)} bytes are control characters"
    if kind is not None:
        raise InputError(
            f"the text '{path}' is {kind}, and not plain text. Save or export it as plain text (.txt, UTF-8)"
        )


def _read_aloud(
    text: str, audio: Path, reading: Reading | None
) -> tuple[tuple[TimedSentence, ...], tuple[str, ...]]:
    """Speak the text into a WAV file, sentence by sentence.

    Returns:
        Where each sentence is, and what is not read as it is written, which is also logged.
    """
    from newscaster.speech.voices import speak_sentences

    notes: list[str] = []

    def note(line: str) -> None:
        _log.warning("%s", line)
        notes.append(line)

    spoken = speak_sentences(text, reading=reading, on_note=note)
    # What is wrong with the voice or the text shows before there is a file to close.
    first = next(spoken)  # finds one, or raises
    timed: list[TimedSentence] = []
    begin = 0
    with wave.open(str(audio), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(first.rate)
        for sentence in chain([first], spoken):
            file.writeframes(np.round(sentence.samples * 32767).astype("<i2").tobytes())
            timed.append(
                TimedSentence(
                    text=sentence.text,
                    start_seconds=begin / first.rate,
                    stop_seconds=(begin + sentence.spoken_samples) / first.rate,
                )
            )
            begin += len(sentence.samples)
    return tuple(timed), tuple(notes)
