"""Limits of connections, malformed requests, and clients that leave: with sockets, as any client has them."""

from __future__ import annotations

import base64
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn", reason="the extra serve is not installed")

import h11

from newscaster.server.connections import Connections, check_head, network_of
from newscaster.server.settings import Limits
from studios import dial as connect
from studios import head, limited, until, until_closed

HEALTH = "GET /v1/health"
AUDIO = b"RIFF\0\0\0\6WAVEfmt "
HANDSHAKE = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
)


Dial = Callable[[int], socket.socket]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """A function that connects to a port; what is open at the end is closed."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(connect(port))


class Transport:
    """A transport that counts, in place of a socket."""

    def __init__(self, host: str = "10.0.0.1") -> None:
        self.peer = (host, 4242)
        self.unsent = 0
        self.ended: str | None = None

    def get_extra_info(self, name: str) -> Any:
        return self.peer if name == "peername" else None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def abort(self) -> None:
        self.ended = "aborted"

    def close(self) -> None:
        self.ended = "closed"


def add(connections: Connections, transport: Transport, *, now: float) -> Any:
    return connections.add(transport, now=now)  # type: ignore[arg-type]


def test_a_client_that_sends_no_request_is_left() -> None:
    connections = Connections(Limits(stall_seconds=10))
    silent, busy = Transport(), Transport()
    add(connections, silent, now=0)
    add(connections, busy, now=0).waiting_since = None
    connections.sweep(10)
    assert silent.ended is None
    connections.sweep(10.5)
    assert (silent.ended, busy.ended) == ("closed", None)


def test_a_client_that_reads_nothing_is_left_and_a_slow_one_is_not() -> None:
    connections = Connections(Limits(stall_seconds=10))
    stalled, slow = Transport(), Transport()
    for transport in (stalled, slow):
        transport.unsent = 1000
        add(connections, transport, now=0).waiting_since = None
    for now in range(0, 30, 3):
        slow.unsent -= 1
        connections.sweep(now)
    assert (stalled.ended, slow.ended) == ("aborted", None)


def test_what_the_system_has_sent_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes more from the program only when a good part of its own megabytes has gone."""
    waiting = iter(range(1000, 0, -1))
    monkeypatch.setattr("newscaster.server.connections._kernel_unsent", lambda transport: next(waiting))
    connections = Connections(Limits(stall_seconds=10))
    slow = Transport()
    slow.unsent = 65536
    add(connections, slow, now=0).waiting_since = None
    for now in range(0, 60, 3):
        connections.sweep(now)
    assert slow.ended is None


def test_too_many_connections_of_one_address() -> None:
    """The one that has waited longest makes room; those that are answered never do."""
    connections = Connections(Limits(connections=5, address_connections=3))
    transports = [Transport() for _ in range(3)]
    opened = [add(connections, transport, now=now) for now, transport in enumerate(transports)]
    opened[0].waiting_since = None
    assert add(connections, Transport(), now=3) is not None
    assert [transport.ended for transport in transports] == [None, "aborted", None]
    assert len(connections) == 3
    for one in connections._open:
        one.waiting_since = None
    assert add(connections, Transport(), now=4) is None
    assert add(connections, Transport("10.0.0.2"), now=4) is not None


def test_too_many_connections_in_all() -> None:
    connections = Connections(Limits(connections=2, address_connections=2))
    first, second = Transport("10.0.0.1"), Transport("10.0.0.2")
    add(connections, first, now=0)
    add(connections, second, now=1)
    assert add(connections, Transport("10.0.0.3"), now=2) is not None
    assert (first.ended, second.ended) == ("aborted", None)


def test_one_connection_makes_room_in_both_ways() -> None:
    connections = Connections(Limits(connections=2, address_connections=2))
    first, second = Transport(), Transport()
    for transport in (first, second):
        add(connections, transport, now=0)
    assert add(connections, Transport(), now=0) is not None
    assert (first.ended, second.ended, len(connections)) == ("aborted", None, 2)


