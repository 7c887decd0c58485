"""Requests that do not fit their schema: field, value found, values accepted, next step."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.testclient import TestClient

from newscaster.server.schemas import Description
from newscaster.server.validation import of_validation
from studios import OpenStudio


class Schema(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field("a", min_length=1, max_length=3)
    count: int = Field(1, gt=0, lt=10)
    speed: float = Field(1.0, ge=0.5, le=2, allow_inf_nan=False)
    step: int = Field(40, multiple_of=40)
    flag: bool = True
    fit: Literal["video", "speech"] = "video"
    words: dict[str, str] = Field(default_factory=dict, max_length=1)
    videos: list[str] = Field(["a"], min_length=1)


def message(values: Any, schema: type[BaseModel] = Schema) -> str:
    with pytest.raises(ValidationError) as error:
        schema.model_validate(values)
    return of_validation(error.value.errors())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"text": ""}, "text has 0 characters; expected 1 or more"),
        ({"text": "abcd"}, "text has 4 characters; expected 3 or fewer"),
        ({"text": 3}, "text is 3; expected a text"),
        ({"text": None}, "text is null; expected a text"),
        ({"text": ["é"]}, 'text is ["é"]; expected a text'),
        ({"count": 0}, "count is 0; expected more than 0"),
        ({"count": 10}, "count is 10; expected less than 10"),
        ({"count": "many"}, "count is 'many'; expected a whole number"),
        ({"count": 1.5}, "count is 1.5; expected a whole number"),
        ({"count": True}, None),  # pydantic takes it for 1
        ({"speed": "fast"}, "speed is 'fast'; expected a number"),
        ({"speed": 0.1}, "speed is 0.1; expected 0.5 or more"),
        ({"speed": 3}, "speed is 3; expected 2 or less"),
        ({"speed": float("nan")}, "speed is NaN; expected a finite number"),
        ({"step": 50}, "step is 50; expected a multiple of 40"),
        ({"flag": "maybe"}, "flag is 'maybe'; expected true or false"),
        ({"flag": {}}, "flag is {}; expected true or false"),
        ({"fit": "best"}, "fit is 'best'; expected 'video' or 'speech'"),
        ({"words": []}, "words is []; expected an object"),
        ({"words": {"a": 1}}, "words.a is 1; expected a text"),
        ({"words": {"a": "b", "c": "d"}}, "words has 2 entries; expected 1 or fewer"),
        ({"videos": []}, "videos has 0 entries; expected 1 or more"),
        ({"videos": "a"}, "videos is 'a'; expected a list"),
        ({"videos": ["a", 2]}, "videos.1 is 2; expected a text"),
        (
            {"seed": 1},
            "seed is not a field of this request. Leave it out; /v1/openapi.json lists the fields",
        ),
        (
            {"count": 0, "speed": 0, "flag": 3, "text": 1, "fit": 2},
            "text is 1; expected a text. count is 0; expected more than 0. speed is 0; expected 0.5 or more. "
            "2 more values are not accepted",
        ),
    ],
)
def test_field_value_and_what_is_accepted(values: Any, expected: str | None) -> None:
    if expected is None:
        Schema.model_validate(values)
    else:
        assert message(values) == expected


def test_missing_fields_and_patterns() -> None:
    assert message({"type": "pranswer", "sdp": ""}, Description) == (
        "type is 'pranswer'; expected a text that matches ^(offer|answer)$"
    )
    assert message({"type": "offer"}, Description) == (
        "sdp is missing. Add it; /v1/openapi.json describes it"
    )


def test_long_and_odd_values_are_shortened_and_escaped() -> None:
    shown = message({"fit": "x" * 500, "count": "\x1b[31m\n", "y\n\ud800" * 100: 1})
    assert len(shown) < 400
    assert shown.isprintable()
    shown.encode()  # without lone surrogates


@pytest.mark.parametrize(
    ("request_options", "expected"),
    [
        ({"json": {"body": 1}}, "body is not a field of this request"),
        ({"json": {"path": 1}}, "path is not a field of this request"),
        ({}, "the request has no body; expected a JSON object"),
        ({"json": [1]}, "the request is [1]; expected a JSON object"),
        ({"json": {"speed": "fast"}}, "speed is 'fast'; expected a number"),
        (
            {"content": '{"speed": 1}', "headers": {"content-type": "text/plain"}},
            "the request is '{\"speed\": 1}'; expected a JSON object. Send it with the header Content-Type",
        ),
    ],
)
def test_requests(open_studio: OpenStudio, request_options: dict[str, Any], expected: str) -> None:
    studio: TestClient = open_studio()
    reply = studio.post("/v1/sessions", **request_options)
    assert reply.status_code == 422
    assert reply.json()["error"].startswith(expected)
    assert "Input should" not in reply.text
