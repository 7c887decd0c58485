"""Security checks in front of every request: host, origin, token, size and rate of the body.

The Host header is checked because a foreign name that resolves to loopback would let a foreign page reach a
studio (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.exceptions import HTTPException

from newscaster.server.grants import SOCKET, Grant
from newscaster.server.http_errors import (
    FORBIDDEN,
    TIMED_OUT,
    TOO_LARGE,
    UNAUTHORIZED,
    RefusedError,
    close_code,
    close_reason,
    sentence,
)
from newscaster.server.ids import cookie
from newscaster.server.settings import Limits, Settings
from newscaster.texts import quoted

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/v1"
ALIVE, READY, METRICS = "/healthz", "/readyz", "/metrics"
EMBED = "/embed/"
PROBES = frozenset({ALIVE, READY})
OPEN = frozenset({f"{API}/health"})
SESSIONS = f"{API}/sessions"
UPLOADS = ("/audio", f"{API}/jobs/audio")
VIDEOS = f"{API}/videos"
VIDEO_BODIES = frozenset({VIDEOS, f"{API}/verify"})
PHOTOS = f"{API}/jobs/photo"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::", ""})  # all addresses, whatever their names
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::[0-9]{1,5})?", re.ASCII)
"""A Host header: a name or an address, and an optional port (RFC 9110, 7.2)."""
_MAX_LENGTH_DIGITS = 20
MIN_BODY_RATE = 1000
"""Minimum average rate of a body, in bytes per second."""

# The page loads nothing from other hosts, and no other page may frame it, but for /embed/.
_FRAMED = "frame-ancestors 'none'"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    f"base-uri 'none'; form-action 'none'; {_FRAMED}"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)


def is_token(token: str | bytes | None, settings: Settings) -> bool:
    """Whether a client's token is right, compared in constant time; True if none is required."""
    if settings.token is None:
        return True
    if isinstance(token, str):
        token = token.encode("utf-8", "surrogatepass")  # JSON may contain lone surrogates
    return token is not None and hmac.compare_digest(token, settings.token.encode())


class SecurityMiddleware:
    """ASGI middleware with the security checks.

    A WebSocket without a token passes, marked as not `trusted`: browsers cannot set its headers, so the token
    may come as the first message.

    Args:
        app: the application.
        settings: of the studio.
        revoked: derived tokens that count no longer.
    """

    def __init__(self, app: App, settings: Settings, *, revoked: Collection[Grant] = ()) -> None:
        self._app = app
        self._settings = settings
        self._revoked = revoked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            if scope["path"] not in PROBES:  # orchestrators use addresses; they have no secrets
                self._check_host(headers.get("host", ""))
            self._check_origin(headers.get("origin"), scope, headers)
            state = scope.setdefault("state", {})
            state["grant"] = grant = self._grant(scope, headers)
            state["trusted"] = trusted = grant is not None or self._is_trusted(scope, headers)
            if scope["type"] == "websocket":
                await self._app(scope, receive, send)
                return
            if not trusted:
                raise RefusedError(
                    "the token is missing or wrong. Send the token of the studio as: "
                    "Authorization: Bearer TOKEN",
                    status=UNAUTHORIZED,
                )
            limit = self._check_length(scope["path"], headers.get("content-length"))
        except RefusedError as refusal:
            await _refuse(scope, send, refusal)
            return
        await self._app(
            scope, _limited(receive, limit, self._settings.limits), self._with_headers(send, scope)
        )

    def _with_headers(self, send: Send, scope: Scope) -> Send:
        path, instance = scope["path"], self._settings.instance
        is_page = not path.startswith(API) and path not in PROBES and path != METRICS
        own = dict(_HEADERS)
        if path.startswith(EMBED):  # the pages of these origins may frame it
            framed = " ".join(["frame-ancestors 'self'", *self._settings.origins])
            own[b"content-security-policy"] = _POLICY.replace(_FRAMED, framed).encode()
        caching = (b"cache-control", b"no-cache" if is_page else b"no-store")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = []
                if instance is not None and _chooses_studio(scope, message["status"]):
                    more = [(b"set-cookie", cookie(instance))]
                headers = message.get("headers", ())
                if all(name.lower() != caching[0] for name, _ in headers):
                    more.append(caching)
                message["headers"] = [*headers, *own.items(), *more]
            await send(message)

        return send_with_headers

    def _check_host(self, host: str) -> None:
        if _HOST.fullmatch(host) is None:
            raise RefusedError(
                f"the Host header is {quoted(host[:60])}; expected name or address and port of the studio"
            )
        name = (urlsplit(f"//{host}").hostname or "").lower()
        settings = self._settings
        own_names = {own.lower() for own in (*settings.hosts, settings.host)}
        allowed = own_names | (_LOOPBACK_NAMES if settings.is_loopback else frozenset())
        if settings.host in _ANY and not settings.hosts:
            return  # the token protects them
        if name not in allowed and name not in _LOOPBACK_NAMES:
            raise RefusedError(
                f"{quoted(name)} is not a name of this studio. Use the address it was started with, or start "
                "it with --allow-host NAME",
                status=FORBIDDEN,
            )

    def _check_origin(self, origin: str | None, scope: Scope, headers: dict[str, str]) -> None:
        """Check the origin. Programs send none; browsers always do for a page of another origin."""
        if origin is None or origin in self._settings.origins:
            return
        scheme, _, rest = origin.partition("://")
        if scheme in ("http", "https") and rest.lower() == headers.get("host", "").lower():
            return
        raise RefusedError(
            f"pages of {quoted(origin[:100])} may not use this studio. Open the studio's own page, or start "
            "it with --origin",
            status=FORBIDDEN,
        )

    def _is_trusted(self, scope: Scope, headers: dict[str, str]) -> bool:
        if _is_open(scope):
            return True
        token = _token(scope, headers)
        return is_token(None if token is None else token.encode("latin-1"), self._settings)

    def _grant(self, scope: Scope, headers: dict[str, str]) -> Grant | None:
        """Return what the token of a request grants, if it is a derived one.

        Raises:
            RefusedError: it is, and is not for this request.
        """
        token = _token(scope, headers)
        grant = None if token is None else Grant.of(token, self._settings, revoked=self._revoked)
        if grant is not None and not _is_open(scope):
            check_grant(grant, scope)
        return grant

    def _check_length(self, path: str, content_length: str | None) -> int:
        limits = self._settings.limits
        limit = limits.upload_bytes if path.endswith(UPLOADS) else limits.message_bytes
        if path in VIDEO_BODIES:
            limit = limits.video_bytes
        if path == PHOTOS:
            limit = limits.photo_bytes
        if content_length is not None and not (content_length.isascii() and content_length.isdigit()):
            raise RefusedError(
                f"Content-Length is {quoted(content_length[:60])}; expected the number of bytes of the body"
            )
        if content_length is not None and int(content_length[:_MAX_LENGTH_DIGITS]) > limit:
            raise _too_large(limit)
        return limit


