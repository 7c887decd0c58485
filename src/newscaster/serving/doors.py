"""The doors: who may come in, from which page, with how much. In front of every request.

Checked are the host that the client believes to speak to (a strange name that resolves to loopback is how a
page elsewhere would reach a studio), the origin of the page that asks, the token, and the size of the body.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.exceptions import HTTPException

from newscaster.serving.refusals import FORBIDDEN, TOO_LARGE, UNAUTHORIZED, RefusedError, sentence
from newscaster.serving.settings import Settings
from newscaster.texts import quoted

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API = "/v1"
OPEN = frozenset({f"{API}/health"})
UPLOADS = ("/audio", f"{API}/jobs/audio")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_ANY = frozenset({"0.0.0.0", "::", ""})  # listening on all addresses says nothing about their names

# Nothing of the page comes from another host, and no other page may frame it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; worker-src 'self'; manifest-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
)


def is_token(given: str | None, settings: Settings) -> bool:
    """Whether a client knows the token, compared in constant time; True where none is asked for."""
    if settings.token is None:
        return True
    return given is not None and hmac.compare_digest(given.encode(), settings.token.encode())


class Doors:
    """The ASGI application behind the doors.

    A WebSocket without a token is let through, marked as not `trusted`: browsers cannot set its headers, so
    that the token may come as the first message.
    """

    def __init__(self, app: App, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_host(headers.get("host", ""))
            self._check_origin(headers.get("origin"), scope, headers)
            scope.setdefault("state", {})["trusted"] = trusted = self._is_trusted(scope, headers)
            if scope["type"] == "websocket":
                await self._app(scope, receive, send)
                return
            if not trusted:
                raise RefusedError(
                    "the token is missing or wrong. Send the one that the studio was started with, as: "
                    "Authorization: Bearer TOKEN",
                    status=UNAUTHORIZED,
                )
            limit = self._check_length(scope["path"], headers.get("content-length"))
        except RefusedError as refusal:
            await _refuse(scope, send, refusal)
            return
        await self._app(scope, _counted(receive, limit), _dressed(send, scope["path"]))

    def _check_host(self, host: str) -> None:
        name = urlsplit(f"//{host}").hostname or ""
        settings = self._settings
        known = {*settings.hosts, settings.host, *(_LOOPBACK_NAMES if settings.is_loopback else ())}
        if settings.host in _ANY and not settings.hosts:
            return  # the token guards these
        if name not in known and name not in _LOOPBACK_NAMES:
            raise RefusedError(
                f"this studio is not called {quoted(name)}. Use the address that it was started with, "
                "or start it with --allow-host NAME",
                status=FORBIDDEN,
            )

    def _check_origin(self, origin: str | None, scope: Scope, headers: dict[str, str]) -> None:
        """Programs send none; browsers always do where a page of another origin asks."""
        if origin is None or origin in self._settings.origins:
            return
        parts = urlsplit(origin)
        if parts.scheme in ("http", "https") and parts.netloc == headers.get("host"):
            return
        raise RefusedError(
            f"pages of {quoted(origin)} may not use this studio. Open the studio's own page, or start "
            "it with --origin",
            status=FORBIDDEN,
        )

    def _is_trusted(self, scope: Scope, headers: dict[str, str]) -> bool:
        if scope["type"] == "http" and (not scope["path"].startswith(API) or scope["path"] in OPEN):
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        token: str | None = given.strip() if scheme.lower() == "bearer" else None
        if token is None:
            token = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [None])[0]
        return is_token(token, self._settings)

    def _check_length(self, path: str, announced: str | None) -> int:
        limits = self._settings.limits
        limit = limits.upload_bytes if path.endswith(UPLOADS) else limits.message_bytes
        if announced is not None and announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        return limit


def _too_large(limit: int) -> RefusedError:
    return RefusedError(
        f"the request is larger than {limit:,} bytes, the most that is taken", status=TOO_LARGE
    )


def _counted(receive: Receive, limit: int) -> Receive:
    """What comes in, as long as it is not more than announced sizes may be."""
    left = limit

    async def counted() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            # Of FastAPI's own kind: while it reads a body, it takes any other for nonsense in it.
            raise HTTPException(TOO_LARGE, str(_too_large(limit)))
        return message

    return counted


def _dressed(send: Send, path: str) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = b"no-store" if path.startswith(API) else b"no-cache"
            message["headers"] = [*message.get("headers", ()), *_HEADERS, (b"cache-control", kept)]
        await send(message)

    return dressed


async def _refuse(scope: Scope, send: Send, refusal: RefusedError) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": sentence(refusal)[:120]})
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
