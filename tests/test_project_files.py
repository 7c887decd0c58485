"""Documents and project files: links resolve, commands and names exist, and metadata are well formed."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import newscaster
from newscaster.cli.commands import cli

sys.path.append(str(Path(__file__).parents[1] / "tools"))

import build_release
import site_pages

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
GUIDES = [path for path in PAGES if path.parent.name in ("tutorials", "how-to") or path.name == "index.md"]
READMES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("integrations/*/README.md")),
    *ROOT.glob("examples/*/README.md"),
]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DECISIONS = sorted(DOCS.glob("decisions/[0-9]*.md"))


def fences(path: Path, *kinds: str) -> list[str]:
    """The fenced code of a page."""
    text = path.read_text(encoding="utf-8")
    return [code for kind, code in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S) if kind in kinds]


def prose(path: Path) -> str:
    """A page without its fenced code."""
    return re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)


def commands(code: str) -> list[list[str]]:
    """The words of every command line that starts newscaster."""
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        for part in re.split(r"(?<!\|)\||&&|;", line.partition(" #")[0]):
            if re.match(r"\s*(?:[A-Z_]+=\S+\s+)*newscaster\s", part):
                words = shlex.split(part)
                found.append(words[words.index("newscaster") + 1 :])
    return found


def check_command(words: list[str]) -> None:
    """Parse the words of a command: its options exist, and their values are there and among the choices."""
    command = cli.commands.get(words[0])
    assert command is not None, f"newscaster {words[0]}"
    context = click.Context(command)
    try:
        values, rest, _ = command.make_parser(context).parse_args(words[1:])
        for one in command.params:
            value = values.get(one.name)
            if isinstance(one.type, click.Choice) and isinstance(value, str):
                one.type.convert(value, one, context)
    except click.UsageError as error:
        pytest.fail(f"newscaster {' '.join(words)}: {error.format_message()}")
    assert not rest, f"newscaster {' '.join(words)}: {rest}"


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_in_documents_exist(page: Path) -> None:
    for words in [words for code in fences(page, "sh", "console") for words in commands(code)]:
        check_command(words)


@pytest.mark.parametrize(
    "wrong", ["spaek a.wav", "speak a.wav --opennes 1", "speak a.wav -o", "dub a.mp4 --fit all", "info a b c"]
)
def test_wrong_commands_are_found(wrong: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_command(wrong.split())


METHODS = "GET|POST|PATCH|DELETE"
NOT_DESCRIBED = re.compile(r"/v1/(?:openapi\.json|stream|sessions/[^/]+/socket)")
"""Paths that OpenAPI does not describe: its own, and those of WebSockets."""


def requests_in(text: str) -> set[tuple[str | None, str]]:
    """Methods and paths of the HTTP API that a page names; a code span may name the path alone."""
    found: set[tuple[str | None, str]] = set()
    for span in spans(text):
        if match := re.match(rf"(?:({METHODS}) )?(/v1/[\w/.-]+)", span):
            found.add((match[1], match[2]))
    for line in re.sub(r"\\\n", " ", text).splitlines():
        for path in re.findall(r"(?:(?:localhost|127\.0\.0\.1):\d+|\$SITE)(/v1/[\w/.-]+)", line):
            method = re.search(rf"-X ({METHODS})", line)
            sends = re.search(r" (?:-d|-T|--data-binary) ", line)
            found.add((method[1] if method else "POST" if sends else "GET", path))
    return found


@lru_cache(maxsize=1)
def served_paths() -> list[tuple[re.Pattern[str], set[str]]]:
    """The paths of the HTTP API, each with its methods."""
    return [
        (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), {method.upper() for method in methods})
        for path, methods in site_pages.openapi()["paths"].items()
    ]


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_requests_in_documents_exist(page: Path) -> None:
    for method, path in requests_in(page.read_text(encoding="utf-8")):
        methods = set().union(*(methods for pattern, methods in served_paths() if pattern.fullmatch(path)))
        known = methods or NOT_DESCRIBED.fullmatch(path)
        assert method in methods or (method is None and known), f"{method} {path}"


def test_requests_are_found_in_text_and_shell_lines() -> None:
    text = (
        "`GET /v1/a/ID` and `/v1/b?x=`, not `GET /healthz`\n\n```sh\ncurl localhost:8765/v1/c -d x\n"
        "curl -X PATCH \\\n  'https://$SITE/v1/d?e=f'\ncurl 127.0.0.1:1/v1/g\n```\n"
    )
    assert requests_in(text) == {
        ("GET", "/v1/a/ID"), (None, "/v1/b"), ("POST", "/v1/c"), ("PATCH", "/v1/d"), ("GET", "/v1/g"),
    }  # fmt: skip


def test_commands_are_found_in_shell_lines() -> None:
    code = (
        "cat a.wav | newscaster speak - -o b.mp4  # newscaster no\nA=1 newscaster info && echo newscaster x\n"
    )
    assert commands(code) == [["speak", "-", "-o", "b.mp4"], ["info"]]


@pytest.mark.parametrize("page", [*GUIDES, ROOT / "README.md"], ids=lambda path: path.name)
def test_python_in_guides_parses_and_uses_public_names(page: Path) -> None:
    for code in fences(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert node.value.id != "newscaster" or node.attr in newscaster.__all__
            elif isinstance(node, ast.ImportFrom) and node.module == "newscaster":
                assert {name.name for name in node.names} <= set(newscaster.__all__)


@pytest.mark.parametrize("page", [*GUIDES, ROOT / "README.md"], ids=lambda path: path.name)
def test_python_in_guides_uses_the_keywords_of_today(page: Path) -> None:
    for code in fences(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                method = getattr(newscaster.Anchor, node.func.attr, None)
                if method is not None and ast.unparse(node.func.value) == "anchor":
                    assert {one.arg for one in node.keywords} <= {*inspect.signature(method).parameters}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_resolve(page: Path) -> None:
    generated = {"changelog.md", "contributing.md", "reference/python.md", "reference/http-api.md"}
    for target in re.findall(r"\]\(([^()\s]+)\)", prose(page)):
        path = target.partition("#")[0]
        if re.match(r"[a-z]+:", target) or not path:
            continue
        place = (page.parent / path).resolve()
        assert place.exists() or place.relative_to(DOCS).as_posix() in generated, target


def test_decisions_are_numbered_and_listed() -> None:
    numbers = [int(path.name[:4]) for path in DECISIONS]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 43
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    overview = (DOCS / "architecture.md").read_text(encoding="utf-8")
    for number, path in zip(numbers, DECISIONS, strict=True):
        heading, *sections = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
        assert heading.startswith(f"{number}. ")
        assert [part for part in sections if part in ("Context", "Decision", "Consequences")] == [
            "Context", "Decision", "Consequences",
        ]  # fmt: skip
        assert f"decisions/{path.name}" in nav
        assert f"({path.name})" in index
        assert re.search(rf"^{number}\. \[[^]]*\]\(decisions/{path.name}\)", overview, re.M)


def test_references_to_decisions_resolve() -> None:
    sources = [
        path for place in ("src", "tests", "tools", "benchmarks") for path in (ROOT / place).rglob("*.py")
    ]
    for path in [*PAGES, *sources, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        text = path.read_text(encoding="utf-8")
        for number in re.findall(r"\bdecisions? (\d+)\b", text, re.I):
            assert 1 <= int(number) <= len(DECISIONS), f"{path}: decision {number}"
        for label, file in re.findall(r"\[(?:[Dd]ecision )?(\d+)\]\(\S*?(\d{4})-[\w-]+\.md\)", text):
            assert int(label) == int(file), f"{path}: {label} leads to {file}"


def test_field_cases_name_tests_that_exist() -> None:
    rows = re.findall(r"^\|.*\| `([^`]+)` \|$", (DOCS / "field-cases.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) > 50
    for row in rows:
        path, name = row.split("::")
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.M), row


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    for path in PAGES:
        assert re.search(rf"[ :]{re.escape(path.relative_to(DOCS).as_posix())}$", nav, re.M), path


def test_links_that_leave_the_site_become_text() -> None:
    page = "[client](../examples/a.py), [next](b.md#x), [log](../CHANGELOG.md), [out](https://a.example)"
    assert site_pages.in_site(page, "a.md") == (
        "client, [next](b.md#x), [log](changelog.md), [out](https://a.example)"
    )
    assert site_pages.in_site("[limits](docs/files.md)", "../CONTRIBUTING.md") == "[limits](files.md)"
    assert site_pages.in_site("[up](../files.md)", "how-to/a.md") == "[up](../files.md)"
    assert site_pages.in_site("```\n[a](../../b.py)\n```\n", "how-to/a.md") == "```\n[a](../../b.py)\n```\n"


def test_the_page_of_the_http_api_has_every_operation() -> None:
    description = site_pages.openapi()
    page = site_pages.http_api_page(description)
    paths = description["paths"]
    assert {"/v1/sessions", "/v1/jobs", "/v1/videos", "/v1/verify", "/readyz"} <= paths.keys()
    for path, methods in paths.items():
        for method in methods:
            assert f"## {method.upper()} {path} {{" in page
    for name, schema in description["components"]["schemas"].items():
        if name.startswith("New"):
            assert all(f"| `{field}` |" in page for field in schema["properties"])
    assert "integer (at least 80, at most 1000, a multiple of 40)" in page


def test_the_page_of_python_has_every_public_name() -> None:
    page = site_pages.python_page()
    assert set(re.findall(r"^::: newscaster\.(\w+)$", page, re.M)) == set(newscaster.__all__) - {
        "__version__"
    }


def test_the_site_loads_nothing_from_other_hosts(tmp_path: Path) -> None:
    errors = pytest.importorskip("mkdocs.exceptions", reason="the extra docs is not installed")
    config = type("Config", (), {"site_dir": str(tmp_path)})()
    page = tmp_path / "index.html"
    page.write_text('<a href="https://a.example">a</a><script src="assets/a.js"></script>')
    site_pages.on_post_build(config)
    for tag in ('<script src="https://a.example/a.js">', "<link rel=stylesheet href=//a.example/a.css>"):
        page.write_text(tag)
        with pytest.raises(errors.PluginError, match="another host"):
            site_pages.on_post_build(config)


# --- Names in documents

PACKAGE = ROOT / "src" / "newscaster"
DOCUMENTS = [
    *PAGES,
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted(path for path in (ROOT / ".github").rglob("*") if path.suffix in (".md", ".yml")),
]
FILE_NAME = re.compile(
    r"\.(?:anchor|c2pa|csv|html|json|jsonl|mp4|npy|onnx|pem|png|py|safetensors|srt|toml|txt|wav|yaml|yml)$"
)
OBJECTS = {"frame", "live", "sys"}
"""Objects whose attributes documents name."""


def spans(text: str) -> list[str]:
    """Return the inline code of a text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def module_file(parts: list[str]) -> Path | None:
    """Return the source of a module or package, without `newscaster` in front."""
    path = PACKAGE.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def defined_names(source: Path) -> set[str]:
    """Return what a module defines or imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def is_in_package(name: str) -> bool:
    """Whether a dotted name is a module of newscaster, or a name that one defines."""
    *parents, last = name.removeprefix("newscaster.").split(".")
    if module_file([*parents, last]) is not None:
        return True
    source = module_file(parents)
    return source is not None and last in defined_names(source)


def tables(text: str) -> list[list[dict[str, str]]]:
    """Return the tables of a page; a row maps column to cell."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
        columns, _, *rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in block.splitlines()]
        found.append([dict(zip(columns, row, strict=False)) for row in rows])
    return found


