"""WebRTC offers with errors: rejected in a sentence, without leaving anything behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from newscaster.server.http_errors import RefusedError
from newscaster.server.offers import MAX_SECTIONS, Offer, read_offer
from newscaster.server.settings import Limits, Settings
from newscaster.server.studio import SessionOptions, Studio

FINGERPRINT = ":".join(f"{number:02X}" for number in range(32))
TRANSPORT = f"""\
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=candidate:1467250027 1 udp 2122260223 192.0.2.7 46243 typ host generation 0
a=ice-ufrag:Oyef
a=ice-pwd:7uWMDVDdGCtJZvAh0cWmRNPZ
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
"""
AUDIO = f"""\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110
{TRANSPORT}a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=recvonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:9 G722/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:13 CN/8000
a=rtpmap:110 telephone-event/48000
"""
VIDEO = f"""\
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 45
{TRANSPORT}a=mid:1
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=recvonly
a=rtcp-mux
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:45 AV1/90000
"""
SESSION = """\
v=0
o=- 7614219274584779017 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
"""
OFFER = SESSION + AUDIO + VIDEO
DATA = f"""\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
{TRANSPORT}a=mid:2
a=sctp-port:5000
a=max-message-size:262144
"""
NUMBERS = (
    "0",
    "-1",
    "1",
    "9",
    "13",
    "72",
    "127",
    "128",
    "255",
    "256",
    "65536",
    str(2**63),
    "9" * 50,
    "x",
    "",
)
WORDS = (
    "sendrecv",
    "sendonly",
    "inactive",
    "active",
    "passive",
    "holdconn",
    "sha-1",
    "IN IP4 x",
    "\x00",
    "é",
    " ",
)


def mutated(offer: str, chance: random.Random) -> str:
    """An offer with one to four changes."""
    lines = offer.splitlines()
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(lines))
        line = lines[place]
        change = chance.randrange(9)
        if change == 0:
            del lines[place]
        elif change == 1:
            lines.insert(place, chance.choice(lines))
        elif change == 2:
            other = chance.randrange(len(lines))
            lines[place], lines[other] = lines[other], line
        elif change == 3:
            lines[place] = line[: chance.randrange(len(line) + 1)]
        elif change == 4:
            bits = line.replace(":", ": ").replace("/", "/ ").split(" ")
            bits[chance.randrange(len(bits))] = chance.choice(NUMBERS)
            lines[place] = " ".join(bits).replace(": ", ":").replace("/ ", "/")
        elif change == 5:
            bits = line.split(" ")
            bits[chance.randrange(len(bits))] = chance.choice(WORDS)
            lines[place] = " ".join(bits)
        elif change == 6:
            name = line.split(":")[0]
            lines = [other for other in lines if not other.startswith(name)] or [line]
        elif change == 7:
            start = chance.randrange(len(lines))
            lines[place:place] = lines[start : start + chance.randrange(30)]
        else:
            at = chance.randrange(len(line) + 1)
            lines[place] = line[:at] + chr(chance.choice((0, 10, 32, 47, 58, 0x661, 0x1F600))) + line[at:]
    return "\r\n".join(lines) + "\r\n"


def test_an_offer_of_a_browser_keeps_its_necessary_parts() -> None:
    offer = read_offer(OFFER)
    assert offer.mids == {"audio": "0", "video": "1"}
    for line in (
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:96 VP8/90000",
        "a=fmtp:97 apt=96",
        "a=group:BUNDLE 0 1",
    ):
        assert line in offer.sdp.splitlines()
    assert "AV1" not in offer.sdp
    assert "192.0.2.7" not in offer.sdp


def without(start: str, offer: str = OFFER) -> str:
    return "\n".join(line for line in offer.splitlines() if not line.startswith(start)) + "\n"


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        (without("a=rtpmap"), "it is not valid SDP"),
        (without("a=rtpmap", without("a=fmtp")), "its audio section has no a=rtpmap of a supported codec"),
        (
            without("a=rtpmap:96", without("a=rtpmap:102", without("a=fmtp"))),
            "its video section has no a=rtpmap",
        ),
        (without("a=fingerprint"), "its audio section has no valid a=fingerprint"),
        (OFFER.replace("sha-256", "sha-1"), "its audio section has no valid a=fingerprint"),
        (OFFER.replace(FINGERPRINT, FINGERPRINT[:-3]), "its audio section has no valid a=fingerprint"),
        (without("a=setup"), "its audio section has no a=setup"),
        (without("a=ice-ufrag"), "its audio section has no valid a=ice-ufrag and a=ice-pwd"),
        (OFFER.replace("a=ice-pwd:7uW", "a=ice-pwd:é"), "its audio section has no valid a=ice-ufrag"),
        (without("a=rtcp-mux"), "its audio section has no a=rtcp-mux"),
        (without("a=mid"), "two of its media sections have the same a=mid, or none"),
        (OFFER.replace("a=mid:1", "a=mid:0"), "two of its media sections have the same a=mid"),
        (OFFER.replace("a=mid:1", "a=mid:" + "1" * 17), "the a=mid of its video section"),
        (SESSION, "it has 0 media sections"),
        (SESSION + AUDIO, "it does not ask to receive audio and video"),
        (OFFER.replace("recvonly", "sendonly"), "it does not ask to receive audio and video"),
        (OFFER.replace("recvonly", "inactive"), "it does not ask to receive audio and video"),
        (OFFER + DATA, "it has a section of the kind 'application'"),
        (OFFER + "".join(AUDIO.replace("mid:0", f"mid:{n}") for n in range(2, 5)), "it has 5 media sections"),
    ],
)
def test_offers_that_are_refused(offer: str, reason: str) -> None:
    with pytest.raises(RefusedError) as refused:
        read_offer(offer)
    assert str(refused.value).startswith(f"the offer cannot be used: {reason}")
    assert refused.value.status == 400


def test_offers_that_are_too_long() -> None:
    with pytest.raises(RefusedError, match="lines; expected at most 1000"):
        read_offer(OFFER + "a=rtpmap:96 VP8/90000\n" * 1000)
    with pytest.raises(RefusedError, match="characters; expected at most 64000"):
        read_offer(OFFER + "a" * 64_000)


def read_or_none(sdp: str) -> Offer | None:
    try:
        return read_offer(sdp)
    except RefusedError:
        return None


def test_changed_offers_are_accepted_or_refused() -> None:
    chance = random.Random(1)
    accepted = 0
    for _ in range(4000):
        offer = read_or_none(mutated(OFFER, chance))
        if offer is not None:
            accepted += 1
            assert read_offer(offer.sdp) == offer
    assert 400 < accepted < 3600


class Unhandled(logging.Handler):
    """Collects warnings, errors, and unhandled exceptions of the event loop."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())

    def from_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.messages.append(f"{context['message']}: {context.get('exception')!r}")


