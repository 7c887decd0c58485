from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from newscaster.errors import MissingExtraError
from newscaster.server.app import create_app
from newscaster.server.settings import Settings
from newscaster.server.tracing import ENDPOINT, start_tracing
from studios import ADDRESS, TOKEN

Spans = list[tuple[str, dict[str, object]]]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    """The spans that a collector on this machine gets, once all is sent."""
    pytest.importorskip("opentelemetry.sdk")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    spans: Spans = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            message = ExportTraceServiceRequest()
            message.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in message.resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        values = {item.key: item.value.string_value for item in span.attributes}
                        spans.append((span.name, values))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    yield spans
    server.shutdown()
    server.server_close()


def test_requests_and_sessions_are_traced(collector: Spans, tiny: Path, tmp_path: Path) -> None:
    app = create_app(Settings(anchors=(str(tiny),), keep=tmp_path, token=TOKEN))
    studio = app.state.studio
    with TestClient(studio.tracing.wrap(app), base_url=ADDRESS) as client:
        client.get("/readyz")
        session = client.post(f"/v1/sessions?token={TOKEN}", json={}).json()["id"]
        client.get(f"/v1/sessions/{session}", headers={"authorization": f"Bearer {TOKEN}"})
        studio._job_ended("a-job", "done", 2.0)
        studio._speech_shown(session, 0.3)
    spans = dict(collector)
    assert spans.keys() == {
        "POST /v1/sessions",
        "GET /v1/sessions/{session}",
        "session start",
        "job",
        "first frame",
    }
    assert spans["session start"]["newscaster.session"] == session
    assert spans["job"] == {"newscaster.job": "a-job", "newscaster.state": "done"}
    assert TOKEN not in str(collector)


def test_without_an_endpoint_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)  # an import would fail
    tracing = start_tracing({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SERVICE_NAME": "studio"})

    async def app(*_: object) -> None: ...

    assert tracing.wrap(app) is app
    tracing.record("job", 1.0)
    tracing.close()


def test_an_endpoint_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[tracing\]"):
        start_tracing({ENDPOINT: "http://127.0.0.1:4318"})