def targets(makefile: str) -> set[str]:
    """Return the targets of a Makefile."""
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", makefile, re.M))


def test_names_that_do_not_exist_are_found() -> None:
    for name in ("safety.readers", "newscaster.synthesis", "media.FrameMaker", "newscaster.open", "cli"):
        assert is_in_package(name), name
    for name in ("safety.untrusted", "runtime.trial", "newscaster.workflow", "media.NoSuchName", "serving"):
        assert not is_in_package(name), name
    assert targets("a: b\nVENV := x\n.PHONY: c\nd-e:  ## text\n") == {"a", "d-e"}
    assert tables("| module | x |\n|---|---|\n| `a` | 1 |\n\ntext\n") == [[{"module": "`a`", "x": "1"}]]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_documents_exist(page: Path) -> None:
    text = re.sub(r"\]\([^)]*\)", "]", page.read_text(encoding="utf-8"))
    text = re.sub(r"^```.*$", "", text, flags=re.M)  # titles of code: files that a reader adds
    folders = r"src|tests|tools|benchmarks|docs|examples|requirements|\.ci|\.github"
    for path in re.findall(rf"(?<![\w/.-])(?:{folders})/[\w./-]*\w", text):
        assert (ROOT / path).exists(), path
    for span in spans(text):
        if re.fullmatch(r"\w+(?:/[\w.-]+)+", span) and (PACKAGE / span.partition("/")[0]).is_dir():
            assert (PACKAGE / span).exists() or (PACKAGE / f"{span}.py").exists(), span


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_modules_in_documents_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    rows = [row for table in tables((DOCS / "formats.md").read_text(encoding="utf-8")) for row in table]
    keys = {key for row in rows for key in spans(next(iter(row.values())))}
    for span in spans(text):
        if re.fullmatch(r"[a-z_]+(?:\.\w+)+", span) and not FILE_NAME.search(span) and span not in keys:
            assert span.partition(".")[0] in OBJECTS or is_in_package(span), span
    for row in [row for table in tables(text) for row in table]:
        for span in spans(row.get("module", "")):
            assert module_file(span.split(".")) is not None, span


