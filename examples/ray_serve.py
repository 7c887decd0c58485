"""A studio as a Ray Serve deployment: Ray starts, watches and replaces the process of the studio.

    pip install 'newscaster[serve,tts]' 'ray[serve]'
    export NEWSCASTER_TOKEN=$(openssl rand -hex 16)
    serve run ray_serve:app        # the API and the page at http://127.0.0.1:8000

One replica, since requests for a session must come to the studio that has it, and Ray Serve chooses among
replicas freely. For more studios, run more clusters or applications, each with a NEWSCASTER_INSTANCE and a
NEWSCASTER_DATA_DIR of its own, behind a proxy that routes by the prefix of ids: deploy/Caddyfile.
"""

import os
from pathlib import Path

from fastapi import FastAPI
from ray import serve

from newscaster.server.app import create_app
from newscaster.server.settings import Settings

SETTINGS = Settings(
    anchors=tuple(os.environ.get("NEWSCASTER_ANCHORS", "builtin").split()),
    host="0.0.0.0",  # so that Host headers of Ray's proxy are accepted; the token protects the studio
    token=os.environ["NEWSCASTER_TOKEN"],
    instance=os.environ.get("NEWSCASTER_INSTANCE"),
    keep=Path(os.environ.get("NEWSCASTER_DATA_DIR", "/tmp/newscaster-ray")),
)


def studio() -> FastAPI:
    """Return the application, in the process of its replica."""
    return create_app(SETTINGS)


@serve.deployment(
    num_replicas=1,
    max_ongoing_requests=512,
    ray_actor_options={"num_cpus": 2},
    graceful_shutdown_timeout_s=120,  # requests and WebSockets go on for this time
    health_check_period_s=5,
)
@serve.ingress(studio)
class Studio:
    """The studio."""


app = Studio.bind()