async def answer_all(tiny: Path, folder: Path, offers: list[str]) -> tuple[int, list[str]]:
    """Send these offers; return the number of answers, and all problems."""
    unhandled = Unhandled()
    asyncio.get_running_loop().set_exception_handler(unhandled.from_loop)
    for name in ("aiortc", "aioice", "asyncio", "newscaster"):
        logging.getLogger(name).addHandler(unhandled)
    answered = 0
    limits = Limits(clients=len(offers) + 1, connect_seconds=0.3)
    try:
        async with Studio(Settings(anchors=(str(tiny),), keep=folder, limits=limits)).open() as studio:
            session = await studio.begin(SessionOptions())
            for offer in offers:
                with suppress(RefusedError):
                    answer = await studio.peers.answer(session, offer)
                    answered += 1
                    assert "sendrecv" not in answer
                    assert "recvonly" not in answer
            async with asyncio.timeout(60):
                while not session.idle_seconds():  # until the places of all are free
                    await asyncio.sleep(0.05)
            assert all(peer.is_closed for peer in studio.peers._peers.get(session.id, ()))
    finally:
        for name in ("aiortc", "aioice", "asyncio", "newscaster"):
            logging.getLogger(name).removeHandler(unhandled)
    gc.collect()  # tasks whose exception was never retrieved are reported when they are collected
    await asyncio.sleep(0)
    return answered, unhandled.messages


@pytest.mark.slow
def test_changed_offers_leave_nothing_behind(tiny: Path, tmp_path: Path) -> None:
    chance = random.Random(2)
    offers = [OFFER, without("a=group")]
    offers += [OFFER.replace("recvonly", "sendrecv"), OFFER + AUDIO.replace("mid:0", "mid:2")]
    assert len([line for line in offers[-1].splitlines() if line.startswith("m=")]) <= MAX_SECTIONS
    offers += [mutated(OFFER, chance) for _ in range(150)]
    answered, messages = asyncio.run(answer_all(tiny, tmp_path, offers))
    assert not messages
    assert 20 < answered < len(offers)