def test_the_module_table_has_every_module_in_the_order_of_the_layers() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("\n## Modules\n")[2]
    listed = [spans(row["module"]) for row in tables(text)[0]]
    modules = {path.stem for path in PACKAGE.iterdir() if module_file([path.stem]) is not None}
    assert sorted(name for names in listed for name in names) == sorted(modules - {"__init__", "__main__"})
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in config["contracts"] if one["type"] == "layers")
    layer = {name: i for i, row in enumerate(contract["layers"]) for name in re.findall(r"\w+", row)}
    order = [layer[name] for names in listed for name in names]
    assert order == sorted(order, reverse=True)


@pytest.mark.parametrize(
    "page", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_make_targets_in_documents_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = targets((ROOT / "Makefile").read_text(encoding="utf-8"))
    lines = [line for code in fences(page, "sh", "console") for line in code.splitlines()]
    for code in [*spans(text), *lines]:
        for target in re.findall(r"^(?:\$ )?make (?:[A-Z_]+=\S* )*([a-z][\w-]*)", code):
            assert target in known, target


# --- Project files


def test_the_citation_file() -> None:
    yaml = pytest.importorskip("yaml", reason="the extra docs is not installed")
    found = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= found.keys()  # all that version 1.2.0 requires
    assert found["cff-version"] == "1.2.0"
    assert found["type"] == "software"
    assert found["license"] == "Apache-2.0"
    (paper,) = found["references"]
    assert {"type", "title", "authors"} <= paper.keys()
    assert paper["identifiers"][0]["value"] == "arXiv:2002.08700"


def test_the_integrations_are_those_that_make_tests() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(r"^INTEGRATIONS := (.*)$", makefile, re.M)
    assert found is not None
    folders = {path.parent.name: path for path in ROOT.glob("integrations/*/pyproject.toml")}
    assert found[1].split() == sorted(folders)
    version = Version(newscaster.__version__)
    assert set(build_release.versions().values()) == {str(version)}
    chart = (ROOT / "deploy" / "helm" / "newscaster" / "Chart.yaml").read_text(encoding="utf-8")
    assert re.findall(r'^(?:version|appVersion): "?([0-9.]+)"?$', chart, re.M) == [str(version)] * 2
    next_minor = Version(f"{version.major}.{version.minor + 1}.0")
    for name, path in folders.items():
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        assert (project["name"], project["license"]) == (name, "Apache-2.0")
        (needed,) = (one for one in map(Requirement, project["dependencies"]) if one.name == "newscaster")
        assert needed.specifier.contains(version)
        assert not needed.specifier.contains(next_minor), "the next minor version may change what is used"
        assert (path.parent / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
        assert list(path.parent.glob("examples/*.py"))
        assert list(path.parent.glob("tests/test_*.py"))


def test_the_workflow_runs_what_ci_runs() -> None:
    yaml = pytest.importorskip("yaml", reason="the extra docs is not installed")
    found = yaml.safe_load((ROOT / ".github" / "workflows" / "check.yml").read_text(encoding="utf-8"))
    assert found["jobs"].keys() == {"check", "systems", "integrations", "supply-chain"}
    job, integrations = found["jobs"]["check"], found["jobs"]["integrations"]
    assert job["strategy"]["matrix"]["python"] == list(PYTHONS)
    assert job["strategy"]["matrix"]["command"] == [".ci/run", "CI=true make slow-tests"]
    assert [step["run"] for step in job["steps"] if step.get("name") == "Check"] == ["${{ matrix.command }}"]
    runs = [step["run"] for step in integrations["steps"] if step.get("name") == "Check"]
    assert runs == ["make integrations"]
    systems = found["jobs"]["systems"]["strategy"]["matrix"]
    assert (systems["system"], systems["python"]) == (["macos-latest", "windows-latest"], ["3.11", "3.14"])
    runs = [step["run"] for step in found["jobs"]["supply-chain"]["steps"] if "run" in step]
    assert runs == ["make audit", "make platforms", "make dist"]
    for path in sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys()
            ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
            assert len(ids) == len(set(ids)) > 0


# --- Sources

MAX_BODY_LINES, MAX_NESTING = 60, 4
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = (
    *(ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith),
    *(ast.Try, ast.TryStar, ast.Match),
)


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def nesting(node: ast.AST) -> int:
    """How many blocks lie in each other; elif counts as its if, and functions inside count on their own."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, ast.Lambda, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, nesting(child) + (isinstance(child, _BLOCKS) and not is_elif))
    return deepest


def test_lines_and_nesting_are_counted() -> None:
    code = """
def f(x):
    '''Docstrings do not
    count.'''
    if x:
        return [y for y in x if y]
    elif x is None:
        with x:
            for y in x:
                print(y)
    else:
        def g():
            while x:
                try:
                    match x:
                        case _:
                            pass
                finally:
                    pass
    return x
"""
    f, g = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef))
    assert (body_lines(f), nesting(f)) == (16, 3)
    assert (body_lines(g), nesting(g)) == (7, 3)


def test_functions_are_short_and_flat() -> None:
    """The body without its docstring has at most 60 lines, and at most 4 blocks lie in each other."""
    package = ROOT / "src" / "newscaster"
    found = {
        f"{path.relative_to(package).as_posix()}: {node.name}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, _FUNCTIONS) and (body_lines(node) > MAX_BODY_LINES or nesting(node) > MAX_NESTING)
    }
    assert found == set()
