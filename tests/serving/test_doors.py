from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from studios import SOCKETS, TOKEN, OpenStudio


def error_of(reply: Any) -> str:
    assert list(reply.json()) == ["error"]
    said = str(reply.json()["error"])
    assert "\n" not in said
    return said


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
    assert "is not called 'rebound.example'" in error_of(reply)
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
    assert studio.get("/v1/health").status_code == 200  # says nothing
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


def test_requests_that_are_too_large(open_studio: OpenStudio) -> None:
    studio = open_studio(limits={"message_bytes": 2000, "upload_bytes": 5000})
    reply = studio.post("/v1/jobs", json={"text": "a" * 3000})
    assert reply.status_code == 413
    assert "larger than 2,000 bytes" in error_of(reply)
    pieces = studio.post("/v1/jobs", content=(b"x" * 500 for _ in range(10)))  # says no size
    assert pieces.status_code == 413
    reply = studio.post("/v1/jobs/audio", content=b"RIFF____WAVE" + bytes(6000))
    assert reply.status_code == 413
    reply = studio.post("/v1/jobs/audio", content=(b"RIFF____WAVE" + bytes(1000) for _ in range(10)))
    assert reply.status_code == 413


def test_the_page_takes_nothing_from_elsewhere(studio: TestClient) -> None:
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
