from __future__ import annotations

import json
import logging
import os
import sys
import threading
import types
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from subprocess import run as run_process

import numpy as np
import pytest

from fresh_python import environment
from newscaster import cli
from newscaster.cli import commands, consent_option
from newscaster.errors import FootageError
from newscaster.evaluation.metrics import Figures
from newscaster.synthesis.articulation import Articulation
from tiny_anchor import write_tiny_anchor


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A stand-in for newscaster.pipelines, and what it was called with."""
    called: dict[str, object] = {}

    def train(footage: tuple[Path, ...], out: Path, **options: object) -> Path:
        called.update(footage=footage, out=out, **options)
        options["progress"]("rendering", 0.5, 12.0)  # type: ignore[operator]
        out.write_bytes(bytes(2_500_000))
        return out

    def check(footage: tuple[Path, ...], **options: object) -> object:
        called.update(footage=footage, **options)
        logging.getLogger("newscaster.prepare").warning("two people are seen")
        bad = footage == (Path("bad.mp4"),)
        measure = types.SimpleNamespace(
            verdict="unusable" if bad else "good",
            title="Face",
            text="seen in 3 %" if bad else "seen in 99 %",
            advice="Turn on the light." if bad else "",
        )
        return types.SimpleNamespace(
            headline="Good footage.", measures=(measure,), notes=("half looked at",), verdict=measure.verdict
        )

    def evaluate(anchor: str, footage: tuple[Path, ...], **options: object) -> object:
        called.update(anchor=anchor, footage=footage, **options)
        options["progress"]("measure", 1, 2)  # type: ignore[operator]
        rows = [figures_of("real"), figures_of("rendered")]
        if footage == (Path("lost.mp4"),):
            rows.append(replace(figures_of("rendered"), condition="sound", lost=9))
        unmeasured = {row.condition: row.unmeasured for row in rows if row.unmeasured}
        return types.SimpleNamespace(figures=tuple(rows), unmeasured=unmeasured)

    module = types.ModuleType("newscaster.pipelines")
    module.train, module.check, module.evaluate = train, check, evaluate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "newscaster.pipelines", module)
    monkeypatch.setattr("newscaster.pipelines", module, raising=False)
    return called


def figures_of(condition: str) -> Figures:
    measured = 38.2, 0.975, 0.94, 1.02, 0.31, 0.0083, 0.91, -3.6
    if condition == "rendered":
        measured = (*measured[:5], *[float("nan")] * 3)
    return Figures(condition, 2, 150, 7, 1 if condition == "real" else None, *measured)  # type: ignore[arg-type]


def test_info_counts_segments_and_mouths_that_are_not_free(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blend_weight = np.ones(10, np.float32)
    blend_weight[4] = 0
    segment = np.repeat([0, 1, 2], [2, 3, 5])
    path = write_tiny_anchor(tmp_path / "a.anchor", blend_weight=blend_weight, segment=segment)
    assert cli.run(["info", str(path)]) == 0
    expected = "0.4 s, 10 frames in 3 segments, 1 of them with their original mouth"
    assert expected in capsys.readouterr().out


def test_a_process_that_helps_with_a_training_ends_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exit code other than 0 would end the training in all processes."""
    helped: list[Path] = []

    class SecondOfTwo:
        is_first = False

        def __init__(self, devices: int, nodes: int) -> None:
            assert (devices, nodes) == (2, 1)

    monkeypatch.setattr("newscaster.training.distributed.Launcher", SecondOfTwo)
    monkeypatch.setattr("newscaster.pipelines._help", lambda launcher, work, *_: helped.append(work))
    (tmp_path / "x.mp4").write_bytes(b"footage")
    arguments = ["train", str(tmp_path / "x.mp4"), "-o", str(tmp_path / "x.anchor"), "--devices", "2"]
    assert cli.run([*arguments, "--consent", "Ada, 2026-01-01: tests"]) == 0
    assert helped == [tmp_path / "x.work"]
    assert capsys.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.mp4"]


