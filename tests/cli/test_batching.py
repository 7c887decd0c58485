"""`newscaster batch` on real commands; tests/batch has the driver itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from newscaster import media, provenance
from newscaster.batch.stores import LocalFolder
from newscaster.cli import exits, run
from newscaster.cli.batching import RowCommands
from newscaster.errors import InputError
from tiny_anchor import speech_like


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, local_certificate: None) -> Path:
    monkeypatch.chdir(tmp_path)
    media.write_wav(tmp_path / "speech.wav", speech_like(0.5), 16_000)
    return tmp_path


def report(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "batch.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda line: line["row"])


def test_videos_of_a_table(folder: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = folder / "jobs.csv"
    table.write_text(
        "id,speech,anchor,motion,no-label\n"
        f"a,speech.wav,{tiny},a.npz,true\n"
        f"b,none.wav,{tiny},,\n"
        f"c,speech.wav,{folder}/none.anchor,,\n"
    )
    assert (
        run(["batch", str(table), "--to", "out", "--processes", "1", "--retries", "0"])
        == exits.EXIT_DEAD_ROWS
    )
    captured = capsys.readouterr()
    assert captured.out.startswith("out: 1 of 3 rows done in ")
    assert "row 2 (b): no such file: 'none.wav'" in captured.err
    assert "row 3 (c): " in captured.err
    assert [line["state"] for line in report(folder / "out")] == ["done", "failed", "failed"]
    assert provenance.verify(folder / "out" / "a.mp4", watermark=False).holds
    assert (folder / "out" / "a.npz").exists()
    assert (
        run(["batch", str(table), "--to", "out", "--processes", "1", "--retries", "0"])
        == exits.EXIT_DEAD_ROWS
    )
    assert report(folder / "out")[0]["state"] == "kept"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"speech": "a.wav", "crf": 99}, "row 1: Invalid value for '--crf'"),
        ({"speech": "a.wav", "jump": 1}, "`speak` has no option 'jump'"),
        ({"speech": "a.wav", "workers": 2}, "`speak` has no option 'workers'"),
        ({"command": "train", "footage": "a.mp4", "devices": 2}, "`train` has no option 'devices'"),
        ({"command": "dub", "speech": "a.wav"}, "row 1: `dub` needs 'video'"),
        ({"command": "serve"}, "the command is 'serve'; accepted are speak, dub, train, evaluate"),
    ],
)
def test_rows_are_checked_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str], row: dict[str, object], problem: str
) -> None:
    (folder / "jobs.jsonl").write_text(json.dumps(row))
    assert run(["batch", "jobs.jsonl", "--to", "out"]) == exits.EXIT_ERROR
    assert problem in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_ray_has_its_own_number_of_processes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "jobs.jsonl").write_text('{"speech": "speech.wav"}')
    code = run(["batch", "jobs.jsonl", "--to", "out", "--ray", "auto", "--processes", "2"])
    assert code == exits.EXIT_ERROR
    assert "--processes and --ray are given" in capsys.readouterr().err


def test_a_destination_that_cannot_be_written_to(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "jobs.jsonl").write_text('{"speech": "speech.wav"}')
    assert run(["batch", "jobs.jsonl", "--to", "jobs.jsonl"]) == exits.EXIT_ERROR
    assert "jobs.jsonl" in capsys.readouterr().err


def test_every_command_has_its_outputs_in_the_destination() -> None:
    specs = RowCommands().specs()
    outputs = {
        name: {column for column, p in spec.parameters.items() if p.kind.name == "OUTPUT"}
        for name, spec in specs.items()
    }
    assert outputs == {
        "speak": {"output", "keep-speech", "captions", "motion"},
        "dub": {"output", "keep-speech", "captions", "motion", "report"},
        "train": {"output"},
        "evaluate": {"json", "report", "save-videos"},
    }
    assert all(spec.output in spec.parameters for spec in specs.values())
    inputs = {name: spec.parameters["pronunciations"].kind.name for name, spec in list(specs.items())[:2]}
    assert inputs == {"speak": "INPUT", "dub": "INPUT"}


def test_a_failed_command_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        RowCommands().run("speak", [f"--output={tmp_path / 'a.mp4'}", "--", "none.wav"], cores=1)


def test_a_folder_is_what_no_url_is() -> None:
    from newscaster.batch.stores import StoreFolder, destination_of

    assert isinstance(destination_of("out"), LocalFolder)
    assert destination_of("file:///a/b%20c") == LocalFolder(Path("/a/b c"))
    assert destination_of("s3://bucket/x/") == StoreFolder("s3://bucket/x")