def _is_open(scope: Scope) -> bool:
    """Whether a request needs no token."""
    path = scope["path"]
    return scope["type"] == "http" and path != METRICS and (not path.startswith(API) or path in OPEN)


def check_grant(grant: Grant, scope: Scope) -> None:
    """Check that a derived token is for a request.

    Raises:
        RefusedError: it is not.
    """
    method = SOCKET if scope["type"] == "websocket" else scope["method"]
    if not grant.allows(method, scope["path"]):
        raise RefusedError(
            f"the token is one to {grant.kind.value} alone, which this request is not. Send the token of the "
            "studio",
            status=FORBIDDEN,
        )


def _token(scope: Scope, headers: dict[str, str]) -> str | None:
    """Return the token of a request: of its headers, or else of its query."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"), encoding="latin-1")
    return next(iter(query.get("token", [])), None)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(f"the request is larger than {limit:,} bytes, the maximum", status=TOO_LARGE)


def _limited(receive: Receive, limit: int, limits: Limits) -> Receive:
    """Wrap `receive` with the limits of size and rate of a body.

    It raises FastAPI's own HTTPException: FastAPI reports any other error during a read as a malformed body.
    """
    received, ended = 0, False
    loop = asyncio.get_running_loop()
    started = loop.time()

    async def limited() -> Message:
        nonlocal received, ended
        if ended:  # only a disconnect follows, at any time
            return await receive()
        latest = started + limits.stall_seconds + received / MIN_BODY_RATE
        try:
            async with asyncio.timeout_at(min(latest, loop.time() + limits.stall_seconds)):
                message = await receive()
        except TimeoutError:
            raise HTTPException(
                TIMED_OUT,
                f"the body of the request stalled for {limits.stall_seconds:g} s, or came at less than "
                f"{MIN_BODY_RATE} bytes per second. Send it again",
                {"connection": "close"},
            ) from None
        received += len(message.get("body", b""))
        ended = not message.get("more_body", False)
        if received > limit:
            raise HTTPException(TOO_LARGE, str(_too_large(limit)), {"connection": "close"})
        return message

    return limited


def _chooses_studio(scope: Scope, status: int) -> bool:
    """Whether a reply ties its client to this studio: the page, and what a later body names."""
    if scope["path"] == "/":
        return True
    return scope["path"] in (SESSIONS, VIDEOS, PHOTOS) and scope["method"] == "POST" and status < 300


async def _refuse(scope: Scope, send: Send, refusal: RefusedError) -> None:
    if scope["type"] == "websocket":
        await send(
            {"type": "websocket.close", "code": close_code(refusal.status), "reason": close_reason(refusal)}
        )
        return
    body = json.dumps({"error": sentence(refusal)}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        *_HEADERS,
    ]
    if refusal.status == UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
