"""MkDocs hook: pages of the documentation site made from the code, and a check of the finished site.

Writes the reference of the HTTP API from the studio's OpenAPI description, and the reference of the public
Python names from `newscaster.__all__`. Takes the changelog and the contributing guide from the root of the
repository. Links that leave docs/ become plain text. No step uses the network.

Run as a program, it prints the page of the HTTP API.
"""

from __future__ import annotations

import inspect
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site that lie in the repository's root."""
_METHODS = ("get", "post", "put", "patch", "delete")
_LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^(```.*?^```)", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(?=<code)")
_NO_DEFAULT = re.compile(r"<td>(?:<code>)?(?:None|Sentinel\.UNSET)(?:</code>)?</td>")
_EXTERNAL = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)\s*=\s*["']?(?:https?:)?//[^>]*>"""
)


def on_config(config: MkDocsConfig) -> None:
    """Give options without a default the value that mkdocs-click expects: None, not click's own mark."""
    from newscaster.cli.commands import cli

    for command in cli.commands.values():
        for parameter in command.params:
            if repr(parameter.default).endswith("UNSET"):
                parameter.default = None


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    pages = {"reference/http-api.md": http_api_page(), "reference/python.md": python_page()}
    for uri, name in ROOT_PAGES.items():
        pages[uri] = in_site((ROOT / name).read_text(encoding="utf-8"), f"../{name}")
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace links that leave the site."""
    return in_site(markdown, page.file.src_uri) if page.file.src_uri not in ROOT_PAGES else markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Tidy what plugins write: Sphinx roles such as `:func:`, and defaults that are none."""
    if page.file.src_uri == "reference/cli.md":
        html = _NO_DEFAULT.sub("<td></td>", html).replace("<td>_required</td>", "<td><em>required</em></td>")
    return _ROLE.sub("", html)


def on_post_build(config: MkDocsConfig) -> None:
    """Fail if a page loads anything from another host."""
    from mkdocs.exceptions import PluginError

    for path in sorted(Path(config.site_dir).rglob("*.html")):
        for tag in _EXTERNAL.findall(path.read_text(encoding="utf-8")):
            if 'rel="canonical"' not in tag:
                raise PluginError(f"{path}: {tag} loads from another host. Put the file into docs/ instead")


def in_site(markdown: str, uri: str) -> str:
    """Markdown whose links stay within the site.

    Args:
        markdown: a page; fenced code is left as it is.
        uri: the page's place relative to docs/, such as `benchmarks/live.md` or `../README.md`.
    """
    folder = posixpath.dirname(uri)
    home = "" if folder.startswith("..") else folder

    def inside(match: re.Match[str]) -> str:
        text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(folder, path))
        known = {f"../{name}": page for page, name in ROOT_PAGES.items()}
        known["../README.md"] = "index.md"
        if place.startswith("../docs/"):
            place = place.removeprefix("../docs/")
        elif place in known:
            place = known[place]
        elif place.startswith("../"):
            return text
        return f"[{text}]({posixpath.relpath(place, home or '.')}{hash_sign}{anchor})"

    parts = _FENCE.split(markdown)
    return "".join(part if part.startswith("```") else _LINK.sub(inside, part) for part in parts)


# --- Python


def python_page() -> str:
    """The public names, each for mkdocstrings to describe."""
    import newscaster

    groups: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": []}
    for name in newscaster.__all__:
        thing = getattr(newscaster, name)
        if inspect.isclass(thing):
            groups["Errors" if issubclass(thing, BaseException) else "Classes"].append(name)
        elif callable(thing):
            groups["Functions"].append(name)
    lines = [
        "# Python",
        "",
        "These are the public names of `newscaster`. All other modules may change with any release.",
        "`newscaster.__version__` is the version. Importing `newscaster` costs next to nothing: each name is",
        "imported when it is first used.",
        "",
    ]
    for title, names in groups.items():
        lines += [f"## {title}", ""]
        for name in sorted(names):
            lines += [f"::: newscaster.{name}", ""]
    return "\n".join(lines)


# --- HTTP


