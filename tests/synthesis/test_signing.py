from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster import media, provenance
from newscaster.errors import InputError, OutputError
from newscaster.formats.anchor import AnchorFile
from newscaster.synthesis.motion_log import MotionLog
from newscaster.synthesis.options import Outputs, SigningOptions
from tiny_anchor import write_tiny_anchor


def test_a_video_says_what_made_it(wav: Path, tmp_path: Path) -> None:
    path = write_tiny_anchor(tmp_path / "tiny.anchor")
    anchor = newscaster.open(path)
    made = anchor.speak(wav, tmp_path / "news.mp4")
    assert made.signed_locally
    assert made.signed_by is not None
    assert (made.sidecar, made.unsigned_because) == (None, None)
    statement = provenance.verify(made.path).statement
    assert statement is not None
    file = AnchorFile(path)
    assert (statement.title, statement.anchor, statement.anchor_id) == ("news.mp4", "Tiny", file.identity)
    assert statement.target_sha256 == file.members["stage.mp4"]["sha256"]
    assert statement.speech_sha256 == hashlib.sha256(wav.read_bytes()).hexdigest()
    assert (statement.consent, statement.attribution) == (anchor.info.consent, anchor.info.attribution)
    assert (statement.frames, statement.synthesised, statement.fps) == (32, ((0, 32),), 25)
    assert not statement.synthetic_target
    assert not statement.synthetic_voice


def test_which_frames_are_synthesised(wav: Path, tmp_path: Path) -> None:
    """As the shares say that go to the motion file: any new mouth counts, however faded."""
    blend_weight = np.array([1, 0, 0, 0.5, 1, 1, 0, 1, 1, 1], np.float32)
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor", blend_weight=blend_weight))
    made = anchor.speak(wav, tmp_path / "news.mov", outputs=Outputs(motion=tmp_path / "m.npz"))
    statement = provenance.verify(made.path).statement
    assert statement is not None
    new = np.zeros(statement.frames, bool)
    for first, end in statement.synthesised:
        new[first:end] = True
    with np.load(tmp_path / "m.npz") as motion:
        np.testing.assert_array_equal(new, motion["shares"] > 0)


def test_runs_go_on_from_part_to_part() -> None:
    record = MotionLog(None)
    blend_weights = np.array([0, 1, 1, 0, 0.2, 1, 1, 0, 0, 1], np.float32)
    nothing = np.zeros((10, 57, 2))
    for first, end in ((0, 1), (1, 2), (2, 6), (6, 7), (7, 7), (7, 10)):
        record.add(nothing[first:end], nothing[first:end], np.arange(first, end), blend_weights[first:end])
    assert record.synthesised.runs == ((1, 3), (4, 7), (9, 10))
    assert record.synthesised.count == 10


@pytest.mark.parametrize("suffix", [".mp4", ".m4v", ".mov"])
def test_a_signed_video_has_its_index_first(wav: Path, tmp_path: Path, suffix: str) -> None:
    """The manifest moves what comes after it; players must still find the index before the frames."""
    made = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor")).speak(wav, tmp_path / f"news{suffix}")
    assert made.signed_locally
    data = made.path.read_bytes()
    kinds = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        kinds.append(data[at + 4 : at + 8])
        at += size
    assert kinds.index(b"uuid") < kinds.index(b"moov") < kinds.index(b"mdat")
    assert len(list(media.read_frames(made.path))) == 32


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_two_that_speak_to_one_file(wav: Path, tmp_path: Path, suffix: str) -> None:
    """A video with the manifest or the captions of another would be worse than none."""
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor"))
    out = tmp_path / "out" / f"news{suffix}"
    out.parent.mkdir()
    refused: list[OutputError] = []

    def second(done: int, total: int) -> None:
        if done == 5:
            with pytest.raises(
                OutputError, match=r"another command is writing '.*news\.m.*give another"
            ) as e:
                anchor.speak(wav, out)
            refused.append(e.value)

    made = anchor.speak(wav, out, progress=second)
    assert refused
    assert provenance.verify(made.path).holds
    assert {path.suffix for path in out.parent.iterdir()} <= {suffix, ".c2pa"}
    anchor.speak(wav, out)


def test_a_video_that_cannot_be_signed_is_not_left(
    wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor"))

    def fails(*arguments: object, **options: object) -> None:
        raise OutputError("cannot be signed")

    monkeypatch.setattr(provenance, "sign_video", fails)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OutputError, match="cannot be signed"):
        anchor.speak(wav, tmp_path / "news.mp4")
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_certificate_is_refused_before_any_work(wav: Path, tmp_path: Path) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor"))
    with pytest.raises(InputError, match=r"no.pem' cannot be read"):
        anchor.speak(
            wav,
            tmp_path / "news.mp4",
            signing=SigningOptions(certificate=tmp_path / "no.pem", key=tmp_path / "no.pem"),
        )
    assert not (tmp_path / "news.mp4").exists()


def test_a_sidecar_that_would_replace_something(wav: Path, tmp_path: Path) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "tiny.anchor"))
    (tmp_path / "news.c2pa").write_bytes(wav.read_bytes())
    with pytest.raises(OutputError, match="is the speech itself"):
        anchor.speak(tmp_path / "news.c2pa", tmp_path / "news.mkv")
