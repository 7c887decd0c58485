"""A time-stamp authority for tests (RFC 3161): a responder on loopback whose clock can be set."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from signing import make_certificate

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_SHA256, _ECDSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
_POLICY = "1.3.6.1.4.1.99999.1"


@dataclass
class Authority:
    """A running responder."""

    url: str
    certificate: Path
    """PEM of the root that its certificate was issued by."""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    """What its time stamps read."""
    answer: bytes | None = None
    """Sent in place of a time stamp."""
    status: int = 200
    """HTTP status of its answers."""
    limit: int | None = None
    """Requests that it answers; later ones it refuses."""
    requests: int = 0


@contextmanager
def time_stamp_authority(folder: Path) -> Iterator[Authority]:
    """Run a responder until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    days = (-4000, 4000)
    root = make_certificate("Clock root", root_key, of=None, purpose=None, days=days)
    purpose = ExtendedKeyUsageOID.TIME_STAMPING
    leaf = make_certificate("Clock", key, of=root, purpose=purpose, days=days, by=root_key)
    pem = folder / "clock.pem"
    pem.write_bytes(root.public_bytes(serialization.Encoding.PEM))
    authority = Authority(url="", certificate=pem)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["Content-Length"]))
            authority.requests += 1
            answer = authority.answer
            if authority.limit is not None and authority.requests > authority.limit:
                answer = refusal()
            if answer is None:
                answer = _response(request, authority.time, key, (leaf, root))
            self.send_response(authority.status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    authority.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield authority
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _response(
    request: bytes, time: datetime, key: ec.EllipticCurvePrivateKey, chain: tuple[x509.Certificate, ...]
) -> bytes:
    """TimeStampResp: the request's imprint and nonce, with a time, signed as CMS has it (RFC 5652)."""
    (body,) = _elements(request)
    _, imprint, *rest = _elements(body[1])
    nonce = next((part for part in rest if part[0] == 0x02), None)
    info = _sequence(
        _integer(1),
        _oid(_POLICY),
        _tlv(*imprint),
        _integer(int.from_bytes(hashlib.sha256(request).digest()[:8], "big")),
        _tlv(0x18, f"{time.astimezone(UTC):%Y%m%d%H%M%SZ}".encode()),
        b"" if nonce is None else _tlv(*nonce),
    )
    leaf = chain[0]
    algorithm = _sequence(_oid(_SHA256))
    certificates = [one.public_bytes(serialization.Encoding.DER) for one in chain]
    own_hash = _tlv(0x04, hashlib.sha256(certificates[0]).digest())
    attributes = b"".join(
        sorted(
            _sequence(_oid(name), _tlv(0x31, value))
            for name, value in (
                (_CONTENT_TYPE, _oid(_TST_INFO)),
                (_MESSAGE_DIGEST, _tlv(0x04, hashlib.sha256(info).digest())),
                (_SIGNING_CERTIFICATE_V2, _sequence(_sequence(_sequence(own_hash)))),
            )
        )
    )
    signature = key.sign(_tlv(0x31, attributes), ec.ECDSA(hashes.SHA256()))
    signer = _sequence(
        _integer(1),
        _sequence(leaf.issuer.public_bytes(), _integer(leaf.serial_number)),
        algorithm,
        _tlv(0xA0, attributes),
        _sequence(_oid(_ECDSA_SHA256)),
        _tlv(0x04, signature),
    )
    signed = _sequence(
        _integer(3),
        _tlv(0x31, algorithm),
        _sequence(_oid(_TST_INFO), _tlv(0xA0, _tlv(0x04, info))),
        _tlv(0xA0, b"".join(certificates)),
        _tlv(0x31, signer),
    )
    return _sequence(_sequence(_integer(0)), _sequence(_oid(_SIGNED_DATA), _tlv(0xA0, signed)))


def refusal() -> bytes:
    """TimeStampResp of an authority that does not want to."""
    return _sequence(_sequence(_integer(2)))


def _tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _tlv(0x30, b"".join(parts))


def _integer(value: int) -> bytes:
    return _tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    content = b""
    for number in (40 * first + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(0x80 | number & 0x7F)
        content += bytes(reversed(groups))
    return _tlv(0x06, content)


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of DER elements that follow each other."""
    found = []
    while data:
        tag, size, start = data[0], data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start], "big")
        found.append((tag, data[start : start + size]))
        data = data[start + size :]
    return found
