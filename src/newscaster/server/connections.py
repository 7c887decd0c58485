"""Connections: how many there may be, how long a silent one is kept, and which requests are malformed.

This works below the application, on transports: a client that sends no request, or reads nothing of a reply,
never reaches the application or leaves it waiting. Who may ask for what is left to `doors`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import sys
from functools import partial
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from newscaster.server.settings import Limits

if sys.platform != "win32":
    import fcntl
    import termios

_log = logging.getLogger("newscaster.server")

SWEEP_SECONDS = 1.0
MAX_HEAD_BYTES = 16 << 10
"""Size of a request's first line and headers."""
_HEAD_END = re.compile(rb"\n\r?\n")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_IPV6_PREFIX = 64
"""Bits that are one client's: it may use any address of its network."""


class Connection:
    """One open connection, over HTTP and then perhaps WebSocket.

    Args:
        transport: open.
        network: the client's address; of IPv6, its /64 network.
        now: the event loop's time in seconds.
    """

    def __init__(self, transport: asyncio.Transport, network: str, now: float) -> None:
        self.transport, self.network = transport, network
        self.waiting_since: float | None = now
        """Since when the client has owed a request, in the event loop's time; None while one is answered."""
        self.socket_state: dict[str, Any] | None = None
        """Of a WebSocket: the state of its scope, in which `trusted` tells whether the token has come."""
        self._opened = now
        self._unsent, self._progress = 0, now

    @property
    def idle_since(self) -> float | None:
        """Since when it has had no request in progress and no WebSocket with the token; None: it has one."""
        if self.socket_state is not None:
            return None if self.socket_state.get("trusted") else self._opened
        return self.waiting_since

    def is_stalled(self, now: float, limit: float) -> bool:
        """Whether the client has taken nothing of what was sent for `limit` seconds."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            unsent += _kernel_unsent(self.transport)
        if not unsent or unsent != self._unsent:
            self._unsent, self._progress = unsent, now
        return now - self._progress > limit


def _kernel_unsent(transport: asyncio.Transport) -> int:
    """Bytes that the system holds and the client has not confirmed; 0 if the system does not tell.

    The system may hold megabytes, and takes more only when a third of them has gone. A client that reads
    slowly would otherwise look like one that does not read at all.
    """
    if sys.platform == "win32":
        return 0
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        return int.from_bytes(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (AttributeError, OSError, ValueError):
        return 0


class Connections:
    """All open connections of a studio.

    Args:
        limits: how many in all and from one address, and how long a client may do nothing.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[Connection, None] = {}  # in the order in which they came

    def __len__(self) -> int:
        return len(self._open)

    def add(self, transport: asyncio.Transport, *, now: float) -> Connection | None:
        """Admit a connection, if need be in place of one whose client sends no request; None: too many."""
        network = network_of(transport.get_extra_info("peername"))
        same = [one for one in self._open if one.network == network]
        if len(same) >= self._limits.address_connections and not self._close_one(same):
            return None
        if len(self._open) >= self._limits.connections and not self._close_one(list(self._open)):
            return None
        connection = Connection(transport, network, now)
        self._open[connection] = None
        return connection

    def remove(self, connection: Connection | None) -> None:
        """Forget one that was lost."""
        if connection is not None:
            self._open.pop(connection, None)

    def _close_one(self, among: list[Connection]) -> bool:
        idle = [(since, one) for one in among if (since := one.idle_since) is not None]
        if not idle:
            return False
        _, longest = min(idle, key=lambda pair: pair[0])
        del self._open[longest]
        longest.transport.abort()
        return True

    def sweep(self, now: float) -> None:
        """Close connections whose clients neither send a request nor read a reply.

        Args:
            now: the event loop's time in seconds.
        """
        limit = self._limits.stall_seconds
        for one in tuple(self._open):
            if one.is_stalled(now, limit):
                _log.warning("a client read nothing for %g s; its connection was closed", limit)
                one.transport.abort()
            elif one.waiting_since is not None and now - one.waiting_since > limit:
                one.transport.close()

    async def watch(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(loop.time())

    def protocol(self, **options: Any) -> HttpProtocol:
        """Make the protocol of a new connection, as uvicorn asks for it."""
        return HttpProtocol(**options, connections=self)


def network_of(peer: object) -> str:
    """The network of a client's socket address: an IPv4 address, a /64 of IPv6, or an empty string."""
    try:
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])  # type: ignore[index]
    except (TypeError, IndexError, ValueError):
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))


