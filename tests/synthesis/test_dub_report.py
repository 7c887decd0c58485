from __future__ import annotations

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from newscaster.errors import MissingExtraError
from newscaster.synthesis.dub_options import DubbedFace, DubResult, KeptFrames, OwnAudioLag, SpeechGain
from newscaster.synthesis.dub_report import check_report, write_people_page, write_report
from newscaster.synthesis.faces_found import FaceImage
from newscaster.synthesis.frame_strip import FramePair, FrameStrip

NAME = "<b>Ada & co</b>"
KEPT = (KeptFrames(start=10, stop=20, reason="the head is turned away"),)


@pytest.fixture
def result(tmp_path: Path) -> DubResult:
    return DubResult(
        path=tmp_path / "<out>.mp4",
        frames=100,
        fps=Fraction(30000, 1001),
        rewritten_frames=90,
        kept=KEPT,
        cuts=(50,),
        wall_seconds=2.0,
        track_seconds=1.0,
        speech_seconds=3.0,
        faces=(
            DubbedFace(anchor=NAME, face=1, speaks=True, rewritten_frames=90, kept=KEPT, speech_seconds=3.0),
        ),
        own_audio=OwnAudioLag(seconds=0.12, text="the video's own audio is 120 ms late"),
        speech_gain=SpeechGain(decibels=3.0, text="the speech is made 3.0 dB louder <b>"),
        notes=("<script>alert(1)</script>",),
        unsigned_because="no one asked",
    )


class Strip(FrameStrip):
    """Two frames that were taken."""

    def __init__(self) -> None:
        pass

    def pairs(self) -> list[FramePair]:
        return [FramePair(n, Image.new("RGB", (8, 8), (n, 0, 0)), Image.new("RGB", (8, 8))) for n in (0, 15)]


def test_the_page_is_self_contained_and_escaped(result: DubResult, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, result, Strip(), video=Path("in & out.mp4"))
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;Ada &amp; co" in page
    assert "in &amp; out.mp4" in page
    assert "The speech is made 3.0 dB louder &lt;b&gt;." in page
    assert "90 of 100 frames have a new mouth" in page
    assert "The video&#39;s own audio is 120 ms late. It drives the mouth as it is." in page
    assert "0.50 s, kept: the head is turned away" in page
    assert "0.00 s, new mouth" in page
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert len(sources) == 4
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "http" not in re.sub(r"data:image/jpeg;base64,[^\"]*", "", page)


def test_json_has_everything(result: DubResult, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_report(path, result, None, video=Path("in.mp4"))
    values = json.loads(path.read_text())
    assert values["faces"][0]["anchor"] == NAME
    assert values["own_audio"]["seconds"] == 0.12
    assert values["kept"] == [{"start": 10, "stop": 20, "reason": "the head is turned away"}]
    assert values["fps"] == "30000/1001"


def test_json_names_files_as_seen_from_it(result: DubResult, tmp_path: Path) -> None:
    made = replace(result, path=tmp_path / "videos" / "a.mkv", sidecar=tmp_path / "videos" / "a.c2pa")
    (tmp_path / "reports").mkdir()
    path = tmp_path / "reports" / "a.json"
    write_report(path, made, None, video=Path("in.mp4"))
    values = json.loads(path.read_text())
    assert (values["path"], values["sidecar"]) == ("../videos/a.mkv", "../videos/a.c2pa")


def test_the_page_of_other_people(tmp_path: Path) -> None:
    path = tmp_path / "report.htm"
    faces = [FaceImage("the anchor", Image.new("RGB", (9, 9))), FaceImage("face=0", Image.new("RGB", (9, 9)))]
    write_people_page(path, f"'v.mp4' does not show the person of '{NAME}'", faces)
    page = path.read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert page.count("data:image/jpeg") == 2
    assert "face=0" in page


def test_a_page_needs_its_extra_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newscaster.reports.page.find_spec", lambda _: None)
    check_report(None)
    check_report(Path("a.json"))
    with pytest.raises(MissingExtraError):
        check_report(Path("a.HTML"))
