"""Messages for requests that do not fit their schema: each field, the value found, and what is accepted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from newscaster.server.middleware import API
from newscaster.texts import escaped, quoted, shown

_MAX_ERRORS = 3
"""Sentences of a message; further ones are counted."""
_MAX_CHARACTERS = 60
"""Of a value that is shown."""
_SCHEMA = f"{API}/openapi.json"

_Context = Mapping[str, Any]
_EXPECTED: Mapping[str, Callable[[_Context], str]] = {
    "greater_than_equal": lambda context: f"{context['ge']:g} or more",
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "less_than_equal": lambda context: f"{context['le']:g} or less",
    "less_than": lambda context: f"less than {context['lt']:g}",
    "multiple_of": lambda context: f"a multiple of {context['multiple_of']:g}",
    "finite_number": lambda context: "a finite number",
    "literal_error": lambda context: str(context["expected"]),
    "string_pattern_mismatch": lambda context: f"a text that matches {context['pattern']}",
    "string_unicode": lambda context: "a text of valid characters",
    "string_type": lambda context: "a text",
    "dict_type": lambda context: "an object",
    "list_type": lambda context: "a list",
    "int_from_float": lambda context: "a whole number",
    "model_attributes_type": lambda context: (
        "a JSON object. Send it with the header Content-Type: application/json"
    ),
}
"""What is accepted, by the type of pydantic's error."""
_EXPECTED_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "model": "a JSON object",
}
_LENGTHS = {
    "string_too_short": ("character", "min_length", "or more"),
    "string_too_long": ("character", "max_length", "or fewer"),
    "too_short": ("entry", "min_length", "or more"),
    "too_long": ("entry", "max_length", "or fewer"),
}


def of_validation(errors: Sequence[Any], *, of_http: bool = False) -> str:
    """Return pydantic's errors as sentences: field, value found, values accepted, next step.

    Args:
        errors: as pydantic lists them.
        of_http: whether each place starts with the part of the request, such as "body", as FastAPI's do.
    """
    for error in errors:
        if error["type"] == "json_invalid":
            place, why = error["loc"][-1], error["ctx"]["error"]
            return f"the body is not JSON (at character {place}: {why}). Send a JSON object"
    sentences = [_sentence(error, error["loc"][of_http:]) for error in errors[:_MAX_ERRORS]]
    if len(errors) > _MAX_ERRORS:
        sentences.append(f"{len(errors) - _MAX_ERRORS} more values are not accepted")
    return ". ".join(sentences)


def _sentence(error: Mapping[str, Any], path: Sequence[str | int]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    field = _shortened(".".join(map(str, path))) or "the request"
    if kind == "missing":
        if not path:
            return f"the request has no body; expected a JSON object. {_SCHEMA} describes it"
        return f"{field} is missing. Add it; {_SCHEMA} describes it"
    if kind == "extra_forbidden":
        return f"{field} is not a field of this request. Leave it out; {_SCHEMA} lists the fields"
    if kind in _LENGTHS:
        unit, bound, comparison = _LENGTHS[kind]
        count = len(error["input"])
        return f"{field} has {_counted(count, unit)}; expected {context[bound]} {comparison}"
    return f"{field} is {_value(error['input'])}; expected {_expected(kind, context, str(error['msg']))}"


def _expected(kind: str, context: _Context, message: str) -> str:
    if kind in _EXPECTED:
        return _EXPECTED[kind](context)
    if (known := _EXPECTED_KINDS.get(kind.split("_")[0])) is not None:
        return known
    return message.removeprefix("Input should be ").removeprefix("Value error, ")


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit if count == 1 else 'entries' if unit == 'entry' else f'{unit}s'}"


def _value(value: object) -> str:
    """Return a value of a client, as it may be shown."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return quoted(value if len(value) <= _MAX_CHARACTERS else f"{value[: _MAX_CHARACTERS - 1]}…")
    return _shortened(json.dumps(value, default=str, ensure_ascii=False))


def _shortened(text: str) -> str:
    text = escaped(shown(text))
    return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
