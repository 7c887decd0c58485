from __future__ import annotations

import json
from pathlib import Path

import pytest

from newscaster.batch.table import Row, read_rows
from newscaster.errors import InputError

ROWS = [
    Row(1, "a", "speak", {"text": 'Good "evening", all', "no-label": True}),
    Row(2, "row-000002", "dub", {"speed": "1.5", "captions": ("x.srt", "x.vtt")}),
]


def table(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_csv(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "jobs.csv",
        "\ufeffid,command,text,no-label,speed,captions\n"
        'a,speak,"Good ""evening"", all",true,,\n'
        ',dub,,,1.5,"[""x.srt"", ""x.vtt""]"\n',
    )
    rows = list(read_rows(path))
    assert rows[0].options == {"text": 'Good "evening", all', "no-label": "true"}
    assert rows[1] == ROWS[1]


def test_json_lines(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "text": 'Good "evening", all', "no_label": True, "voice": None},
        {"command": "dub", "speed": 1.5, "captions": ["x.srt", "x.vtt"], "label": ""},
    ]
    path = table(tmp_path, "jobs.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n")
    assert list(read_rows(path)) == ROWS


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "id": ["a", None],
        "command": ["speak", "dub"],
        "text": ['Good "evening", all', None],
        "no-label": [True, None],
        "speed": [None, 1.5],
        "captions": [None, ["x.srt", "x.vtt"]],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "jobs.parquet")
    assert list(read_rows(tmp_path / "jobs.parquet")) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("jobs.txt", "a", "accepted are .csv, .jsonl, .parquet"),
        ("jobs.csv", "", "has no rows"),
        ("jobs.csv", "text\n", "has no rows"),
        ("jobs.csv", "text,text\na,b\n", "two columns of one name"),
        ("jobs.csv", "id,text\na,Hello, you\n", "row 1 has more values than the header"),
        ("jobs.csv", 'text\n"a\n', "unexpected end of data"),
        ("jobs.csv", "id,text\n../a,x\n", "row 1: the id is"),
        ("jobs.csv", "id,text\n.a,x\n", "row 1: the id is"),
        ("jobs.jsonl", '{"text": "a"}\n{', "line 2"),
        ("jobs.jsonl", "[1]\n", "row 1 is [1]; expected a JSON object"),
        ("jobs.jsonl", '{"text": {"a": 1}}\n', "row 1, 'text'"),
        ("jobs.jsonl", '{"no-label": true, "no_label": true}\n', "given twice"),
        ("jobs.parquet", "no parquet", "not Parquet"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: str, problem: str) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    with pytest.raises(InputError) as caught:
        list(read_rows(table(tmp_path, name, content)))
    assert problem in str(caught.value)


def test_a_missing_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read_rows(tmp_path / "jobs.csv"))


def test_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "jobs.csv").write_bytes("text\nä\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        list(read_rows(tmp_path / "jobs.csv"))