class StrictConnection(h11.Connection):
    """h11's parser, which refuses requests that two parsers could read in two ways (RFC 9112).

    h11 itself accepts lines that end in a bare LF, folded lines, repeated Content-Length headers, and
    Content-Length beside Transfer-Encoding. Behind a proxy that reads them otherwise, a second request could
    be smuggled in.
    """

    def next_event(self) -> Any:
        """The next event.

        Raises:
            h11.RemoteProtocolError: the request is malformed.
        """
        if self.their_state is h11.IDLE:
            data, _ = self.trailing_data
            if (end := _HEAD_END.search(data)) is not None:
                check_head(data[: end.end()])
        return super().next_event()


def check_head(head: bytes) -> None:
    """Check the first line and the headers of a request, with the empty line that ends them.

    Raises:
        h11.RemoteProtocolError: they can be read in more than one way.
    """
    if _BARE_LINE_END.search(head):
        raise h11.RemoteProtocolError("a line of the request does not end in CR LF")
    first, *lines = head.split(b"\r\n")
    if any(line[:1] in (b" ", b"\t") for line in lines):
        raise h11.RemoteProtocolError("a header is folded over several lines")
    headers = [
        (name.strip().lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)
    ]
    lengths = [value for name, value in headers if name == b"content-length"]
    encodings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) > 1 or not all(length.isdigit() for length in lengths):
        raise h11.RemoteProtocolError("Content-Length is not one number")
    if lengths and encodings:
        raise h11.RemoteProtocolError("Content-Length and Transfer-Encoding exclude each other")
    if encodings and first.endswith(b"HTTP/1.0"):
        raise h11.RemoteProtocolError("HTTP/1.0 has no Transfer-Encoding")


class HttpProtocol(H11Protocol):
    """uvicorn's, over h11, with the limits of `Connections` and the strictness of `StrictConnection`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = StrictConnection(h11.SERVER, MAX_HEAD_BYTES)
        self._connections = connections
        self._watched: Connection | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watched = self._connections.add(transport, now=self.loop.time())
        self.ws_protocol_class = partial(  # type: ignore[assignment]
            WebSocketProtocol, connections=self._connections, watched=self._watched
        )
        if self._watched is None:
            transport.write(_reply(503, "too many connections are open. Close some, or try again later"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self._watched)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        cycle = cast(RequestResponseCycle | None, self.cycle)
        if self._watched is not None and cycle is not None and not cycle.response_complete:
            self._watched.waiting_since = None

    def on_response_complete(self) -> None:
        if self._watched is not None:
            self._watched.waiting_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a malformed request, if it is not being answered already, and close the connection."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # nothing more can be sent by the application
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_reply(400, "the request is malformed. Send one that keeps to RFC 9112"))
        self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, as one of the studio's connections."""

    def __init__(self, *, connections: Connections, watched: Connection | None, **options: Any) -> None:
        super().__init__(**options)
        self._connections, self._watched = connections, watched
        if watched is not None:
            watched.waiting_since = None

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self._watched)
        super().connection_lost(exc)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self._watched is not None and hasattr(self, "scope"):  # not if the handshake was refused
            self._watched.socket_state = self.scope["state"]

    def send_receive_event_to_app(self) -> None:
        """Hand a message on; close the connection if it is text and not UTF-8 (RFC 6455, 8.1)."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007, "the text is not valid UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def data_received(self, data: bytes) -> None:
        """Take what came in; refuse a handshake that cannot be parsed: uvicorn does not."""
        super().data_received(data)
        if not self.handshake_initiated and not self.handshake_complete:
            self.close_sent = self.handshake_complete = True
            self.transport.write(_reply(400, "the WebSocket handshake is malformed. Send it as in RFC 6455"))
            self.transport.close()


def _reply(status: int, error: str) -> bytes:
    reason = {400: "Bad Request", 503: "Service Unavailable"}[status]
    body = json.dumps({"error": error}).encode()
    return (
        f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    ).encode() + body
