"""Samples of voices over the API, and how jobs read words."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from fake_voices import FakeVoice, use_voice
from newscaster.errors import InputError
from newscaster.server import jobs
from newscaster.server.job_process import Work
from newscaster.speech.spoken import Pronunciations
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.options import Style
from studios import OpenStudio, until
from tiny_anchor import speech_like


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> FakeVoice:
    voice = FakeVoice(lambda sentence, speed: speech_like(0.5, 24_000))
    use_voice(monkeypatch, voice)
    return voice


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Work]:
    """Jobs that have started; they fail at once."""
    begun: list[Work] = []

    async def run(work: Work, *, progress: object) -> dict[str, str]:
        begun.append(work)
        return {"state": "failed", "error": "not made here"}

    monkeypatch.setattr(jobs, "run_work", run)
    return begun


def test_a_sample_is_read_with_the_pronunciations(open_studio: OpenStudio, voice: FakeVoice) -> None:
    studio = open_studio(pronunciations=Pronunciations({"WHO": "who", "EU": "union"}))
    name = studio.get("/v1/info").json()["voices"][0]
    sample = {"text": "The WHO and the EU.", "voice": name, "speed": 1.5, "pronunciations": {"WHO": "W.H.O"}}
    reply = studio.post("/v1/voices/sample", json=sample)
    assert reply.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(reply.content)) as audio:
        assert (audio.getframerate(), audio.getnchannels(), audio.getsampwidth()) == (24_000, 1, 2)
        assert audio.getnframes() > 0.4 * 24_000
    assert voice.sentences[-1] == "The W.H.O and the union."
    assert voice.speeds[-1] == 1.5


def test_samples_that_are_refused(open_studio: OpenStudio, voice: FakeVoice) -> None:
    studio = open_studio()
    for sample, status, message in (
        ({"text": ""}, 422, "text has 0 characters; expected 1 or more"),
        ({"text": "x" * 301}, 422, "text has 301 characters; expected 300 or fewer"),
        ({"text": "..."}, 400, "the text '...' holds no word to speak"),
        ({"voice": "other"}, 404, "there is no voice 'other' here"),
        ({"anchor": "other"}, 404, "there is no anchor 'other'"),
        ({"speed": 3}, 422, "speed is 3; expected 2 or less"),
        ({"pronunciations": {"WHO": ""}}, 400, "the reading is empty"),
    ):
        reply = studio.post("/v1/voices/sample", json=sample)
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (status, message)
    assert studio.app.state.studio.samples_in_progress == 0  # type: ignore[attr-defined]


def test_a_job_has_its_pronunciations_and_its_background(
    open_studio: OpenStudio, voice: FakeVoice, begun: list[Work]
) -> None:
    studio = open_studio(pronunciations=Pronunciations({"EU": "union"}))
    new = {"text": "The WHO.", "pronunciations": {"WHO": "W.H.O"}, "background": "blur"}
    job = studio.post("/v1/jobs", json=new).json()
    assert (job["pronunciations"], job["background"]) == (new["pronunciations"], "blur")
    (work,) = until(lambda: begun)
    assert work.pronunciations == Pronunciations({"EU": "union", "WHO": "W.H.O"})
    assert work.background == "blur"
    for change, message in (
        ({"background": "/etc/passwd"}, "the background is '/etc/passwd'; expected a colour"),
        ({"pronunciations": {"": "x"}}, "the written form is empty"),
    ):
        reply = studio.post("/v1/jobs", json={"text": "The WHO.", **change})
        assert (reply.status_code, reply.json()["error"][: len(message)]) == (400, message)


def test_a_job_has_its_name_strap(
    open_studio: OpenStudio, voice: FakeVoice, begun: list[Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    studio = open_studio()
    strap = {"strap_title": "Jane Doe", "strap_subtitle": "Newsroom"}
    audio = to_wav(speech_like(0.5, 16_000))
    replies = [
        studio.post("/v1/jobs", json={"text": "Hello.", **strap}),
        studio.post("/v1/jobs/audio", params=strap, content=audio),
    ]
    assert [{name: reply.json()[name] for name in strap} for reply in replies] == [strap, strap]
    reply = studio.post("/v1/jobs", json={"text": "Hello.", "strap_subtitle": "x"})
    assert reply.status_code == 400
    assert "without a title" in reply.json()["error"]
    styles: list[Style] = []

    class Refusing:
        def speak(self, *_: object, style: Style, **__: object) -> None:
            styles.append(style)
            raise InputError("not made here")

    monkeypatch.setattr(Anchor, "open", lambda *_, **__: Refusing())
    for work in until(lambda: len(begun) == 2 and begun):
        with pytest.raises(InputError, match="not made here"):
            work.run(lambda *_: None)
    assert [(style.title, style.subtitle) for style in styles] == [("Jane Doe", "Newsroom")] * 2


def to_wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setparams((1, 2, 16_000, len(samples), "NONE", ""))
        audio.writeframes((samples * 32767).astype("<i2").tobytes())
    return file.getvalue()