def openapi() -> dict[str, Any]:
    """The OpenAPI description of the studio's API; no studio is opened for it."""
    from fastapi import FastAPI

    from newscaster.server.app import ROUTERS
    from newscaster.version import VERSION

    app = FastAPI(title="newscaster studio", version=VERSION)
    for router in ROUTERS:
        app.include_router(router)
    return app.openapi()


def http_api_page(description: Mapping[str, Any] | None = None) -> str:
    """The reference of the HTTP API as Markdown.

    Args:
        description: OpenAPI 3.1; by default that of the studio.
    """
    found = openapi() if description is None else description
    schemas = found.get("components", {}).get("schemas", {})
    lines = [
        "# HTTP API",
        "",
        "This page is generated from the OpenAPI description, which a running studio serves at",
        "`/v1/openapi.json`. [The studio](../serve.md) describes tokens, limits and the WebSocket.",
        "[The how-to guide](../how-to/studio.md) has examples.",
        "",
        "| method | path | purpose |",
        "|---|---|---|",
    ]
    operations = list(_operations(found))
    for method, path, operation in operations:
        label = f"[`{path}`](#{_slug(method, path)})"
        lines.append(f"| {method.upper()} | {label} | {_cell(operation.get('summary', ''))} |")
    lines.append("")
    for method, path, operation in operations:
        lines += [f"## {method.upper()} {path} {{ #{_slug(method, path)} }}", ""]
        lines += [f"{operation.get('summary', '').rstrip('.')}.", ""]
        lines += _parameters(operation)
        lines += _body(operation, schemas)
        lines += _responses(operation, schemas)
    return "\n".join(lines)


def _operations(found: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in found["paths"].items():
        for method in _METHODS:
            if method in item:
                yield method, path, item[method]


def _parameters(operation: Mapping[str, Any]) -> list[str]:
    rows = []
    for one in operation.get("parameters", ()):
        schema = one.get("schema", {})
        text = one.get("description") or schema.get("description", "")
        needed = "yes" if one.get("required") else f"no{_default(schema)}"
        rows.append(f"| `{one['name']}` | {one['in']} | {_cell(_type(schema))} | {needed} | {_cell(text)} |")
    if not rows:
        return []
    return [
        "**Parameters**",
        "",
        "| name | in | type | required | meaning |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    body = operation.get("requestBody")
    if body is None:
        return []
    lines = ["**Request body**", ""]
    if text := body.get("description"):
        lines += [text, ""]
    for kind, content in body["content"].items():
        lines += [f"`{kind}`", "", *_schema(content.get("schema", {}), schemas)]
    return lines


def _responses(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    lines = ["**Responses**", "", "| status | content |", "|---|---|"]
    for status, response in operation.get("responses", {}).items():
        kinds = [
            f"`{kind}`: {_type(content.get('schema', {}))}"
            for kind, content in response.get("content", {}).items()
        ]
        lines.append(f"| {status} | {_cell('; '.join(kinds) or response.get('description', ''))} |")
    return [*lines, ""]


def _schema(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    name = schema.get("$ref", "").rpartition("/")[2]
    whole = schemas.get(name, schema)
    fields = whole.get("properties")
    if not fields:
        return [f"{_type(schema)}.", ""]
    needed = whole.get("required", ())
    lines = ["| field | type | required | meaning |", "|---|---|---|---|"]
    for field, one in fields.items():
        required = "yes" if field in needed else f"no{_default(one)}"
        lines.append(
            f"| `{field}` | {_cell(_type(one))} | {required} | {_cell(one.get('description', ''))} |"
        )
    return [*lines, ""]


def _default(schema: Mapping[str, Any]) -> str:
    return f"; default `{schema['default']}`" if schema.get("default") is not None else ""


_BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "pattern `{}`",
}


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    kind = str(schema.get("type", "any"))
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "null":
        return "null"
    bounds = [text.format(_bound(schema[key])) for key, text in _BOUNDS.items() if key in schema]
    return f"{kind} ({', '.join(bounds)})" if bounds else kind


def _bound(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _cell(text: str) -> str:
    """A text within a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _slug(method: str, path: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{method} {path}".lower()).strip("-")


if __name__ == "__main__":
    sys.stdout.write(http_api_page())
