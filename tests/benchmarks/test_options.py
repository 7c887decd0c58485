"""Scripts read only options that they have: a renamed one would be an error after an hour of work."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((*ROOT.glob("benchmarks/*.py"), *ROOT.glob("tools/*.py")))


def destinations(tree: ast.AST) -> set[str]:
    """Return the attributes that `add_argument` makes."""
    names = set()
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr in ("add_argument", "add_subparsers"):
            keywords = {word.arg: word.value for word in node.keywords}
            texts = [str(a.value) for a in node.args if isinstance(a, ast.Constant)]
            if isinstance(dest := keywords.get("dest"), ast.Constant):
                names.add(str(dest.value))
            elif texts:
                longest = next((text for text in texts if text.startswith("--")), texts[0])
                names.add(longest.lstrip("-").replace("-", "_"))
        if node.func.attr == "set_defaults":
            names |= {str(word.arg) for word in node.keywords}
    return names


def read_options(tree: ast.AST) -> set[str]:
    """Return the attributes that are read of what `parse_args` gives, here and in functions that get it."""
    holders = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr == "parse_args"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    holders |= {
        argument.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arguments)
        for argument in node.args
        if argument.annotation is not None and ast.unparse(argument.annotation) == "argparse.Namespace"
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in holders
        and isinstance(node.ctx, ast.Load)
    }


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_read_the_options_that_they_have(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    text = path.read_text(encoding="utf-8")
    if "add_argument" not in text:
        return
    assert read_options(tree) <= destinations(tree)
