"""The endpoints for orchestrators and monitoring: /healthz, /readyz and /metrics.

Probes need no token, and may come under any Host header: orchestrators use addresses. Metrics need the token.
"""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from newscaster.server.api_requests import TheStudio
from newscaster.server.http_errors import CLOSING, extra_headers
from newscaster.server.metrics import CONTENT_TYPE
from newscaster.server.middleware import ALIVE, METRICS, READY

router = APIRouter()


@router.get(ALIVE, summary="Whether the process answers; needs no token")
async def alive() -> dict[str, str]:
    return {"status": "ok"}


@router.get(READY, summary="Whether sessions can be started; needs no token", response_class=JSONResponse)
async def ready(studio: TheStudio) -> JSONResponse:
    why = studio.why_not_ready()
    if why is not None:
        return JSONResponse({"error": why}, CLOSING, extra_headers(CLOSING))
    return JSONResponse({"status": "ready"})


@router.get(METRICS, summary="Metrics in the text format of Prometheus", response_class=Response)
async def metrics(studio: TheStudio) -> Response:
    return Response(studio.metrics.text(), headers={"content-type": CONTENT_TYPE})
