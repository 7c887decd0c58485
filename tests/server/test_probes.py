from __future__ import annotations

from fastapi import FastAPI
from starlette.testclient import TestClient

from studios import TOKEN, OpenStudio


def test_probes_need_no_token_and_no_name(open_studio: OpenStudio) -> None:
    studio = open_studio(token=TOKEN)
    for path, status in (("/healthz", "ok"), ("/readyz", "ready")):
        reply = studio.get(path, headers={"host": "10.1.2.3:8765"})
        assert (reply.status_code, reply.json()) == (200, {"status": status})
        assert reply.headers["cache-control"] == "no-store"
    assert studio.get("/v1/health", headers={"host": "10.1.2.3:8765"}).status_code == 403


def test_a_studio_without_its_folder_is_not_ready(studio: TestClient) -> None:
    assert isinstance(studio.app, FastAPI)
    studio.app.state.studio.lease._lost_to = "another"
    reply = studio.get("/readyz")
    assert reply.status_code == 503
    assert "another studio has taken over" in reply.json()["error"]
    assert studio.get("/healthz").status_code == 200
    assert studio.post("/v1/sessions", json={}).status_code == 503


def test_metrics_need_the_token(open_studio: OpenStudio) -> None:
    studio = open_studio(token=TOKEN)
    assert studio.get("/metrics").status_code == 401
    assert studio.get("/metrics", headers={"host": "10.1.2.3"}).status_code == 403
    reply = studio.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=")
