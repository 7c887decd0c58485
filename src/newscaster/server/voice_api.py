"""The endpoint of a voice: a sentence to hear it with. See `api` for the rules of all endpoints."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import TYPE_CHECKING

import numpy as np
from fastapi import Response

from newscaster.server.anchor_registry import merged, reading_for
from newscaster.server.api_requests import TheStudio, new_router
from newscaster.server.http_errors import TOO_MANY, RefusedError
from newscaster.server.schemas import VoiceSample
from newscaster.speech.voices import speak_sentences

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading
    from newscaster.speech.voices.voice import Voice

_MAX_SAMPLES = 2
"""Samples of voices that are spoken at once: live speech has the same voices."""

router = new_router()


@router.post(
    "/voices/sample",
    summary="Speak a sentence, to hear a voice and pronunciations with",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}}, "description": "The speech, 16 bits, mono"}},
)
async def voice_sample(sample: VoiceSample, studio: TheStudio) -> Response:
    reading = reading_for(
        studio.library.resolve(sample.anchor),
        voice=sample.voice,
        speed=sample.speed,
        installed=studio.voices,
        pronunciations=merged(studio.settings.pronunciations, sample.pronunciations),
    )
    if studio.samples_in_progress >= _MAX_SAMPLES:
        raise RefusedError(
            f"{_MAX_SAMPLES} samples of voices are being spoken, the maximum. Wait for one", status=TOO_MANY
        )
    studio.samples_in_progress += 1
    try:
        voice = await asyncio.to_thread(studio.library.voices.voice, reading)
        content = await asyncio.to_thread(_spoken, sample.text, reading, voice)
    finally:
        studio.samples_in_progress -= 1
    return Response(content, media_type="audio/wav")


def _spoken(text: str, reading: Reading, voice: Voice) -> bytes:
    """Return a WAV file with a text.

    Raises:
        SpeechError: nothing in the text can be spoken, or the voice fails.
    """
    file = io.BytesIO()
    sentences = list(speak_sentences(text, reading=reading, voice=voice, on_note=lambda note: None))
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(sentences[0].rate)
        for sentence in sentences:
            audio.writeframes(np.round(sentence.samples * 32767).astype("<i2").tobytes())
    return file.getvalue()
