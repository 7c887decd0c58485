"""Limits of connections: their number, idle and stalled clients, and malformed requests.

This works below the application, on transports: a client that sends no request never reaches it, and one that
reads nothing would leave it waiting. `middleware` checks hosts, origins and tokens.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
from functools import partial
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from newscaster.server.settings import Limits
from newscaster.system.native_calls import unacknowledged_bytes

_log = logging.getLogger("newscaster.server")

SWEEP_SECONDS = 1.0
MAX_HEAD_BYTES = 16 << 10
"""Maximum size of the first line and the headers of a request."""
_HEAD_END = re.compile(rb"\n\r?\n")
_BARE_LINE_END = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_IPV6_PREFIX = 64
"""Prefix length that counts as one client, which may use any address of its network."""


class Connection:
    """One open HTTP connection, possibly upgraded to WebSocket.

    Args:
        transport: the open transport.
        network: the client's address; of IPv6, its /64 network.
        now: the event loop's time in seconds.
    """

    def __init__(self, transport: asyncio.Transport, network: str, now: float) -> None:
        self.transport, self.network = transport, network
        self.waiting_since: float | None = now
        """Event loop time since which a request is due; None while one is answered."""
        self.socket_state: dict[str, Any] | None = None
        """State of a WebSocket's scope; its `trusted` is True once the token has come."""
        self._opened = now
        self._unsent, self._progress = 0, now

    @property
    def idle_since(self) -> float | None:
        """Event loop time since the last request or trusted WebSocket; None: one is in progress."""
        if self.socket_state is not None:
            return None if self.socket_state.get("trusted") else self._opened
        return self.waiting_since

    def is_stalled(self, now: float, limit: float) -> bool:
        """Whether the client has read nothing for `limit` seconds although data is pending."""
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            unsent += _kernel_unsent(self.transport)
        if not unsent or unsent != self._unsent:
            self._unsent, self._progress = unsent, now
        return now - self._progress > limit


def _kernel_unsent(transport: asyncio.Transport) -> int:
    """Return the bytes in the kernel that the client has not acknowledged; 0 if unknown.

    The kernel may buffer megabytes, and accepts more only when a third of them is gone. Without this, a slow
    reader would look like one that does not read at all.
    """
    try:
        return unacknowledged_bytes(transport.get_extra_info("socket").fileno())
    except (AttributeError, OSError, ValueError):
        return 0


class Connections:
    """All open connections of a studio.

    Args:
        limits: maximum number in total and per address, and idle times.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open: dict[Connection, None] = {}  # in order of arrival

    def __len__(self) -> int:
        return len(self._open)

    def add(self, transport: asyncio.Transport, *, now: float) -> Connection | None:
        """Admit a connection, if necessary by closing an idle one; return None if there are too many."""
        network = network_of(transport.get_extra_info("peername"))
        neighbours = [connection for connection in self._open if connection.network == network]
        if len(neighbours) >= self._limits.address_connections and not self._close_one(neighbours):
            return None
        if len(self._open) >= self._limits.connections and not self._close_one(list(self._open)):
            return None
        connection = Connection(transport, network, now)
        self._open[connection] = None
        return connection

    def remove(self, connection: Connection | None) -> None:
        """Remove a lost connection."""
        if connection is not None:
            self._open.pop(connection, None)

    def _close_one(self, among: list[Connection]) -> bool:
        """Close the connection that has been idle longest; return False if none is idle."""
        idle = [(since, candidate) for candidate in among if (since := candidate.idle_since) is not None]
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
        for connection in tuple(self._open):
            if connection.is_stalled(now, limit):
                _log.warning("a client read nothing for %g s; its connection was closed", limit)
                connection.transport.abort()
            elif connection.waiting_since is not None and now - connection.waiting_since > limit:
                connection.transport.close()

    async def watch(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep(loop.time())

    def protocol(self, **options: Any) -> HttpProtocol:
        """Return the protocol of a new connection, for uvicorn."""
        return HttpProtocol(**options, connections=self)


def network_of(peer: object) -> str:
    """Return the network of a client: an IPv4 address, a /64 of IPv6, or an empty string."""
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
    """h11's parser, restricted to unambiguous requests (RFC 9112).

    h11 itself accepts lines that end in a bare LF, folded lines, repeated Content-Length headers, and
    Content-Length beside Transfer-Encoding. Behind a proxy that parses them differently, a second request
    could be smuggled in.
    """

    def next_event(self) -> Any:
        """Return the next event.

        Raises:
            h11.RemoteProtocolError: the request is malformed.
        """
        if self.their_state is h11.IDLE:
            data, _ = self.trailing_data
            if (end := _HEAD_END.search(data)) is not None:
                check_head(data[: end.end()])
        return super().next_event()


def check_head(head: bytes) -> None:
    """Check the first line and the headers of a request, including the final empty line.

    Raises:
        h11.RemoteProtocolError: they are ambiguous.
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
    """uvicorn's h11 protocol with the limits of `Connections` and the parser `StrictConnection`."""

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
        """Reject a malformed request, unless a reply has started, and close the connection."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # the application can send nothing more
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_reply(400, "the request is malformed. Send one that conforms to RFC 9112"))
        self.transport.close()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, counted among the connections of the studio."""

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
        """Pass a message on; close the connection if its text is not UTF-8 (RFC 6455, 8.1)."""
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
        """Handle received data; reject a malformed handshake, which uvicorn does not."""
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
