"""Tokens to embed an anchor: listed, made for one site each, revoked one by one, also after a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from newscaster.errors import InputError, NewscasterError
from newscaster.server import embed_tokens
from newscaster.server.embed_tokens import FILE, EmbedTokens
from newscaster.server.grants import Grant, Kind
from newscaster.server.settings import Settings
from newscaster.system.leases import FolderLease
from studios import SOCKETS, TOKEN, OpenStudio, opening
from tiny_anchor import write_tiny_anchor

SETTINGS = Settings(token=TOKEN)
ANCHOR = "/v1/anchors/tiny"
TOKENS = f"{ANCHOR}/embed_tokens"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


FULL = bearer(TOKEN)


@pytest.fixture
def studio(open_studio: OpenStudio) -> TestClient:
    return open_studio(token=TOKEN)


def make(studio: TestClient, label: str = "news.example") -> dict[str, Any]:
    reply = studio.post(TOKENS, json={"label": label}, headers=FULL)
    assert reply.status_code == 201
    return dict(reply.json())


def status(studio: TestClient, token: str) -> int:
    return studio.get(ANCHOR, headers=bearer(token)).status_code


def default_token(studio: TestClient) -> str:
    return str(studio.get(ANCHOR, headers=FULL).json()["embed_token"])


def test_tokens_are_listed(studio: TestClient) -> None:
    first = default_token(studio)
    made = [make(studio, "news.example"), make(studio, "weather\n.example")]
    assert made[1]["label"] == "weather\\n.example"
    assert studio.get(TOKENS, headers=FULL).json() == [
        {"id": "1", "label": None, "created": None, "token": first},
        *made,
    ]
    assert len({first, *(each["token"] for each in made)}) == 3
    for label in ("", "x" * 81, None, 5):
        assert studio.post(TOKENS, json={"label": label}, headers=FULL).status_code == 422


def test_one_token_is_revoked_and_the_others_stay(studio: TestClient) -> None:
    first, kept, revoked = default_token(studio), make(studio), make(studio)
    assert [status(studio, token) for token in (first, kept["token"], revoked["token"])] == [200] * 3
    assert studio.delete(f"{TOKENS}/{revoked['id']}", headers=FULL).status_code == 204
    assert [status(studio, token) for token in (first, kept["token"], revoked["token"])] == [200, 200, 401]
    assert kept in studio.get(TOKENS, headers=FULL).json()
    assert revoked not in studio.get(TOKENS, headers=FULL).json()
    refused = studio.post("/v1/sessions", json={"anchor": "tiny"}, headers=bearer(revoked["token"]))
    assert "token is missing or wrong" in refused.json()["error"]


def test_the_token_of_the_page_can_be_revoked_too(studio: TestClient) -> None:
    first = default_token(studio)
    assert studio.delete(f"{TOKENS}/1", headers=FULL).status_code == 204
    second = default_token(studio)
    assert studio.get("/v1/anchors", headers=FULL).json()[0]["embed_token"] == second
    assert [status(studio, token) for token in (first, second)] == [401, 200]
    assert studio.get(TOKENS, headers=FULL).json()[0]["id"] == "2"


def test_no_token_shows_another_one(studio: TestClient) -> None:
    """Its holder would have it after theirs was revoked."""
    made = make(studio)
    assert studio.get(ANCHOR, headers=bearer(made["token"])).json()["embed_token"] == made["token"]
    for method, path in (("GET", TOKENS), ("POST", TOKENS), ("DELETE", f"{TOKENS}/1")):
        assert studio.request(method, path, headers=bearer(made["token"])).status_code == 403


def test_sessions_end_with_their_token(studio: TestClient) -> None:
    kept, revoked = make(studio), make(studio)
    paths = []
    for token in (kept["token"], revoked["token"]):
        begun = studio.post("/v1/sessions", json={"anchor": "tiny"}, headers=bearer(token))
        paths.append(f"/v1/sessions/{begun.json()['id']}")
    assert studio.get(paths[1], headers=bearer(kept["token"])).status_code == 404, "of another site"
    assert studio.delete(f"{TOKENS}/{revoked['id']}", headers=FULL).status_code == 204
    assert studio.get(paths[0], headers=bearer(kept["token"])).status_code == 200
    assert studio.get(paths[1], headers=FULL).status_code == 404
    with studio.websocket_connect(f"{SOCKETS}{paths[0]}/socket") as socket:
        socket.send_json({"token": revoked["token"]})
        assert "token is missing or wrong" in socket.receive_json()["error"]
        with pytest.raises(WebSocketDisconnect):
            socket.receive_json()


def test_what_is_not_there(studio: TestClient) -> None:
    assert studio.get("/v1/anchors/x/embed_tokens", headers=FULL).status_code == 404
    assert studio.post("/v1/anchors/x/embed_tokens", json={"label": "x"}, headers=FULL).status_code == 404
    assert studio.delete("/v1/anchors/x/embed_tokens/1", headers=FULL).status_code == 404
    for token_id in ("x", "A", "0" * 17, "1~", "%C3%A9"):
        assert studio.delete(f"{TOKENS}/{token_id}", headers=FULL).status_code == 404


def test_a_token_of_another_studio_is_revoked_here(tmp_path: Path) -> None:
    """Studios behind one proxy have one token and a folder each."""
    anchor = write_tiny_anchor(tmp_path / "tiny.anchor")
    with opening(anchor, tmp_path / "one") as open_one, opening(anchor, tmp_path / "two") as open_two:
        one, two = open_one(token=TOKEN), open_two(token=TOKEN)
        made = make(one)
        assert status(two, made["token"]) == 200
        assert two.delete(f"{TOKENS}/{made['id']}", headers=FULL).status_code == 204
        assert (status(one, made["token"]), status(two, made["token"])) == (200, 401)


def test_a_restart_keeps_them(tmp_path: Path) -> None:
    anchor = write_tiny_anchor(tmp_path / "tiny.anchor")
    with opening(anchor, tmp_path / "kept") as open_studio:
        studio = open_studio(token=TOKEN)
        first, kept, revoked = default_token(studio), make(studio), make(studio)
        for token_id in (revoked["id"], "1"):
            studio.delete(f"{TOKENS}/{token_id}", headers=FULL)
    with opening(anchor, tmp_path / "kept") as open_studio:
        studio = open_studio(token=TOKEN)
        assert [status(studio, token) for token in (first, kept["token"], revoked["token"])] == [
            401,
            200,
            401,
        ]
        assert studio.get(TOKENS, headers=FULL).json()[1:] == [kept]
    stored = (tmp_path / "kept" / FILE).read_text()
    assert not any(each["token"].rpartition("~")[2] in stored for each in (kept, revoked)), (
        "it holds no secret"
    )


def test_a_damaged_list_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    lease = FolderLease(tmp_path, what="studio", next_step="wait")
    EmbedTokens(tmp_path, lease=lease).revoke("ada", "1")
    good = (tmp_path / FILE).read_bytes()
    entry = {"anchor": "ada", "id": "1"}
    for damaged in (
        b"",
        good[:-10],
        b"{}",
        b"[]",
        json.dumps({"made": [entry], "revoked": []}).encode(),
        json.dumps({"made": [], "revoked": [{"anchor": "ada"}]}).encode(),
        json.dumps({"made": [], "revoked": [{**entry, "id": ["1"]}]}).encode(),
        json.dumps({"made": [], "revoked": [{**entry, "id": 1}]}).encode(),
        json.dumps({"made": [], "revoked": "ada"}).encode(),
    ):
        (tmp_path / FILE).write_bytes(damaged)
        with pytest.raises(InputError, match="is damaged"):
            EmbedTokens(tmp_path, lease=lease)
    (tmp_path / FILE).write_bytes(good)
    assert EmbedTokens(tmp_path, lease=lease).revoked == {Grant(Kind.EMBED, "ada", "1")}
    lease.release()


def test_the_list_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_tokens, "_MAX_TOKENS", 3)
    lease = FolderLease(tmp_path, what="studio", next_step="wait")
    tokens = EmbedTokens(tmp_path, lease=lease)
    tokens.make("ada", "x")
    tokens.revoke("ada", "1")
    tokens.make("grace", "y")
    with pytest.raises(NewscasterError, match="the maximum"):
        tokens.make("ada", "z")
    with pytest.raises(NewscasterError, match="the maximum"):
        tokens.revoke("ada", "2")
    assert len(tokens.made("ada")) == len(tokens.revoked) == 1
    tokens.revoke("grace", tokens.made("grace")[0].id)  # in place of one that was made
    lease.release()


@pytest.mark.parametrize("subject", ["a", "a~b", "b~a", "a.b", "embed.b~a"])
def test_ids_and_anchors_are_not_confused(subject: str) -> None:
    grants = [Grant(Kind.EMBED, subject, token_id) for token_id in ("1", "2", "b")]
    for grant in grants:
        token = grant.token(SETTINGS)
        assert token is not None
        assert Grant.of(token, SETTINGS) == grant
        assert Grant.of(token, SETTINGS, revoked={grant}) is None
        assert Grant.of(token, SETTINGS, revoked={*grants} - {grant}) == grant
        kind, _, rest = token.partition("~")
        for other in ("embed", "embed.", "embed.1", "embed.2", "embed.b", "embed.b.", "watch", "watch.b"):
            assert other == kind or Grant.of(f"{other}~{rest}", SETTINGS) is None


def test_a_bundled_anchor_is_embedded_by_any_of_its_names(tmp_path: Path) -> None:
    with opening(Path("grid-s4"), tmp_path) as open_studio:
        studio = open_studio(token=TOKEN)
        (listed,) = studio.get("/v1/anchors", headers=FULL).json()
        assert (listed["id"], listed["aliases"]) == ("grid-s4", ["builtin"])
        one = studio.get("/v1/anchors/builtin", headers=FULL).json()
        assert one == listed
        assert studio.get("/v1/anchors/grid-s1", headers=FULL).status_code == 404
        label = {"label": "news.example"}
        made = studio.post("/v1/anchors/builtin/embed_tokens", json=label, headers=FULL).json()
        tokens = studio.get("/v1/anchors/grid-s4/embed_tokens", headers=FULL).json()
        assert made in tokens
        page = studio.get("/embed/builtin?text=a%26b", follow_redirects=False)
        assert (page.status_code, page.headers["location"]) == (307, "/embed/grid-s4?text=a%26b")
        for name in ("grid-s4", "grid-s1", "nobody"):
            assert studio.get(f"/embed/{name}", follow_redirects=False).status_code == 200
        embed = bearer(made["token"])
        for name in ("builtin", "grid-s4"):
            session = studio.post("/v1/sessions", json={"anchor": name}, headers=embed)
            assert session.status_code == 201
            assert session.json()["anchor"] == "grid-s4"
            studio.delete(f"/v1/sessions/{session.json()['id']}", headers=embed)
        for options in ({}, {"anchor": "grid-s1"}, {"anchor": "nobody"}):
            refused = studio.post("/v1/sessions", json=options, headers=embed)
            assert refused.status_code == 403
            assert "this studio has" not in refused.text