def test_a_websocket_keeps_its_place_once_the_token_has_come() -> None:
    connections = Connections(Limits(connections=1))
    opened = add(connections, Transport(), now=0)
    opened.waiting_since, opened.socket_state = None, {"trusted": True}
    assert add(connections, Transport(), now=1) is None
    opened.socket_state["trusted"] = False
    assert add(connections, Transport(), now=1) is not None


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        (("192.0.2.7", 80), "192.0.2.7"),
        (("::ffff:192.0.2.7", 80, 0, 0), "192.0.2.7"),
        (("2001:db8::1:2:3:4", 80, 0, 0), "2001:db8::/64"),
        (("fe80::1%eth0", 80, 0, 3), "fe80::/64"),
        ("/run/studio", ""),
        (None, ""),
    ],
)
def test_whose_connection_it_is(peer: object, network: str) -> None:
    assert network_of(peer) == network


def test_heads_that_any_parser_reads_alike() -> None:
    check_head(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: a:b\r\n\r\n")
    check_head(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")


# --- With a studio


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and resets are those of Unix")


@pytest.fixture(scope="module")
def port(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with limited(tiny, tmp_path_factory.mktemp("kept")) as (_, port):
        yield port


MALFORMED = {
    "a length beside chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks beside a length": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "one length twice": "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": "Content-Length: 5, 5\r\n\r\nabcde",
    "a length with a sign": "Content-Length: +5\r\n\r\nabcde",
    "no length": "Content-Length:\r\n\r\nabcde",
    "a folded header": "X-A: a\r\n b: c\r\nContent-Length: 0\r\n\r\n",
    "a line that ends in LF": "X-A: a\nContent-Length: 0\r\n\r\n",
    "a CR within a line": "X-A: a\rContent-Length: 5\r\n\r\nabcde",
    "an end of LF": "Content-Length: 0\r\n\n",
    "a space before the colon": "Content-Length : 5\r\n\r\nabcde",
    "a header without a colon": "Content-Length 5\r\n\r\nabcde",
    "two encodings": "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "an encoding twice": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another encoding": "Transfer-Encoding: identity\r\n\r\n",
    "two hosts": "Host: localhost\r\nContent-Length: 0\r\n\r\n",
    "a NUL": "X-A: \0\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("rest", MALFORMED.values(), ids=MALFORMED)
def test_malformed_requests_are_refused(port: int, rest: str, dial: Dial) -> None:
    """The connection is closed: a second request, hidden in the first, is not answered."""
    with dial(port) as connection:
        hidden = head(HEALTH, port)
        connection.sendall(f"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{rest}".encode() + hidden)
        reply = until_closed(connection)
    assert reply.startswith(b"HTTP/1.1 400 ")
    assert reply.count(b"HTTP/1.1 ") == 1
    assert b'{"error": "the request is malformed' in reply


def test_the_first_of_two_requests_does_not_hide_a_malformed_second(port: int, dial: Dial) -> None:
    bad = (
        f"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{MALFORMED['a length beside chunks']}".encode()
    )
    with dial(port) as connection:
        connection.sendall(head(HEALTH, port) + bad)
        reply = until_closed(connection)
    assert reply.count(b"HTTP/1.1 200 ") == 1
    assert reply.count(b"HTTP/1.1 400 ") == 1


def test_http_1_0_has_no_chunks() -> None:
    with pytest.raises(h11.RemoteProtocolError):
        check_head(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_chunks_may_have_extensions(port: int, dial: Dial) -> None:
    """A recipient must ignore those that it does not know (RFC 9112, 7.1.1)."""
    with dial(port) as connection:
        connection.sendall(
            head("POST /v1/jobs", port, "Transfer-Encoding: chunked", "Content-Type: application/json")
            + b'9;a=b\r\n{"text":1\r\n1;c\r\n}\r\n0\r\n\r\n'
            + head(HEALTH, port, "Connection: close")
        )
        assert b"text is 1; expected a text" in until_closed(connection)


@pytest.mark.parametrize("end", [b"zz\r\n", b"4;a\nb\r\nabcd\r\n", b"-1\r\n", b"4\r\nabcdef\r\n"])
def test_malformed_chunks(port: int, end: bytes, dial: Dial) -> None:
    with dial(port) as connection:
        connection.sendall(head("POST /v1/jobs", port, "Transfer-Encoding: chunked") + b"1\r\n{\r\n" + end)
        assert until_closed(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "headers",
    [
        (*HANDSHAKE, "Transfer-Encoding: chunked"),
        (*HANDSHAKE, "Content-Length: 5"),
        HANDSHAKE[:2],
        (*HANDSHAKE, "X: " + "a" * 9000),
        (*HANDSHAKE, *(f"X{number}: a" for number in range(200))),
    ],
)
def test_malformed_handshakes(port: int, headers: tuple[str, ...], dial: Dial) -> None:
    with dial(port) as connection:
        connection.sendall(head("GET /v1/stream", port, *headers))
        assert until_closed(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.slow
def test_clients_that_do_nothing(tiny: Path, tmp_path: Path, dial: Dial) -> None:
    """Silent, slow request, slow body: each is closed, and others are served."""
    with limited(tiny, tmp_path, stall_seconds=1) as (process, port):
        silent, half, kept, body, expecting = (dial(port) for _ in range(5))
        half.sendall(head(HEALTH, port)[:-2])
        kept.sendall(head(HEALTH, port))
        body.sendall(head("POST /v1/jobs", port, "Content-Length: 100") + b"{")
        expecting.sendall(head("POST /v1/jobs", port, "Content-Length: 100", "Expect: 100-continue"))
        until(lambda: is_closed_despite(half, b"X"))
        assert until_closed(silent) == b""
        assert until_closed(kept).count(b"HTTP/1.1 ") == 1
        assert until_closed(body).startswith(b"HTTP/1.1 408 ")
        reply = until_closed(expecting)
        assert reply.startswith(b"HTTP/1.1 100 ")
        assert b"HTTP/1.1 408 " in reply
        assert b"the body of the request stalled for 1 s" in reply
        with dial(port) as connection:
            connection.sendall(head(HEALTH, port, "Connection: close"))
            assert until_closed(connection).startswith(b"HTTP/1.1 200 ")
        assert stderr_of(process) == ""


def is_closed_despite(connection: socket.socket, data: bytes) -> bool:
    """Whether the studio has closed a connection over which more and more is sent."""
    try:
        connection.sendall(data)
    except ConnectionError:
        return True
    connection.setblocking(False)
    try:
        return connection.recv(1000) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.slow
def test_a_body_that_trickles(tiny: Path, tmp_path: Path, dial: Dial) -> None:
    """One byte at a time, each before the patience with silence ends."""
    with limited(tiny, tmp_path, stall_seconds=1) as (_, port):
        connection = dial(port)
        connection.sendall(head("POST /v1/jobs", port, "Content-Length: 1000000"))
        until(lambda: is_closed_despite(connection, b" "))


def test_connections_of_one_address(tiny: Path, tmp_path: Path, dial: Dial) -> None:
    with limited(tiny, tmp_path, address_connections=3, stall_seconds=300) as (_, port):
        silent = [dial(port) for _ in range(3)]
        with dial(port) as connection:
            connection.sendall(head(HEALTH, port, "Connection: close"))
            assert until_closed(connection).startswith(b"HTTP/1.1 200 ")
        assert until_closed(silent[0]) == b""
        sending = [dial(port) for _ in range(3)]
        for one in sending:
            one.sendall(head("POST /v1/jobs/audio", port, "Content-Length: 1000") + AUDIO)
        until(lambda: len(list((tmp_path / "uploads").iterdir())) == 3)
        with dial(port) as connection:
            assert until_closed(connection).startswith(b"HTTP/1.1 503 ")


def test_a_download_that_is_not_read(tiny: Path, tmp_path: Path) -> None:
    size = 64 << 20
    with limited(tiny, tmp_path, stall_seconds=1) as (process, port):
        with (tmp_path / "recordings" / "long.mp4").open("wb") as file:
            file.truncate(size)
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.sendall(head("GET /v1/recordings/long", port))
            assert process.stderr is not None
            assert process.stderr.readline() == "a client read nothing for 1 s; its connection was closed\n"
            connection.settimeout(60)
            assert len(until_closed(connection)) < size


@pytest.mark.slow
def test_uploads_at_once(tiny: Path, tmp_path: Path, dial: Dial) -> None:
    with limited(tiny, tmp_path, uploads=2, stall_seconds=300) as (_, port):
        uploads = tmp_path / "uploads"
        upload = head("POST /v1/jobs/audio", port, "Content-Length: 1000") + AUDIO
        sending = [dial(port) for _ in range(2)]
        for one in sending:
            one.sendall(upload)
        until(lambda: len(list(uploads.iterdir())) == 2)
        with dial(port) as connection:
            connection.sendall(head("POST /v1/jobs/audio", port, "Content-Length: 9", "Connection: close"))
            reply = until_closed(connection)
        assert reply.startswith(b"HTTP/1.1 429 ")
        assert b"2 files are being uploaded, the maximum" in reply
        sending[0].close()
        until(lambda: len(list(uploads.iterdir())) == 1)
        with dial(port) as connection:
            connection.sendall(upload)
            until(lambda: len(list(uploads.iterdir())) == 2)


# --- Clients that disconnect


def leave(connection: socket.socket, *, rudely: bool) -> None:
    if rudely:  # with a reset
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def shake_hands(dial: Dial, port: int) -> socket.socket:
    connection = dial(port)
    connection.sendall(head("GET /v1/stream", port, *HANDSHAKE))
    reply = b""
    while not reply.endswith(b"\r\n\r\n"):
        reply += connection.recv(1)
    assert reply.startswith(b"HTTP/1.1 101 ")
    return connection


def text(message: str | bytes) -> bytes:
    """A WebSocket frame of text, masked with zeros."""
    data = message.encode() if isinstance(message, str) else message
    assert len(data) < 126
    return bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data


def stderr_of(process: Any) -> str:
    """Stop a studio, and return its log."""
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    return str(err)


@pytest.mark.slow
@pytest.mark.parametrize("rudely", [False, True])
def test_clients_that_leave(tiny: Path, tmp_path: Path, rudely: bool, dial: Dial) -> None:
    with limited(tiny, tmp_path) as (process, port):
        with (tmp_path / "recordings" / "long.mp4").open("wb") as file:
            file.truncate(64 << 20)
        for start, body in (("POST /v1/jobs/audio", AUDIO), ("POST /v1/jobs", b"{")):
            connection = dial(port)
            connection.sendall(head(start, port, "Content-Length: 1000") + body)
            if body == AUDIO:
                until(lambda: list((tmp_path / "uploads").iterdir()))
            leave(connection, rudely=rudely)
            until(lambda: not list((tmp_path / "uploads").iterdir()))
        connection = dial(port)
        connection.sendall(head("GET /v1/recordings/long", port))
        assert connection.recv(1000)
        leave(connection, rudely=rudely)
        for messages in ([], ['{"output": "none"}'], ['{"output": "mp4"}', '{"type": "flush"}']):
            connection = shake_hands(dial, port)
            for message in messages:
                connection.sendall(text(message))
            if len(messages) == 2:
                assert connection.recv(1000)
            leave(connection, rudely=rudely)
        connection = shake_hands(dial, port)
        connection.sendall(text(b"\xff\xfe"))
        assert struct.pack("!H", 1007) in until_closed(connection)
        lines = stderr_of(process).splitlines()
    assert "Traceback" not in "".join(lines)
    assert lines.count("POST '/v1/jobs/audio': the client disconnected during its upload") == 1
    left = {
        "'/v1/stream': the client disconnected during the reply"
    }  # if it disconnected before the session existed
    assert set(lines) - left == {"POST '/v1/jobs/audio': the client disconnected during its upload"}


@pytest.mark.slow
def test_a_studio_that_ends_in_the_middle(tiny: Path, tmp_path: Path, dial: Dial) -> None:
    with limited(tiny, tmp_path, stall_seconds=300) as (process, port):
        upload, stream, greeting = dial(port), shake_hands(dial, port), shake_hands(dial, port)
        upload.sendall(head("POST /v1/jobs/audio", port, "Content-Length: 1000") + AUDIO)
        stream.sendall(text('{"output": "mp4"}'))
        assert stream.recv(1000)
        until(lambda: list((tmp_path / "uploads").iterdir()))
        lines = stderr_of(process).splitlines()
        assert until_closed(upload).startswith(b"HTTP/1.1 503 ")
        for socket_ in (stream, greeting):
            with suppress(ConnectionError):
                until_closed(socket_)
    assert not [line for line in lines if "Traceback" in line]
    assert "'/v1/jobs/audio': the studio stopped before it replied" in lines
