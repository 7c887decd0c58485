from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from studios import SOCKETS, TOKEN, OpenStudio, opening


def error_of(reply: Any) -> str:
    assert list(reply.json()) == ["error"]
    message = str(reply.json()["error"])
    assert "\n" not in message
    return message


def test_a_page_elsewhere_gets_nothing(studio: TestClient) -> None:
    reply = studio.get("/v1/info", headers={"origin": "https://elsewhere.example"})
    assert reply.status_code == 403
    assert "may not use this studio" in error_of(reply)
    assert studio.get("/v1/info", headers={"origin": "null"}).status_code == 403
    assert studio.get("/v1/info", headers={"origin": "http://127.0.0.1:8765"}).status_code == 200
    with (
        pytest.raises(WebSocketDisconnect),
        studio.websocket_connect(f"{SOCKETS}/v1/stream", headers={"origin": "https://elsewhere.example"}),
    ):
        pass


def test_a_name_that_only_resolves_to_here_gets_nothing(studio: TestClient) -> None:
    reply = studio.get("/v1/info", headers={"host": "rebound.example:8765"})
    assert reply.status_code == 403
    assert "'rebound.example' is not a name of this studio" in error_of(reply)
    for host in ("localhost:8765", "127.0.0.1", "[::1]:8765"):
        assert studio.get("/v1/info", headers={"host": host}).status_code == 200


def test_names_and_origins_that_are_allowed(open_studio: OpenStudio) -> None:
    studio = open_studio(hosts=("studio.example",), origins=("https://news.example",))
    assert studio.get("/v1/info", headers={"host": "studio.example"}).status_code == 200
    reply = studio.get("/v1/info", headers={"origin": "https://news.example"})
    assert reply.headers["access-control-allow-origin"] == "https://news.example"


def test_the_token(open_studio: OpenStudio) -> None:
    studio = open_studio(token=TOKEN)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        reply = studio.get("/v1/anchors", headers=headers)
        assert reply.status_code == 401
        assert "the token is missing or wrong" in error_of(reply)
    assert studio.get("/v1/anchors", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert studio.get("/v1/anchors", params={"token": TOKEN}).status_code == 200
    assert studio.get("/v1/health").status_code == 200  # has no secrets
    assert studio.get("/").status_code == 200  # asks for it
    assert studio.get("/v1/openapi.json").status_code == 401


def test_the_token_of_a_websocket(open_studio: OpenStudio) -> None:
    studio = open_studio(token=TOKEN)
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"token": "wrong"})
        assert "the token is missing or wrong" in socket.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4401
    for path, greeting in ((f"/v1/stream?token={TOKEN}", None), ("/v1/stream", {"token": TOKEN})):
        with studio.websocket_connect(SOCKETS + path) as socket:
            if greeting:
                socket.send_json(greeting)
            socket.send_json({"output": "none"})
            assert socket.receive_json()["type"] == "session"


