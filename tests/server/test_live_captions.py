"""Captions of a live session: when they are shown, and the times of their words."""

from __future__ import annotations

import numpy as np
import pytest
from starlette.testclient import TestClient

from fake_voices import FakeVoice, use_voice
from newscaster.server.live_captions import LiveCaptions
from newscaster.speech.captions import TimedSentence, timed_words
from newscaster.synthesis.live_frame import LiveFrame
from studios import SOCKETS, OpenStudio
from tiny_anchor import speech_like


def frame(utterance: int | None) -> LiveFrame:
    speaking = utterance is not None
    return LiveFrame(
        number=0,
        seconds=0.0,
        image=None,
        audio=np.zeros(0, np.float32),
        synthesised=speaking,
        speaking=speaking,
        utterance=utterance,
    )


def sentence(text: str, start: float, stop: float) -> TimedSentence:
    return TimedSentence(text=text, start_seconds=start, stop_seconds=stop)


def test_a_sentence_is_shown_with_its_first_frame_and_removed_after_the_speech() -> None:
    captions = LiveCaptions(10.0)
    client = captions.subscribe()
    captions.add(3, sentence("Ab cd.", 0.16, 1.16))
    captions.add(3, sentence("Ef.", 1.26, 1.5))
    for _ in range(2):
        captions.push(frame(None))
    captions.push(frame(3))  # 0 s
    assert client.empty()
    captions.push(frame(3))  # 0.1 s: the sentence starts before the next one
    first = client.get_nowait()
    assert first == {
        "type": "caption",
        "text": "Ab cd.",
        "words": [["Ab", 0, 400], ["cd.", 400, 1000]],
        "at_ms": -60,
    }
    assert captions.subscribe().get_nowait() == first  # who comes late
    for _ in range(10):
        captions.push(frame(3))
    assert client.empty()
    captions.push(frame(3))  # 1.2 s
    assert client.get_nowait()["text"] == "Ef."
    captions.push(frame(None))
    assert client.get_nowait()["text"] == ""
    captions.push(frame(None))
    assert client.empty()


def test_what_was_not_spoken_of_an_earlier_speech_is_not_shown() -> None:
    captions = LiveCaptions(10.0)
    captions.add(1, sentence("One.", 0.0, 1.0))
    captions.add(1, sentence("Two.", 1.0, 2.0))
    captions.add(2, sentence("Three.", 0.0, 1.0))
    client = captions.subscribe()
    captions.push(frame(1))
    captions.push(frame(2))  # the first one was interrupted
    shown = [client.get_nowait()["text"] for _ in range(3)]
    assert shown == ["One.", "", "Three."]
    captions.unsubscribe(client)
    captions.push(frame(None))
    assert client.empty()


def test_words_divide_a_sentence_by_their_spoken_letters() -> None:
    spelt = TimedSentence(text="In 9 m", start_seconds=1.0, stop_seconds=2.0, letters=(1, 1, 4, 2))
    times = [(word.text, word.start_seconds, word.stop_seconds) for word in timed_words(spelt)]
    assert times == [("In", 1.0, 1.25), ("9", 1.25, 1.75), ("m", 1.75, 2.0)]


def test_captions_are_sent_to_clients_that_ask_for_them(studio: TestClient) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none", "captions": "yes"})
        assert socket.receive_json()["error"] == "captions is 'yes'; expected true or false"


def test_the_sentences_of_a_text_become_captions(
    open_studio: OpenStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_voice(monkeypatch, FakeVoice(lambda sentence, speed: speech_like(0.6, 24_000)))
    with open_studio().websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none", "captions": True})
        socket.send_json({"type": "say", "text": "Good evening. Here is the news."})
        socket.send_json({"type": "finish"})
        texts: list[str] = []
        while texts[-1:] != [""]:
            message = socket.receive_json()
            if message["type"] == "caption":
                texts.append(message["text"])
    assert texts == ["Good evening.", "Here is the news.", ""]
