from __future__ import annotations

import asyncio
import json
import signal
import threading
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from newscaster.server.settings import Settings
from newscaster.server.studio import SessionOptions, Studio
from studios import SOCKETS, ask, dial, head, limited, until, until_closed


def begin_draining(client: TestClient, seconds: float) -> threading.Event:
    """Start to drain a studio; the event is set when that has ended."""
    assert isinstance(client.app, FastAPI)
    assert client.portal is not None
    ended = threading.Event()
    client.portal.start_task_soon(client.app.state.studio.drain, seconds).add_done_callback(
        lambda _: ended.set()
    )
    until(lambda: client.get("/readyz").status_code == 503)
    return ended


def test_a_session_goes_on_and_no_other_starts(studio: TestClient) -> None:
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none"})
        session = socket.receive_json()["id"]
        ended = begin_draining(studio, 60)
        while not (errors := socket.receive_json()["errors"]):
            pass
        assert errors == ["the studio is stopping: this session may go on for 60 s. Start another one then"]
        for path in ("/v1/sessions", "/v1/jobs"):
            reply = studio.post(path, json={"text": "Good evening."} if "jobs" in path else {})
            assert reply.status_code == 503
            assert reply.headers["retry-after"] == "5"
            assert "starts no more sessions and jobs" in reply.json()["error"]
        assert studio.post("/v1/videos", content=b"no video").status_code == 503
        assert studio.get("/readyz").headers["retry-after"] == "5"
        assert studio.get("/healthz").status_code == 200
        assert studio.get(f"/v1/sessions/{session}").status_code == 200
        with studio.websocket_connect(f"{SOCKETS}/v1/stream") as other:
            other.send_json({"output": "none"})
            assert "stopping" in other.receive_json()["error"]
            with pytest.raises(WebSocketDisconnect) as closed:
                other.receive_json()
            assert closed.value.code == 1001
        assert not ended.is_set()
    assert ended.wait(60)


def test_the_limit_ends_the_wait(tiny: Path, tmp_path: Path) -> None:
    async def run() -> int:
        async with Studio(Settings(anchors=(str(tiny),), keep=tmp_path)).open() as studio:
            await studio.begin(SessionOptions())
            await studio.drain(0.2)
            return len(studio.sessions())

    assert asyncio.run(run()) == 1


def test_the_running_job_ends_and_the_next_one_waits(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = asyncio.Event()

    async def work(task: object, *, progress: object) -> dict[str, object]:
        await go_on.wait()
        return {"state": "done"}

    monkeypatch.setattr("newscaster.server.jobs.run_work", work)

    async def run() -> list[str]:
        async with Studio(Settings(anchors=(str(tiny),), keep=tmp_path)).open() as studio:
            jobs = [studio.jobs.add_script("Good evening.", anchor=studio.library.ids[0]) for _ in range(2)]
            while not studio.jobs.is_running:
                await asyncio.sleep(0.01)
            draining = asyncio.create_task(studio.drain(60))
            await asyncio.sleep(0.2)
            assert not draining.done()
            go_on.set()
            await draining
            return [studio.jobs.get(job.id).state for job in jobs]

    assert asyncio.run(run()) == ["done", "queued"]


@pytest.mark.slow
@pytest.mark.parametrize("second", [None, signal.SIGTERM, signal.SIGINT])
def test_sigterm_with_a_session(tiny: Path, tmp_path: Path, second: signal.Signals | None) -> None:
    with limited(tiny, tmp_path, drain_seconds=60) as (process, port):
        address = f"http://127.0.0.1:{port}"
        new = json.dumps({}).encode()
        session = ask(address, "/v1/sessions", new, **{"Content-Type": "application/json"})["id"]
        process.send_signal(signal.SIGTERM)
        until(lambda: b" 503 " in _reply(port, "/readyz"))
        assert b" 200 " in _reply(port, f"/v1/sessions/{session}")
        if second is not None:
            process.send_signal(second)
        else:
            assert b" 204 " in _reply(port, f"/v1/sessions/{session}", "DELETE")
        _, errors = process.communicate(timeout=40)
        assert process.returncode == 0, errors


def _reply(port: int, path: str, method: str = "GET") -> bytes:
    with dial(port) as connection:
        connection.sendall(head(f"{method} {path}", port, "Connection: close"))
        return until_closed(connection)
