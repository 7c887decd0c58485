from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from newscaster import media
from newscaster.errors import InputError
from newscaster.server.ids import with_instance
from newscaster.server.middleware import SecurityMiddleware
from newscaster.server.recording import Recordings
from newscaster.server.settings import Limits, Settings
from studios import ADDRESS, SOCKETS, OpenStudio, until_more_is_shown


def test_ids_begin_with_the_name_of_the_studio(open_studio: OpenStudio, tmp_path: Path) -> None:
    studio = open_studio(instance="studio-0")
    session = studio.post("/v1/sessions", json={}).json()["id"]
    job = studio.post("/v1/jobs", json={"text": "Good evening."}).json()["id"]
    recording = studio.post(f"/v1/sessions/{session}/recording").json()["id"]
    for value, random_characters in ((session, 16), (job, 16), (recording, 12)):
        name, _, random = value.partition(".")
        assert (name, len(random)) == ("studio-0", random_characters)
    assert studio.get(f"/v1/sessions/{session}").json()["id"] == session
    assert studio.get(f"/v1/sessions/{session.partition('.')[2]}").status_code == 404
    until_more_is_shown(studio, session)
    assert studio.post(f"/v1/sessions/{session}/recording/stop").json()["id"] == recording
    assert studio.get(f"/v1/recordings/{recording}").status_code == 200
    assert studio.delete(f"/v1/recordings/{recording}").status_code == 204
    assert studio.delete(f"/v1/jobs/{job}").status_code == 200
    assert studio.get("/v1/info").json()["instance"] == "studio-0"


def test_the_page_keeps_to_its_studio(open_studio: OpenStudio) -> None:
    studio = open_studio(instance="studio-0")
    wanted = "newscaster-studio=studio-0; Path=/; HttpOnly; SameSite=Strict"
    assert studio.get("/").headers["set-cookie"] == wanted
    assert studio.post("/v1/sessions", json={}).headers["set-cookie"] == wanted
    assert "set-cookie" not in studio.get("/v1/jobs").headers
    assert "set-cookie" not in studio.post("/v1/sessions", json={"anchor": "nobody"}).headers


@pytest.mark.parametrize(
    ("method", "path", "status", "names_it"),
    [
        ("POST", "/v1/videos", 201, True),
        ("POST", "/v1/jobs/photo", 202, True),
        ("POST", "/v1/videos", 415, False),
        ("GET", "/v1/videos", 200, False),
        ("POST", "/v1/jobs/dub", 202, False),
    ],
)
def test_a_reply_names_the_studio_if_a_later_request_has_the_id_in_its_body(
    method: str, path: str, status: int, names_it: bool
) -> None:
    async def application(request: Request) -> Response:
        await request.body()
        return Response(status_code=status)

    routed = Starlette(routes=[Route(path, application, methods=[method])])
    client = TestClient(SecurityMiddleware(routed, Settings(instance="studio-1")), base_url=ADDRESS)
    assert (client.request(method, path).cookies.get("newscaster-studio") == "studio-1") == names_it


def test_without_a_name_ids_and_page_have_none(open_studio: OpenStudio) -> None:
    studio = open_studio()
    assert "set-cookie" not in studio.get("/").headers
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none"})
        assert "." not in socket.receive_json()["id"]


@pytest.mark.parametrize("name", ["", "Studio", "a/b", "..", "a.b", "-a", "a" * 33, "a\n"])
def test_names_that_do_not_fit_into_ids(name: str) -> None:
    with pytest.raises(InputError, match="expected 1 to 32 lower-case letters"):
        Settings(instance=name)


def test_an_interrupted_recording_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "cut_to_whole_fragments", lambda path: True)
    recording_id = with_instance("studio-0", "a_b-c")
    (tmp_path / f".{recording_id}.0123abcd.part.mp4").write_bytes(b"video")
    assert [stored.id for stored in Recordings(tmp_path, Limits()).list()] == [recording_id]