def test_errors_are_one_line_and_exit_code_2(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.mp4")
    for arguments, message in (
        (["info", "none.anchor"], "error: no such file: 'none.anchor'"),
        (["speak", "none.wav", "-a", str(tiny), "-o", out], "error: no such file: 'none.wav'"),
        (["speak", "-a", str(tiny), "-o", out], "error: neither speech nor a text"),
        (["evaluate", "none.anchor", "x.mp4"], "error: no such file: 'none.anchor'"),
        (["evaluate", str(tiny), "none.mp4"], "error: no such file or folder: 'none.mp4'"),
        (["evaluate", str(tiny), "x.mp4", "--report", "x.pdf"], "error: 'x.pdf' ends in '.pdf'"),
        (
            ["train", "x.mp4", "-o", "x.anchor"],
            "error: training an anchor needs the consent of the person shown",
        ),
        (["train", "x.mp4", "-o", "x.anchor", "--consent", "no"], "error: --consent is 'no'"),
        (["train", "x.mp4", "-o", "x.anchor", "--consent", "A.", "--fps", "fast"], "error: --fps is 'fast'"),
    ):
        assert cli.run(arguments) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith(message)
        assert shown.err.count("\n") == 1


def test_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["speak"], ["speak", "x.wav", "-a", "x", "-o", "y", "--crf", "90"], ["sing"]):
        assert cli.run(arguments) == 2
        assert "Usage:" in capsys.readouterr().err


