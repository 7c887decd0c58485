"""Captions as speech: every caption in its time."""

from __future__ import annotations

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
def open_cued_speech(path: Path, reading: Reading | None) -> Iterator[Speech]:
    """Speak the captions of a file; temporary files are gone when the block ends.

    Raises:
        InputError: the file is missing, has another suffix, or captions that cannot be used.
        SpeechError: a caption cannot be spoken.
        MissingExtraError: the voice is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"the script is '{path}'; expected captions, {' or '.join(SUFFIXES)}")
    cues = parse_cues(read_script(path), name=str(path))
    notes: list[str] = []
    with media.scratch_folder() as folder:
        audio = folder / "captions.wav"
        try:
            sentences = _write_speech(audio, cues, reading, notes)
        except OSError as error:
            raise media.no_temporary_room(error) from error
        measured = measure_speech(audio, name=f"the speech of '{path}'")
        yield replace(measured, sentences=sentences, notes=(*notes, *measured.notes))


def _write_speech(
    audio: Path, cues: Sequence[ScriptCue], reading: Reading | None, notes: list[str]
) -> tuple[TimedSentence, ...]:
    """Write the speech of captions as a WAV file; append to ``notes`` what is not read as it is written."""
    sentences = []
    position = 0
    with wave.open(str(audio), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        for spoken in speak_cues(cues, reading=reading, rate=_RATE, on_note=notes.append):
            start = round(spoken.cue.start_ms * _RATE / 1000)
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
