"""Tokens for one session to watch, and for one anchor to embed: what they open, and what they do not."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from newscaster.server.grants import SOCKET, Grant, Kind
from newscaster.server.settings import Settings
from studios import ADDRESS, SOCKETS, TOKEN, OpenStudio
from tiny_anchor import write_tiny_anchor

SETTINGS = Settings(token=TOKEN)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def until_closed(socket: Any) -> None:
    with suppress(WebSocketDisconnect):
        while True:
            socket.receive_json()


FULL = bearer(TOKEN)


@pytest.fixture
def studio(open_studio: OpenStudio) -> TestClient:
    return open_studio(token=TOKEN)


@pytest.fixture
def session(studio: TestClient) -> dict[str, Any]:
    return dict(studio.post("/v1/sessions", json={}, headers=FULL).json())


@pytest.mark.parametrize("subject", ["x", "studio-0.a_b-c", "Ada ~ Grace", "Zoë", "a~b"])
@pytest.mark.parametrize("kind", Kind)
def test_a_token_reads_back(kind: Kind, subject: str) -> None:
    grant = Grant(kind, subject)
    token = grant.token(SETTINGS)
    assert token is not None
    assert token.isascii()
    assert Grant.of(token, SETTINGS) == grant
    assert TOKEN not in token
    assert Grant.of(token, Settings(token="another-token-of-tests")) is None
    assert Grant.of(token, Settings()) is None
    for wrong in (
        token[:-1],
        token + "x",
        token.replace(kind.value, "other"),
        TOKEN,
        "",
        "~~",
        f"{kind.value}~~",
    ):
        assert Grant.of(wrong, SETTINGS) is None
    other = Grant(kind, f"{subject}2").token(SETTINGS)
    assert other is not None
    assert Grant.of(token.rpartition("~")[0] + "~" + other.rpartition("~")[2], SETTINGS) is None


def test_a_studio_without_a_token_needs_none(open_studio: OpenStudio) -> None:
    studio = open_studio()
    assert studio.post("/v1/sessions", json={}).json()["watch_token"] is None
    assert studio.get("/v1/anchors").json()[0]["embed_token"] is None


def test_who_watches_does_nothing_else(studio: TestClient, session: dict[str, Any]) -> None:
    path, watch = f"/v1/sessions/{session['id']}", bearer(session["watch_token"])
    assert studio.get(path, headers=watch).json()["id"] == session["id"]
    assert studio.get(path, params={"token": session["watch_token"]}).status_code == 200
    assert studio.get(f"{path}/ice_servers", headers=watch).json() == []
    for name in ("webrtc", "viewers"):  # they reach the endpoint, which refuses the offer itself
        reply = studio.post(f"{path}/{name}", json={"type": "answer", "sdp": ""}, headers=watch)
        assert (reply.status_code, "expected an offer" in reply.json()["error"]) == (400, True)
    playlist = studio.get(f"{path}/hls/live.m3u8", params={"token": session["watch_token"]})
    assert playlist.status_code == 200
    (header,) = re.findall(r'URI="(.*?)"', playlist.text)
    assert studio.get(f"{path}/hls/{header}").status_code == 200, "its address has the token"
    for open_path in ("/", "/output/x", "/v1/health"):
        assert studio.get(open_path, params={"token": session["watch_token"]}).status_code == 200
    other = studio.post("/v1/sessions", json={}, headers=FULL).json()
    for method, refused in (
        ("DELETE", path),
        ("PATCH", path),
        ("POST", f"{path}/say"),
        ("POST", f"{path}/stop"),
        ("POST", f"{path}/audio"),
        ("POST", f"{path}/recording"),
        ("POST", "/v1/sessions"),
        ("GET", f"/v1/sessions/{other['id']}"),
        ("GET", "/v1/info"),
        ("GET", "/v1/anchors"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/recordings"),
        ("GET", "/v1/openapi.json"),
        ("GET", "/metrics"),
    ):
        reply = studio.request(method, refused, headers=watch)
        assert (method, refused, reply.status_code) == (method, refused, 403)
        assert "the token is one to watch alone" in reply.json()["error"]
    query = f"?token={session['watch_token']}"
    for place in (f"{path}/socket{query}", f"/v1/stream{query}"):
        with pytest.raises(WebSocketDisconnect), studio.websocket_connect(SOCKETS + place):
            pass
    for place in (f"{path}/socket", "/v1/stream"):
        with studio.websocket_connect(SOCKETS + place) as socket:
            socket.send_json({"token": session["watch_token"]})
            assert "to watch alone" in socket.receive_json()["error"]
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_json()
            assert closed.value.code == 4403
    assert studio.delete(path, headers=FULL).status_code == 204
    assert studio.get(path, headers=watch).status_code == 404


def test_a_page_elsewhere_has_one_anchor(studio: TestClient, session: dict[str, Any]) -> None:
    (anchor,) = studio.get("/v1/anchors", headers=FULL).json()
    embed, path = bearer(anchor["embed_token"]), f"/v1/anchors/{anchor['id']}"
    assert studio.get(path, headers=embed).json() == anchor
    assert studio.get(f"{path}/poster.jpg", headers=embed).status_code == 200
    for body in ({}, {"anchor": "other"}):
        reply = studio.post("/v1/sessions", json=body, headers=embed)
        assert (reply.status_code, "for the anchor" in reply.json()["error"]) == (403, True)
    own = studio.post("/v1/sessions", json={"anchor": anchor["id"]}, headers=embed)
    assert own.status_code == 201
    place = f"/v1/sessions/{own.json()['id']}"
    assert studio.get(f"{place}/ice_servers", headers=embed).status_code == 200
    assert studio.post(f"{place}/stop", headers=embed).status_code == 200
    with studio.websocket_connect(f"{SOCKETS}{place}/socket") as socket:
        socket.send_json({"token": anchor["embed_token"]})
        assert socket.receive_json()["type"] == "state"
        socket.send_json({"type": "finish"})
        until_closed(socket)
    # Sessions of the studio's own page do not exist for it, and neither do other parts of the API.
    foreign = f"/v1/sessions/{session['id']}"
    for method, refused in (("GET", foreign), ("DELETE", foreign), ("POST", f"{foreign}/stop")):
        assert studio.request(method, refused, headers=embed).status_code == 404
    with studio.websocket_connect(f"{SOCKETS}{foreign}/socket?token={anchor['embed_token']}") as socket:
        assert "there is no session" in socket.receive_json()["error"]
    for method, refused in (
        ("POST", f"{place}/recording"),
        ("POST", f"{place}/audio"),
        ("PATCH", place),
        ("GET", "/v1/anchors"),
        ("GET", "/v1/info"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/recordings"),
    ):
        assert studio.request(method, refused, headers=embed).status_code == 403
    assert studio.delete(place, headers=embed).status_code == 204


def test_a_token_of_another_anchor(tmp_path: Path) -> None:
    from newscaster.server.app import create_app

    paths = [str(write_tiny_anchor(tmp_path / f"{name}.anchor")) for name in ("ada", "grace")]
    settings = Settings(anchors=tuple(paths), keep=tmp_path / "kept", token=TOKEN)
    with TestClient(create_app(settings), base_url=ADDRESS) as studio:
        ada, grace = studio.get("/v1/anchors", headers=FULL).json()
        own = studio.post(
            "/v1/sessions", json={"anchor": ada["id"]}, headers=bearer(ada["embed_token"])
        ).json()
        for method, place in (("GET", f"/v1/sessions/{own['id']}"), ("DELETE", f"/v1/sessions/{own['id']}")):
            assert studio.request(method, place, headers=bearer(grace["embed_token"])).status_code == 404
        assert studio.get(f"/v1/anchors/{ada['id']}", headers=bearer(grace["embed_token"])).status_code == 403


def test_paths_that_look_alike() -> None:
    watch, embed = Grant(Kind.WATCH, "s"), Grant(Kind.EMBED, "a")
    for path in (
        "/v1/sessions/s/",
        "/v1/sessions/s/x",
        "/v1/sessions/s2",
        "/v1/sessions",
        "/x/v1/sessions/s",
    ):
        assert not watch.allows("GET", path)
    for path in (
        "/v1/anchors/a/",
        "/v1/anchors/ab",
        "/v1/anchors/a/poster.jpg/x",
        "/v1/sessions/s/recording",
    ):
        assert not embed.allows("GET", path)
        assert not embed.allows(SOCKET, path)