def test_an_interrupt(
    tiny: Path, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("newscaster.media.write_video", interrupted)
    assert cli.run(["speak", str(wav), "-a", str(tiny), "-o", str(tmp_path / "x.mp4")]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_broken_expectations_keep_their_traceback(
    tiny: Path, wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> int:
        raise AssertionError("two and two are five")

    monkeypatch.setattr("newscaster.media.write_video", broken)
    with pytest.raises(AssertionError, match="two and two"):
        cli.run(["speak", str(wav), "-a", str(tiny), "-o", str(tmp_path / "x.mp4")])


def test_info(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["info", str(tiny)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "name         Tiny" in lines
    assert "video        96x80 at 25 frames/s" in lines
    assert "consent      statement: drawn by a test" in lines
    assert cli.run(["info", "--json", str(tiny)]) == 0
    metadata = json.loads(capsys.readouterr().out)
    assert metadata["region"] == {"side": 128, "extent": 1.8}
    assert metadata["bytes"] == tiny.stat().st_size


def test_info_of_the_bundled_anchor(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("newscaster.formats.bundled_anchors.bundled_anchor", lambda: tiny)
    assert cli.run(["info", str(tiny)]) == cli.run(["info"]) == cli.run(["info", "builtin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == lines[: len(lines) // 3] * 3


def test_info_needs_neither_networks_nor_video(tiny: Path) -> None:
    code = (
        "import sys; from newscaster import cli; "
        f"assert cli.run(['info', {str(tiny)!r}]) == 0; "
        "print(sorted({'onnxruntime', 'av', 'rich', 'torch'} & set(sys.modules)))"
    )
    done = run_process(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_check(workflow: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = str(tmp_path / "report.html")
    assert cli.run(["check", "a.mp4", "b", "--face", "1", "--report", report]) == 0
    shown = capsys.readouterr()
    assert shown.err == "warning: two people are seen\n"
    assert shown.out.splitlines() == [
        "Good footage.",
        "  good      Face: seen in 99 %",
        "  note      half looked at",
        f"report: {report}",
    ]
    assert workflow["footage"] == (Path("a.mp4"), Path("b"))
    assert (workflow["face"], workflow["report"]) == (1, Path(report))
    assert cli.run(["check", "bad.mp4"]) == 1
    assert "Turn on the light." in capsys.readouterr().out


def test_evaluate(workflow: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, metrics = tmp_path / "r.html", tmp_path / "f.json"
    arguments = ["evaluate", "builtin", "a.mp4", "b", "--report", str(report), "--json", str(metrics)]
    assert cli.run([*arguments, "--face", "1", "--no-rest"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "measure ...\n"
    head, real, rendered, *written = shown.out.splitlines()
    titles = [
        "PSNR,",
        "dB",
        "SSIM",
        "sharpness",
        "flicker",
        "perceptual",
        "landmarks",
        "opening",
        "r",
        "lag,",
    ]
    assert head.split() == [*titles, "ms", "passed", "lost"]
    images = ["38.20", "0.9750", "0.94", "1.02", "0.310"]
    assert real.split() == ["the", "real", "video", *images, "0.0083", "0.910", "-4", "7", "1"]
    assert rendered.split()[4:] == [*images, "–", "–", "–", "7", "–"]
    assert written == [f"report: {report}", f"metrics: {metrics}"]
    del workflow["progress"]
    assert workflow == {
        "anchor": "builtin",
        "footage": (Path("a.mp4"), Path("b")),
        "articulation": Articulation(rests=False),
        "face": 1,
        "report": report,
        "json_file": metrics,
        "keep": None,
        "timestamp": None,
    }
    assert cli.run(["evaluate", "ada.anchor", "a.mp4"]) == 0
    assert workflow["articulation"] == Articulation()


def test_evaluate_names_conditions_without_a_face(
    workflow: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["evaluate", "ada.anchor", "lost.mp4"]) == 1
    assert workflow["footage"] == (Path("lost.mp4"),)
    *_, row, last = capsys.readouterr().out.splitlines()
    assert row.startswith("its own audio")
    assert last == (
        "its own audio: landmarks, opening r and lag could not be measured: no face was found in its video, "
        "in any of 9 frames that show one in the footage"
    )


def test_train(workflow: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, consent = tmp_path / "ada.anchor", tmp_path / "consent.txt"
    consent.write_text("Ada agreed to news videos.\n")
    arguments = ["train", "a.mp4", "-o", str(out), "--consent", str(consent), "--fps", "29.97"]
    more = ["--minutes", "5", "--attribution", "From a test", "--attribution", "CC0", "--name", "Ada"]
    assert cli.run([*arguments, *more]) == 0
    assert capsys.readouterr().out == f"{out}  2.5 MB\n"
    del workflow["progress"]
    assert workflow == {
        "footage": (Path("a.mp4"),),
        "out": out,
        "devices": 1,
        "nodes": 1,
        "consent": "Ada agreed to news videos.",
        "fps": Fraction(30000, 1001),
        "minutes": 5.0,
        "work": None,
        "face": None,
        "target": None,
        "target_minutes": 50.0,
        "renderer": "unet",
        "motion": None,
        "blinks": True,
        "clips": [],
        "attribution": ("From a test", "CC0"),
        "name": "Ada",
    }


@pytest.mark.parametrize("name", ["consent.txt", "my consent.TXT", "people/ada", "ada.json"])
def test_a_file_of_consent_that_is_missing(
    workflow: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """Its name is not a statement of consent."""
    assert cli.run(["train", "a.mp4", "-o", str(tmp_path / "x.anchor"), "--consent", name]) == 2
    assert f"error: --consent: no such file: '{name}'" in capsys.readouterr().err
    assert not workflow


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("who: Ada".encode("utf-16"), "cannot be read as UTF-8 text"),
        (b"\xff" * 9, "cannot be read as UTF-8 text"),
        (b"x" * (1 << 20) + b"x", "longer than 1,048,576 bytes"),
    ],
)
def test_a_file_of_consent_that_is_no_text(
    workflow: dict[str, object], tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, why: str
) -> None:
    consent = tmp_path / "consent.txt"
    consent.write_bytes(data)
    no_file = "Permission denied" if sys.platform == "win32" else "Is a directory"
    for path in (consent, tmp_path):
        arguments = ["train", "a.mp4", "-o", str(tmp_path / "x.anchor"), "--consent", str(path)]
        assert cli.run(arguments) == 2
        assert (why if path == consent else no_file) in capsys.readouterr().err
    assert not workflow


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no devices in folders here")
def test_options_that_name_endless_files(
    wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless, out = "/dev/zero", str(tmp_path / "x.mp4")
    for arguments in (
        ["verify", str(wav), "--trust", endless],
        ["speak", str(wav), "-o", out, "--sign", endless, endless],
        ["train", str(wav), "-o", str(tmp_path / "x.anchor"), "--consent", endless],
    ):
        assert cli.run(arguments) == 2
        assert "longer than" in capsys.readouterr().err


def test_train_prompts_for_consent(
    workflow: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    agreed = True

    def prompt(text: str, **_: object) -> str:
        asked.append(text)
        return {"When": "today", "Until": "2999-01-01"}.get(text.split()[0], "Ada") if agreed else "no"

    monkeypatch.setattr(consent_option, "_interactive", lambda: True)
    monkeypatch.setattr(consent_option.click, "prompt", prompt)
    assert cli.run(["train", "a.mp4", "-o", str(tmp_path / "x.anchor")]) == 0
    assert workflow["consent"] == f"who: Ada\nfor: Ada\nwhen: {date.today()}\nuntil: 2999-01-01"
    assert asked == [question for _, question, _ in consent_option.TRAINING.questions]
    asked.clear()
    agreed = False
    assert cli.run(["train", "a.mp4", "-o", str(tmp_path / "x.anchor")]) == 0
    assert (workflow["consent"], len(asked)) == ("no", 1)


def test_train_prints_errors_of_the_pipeline(
    workflow: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise FootageError("no one is in 'a.mp4'.\nFilm someone")

    monkeypatch.setattr("newscaster.pipelines.train", refuse)
    assert cli.run(["train", "a.mp4", "-o", "x.anchor", "--consent", "Ada"]) == 2
    assert capsys.readouterr().err == "error: no one is in 'a.mp4'. Film someone\n"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("25", 25), ("29.97", Fraction(30000, 1001)), ("30000/1001", Fraction(30000, 1001)), ("12.5", 12.5)],
)
def test_frame_rates(text: str, rate: Fraction) -> None:
    assert commands._frame_rate(text) == rate


def test_metadata_of_an_anchor_cannot_forge_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = "Ada\nfile         valid\u200f"
    anchor = write_tiny_anchor(tmp_path / "odd.anchor", consent={"statement": odd}, attribution=(odd,))
    for arguments in (["info", str(anchor)], ["info", "--json", str(anchor)]):
        assert cli.run(arguments) == 0
        shown = capsys.readouterr().out
        assert shown.replace("\n", "").isprintable()
        assert not any(line.startswith("file         valid") for line in shown.splitlines())
    assert cli.run(["info", "\x1b[31mnone\u202e.anchor"]) == cli.EXIT_ERROR
    assert cli.run(["\x1b[31mnone"]) == cli.EXIT_ERROR
    logging.getLogger("newscaster.test").warning("two\nlines \x1b[2A")  # no handler is installed now
    shown = capsys.readouterr().err
    assert shown.replace("\n", "").isprintable()


def test_warnings_and_the_log_keep_to_their_lines(
    workflow: dict[str, object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from newscaster.cli.terminal import _LogFormatter

    record = logging.makeLogRecord(
        {"name": "newscaster.x", "levelname": "WARNING", "msg": "a %s", "args": ("b\nerror: c\x1b[2A\u202e",)}
    )
    assert _LogFormatter().format(record) == r"a b\nerror: c\x1b[2A\u202e"
    commands.Warnings().emit(record)
    assert capsys.readouterr().err == "warning: a b\\nerror: c\\x1b[2A\\u202e\n"
    try:
        raise ValueError("odd \x1b[2A")
    except ValueError:
        record.exc_info = sys.exc_info()
    lines = _LogFormatter().format(record).split("\n")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == r"ValueError: odd \x1b[2A"


def test_consent_may_be_a_long_text_or_a_pipe(workflow: dict[str, object], tmp_path: Path) -> None:
    text = "Ada Byron agrees to news videos on our own channels. " * 10  # longer than a file's name may be
    assert cli.run(["train", "a.mp4", "-o", str(tmp_path / "a.anchor"), "--consent", text]) == 0
    assert workflow["consent"] == text.strip()
    if not hasattr(os, "mkfifo"):
        return
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=["Ada agreed"])
    writer.start()
    arguments = ["train", "a.mp4", "-o", str(tmp_path / "a.anchor"), "--consent", str(tmp_path / "pipe")]
    assert cli.run(arguments) == 0
    writer.join()
    assert workflow["consent"] == "Ada agreed"
