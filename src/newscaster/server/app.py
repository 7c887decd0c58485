"""The application: middleware, API and page, and the server that runs it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocketDisconnect

from newscaster.errors import NewscasterError, OutputError
from newscaster.media import FolderLease
from newscaster.server.anchor_api import router as anchor_router
from newscaster.server.api import router
from newscaster.server.connections import Connections
from newscaster.server.embed_api import router as embed_router
from newscaster.server.http_errors import (
    BAD_REQUEST,
    BROKEN,
    CLOSING,
    extra_headers,
    sentence,
    status_of,
)
from newscaster.server.job_api import router as job_router
from newscaster.server.media_api import router as media_router
from newscaster.server.middleware import API, App, Message, Receive, Scope, SecurityMiddleware, Send
from newscaster.server.probes import router as probe_router
from newscaster.server.settings import Settings
from newscaster.server.studio import Studio
from newscaster.server.validation import of_validation
from newscaster.server.voice_api import router as voice_router
from newscaster.system.native_calls import allow_open_files, preempt_less
from newscaster.system.os_errors import fault
from newscaster.texts import quoted
from newscaster.version import VERSION

_log = logging.getLogger("newscaster.server")

ROUTERS = (router, job_router, anchor_router, embed_router, voice_router, media_router, probe_router)
"""All endpoints of the API."""

PAGE = Path(__file__).parent / "page"
_PATIENCE_SECONDS = 5
_LEASE_POLL_SECONDS = 1.0
_OPEN_FILES = 4096
_ABOUT = (
    "Anchors over HTTP, WebSocket and WebRTC. Everything they show is synthetic. WebSockets (/v1/stream and "
    "/v1/sessions/{session}/socket) are described in docs/serve.md, since OpenAPI cannot describe them."
)


def create_app(settings: Settings) -> FastAPI:
    """Return the ASGI application of a studio.

    Raises:
        AnchorError: an anchor is missing or damaged.
        InputError: the list of revoked tokens is damaged.
        OutputError: its folder cannot be written to, or is in use by another studio.
    """
    studio = Studio(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with studio.open():
            yield

    app = FastAPI(
        title="newscaster studio",
        version=VERSION,
        description=_ABOUT,
        lifespan=lifespan,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
    )
    app.state.studio = studio
    for each in ROUTERS:
        app.include_router(each)
    app.add_exception_handler(NewscasterError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _broken)
    app.add_middleware(SecurityMiddleware, settings=settings, revoked=studio.embed_tokens.revoked)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["authorization", "content-type"],
        )

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    @app.get("/embed/{anchor}", include_in_schema=False, response_model=None)
    async def embed(anchor: str, request: Request) -> Response:
        library = studio.library
        if library.serves(anchor) and (anchor_id := library.id_of(anchor)) != anchor:  # its token has the id
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/embed/{quote(anchor_id, safe='')}{query}")
        return FileResponse(PAGE / "embed.html")

    @app.get("/output/{session}", include_in_schema=False)
    async def output(session: str) -> FileResponse:
        return FileResponse(PAGE / "output.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
    return app


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, NewscasterError)
    status = status_of(error)
    return JSONResponse({"error": sentence(error)}, status, extra_headers(status))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"error": of_validation(error.errors(), of_http=True)}, 422)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path, allowed = _path(request.scope), (error.headers or {}).get("Allow", "none")
    messages = {
        404: f"there is nothing at {path}; {API}/openapi.json lists all paths",
        405: f"{path} does not accept {request.method}; it accepts {allowed}",
    }
    status = error.status_code
    return JSONResponse({"error": messages.get(status, error.detail)}, status, error.headers)


def _path(scope: Scope) -> str:
    """Return the path of a request in quotation marks, for a log line or a reply."""
    return quoted(str(scope["path"])[:200])


async def _left(request: Request, error: Exception) -> JSONResponse:
    _log.warning("%s %s: the client disconnected during its upload", request.method, _path(request.scope))
    return JSONResponse({"error": "the upload is incomplete. Send it again"}, BAD_REQUEST)


async def _broken(request: Request, error: Exception) -> JSONResponse:
    system_error = fault(error)
    reason = system_error or repr(error)
    _log.error("%s %s failed: %s", request.method, _path(request.scope), reason, exc_info=error)
    return JSONResponse({"error": system_error or "internal error; see the log of the studio"}, BROKEN)


def without_tracebacks(app: App) -> App:
    """Wrap an application so that disconnects and shutdown log one line.

    uvicorn logs a traceback for any exception of an application. Bugs of the studio keep theirs.
    """

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await app(scope, receive, send_noting_start)
        except (ClientDisconnect, WebSocketDisconnect):
            _log.warning("%s: the client disconnected during the reply", _path(scope))
        except asyncio.CancelledError:
            _log.warning("%s: the studio stopped before it replied", _path(scope))
            if scope["type"] == "http" and not started:
                reply = JSONResponse({"error": "the studio is closing"}, CLOSING, extra_headers(CLOSING))
                await reply(scope, receive, send)
        except Exception as error:
            if fault(error) is None:
                raise

    return outermost


class _Server(uvicorn.Server):
    """uvicorn's server, which exits normally on a signal instead of raising it again.

    Args:
        config: its configuration.
        drain: awaited after a first SIGTERM, before it exits; None: it exits at once. Any other signal does.
    """

    def __init__(self, config: uvicorn.Config, *, drain: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__(config)
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle a signal, in the event loop."""
        drain, self._drain = self._drain, None
        if sig == signal.SIGTERM and drain is not None and not self.should_exit:
            self._draining = asyncio.get_running_loop().create_task(self._drain_and_exit(drain))
        else:
            super().handle_exit(sig, frame)

    async def _drain_and_exit(self, drain: Callable[[], Awaitable[None]]) -> None:
        try:
            await drain()
        finally:
            self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        signals = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            signals.append(signal.SIGHUP)
        try:
            for number in signals:
                loop.add_signal_handler(number, self.handle_exit, number, None)
        except (NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
            self._drain = None  # signals come outside of the event loop
            with super().capture_signals():
                yield
            return
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the factory of uvloop, which needs less time per packet, if it is installed."""
    try:
        import uvloop
    except ImportError:  # not available on Windows
        return None
    return uvloop.new_event_loop


def serve(
    settings: Settings,
    *,
    started: Callable[[str], None] = lambda address: None,
    own_http_log: bool = True,
) -> None:
    """Serve until SIGTERM or SIGINT. Live sessions end then; jobs are kept, and resume at the next start.

    With `settings.drain_seconds`, a first SIGTERM lets sessions and the running job go on for this time.

    Args:
        settings: settings of the studio.
        started: called with the address, such as http://127.0.0.1:8765, once it accepts connections.
        own_http_log: whether warnings of the HTTP server go to standard error; otherwise, like all others, to
            the handlers of the program.

    Raises:
        AnchorError: an anchor is missing or damaged.
        MissingExtraError: traces are to be sent, and OpenTelemetry is not installed.
        OutputError: the port is in use; the folder cannot be written to, is in use by another studio, or was
            taken over by one.
    """
    preempt_less()
    app = create_app(settings)
    lease: FolderLease = app.state.studio.lease
    try:
        _serve(app, settings, lease, started, own_http_log=own_http_log)
    finally:
        lease.release()


def _serve(
    app: FastAPI,
    settings: Settings,
    lease: FolderLease,
    started: Callable[[str], None],
    *,
    own_http_log: bool,
) -> None:
    """Serve until a signal, or until the lease is lost.

    Raises:
        OutputError: the port is in use, or the lease is lost.
    """
    listening = _listen(settings)
    allow_open_files(_OPEN_FILES)
    connections = Connections(settings.limits)
    studio: Studio = app.state.studio
    config = uvicorn.Config(
        studio.tracing.wrap(without_tracebacks(app)),
        log_level="warning",
        log_config=uvicorn.config.LOGGING_CONFIG if own_http_log else None,
        access_log=False,  # URLs may contain a token
        http=cast(Any, connections.protocol),  # h11, even if httptools is installed
        ws="websockets-sansio",
        ws_max_size=settings.limits.message_bytes,
        ws_per_message_deflate=False,  # audio does not compress
        ws_ping_interval=20,
        ws_ping_timeout=settings.limits.stall_seconds,
        timeout_keep_alive=max(1, round(settings.limits.stall_seconds)),
        timeout_graceful_shutdown=_PATIENCE_SECONDS,
        server_header=False,
        lifespan="on",
    )
    seconds = settings.drain_seconds
    server = _Server(config, drain=partial(studio.drain, seconds) if seconds else None)

    async def run() -> None:
        announcing = asyncio.create_task(_announce(server, address, started))
        watching = asyncio.create_task(_stop_without(lease, server))
        sweeping = asyncio.create_task(connections.watch())
        try:
            await server.serve(sockets=[listening])
        finally:
            for task in (announcing, watching, sweeping):
                task.cancel()

    address = _address(settings, listening)
    lease.announce(address)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())
    lease.check()


async def _stop_without(lease: FolderLease, server: uvicorn.Server) -> None:
    """Stop a server whose folder another studio has taken over."""
    while not lease.is_lost:
        await asyncio.sleep(_LEASE_POLL_SECONDS)
    server.should_exit = True


def _address(settings: Settings, listening: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


async def _announce(server: uvicorn.Server, address: str, started: Callable[[str], None]) -> None:
    while not server.started:
        await asyncio.sleep(0.05)
    started(address)


def _listen(settings: Settings) -> socket.socket:
    listening: socket.socket | None = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        return listening
    except OSError as error:
        if listening is not None:
            listening.close()
        raise OutputError(
            f"cannot listen on {settings.host}, port {settings.port} ({error.strerror or error}). Choose "
            "another one with --port, or 0 for a free one"
        ) from error
