"""Captions as speech: every caption in its time."""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import InputError
from newscaster.speech.captions import TimedSentence
from newscaster.speech.cued_script import ScriptCue, parse_cues
from newscaster.speech.voices import Reading
from newscaster.speech.voices.cued import speak_cues
from newscaster.synthesis.script_file import read_script
from newscaster.synthesis.speech_input import Speech, measure_speech

SUFFIXES = (".srt", ".vtt")
_RATE = 48_000


@contextmanager
def open_cued_speech(
    path: Path, reading: Reading | None, *, start_seconds: float = 0.0, stop_seconds: float | None = None
) -> Iterator[Speech]:
    """Speak the captions of a file; temporary files are gone when the block ends.

    Args:
        path: of the captions, in the times of a video.
        reading: the voice, and how it reads.
        start_seconds: start of the part that is spoken, and of the speech.
        stop_seconds: its end; None: all later captions.

    Raises:
        InputError: the file is missing, has another suffix, captions that cannot be used, or none in
            the part.
        SpeechError: a caption cannot be spoken.
        MissingExtraError: the voice is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"the script is '{path}'; expected captions, {' or '.join(SUFFIXES)}")
    cues = _within(parse_cues(read_script(path), name=str(path)), start_seconds, stop_seconds)
    if not cues:
        until = "its end" if stop_seconds is None else f"{stop_seconds:g} s"
        raise InputError(
            f"no caption of '{path}' starts in the part from {start_seconds:g} s to {until}; the times of "
            "captions are those of the whole video. Choose another part, or other captions"
        )
    notes: list[str] = []
    with media.scratch_folder() as folder:
        audio = folder / "captions.wav"
        try:
            sentences = _write_speech(audio, cues, reading, notes, start_seconds=start_seconds)
        except OSError as error:
            raise media.no_temporary_room(error) from error
        measured = measure_speech(audio, name=f"the speech of '{path}'")
        yield replace(measured, sentences=sentences, notes=(*notes, *measured.notes))


def _within(cues: Sequence[ScriptCue], start_seconds: float, stop_seconds: float | None) -> list[ScriptCue]:
    """Return the cues that start in a part; the last ends with it."""
    stop_ms = math.inf if stop_seconds is None else round(stop_seconds * 1000)
    return [
        replace(cue, stop_ms=int(min(cue.stop_ms, stop_ms)))
        for cue in cues
        if round(start_seconds * 1000) <= cue.start_ms < stop_ms
    ]


def _write_speech(
    audio: Path, cues: Sequence[ScriptCue], reading: Reading | None, notes: list[str], *, start_seconds: float
) -> tuple[TimedSentence, ...]:
    """Write the speech of captions as a WAV file that starts at this time of theirs; return its sentences.

    Append to ``notes`` what is not read as it is written.
    """
    sentences = []
    position = 0
    with wave.open(str(audio), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        for spoken in speak_cues(cues, reading=reading, rate=_RATE, on_note=notes.append):
            start = round((spoken.cue.start_ms / 1000 - start_seconds) * _RATE)
            samples = np.concatenate([np.zeros(start - position, np.float32), spoken.samples])
            file.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
            position += len(samples)
            if spoken.line is not None:
                notes.append(spoken.line)
            sentences.append(
                TimedSentence(
                    text=spoken.cue.text, start_seconds=start / _RATE, stop_seconds=position / _RATE
                )
            )
    return tuple(sentences)
