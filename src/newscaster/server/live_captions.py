"""Captions of a live session: each sentence when its first frame is shown, with the times of its words."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from newscaster.speech.captions import TimedSentence, timed_words
from newscaster.synthesis.live_frame import LiveFrame

_MAX_WAITING = 100
"""Captions that a client has not taken; later ones are dropped."""
_NONE: dict[str, Any] = {"type": "caption", "text": "", "words": [], "at_ms": 0}


class LiveCaptions:
    """A sink that follows the frames of a session through the sentences of its texts.

    Pushed audio has no captions: its words are not known.

    Args:
        fps: frames per second.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._sentences: dict[int, deque[TimedSentence]] = {}  # by the number of the speech
        self._speech: int | None = None
        self._frames = 0  # of the speech so far
        self._shown: dict[str, Any] = _NONE
        self._clients: list[asyncio.Queue[dict[str, Any]]] = []

    def add(self, speech: int, sentence: TimedSentence) -> None:
        """Add a sentence that will be spoken, in the event loop.

        Args:
            speech: number of the speech, as in its frames.
            sentence: with its time in the audio of the speech.
        """
        self._sentences.setdefault(speech, deque()).append(sentence)

    def subscribe(self) -> asyncio.Queue[dict[str, Any]]:
        """Return a queue of messages to a client, the current caption first."""
        client: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_MAX_WAITING)
        if self._shown["text"]:
            client.put_nowait(self._shown)
        self._clients.append(client)
        return client

    def unsubscribe(self, client: asyncio.Queue[dict[str, Any]]) -> None:
        """Put no more messages into a queue."""
        self._clients.remove(client)

    def push(self, frame: LiveFrame) -> None:
        """Take a frame."""
        if frame.utterance != self._speech:
            self._start(frame.utterance)
        if frame.utterance is None:
            return
        position = self._frames / self._fps
        self._frames += 1
        coming = self._sentences.get(frame.utterance, deque())
        due: TimedSentence | None = None
        while coming and coming[0].start_seconds < position + 1 / self._fps:
            due = coming.popleft()
        if due is not None:
            self._show(_caption(due, position))

    def end(self) -> None:
        """Handle the end of the session."""
        self._start(None)

    def _start(self, speech: int | None) -> None:
        self._speech = speech
        if speech is not None:
            self._frames = 0
            for number in [number for number in self._sentences if number < speech]:
                del self._sentences[number]
        if self._shown["text"]:
            self._show(_NONE)

    def _show(self, caption: dict[str, Any]) -> None:
        self._shown = caption
        for client in self._clients:
            if not client.full():
                client.put_nowait(caption)


def _caption(sentence: TimedSentence, position: float) -> dict[str, Any]:
    """Return the message of a sentence that is shown at a position in its speech, in seconds."""
    start = sentence.start_seconds
    words = [
        [word.text, round(1000 * (word.start_seconds - start)), round(1000 * (word.stop_seconds - start))]
        for word in timed_words(sentence)
    ]
    return {
        "type": "caption",
        "text": sentence.text,
        "words": words,
        "at_ms": round(1000 * (position - start)),
    }
