from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from newscaster.server.metrics import Metrics
from newscaster.version import VERSION
from studios import SOCKETS, OpenStudio, until

Samples = dict[tuple[str, str], float]


def scraped(studio: TestClient) -> Samples:
    """All samples, by name and by the value of the label, if there is one."""
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(studio.get("/metrics").text)
        for sample in family.samples
    }


def test_an_idle_studio(studio: TestClient) -> None:
    samples = scraped(studio)
    assert samples["newscaster_build_info", VERSION] == 1
    assert samples["newscaster_sessions", ""] == samples["newscaster_frames_rendered_total", ""] == 0
    assert samples["newscaster_ready", ""] == 1
    assert samples["newscaster_sessions_max", ""] == 8
    for state in ("queued", "running", "done", "failed", "cancelled"):
        assert samples["newscaster_jobs", state] == 0
    assert samples["process_resident_memory_bytes", ""] > 0


def test_sessions_clients_and_frames(open_studio: OpenStudio) -> None:
    studio = open_studio(limits={"sessions": 1})
    with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
        socket.send_json({"output": "none"})
        socket.receive_json()
        samples = until(lambda: (now := scraped(studio))["newscaster_frames_rendered_total", ""] > 1 and now)
        assert samples["newscaster_sessions", ""] == samples["newscaster_clients", "websocket"] == 1
        assert samples["newscaster_clients", "webrtc"] == 0
        assert samples["newscaster_frame_render_seconds_count", ""] > 1
        assert 0 < samples["newscaster_frame_render_seconds_sum", ""] < 60
        assert studio.post("/v1/sessions", json={}).status_code == 429
        assert studio.post("/v1/sessions", json={"anchor": "nobody"}).status_code == 429
    until(lambda: scraped(studio)["newscaster_sessions", ""] == 0)
    assert studio.post("/v1/sessions", json={"anchor": "nobody"}).status_code == 404
    samples = scraped(studio)
    assert samples["newscaster_sessions_started_total", ""] == 1
    assert samples["newscaster_sessions_refused_total", "limit"] == 2
    assert samples["newscaster_sessions_refused_total", "invalid"] == 1
    assert samples["newscaster_clients", "websocket"] == 0


def test_uploads(studio: TestClient) -> None:
    assert studio.post("/v1/check/audio", content=b"no audio").status_code == 415
    assert scraped(studio)["newscaster_uploads_total", "audio refused"] == 1


def test_each_registry_is_its_own() -> None:
    first, second = Metrics(), Metrics()
    first.job_ended("done", 2.5)
    name = "newscaster_job_duration_seconds_sum"
    assert first.registry.get_sample_value(name, {"state": "done"}) == 2.5
    assert second.registry.get_sample_value(name, {"state": "done"}) is None