@pytest.fixture(scope="module")
def refusing(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One studio on loopback for all that is refused, which changes nothing in it."""
    with opening(tiny, tmp_path_factory.mktemp("refusing")) as open_studio:
        yield open_studio()


@pytest.fixture(scope="module")
def closed(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Another one, which asks for a token."""
    with opening(tiny, tmp_path_factory.mktemp("closed")) as open_studio:
        yield open_studio(token=TOKEN)


@pytest.fixture(scope="module")
def everywhere(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A third one, which listens on all addresses."""
    with opening(tiny, tmp_path_factory.mktemp("everywhere")) as open_studio:
        yield open_studio(host="0.0.0.0", token=TOKEN)


DEEP = "[" * 20_000 + "]" * 20_000
SURROGATE = "\\ud800"
"""JSON escape of half of a surrogate pair, which is no character and cannot be encoded."""


@pytest.mark.parametrize(
    "host",
    [
        *(
            "[",
            "]",
            "[::1",
            "[::1]x",
            "[v1.x]",
            "",
            "a b",
            "localhost:x",
            "localhost:999999",
            "user@localhost",
        ),
        *("localhost/v1/health?", "localhost?x", "localhost#x", "\xe9", "localhost, b", "%00", "[::1%25lo]"),
    ],
)
def test_odd_hosts(everywhere: TestClient, host: str) -> None:
    """Also if the studio listens on all addresses, whose names it does not know."""
    for path in ("/v1/info", "/v1/health", "/", "/nothing"):
        reply = everywhere.get(path, headers={"host": host.encode("latin-1")})  # type: ignore[dict-item]
        assert reply.status_code == 400
        assert error_of(reply).startswith("the Host header is ")
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        everywhere.websocket_connect(f"{SOCKETS}/v1/stream", headers={"host": host.encode("latin-1")}),  # type: ignore[dict-item]
    ):
        pass
    assert closed.value.code == 1008


@pytest.mark.parametrize(
    "origin",
    [
        *("http://[", "http://]", "http://", "://", "http://a:b:c", "https://\xe9", "file://", "a" * 5000),
        *("http://127.0.0.1:8765/", "http://127.0.0.1:8765@elsewhere.example", "ftp://127.0.0.1:8765"),
    ],
)
def test_odd_origins(refusing: TestClient, origin: str) -> None:
    reply = refusing.get("/v1/info", headers={"origin": origin.encode("latin-1")})  # type: ignore[dict-item]
    assert reply.status_code == 403
    assert len(error_of(reply)) < 300


def test_names_are_compared_without_regard_to_case(open_studio: OpenStudio) -> None:
    studio = open_studio(hosts=("Studio.example",))
    for host in ("studio.EXAMPLE", "LocalHost:8765"):
        headers = {"host": host, "origin": f"http://{host.lower()}"}
        assert studio.get("/v1/info", headers=headers).status_code == 200


@pytest.mark.parametrize("token", ["\xff", "a" * 8000, "", "\xe9 \xe9"])
def test_odd_tokens(closed: TestClient, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode("latin-1")}
    assert closed.get("/v1/info", headers=headers).status_code == 401  # type: ignore[arg-type]
    for query in ("token=%ff", "token=%ed%a0%80", "token", "token=&token=", "%", "&" * 3000, "token=%00"):
        assert closed.get(f"/v1/info?{query}").status_code == 401


def test_a_token_with_letters_beyond_ascii(open_studio: OpenStudio) -> None:
    token = "schlüssel-der-tests"
    studio = open_studio(token=token)
    headers = {"authorization": b"Bearer " + token.encode()}
    assert studio.get("/v1/info", headers=headers).status_code == 200  # type: ignore[arg-type]
    assert studio.get("/v1/info", params={"token": token}).status_code == 200


@pytest.mark.parametrize(
    "first",
    [
        *(
            f'{{"token": "{SURROGATE}"}}',
            f'{{"{SURROGATE}": 1}}',
            '{"token": null}',
            '{"token": ["a"]}',
            DEEP,
        ),
        *('{"token": NaN}', f'{{"token": "{TOKEN}", "token": "{TOKEN}"}}', "", "null"),
        f'{{"token": 1{"0" * 5000}}}',
    ],
)
def test_odd_first_messages(closed: TestClient, first: str) -> None:
    for path in ("/v1/stream", "/v1/sessions/x/socket"):
        with closed.websocket_connect(SOCKETS + path) as socket:
            socket.send_text(first)
            assert socket.receive_json()["type"] == "refused"
            with pytest.raises(WebSocketDisconnect) as left:
                socket.receive_json()
            assert left.value.code in (1008, 4401)


@pytest.mark.parametrize(
    "body",
    [
        *(
            DEEP,
            f'{{"text": {DEEP}}}',
            '{"a":' * 5000 + "1" + "}" * 5000,
            f'{{"text": "{SURROGATE}"}}',
            "null",
            "",
        ),
        *(
            f'{{"text": "a", "speed": {value}}}'
            for value in ("NaN", "Infinity", "1e999", f"1{'0' * 5000}", '"x"')
        ),
        *(
            f'{{"{SURROGATE}": 1, "text": "a"}}',
            f'{{"text": "a", "voice": "{SURROGATE}"}}',
            '{"text": ["a"]}',
        ),
        *(
            '{"text": "a", "anchor": "\\u0000"}',
            f'{{"look_ahead_ms": 1{"0" * 400}}}',
            '{"look_ahead_ms": NaN}',
        ),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/sessions"])
def test_odd_bodies(refusing: TestClient, path: str, body: str) -> None:
    for kind in ("application/json", "application/json; charset=\xff", "text/plain", ""):
        reply = refusing.post(path, content=body, headers={"content-type": kind.encode("latin-1")})  # type: ignore[dict-item]
        if (path, body, reply.status_code) == ("/v1/sessions", "null", 201):  # no wishes
            continue
        assert reply.status_code in (400, 404, 422)
        assert len(error_of(reply)) <= 600


@pytest.mark.parametrize(
    "known", ["%00", "%ff", "%ed%a0%80", "..%2f..%2fjob.json", "a" * 5000, "%", "%0a", "*", "{x}"]
)
def test_odd_ids(refusing: TestClient, known: str) -> None:
    for path in ("jobs/{}", "jobs/{}/video", "recordings/{}", "sessions/{}", "anchors/{}/poster.jpg"):
        for method in ("GET", "DELETE"):
            reply = refusing.request(method, f"/v1/{path.replace('{}', known)}")
            assert reply.status_code in (404, 405)
            assert len(error_of(reply)) <= 600
    for path in (f"/{known}", f"/page/{known}"):
        assert refusing.get(path).status_code == (200 if path == "/%0a" else 404)  # the page is at that, too


@pytest.mark.parametrize("length", ["\xb2", "x", "-1", "1e3", "", "+5", "1_0"])
def test_odd_lengths(refusing: TestClient, length: str) -> None:
    headers = {"content-length": length.encode("latin-1")}
    for path in ("/v1/jobs", "/v1/jobs/audio"):
        reply = refusing.post(path, content=b"", headers=headers)  # type: ignore[arg-type]
        assert reply.status_code == 400
        assert error_of(reply).startswith("Content-Length is ")


def test_a_close_reason_fits_into_its_frame(open_studio: OpenStudio) -> None:
    with open_studio().websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"anchor": "ü" * 150})
        assert socket.receive_json()["type"] == "refused"
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert 100 < len(closed.value.reason.encode()) <= 123


def test_uploads_have_room_on_the_disk(
    open_studio: OpenStudio, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = wav.read_bytes()
    studio = open_studio(limits={"stored_upload_bytes": 5 * len(audio) // 2, "spare_disk_bytes": 1000})
    for _ in range(2):  # files of jobs count, finished or not
        assert studio.post("/v1/jobs/audio", content=audio).status_code == 202
    reply = studio.post("/v1/jobs/audio", content=audio)
    assert reply.status_code == 507
    assert "; the maximum is " in error_of(reply)
    for job in studio.get("/v1/jobs").json():
        while studio.delete(f"/v1/jobs/{job['id']}").status_code == 200:
            pass
    assert studio.post("/v1/jobs/audio", content=audio).status_code == 202
    usage = shutil.disk_usage("/")._replace(free=len(audio) + 999)
    monkeypatch.setattr("newscaster.server.uploads.shutil.disk_usage", lambda folder: usage)
    reply = studio.post("/v1/jobs/audio", content=audio)
    assert reply.status_code == 507
    assert "the disk is nearly full" in error_of(reply)
    monkeypatch.undo()
    assert (
        studio.post("/v1/jobs/audio", content=(audio[:20], audio[20:])).status_code == 507
    )  # without a length


def test_requests_that_are_too_large(open_studio: OpenStudio) -> None:
    studio = open_studio(limits={"message_bytes": 2000, "upload_bytes": 5000})
    reply = studio.post("/v1/jobs", json={"text": "a" * 3000})
    assert reply.status_code == 413
    assert "larger than 2,000 bytes" in error_of(reply)
    pieces = studio.post("/v1/jobs", content=(b"x" * 500 for _ in range(10)))  # without a length
    assert pieces.status_code == 413
    reply = studio.post("/v1/jobs/audio", content=b"RIFF____WAVE" + bytes(6000))
    assert reply.status_code == 413
    reply = studio.post("/v1/jobs/audio", content=(b"RIFF____WAVE" + bytes(1000) for _ in range(10)))
    assert reply.status_code == 413


def test_the_page_loads_nothing_from_other_hosts(studio: TestClient) -> None:
    reply = studio.get("/")
    assert reply.status_code == 200
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    names = ["studio.css", "studio.js", "api.js", "live.js", "videos.js", "microphone.js", "icon.svg"]
    texts = [reply.text, *(studio.get(f"/page/{name}").text for name in names)]
    for text in texts:
        outside = text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in outside
        assert "https://" not in outside
    assert studio.get("/page/../app.py").status_code == 404
    assert studio.get("/page/%2e%2e/app.py").status_code == 404


def test_only_named_origins_may_frame_an_embedded_anchor(open_studio: OpenStudio) -> None:
    studio = open_studio(origins=("https://news.example",))
    policies = {
        path: studio.get(path).headers["content-security-policy"].partition("frame-ancestors ")[2]
        for path in ("/", "/embed/tiny", "/output/session", "/page/embed.js")
    }
    assert policies.pop("/embed/tiny") == "'self' https://news.example"
    assert set(policies.values()) == {"'none'"}
