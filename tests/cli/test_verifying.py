from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from newscaster import cli, media
from newscaster.cli.verifying import _EXITS, _statement_lines, _watermark_lines
from newscaster.cli.verifying import verify as verify_command
from newscaster.formats.anchor import AnchorFile
from newscaster.provenance import verify
from newscaster.provenance.verifying import Verdict
from newscaster.watermark import FoundMark
from signing import redated, statement, write_certificate
from timestamping import time_stamp_authority
from tiny_anchor import speech_like, write_tiny_anchor

ClipMaker = Callable[..., Path]


def test_verify(wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blend_weight = np.array([1, 1, 0, 0, 0.5, 1, 1, 1, 1, 1], np.float32)
    anchor = write_tiny_anchor(tmp_path / "tiny.anchor", blend_weight=blend_weight)
    out = tmp_path / "news.mp4"
    assert cli.run(["speak", str(wav), "-a", str(anchor), "-o", str(out)]) == 0
    capsys.readouterr()
    assert cli.run(["verify", str(out)]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{out}: valid, signed with a local certificate: unchanged since")
    values = {line[:14].strip(): line[15:] for line in lines}
    assert values["made by"].startswith("newscaster ")
    assert values["source type"] == "compositeWithTrainedAlgorithmicMedia"
    assert values["anchor"].startswith("Tiny, sha256 ")
    assert values["speech"].startswith("1.3 s, the given audio, sha256 ")
    assert " of 32 frames: 0-1, " in values["synthesised"]

    data = bytearray(out.read_bytes())
    data[-100] ^= 1
    out.write_bytes(data)
    assert cli.run(["verify", str(out)]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == f"{out}: INVALID: the file differs from what was signed"
    assert second.split(maxsplit=1) == ["invalid", "video, audio or tags are not those that were signed"]


def test_verify_with_a_newsrooms_certificate(
    tiny: Path, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain, key, authority = write_certificate(tmp_path / "newsroom")
    out = tmp_path / "news.mkv"
    assert cli.run(["speak", str(wav), "-a", str(tiny), "-o", str(out), "--sign", str(chain), str(key)]) == 0
    lines = capsys.readouterr().out.splitlines()
    signed_by = next(line for line in lines if line.startswith("signed by Evening News, Evening News"))
    end = datetime.now(UTC) + timedelta(days=30)
    assert f", verifiable until {end:%Y-%m-%d} " in signed_by
    assert str(tmp_path / "news.c2pa") in lines
    assert cli.run(["verify", str(out)]) == 0
    assert "valid, but the signer is not trusted (--trust FILE)" in capsys.readouterr().out
    assert cli.run(["verify", str(out), "--trust", str(authority), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["verdict"], values["sidecar"]) == ("trusted", str(tmp_path / "news.c2pa"))
    assert values["statement"]["frames"] == 32
    assert values["statement"]["fps"] == "25"


def test_verify_an_unsigned_file(wav: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["verify", str(wav)]) == 3
    assert capsys.readouterr().out.splitlines()[0] == f"{wav}: no manifest"


def test_speaking_without_the_signing_package(
    tiny: Path, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("newscaster.provenance.toolkit.is_there", lambda: False)
    out = tmp_path / "news.mp4"
    speak = ["speak", str(wav), "-a", str(tiny), "-o", str(out)]
    assert cli.run(speak) == 0
    assert "not signed: signing needs the package 'c2pa-python'" in capsys.readouterr().out
    assert cli.run([*speak, "--sign", "chain.pem", "key.pem"]) == 2
    assert cli.run(["verify", str(out)]) == 2
    monkeypatch.undo()
    assert cli.run(["verify", str(out)]) == 4  # marked it is, all the same
    assert "its tags say that newscaster made it" in capsys.readouterr().out


def stripped(path: Path, **options: int) -> Path:
    """Encode the same frames again, without a manifest."""
    out = path.with_name("stripped.mp4")
    media.write_video(out, media.read_frames(path), fps=Fraction(25), audio=None, **options)
    return out


def test_verify_reads_the_watermark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = write_tiny_anchor(tmp_path / "tiny.anchor", size=(320, 240))
    carried = AnchorFile(tiny).identity[:6]
    wav, out = tmp_path / "speech.wav", tmp_path / "news.mp4"
    media.write_wav(wav, speech_like(1.5), 16_000)
    speak = ["speak", str(wav), "-a", str(tiny), "-o", str(out)]
    assert cli.run(speak) == 0
    capsys.readouterr()
    assert cli.run(["verify", str(out)]) == 0
    pieces = "detected in 1 of 1 pieces"
    assert f"  watermark    newscaster's, {carried}, of the same anchor, {pieces}" in capsys.readouterr().out

    without = stripped(out, crf=23)
    assert cli.run(["verify", str(without)]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{without}: no manifest, but the pixels carry newscaster's watermark"
    assert lines[-1] == (
        "  watermark    newscaster's, of the anchor whose sha256, or the person whose id, starts with "
        f"{carried}, {pieces}"
    )
    assert cli.run(["verify", str(without), "--json"]) == 4
    values = json.loads(capsys.readouterr().out)
    assert values["watermark"] == {
        "id": carried,
        "pieces": 1,
        "marked": 1,
        "scale": 1.0,
        "mirrored": False,
    }
    mark = verify(without).watermark
    assert mark is not None
    assert mark.id == carried
    assert verify(without, watermark=False).watermark is None

    assert cli.run([*speak, "--no-watermark"]) == 0
    capsys.readouterr()
    assert cli.run(["verify", str(out)]) == 0
    assert "watermark" not in capsys.readouterr().out
    assert cli.run(["verify", str(stripped(out))]) == 3
    assert capsys.readouterr().out.splitlines()[0].endswith(": no manifest")


@pytest.mark.parametrize(
    ("mark", "anchor_id", "expected"),
    [
        (
            FoundMark(id="123456", pieces=6, marked=5, scale=1.0, mirrored=False),
            "1234567",
            "of the same anchor",
        ),
        (
            FoundMark(id="123456", pieces=6, marked=5, scale=1.0, mirrored=False),
            "abcdef0",
            "not the anchor in the manifest",
        ),
        (
            FoundMark(id="123456", pieces=6, marked=5, scale=1.0, mirrored=False),
            None,
            "starts with 123456",
        ),
        (
            FoundMark(id=None, pieces=6, marked=5, scale=1.0, mirrored=False),
            "abcdef0",
            "too faint to identify the anchor",
        ),
        (FoundMark(id=None, pieces=6, marked=5, scale=0.8, mirrored=True), None, "cropped to about 80%"),
        (FoundMark(id=None, pieces=6, marked=5, scale=0.8, mirrored=True), None, "was mirrored"),
        (None, "abcdef0", "not found, although the manifest claims one"),
    ],
)
def test_the_line_of_the_watermark(mark: FoundMark | None, anchor_id: str | None, expected: str) -> None:
    claimed = None if anchor_id is None else statement(anchor_id=anchor_id, watermark=anchor_id[:6])
    lines = [f"{name} {value}" for name, value in _watermark_lines(mark, claimed)]
    assert any(expected in line for line in lines), lines


@pytest.mark.parametrize(
    ("days", "code", "verdict", "reason"),
    [
        ((-400, -35), 5, "expired", "ended on "),
        ((2, 367), 6, "not_yet_valid", "is not valid before "),
    ],
)
def test_a_certificate_of_other_days(
    make_clip: ClipMaker,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    days: tuple[int, int],
    code: int,
    verdict: str,
    reason: str,
) -> None:
    path, _ = redated(make_clip(), tmp_path / "news.mp4", days)
    assert cli.run(["verify", str(path)]) == code
    assert capsys.readouterr().out.startswith(f"{path}: unchanged; the signer's certificate {reason}")
    assert cli.run(["verify", str(path), "--json"]) == code
    values = json.loads(capsys.readouterr().out)
    assert (values["verdict"], values["holds"], values["unchanged"]) == (verdict, False, True)
    assert values["certificate_end"].startswith(f"{datetime.now(UTC) + timedelta(days=days[1]):%Y-%m-%d}")
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    assert cli.run(["verify", str(path)]) == 1
    first, _, third, *_ = capsys.readouterr().out.splitlines()
    assert first == f"{path}: INVALID: the file differs from what was signed"
    assert "the signer's certificate " in third


def test_a_manifest_that_cannot_be_read(
    make_clip: ClipMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(name="clip.mkv")
    clip.with_suffix(".c2pa").write_bytes(b"no manifest")
    assert cli.run(["verify", str(clip)]) == 8
    assert capsys.readouterr().out.startswith(f"{clip}: NOT CHECKED: ")


def test_every_verdict_has_an_exit_code_that_is_documented() -> None:
    assert set(_EXITS) == set(get_args(Verdict))
    faults = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    help_text = str(verify_command.epilog)
    for code in {*_EXITS.values(), 4}:
        assert f"| {code} |" in faults
        assert f"\n  {code}  " in help_text


def test_time_stamps(tiny: Path, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, live_out = tmp_path / "news.mp4", tmp_path / "live.mp4"
    speak = ["speak", str(wav), "-a", str(tiny), "-o", str(out), "--timestamp"]
    live = ["live", str(tiny), "--speech", str(wav), "--to", str(live_out), "--timestamp"]
    with time_stamp_authority(tmp_path / "clock") as clock:
        for command, place in ((speak, out), (live, live_out)):
            assert cli.run([*command, clock.url]) == 0
            output = capsys.readouterr()
            assert "(--sign), with a time stamp" in output.out + output.err
            assert cli.run(["verify", str(place), "--trust", str(clock.certificate)]) == 0
            assert f"  time stamp   {clock.time:%Y-%m-%d %H:%M} UTC" in capsys.readouterr().out

            # It answers when asked before the work, and no more when the video is there: nothing is lost.
            place.unlink()
            clock.limit = clock.requests + 1
            assert cli.run([*command, clock.url]) == 2
            errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
            clock.limit = None
            assert len(errors) == 1
            assert errors[0].startswith(f"error: '{place}' is signed without a time stamp: http://127.0.0.1:")
            assert verify(place, watermark=False).holds
            place.unlink()
        url = clock.url
    for command, place in ((speak, out), (live, live_out)):
        assert cli.run([*command, url]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: --timestamp: http://127.0.0.1:")
        assert not place.exists()
    assert cli.run([*live[:-2], str(tmp_path / "live.ts"), "--timestamp", url]) == 2
    assert "--timestamp is given, but" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["speak", "{wav}", "-a", "{tiny}", "-o", "{out}"],
        ["demo", "--speech", "{wav}", "-o", "{out}"],
        ["live", "{tiny}", "--speech", "{wav}", "--to", "{out}"],
        ["evaluate", "{tiny}", "{wav}", "--save-videos", "{folder}"],
        ["serve", "{tiny}", "--port", "0", "--data-dir", "{folder}"],
    ],
    ids=lambda command: command[0],
)
def test_an_address_that_is_none(
    tiny: Path, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    names = {"wav": wav, "tiny": tiny, "out": tmp_path / "news.mp4", "folder": tmp_path / "folder"}
    arguments = [part.format(**names) for part in command]
    assert cli.run([*arguments, "--timestamp", "nonsense"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --timestamp is 'nonsense'; expected the address of a time-stamp authority")
    assert not (tmp_path / "news.mp4").exists()


FORGED = "BBC\n  signed by    BBC News, trusted" + " " * 300 + "\x1b[2A\x1b]0;x\x07\x9b1A\u202e"


def steers(text: str) -> set[str]:
    """Characters other than line ends that are not printed, and lines that pretend to be verify's own."""
    odd = {character for character in text.replace("\n", "") if not character.isprintable()}
    return odd | {line for line in text.splitlines() if line.startswith("  signed by    BBC News")}


def test_names_in_certificates_and_manifests_cannot_forge_lines(
    tmp_path: Path, make_clip: ClipMaker, tiny: Path, wav: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = {"anchor": FORGED, "consent": {FORGED: FORGED}, "attribution": (FORGED,), "label": FORGED}
    out, _ = redated(make_clip(), tmp_path / "news.mp4", (-1, 30), **odd)
    code = cli.run(["verify", str(out)])
    shown = capsys.readouterr().out
    assert code == 0
    assert steers(shown) == set()
    assert r"BBC\n  signed by  BBC News, trusted  \x1b[2A\x1b]0;x\x07\x9b1A\u202e" in shown
    assert cli.run(["verify", str(out), "--json"]) == 0
    shown = capsys.readouterr().out
    assert steers(shown) == set()
    assert json.loads(shown)["statement"]["anchor"] == FORGED

    chain, key, _ = write_certificate(tmp_path / "newsroom", name="BBC\n  signed by    BBC News\x1b[2A\u202e")
    code = cli.run(["speak", str(wav), "-a", str(tiny), "-o", str(out), "--sign", str(chain), str(key)])
    assert code == 0
    assert cli.run(["verify", str(out)]) == 0
    shown = capsys.readouterr()
    assert steers(shown.out + shown.err) == set()
    assert r"signed by BBC\n  signed by  BBC News\x1b[2A\u202e, BBC" in shown.out


def test_the_line_of_a_person_without_an_anchor() -> None:
    claimed = statement(from_source=True, watermark="aaaaaa")
    lines = dict(_statement_lines(claimed))
    assert "anchor" not in lines
    assert lines["person"] == f"Ada, known from the source video itself, id {'a' * 64}"
    mark = FoundMark(id="aaaaaa", pieces=6, marked=5, scale=1.0, mirrored=False)
    ((_, text),) = _watermark_lines(mark, claimed)
    assert "aaaaaa, of the same person" in text
