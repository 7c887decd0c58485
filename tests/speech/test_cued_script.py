from __future__ import annotations

import pytest

from newscaster.errors import InputError
from newscaster.speech.cued_script import parse_cues

SUB_RIP = """1
00:00:01,000 --> 00:00:03,500
Good <i>evening</i>,
everyone.

2
00:01:02,250 --> 01:00:00,000 X1:10
{\\an8}Second.
"""
WEB_VTT = """WEBVTT - made by hand

STYLE
::cue { color: red }

NOTE nothing to speak

intro
01.000 --> 02.000

00:01.000 --> 00:02.5 align:start
<v Ada>Hello <00:01.500>there

00:03.000 --> 00:04.000
...
"""


def test_sub_rip() -> None:
    cues = parse_cues(SUB_RIP.replace("\n", "\r\n"), name="a.srt")
    assert [(c.number, c.start_ms, c.stop_ms, c.text) for c in cues] == [
        (1, 1000, 3500, "Good evening, everyone."),
        (2, 62_250, 3_600_000, "Second."),
    ]


def test_web_vtt() -> None:
    text = WEB_VTT.replace("intro\n01.000 --> 02.000\n\n", "intro\n")
    cues = parse_cues(text, name="a.vtt")
    assert [(c.start_ms, c.stop_ms, c.text) for c in cues] == [(1000, 2500, "Hello there")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no caption"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n...\n", "has no caption"),
        ("1\n00:00:02,000 --> 00:00:01,000\nA.\n", "caption 1 .* ends at 0:00:01.000"),
        (
            "1\n00:00:01,000 --> 00:00:03,000\nA.\n\n2\n00:00:02,500 --> 00:00:04,000\nB.\n",
            "caption 2 .* starts at 0:00:02.500, before caption 1 ends",
        ),
        ("1\n00:00:01 -> 00:00:03\nA.\n", "where a caption with its time"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_cues(text, name="a.srt")
