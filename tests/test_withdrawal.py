from __future__ import annotations

import json
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

import newscaster
from newscaster import cli
from newscaster.consent import Consent
from newscaster.errors import AnchorError, ConsentError, InputError
from newscaster.formats.anchor import AnchorFile
from tiny_anchor import speech_like, write_tiny_anchor

AGREED = Consent.of("who: Ada Byron\nfor: news videos").record()


def test_a_withdrawn_consent_stops_all(tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "ada.anchor", consent=AGREED.to_json())
    before = AnchorFile(path)
    consent = newscaster.withdraw(path, reason="changed her mind")
    after = AnchorFile(path)
    assert (after.identity, after.members) == (before.identity, before.members)
    assert after.info.consent_record == consent
    assert after.info.consent == {
        **before.info.consent,
        "withdrawn": consent.withdrawn,
        "reason": "changed her mind",
    }
    assert after.face().mask.soft.tobytes() == before.face().mask.soft.tobytes()
    anchor = newscaster.open(path)
    for work in (
        lambda: anchor.speak(speech_like(1.0), tmp_path / "x.mp4"),
        lambda: anchor.render(speech_like(1.0)),
        lambda: anchor.live(),
    ):
        with pytest.raises(
            ConsentError, match=r"consent of Ada Byron to the anchor 'Tiny' was withdrawn on .*her mind"
        ):
            work()
    assert [file.name for file in tmp_path.iterdir()] == ["ada.anchor"]
    with pytest.raises(ConsentError, match="There is nothing left to do"):
        newscaster.withdraw(path)


def test_of_several_that_withdraw_at_once_one_does(tmp_path: Path) -> None:
    """The first reason stays, and the others hear that it is done."""
    path = write_tiny_anchor(tmp_path / "ada.anchor", consent=AGREED.to_json())
    done: list[Consent] = []
    refused: list[ConsentError] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        try:
            done.append(newscaster.withdraw(path, reason=f"reason {number}"))
        except ConsentError as error:
            refused.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(done), len(refused)) == (1, 3)
    assert AnchorFile(path).info.consent_record == done[0]
    assert [file.name for file in tmp_path.iterdir()] == ["ada.anchor"]


def test_an_anchor_that_is_open_notices(tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "ada.anchor", consent=AGREED.to_json())
    anchor = newscaster.open(path)
    next(anchor.render(speech_like(0.5)))
    newscaster.withdraw(path)
    with pytest.raises(ConsentError, match="was withdrawn on"):
        anchor.render(speech_like(0.5))
    other = newscaster.open(write_tiny_anchor(tmp_path / "other.anchor", consent=AGREED.to_json()))
    (tmp_path / "other.anchor").unlink()
    next(other.render(speech_like(0.5)))


def test_a_consent_that_has_ended(tmp_path: Path) -> None:
    ended = Consent(statement="news", until=date.today() - timedelta(days=1)).to_json()
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "ada.anchor", consent=ended))
    with pytest.raises(ConsentError, match="ended on"):
        anchor.speak(speech_like(1.0), tmp_path / "x.mp4")


def test_a_record_that_was_changed(tmp_path: Path) -> None:
    with pytest.raises(AnchorError, match="was changed after it was made"):
        write_tiny_anchor(tmp_path / "ada.anchor", consent={**AGREED.to_json(), "who": "Eve"})


def test_nothing_to_withdraw(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no consent that could be withdrawn"):
        newscaster.withdraw(write_tiny_anchor(tmp_path / "ada.anchor", consent={}))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_tiny_anchor(tmp_path / "ada.anchor", consent=AGREED.to_json())
    assert cli.run(["withdraw", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"{path}: the consent was withdrawn on ")
    assert cli.run(["info", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "consent      who: Ada Byron" in lines
    assert any("newscaster refuses to use this anchor" in line for line in lines)
    assert cli.run(["info", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["consent"]["sha256"] == AGREED.to_json()["sha256"]
    for command in (["speak", "--text", "News."], ["live", "--text", "News.", "--to"]):
        out = (
            ["-a", str(path), "-o", str(tmp_path / "x.mp4")]
            if command[0] == "speak"
            else [str(tmp_path / "x.ts"), str(path)]
        )
        assert cli.run([*command, *out]) == 2
        assert "was withdrawn on" in capsys.readouterr().err


@pytest.mark.parametrize("reason", ["\x1b[31masked to", "asked to " * 2000], ids=["escape", "long"])
def test_a_reason_that_no_anchor_can_hold_changes_nothing(tmp_path: Path, reason: str) -> None:
    path = write_tiny_anchor(tmp_path / "ada.anchor", consent=AGREED.to_json())
    before = path.read_bytes()
    with pytest.raises(InputError, match="reason of the consent"):
        newscaster.withdraw(path, reason=reason)
    assert path.read_bytes() == before
    newscaster.withdraw(path, reason="asked to\nby Ada")
    assert AnchorFile(path).info.consent["reason"] == "asked to\nby Ada"
