"""OpenTelemetry traces of a studio: requests, starts of sessions, jobs, and delays to the first frame.

Nothing is loaded or sent unless OTEL_EXPORTER_OTLP_ENDPOINT names a collector. Spans hold ids, routes and
times: no addresses, no texts, no tokens.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from newscaster.errors import MissingExtraError
from newscaster.server.middleware import METRICS, PROBES, App, Message, Receive, Scope, Send
from newscaster.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_NANOSECONDS = 1_000_000_000
_SHUTDOWN_MS = 3000


class Tracing:
    """Sends spans to a collector, if there is one.

    Args:
        provider: an OpenTelemetry TracerProvider; None: nothing is traced.
    """

    def __init__(self, provider: Any = None) -> None:
        self._provider = provider
        self._tracer: Tracer | None = None
        if provider is not None:
            self._tracer = provider.get_tracer("newscaster", VERSION)

    def record(self, name: str, seconds: float, **attributes: str | float) -> None:
        """Record a span that ends now, below the current request if there is one.

        Args:
            name: such as `session start`.
            seconds: its length.
            attributes: get the prefix `newscaster.`.
        """
        if self._tracer is not None:
            end = time.time_ns()
            named = {f"newscaster.{key}": value for key, value in attributes.items()}
            span = self._tracer.start_span(name, start_time=end - int(seconds * _NANOSECONDS))
            span.set_attributes(named)
            span.end(end)

    def wrap(self, app: App) -> App:
        """Return an application whose HTTP requests are traced, without probes and metrics."""
        tracer = self._tracer
        if tracer is None:
            return app
        from opentelemetry import propagate, trace

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in PROBES or scope["path"] == METRICS:
                await app(scope, receive, send)
                return
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            with tracer.start_as_current_span(
                scope["method"], context=propagate.extract(headers), kind=trace.SpanKind.SERVER
            ) as span:
                span.set_attribute("http.request.method", scope["method"])

                async def send_noting_status(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                    await send(message)

                try:
                    await app(scope, receive, send_noting_status)
                finally:
                    if (route := getattr(scope.get("route"), "path", None)) is not None:
                        span.update_name(f"{scope['method']} {route}")
                        span.set_attribute("http.route", route)

        return traced

    def close(self) -> None:
        """Send what is left, for a few seconds at most. Blocks meanwhile."""
        if self._provider is not None:
            self._provider.force_flush(_SHUTDOWN_MS)
            self._provider.shutdown()
            self._provider = self._tracer = None


def start_tracing(environment: Mapping[str, str] = os.environ) -> Tracing:
    """Return the tracing that the environment asks for.

    Raises:
        MissingExtraError: OpenTelemetry is not installed.
    """
    if not environment.get(ENDPOINT):
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise MissingExtraError(
            purpose=f"{ENDPOINT}", extra="tracing", package="opentelemetry-sdk"
        ) from error
    name = environment.get("OTEL_SERVICE_NAME", "newscaster")
    resource = Resource.create({"service.name": name, "service.version": VERSION})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
