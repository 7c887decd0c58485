"""Prometheus metrics of a studio, in a registry of its own. docs/how-to/deploy.md lists them.

States, such as the number of sessions, are read when they are scraped. Events are counted when they happen.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from newscaster.server.http_errors import CLOSING, TOO_MANY, RefusedError
from newscaster.server.job_record import STATES
from newscaster.version import VERSION

if TYPE_CHECKING:
    from newscaster.server.jobs import JobQueue
    from newscaster.server.session import Session
    from newscaster.server.settings import Settings
    from newscaster.server.webrtc import Peers
    from newscaster.synthesis.live_frame import LiveFrame

CONTENT_TYPE = CONTENT_TYPE_LATEST
_RENDER_BUCKETS = (0.0025, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.06, 0.08, 0.12, 0.25, 1.0)
"""In seconds. A frame of 25 per second has 0.04."""
_JOB_BUCKETS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_DELAY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5, 2.0, 5.0)
_REASONS = {TOO_MANY: "limit", CLOSING: "stopping"}
"""By status; all others are `invalid`."""


class Watched(Protocol):
    """A studio, whose states are read."""

    settings: Settings
    peers: Peers
    jobs: JobQueue

    def sessions(self) -> list[Session]:
        """Return all live sessions."""

    def why_not_ready(self) -> str | None:
        """Return in one sentence why no session can be started now; None if one can."""


class Metrics:
    """The metrics of one studio."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._rendered = self._counter("frames_rendered", "Frames rendered.")
        self._dropped = self._counter("frames_dropped", "Frames dropped because they were late.")
        self._render_seconds = Histogram(
            "newscaster_frame_render_seconds",
            "Wall-clock time to render a frame.",
            buckets=_RENDER_BUCKETS,
            registry=self.registry,
        )
        self._started = self._counter("sessions_started", "Sessions started.")
        self._refused = self._counter("sessions_refused", "Sessions refused.", "reason")
        self._job_seconds = Histogram(
            "newscaster_job_duration_seconds",
            "Wall-clock time that jobs were running, by the state in which they ended.",
            ["state"],
            buckets=_JOB_BUCKETS,
            registry=self.registry,
        )
        self._uploads = self._counter("uploads", "Uploaded files, by kind and outcome.", "kind", "outcome")
        self._delays = Histogram(
            "newscaster_first_frame_seconds",
            "Delay from the arrival of live speech to its first frame.",
            buckets=_DELAY_BUCKETS,
            registry=self.registry,
        )
        for reason in ("limit", "stopping", "invalid"):
            self._refused.labels(reason)
        for kind in ("audio", "video", "photo"):
            for outcome in ("accepted", "refused"):
                self._uploads.labels(kind, outcome)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"newscaster_{name}", text, labels, registry=self.registry)

    def watch(self, studio: Watched) -> None:
        """Add the states of a studio."""
        self.registry.register(_States(studio))

    def frame(self, frame: LiveFrame) -> None:
        """Count a frame of any session."""
        if frame.render_seconds is None:
            self._dropped.inc()
        else:
            self._rendered.inc()
            self._render_seconds.observe(frame.render_seconds)

    def speech_shown(self, delay_seconds: float) -> None:
        """Count an utterance of a session, when its first frame is shown."""
        self._delays.observe(delay_seconds)

    def session_started(self) -> None:
        """Count a session."""
        self._started.inc()

    def session_refused(self, error: Exception) -> None:
        """Count a session that was not started."""
        status = error.status if isinstance(error, RefusedError) else 0
        self._refused.labels(_REASONS.get(status, "invalid")).inc()

    def job_ended(self, state: str, seconds: float) -> None:
        """Count a job that is no longer running."""
        self._job_seconds.labels(state).observe(seconds)

    def uploaded(self, kind: str, *, accepted: bool) -> None:
        """Count an upload of `audio`, `video` or `photo`."""
        self._uploads.labels(kind, "accepted" if accepted else "refused").inc()

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _States(Collector):
    """The states of a studio, read when they are scraped."""

    def __init__(self, studio: Watched) -> None:
        self._studio = studio

    def collect(self) -> Iterator[GaugeMetricFamily | InfoMetricFamily]:
        studio = self._studio
        yield InfoMetricFamily("newscaster_build", "Version of newscaster.", value={"version": VERSION})
        sessions = studio.sessions()
        yield _gauge("sessions", "Live sessions.", len(sessions))
        yield _gauge("sessions_max", "Maximum number of live sessions.", studio.settings.limits.sessions)
        clients = GaugeMetricFamily(
            "newscaster_clients", "Connected clients of live sessions.", labels=["transport"]
        )
        clients.add_metric(["webrtc"], studio.peers.count())
        clients.add_metric(["websocket"], sum(session.sockets for session in sessions))
        yield clients
        jobs = GaugeMetricFamily("newscaster_jobs", "Jobs by state.", labels=["state"])
        counts = Counts(job.state for job in studio.jobs.list())
        for state in STATES:
            jobs.add_metric([state], counts[state])
        yield jobs
        yield _gauge("ready", "1 if the studio takes new sessions.", studio.why_not_ready() is None)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"newscaster_{name}", text, value=float(value))
