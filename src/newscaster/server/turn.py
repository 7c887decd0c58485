"""TURN servers for the browsers of a studio: a relay for networks that do not reach each other.

Only browsers use them. A browser relays to the studio, which answers where its packets come from.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Sequence

from newscaster.errors import InputError
from newscaster.texts import quoted

LIFETIME_SECONDS = 12 * 3600
_URL = re.compile(r"(?:stun|turns?):[A-Za-z0-9.\-\[\]:]+(?:\?transport=(?:udp|tcp))?")


def check_turn(urls: Sequence[str], secret: str | None) -> None:
    """Check the URLs of STUN and TURN servers (RFC 7064, 7065).

    Raises:
        InputError: a URL is malformed, or a TURN server has no secret.
    """
    for url in urls:
        if _URL.fullmatch(url) is None:
            raise InputError(f"--turn is {quoted(url)}; expected a URL such as turn:turn.example.com:3478")
        if url.startswith("turn") and not secret:
            raise InputError(
                "--turn names a TURN server, but there is no secret. Set NEWSCASTER_TURN_SECRET to the "
                "static-auth-secret of the server"
            )


def ice_servers(
    urls: Sequence[str], secret: str | None, *, now: float | None = None
) -> list[dict[str, object]]:
    """Return the `iceServers` of an RTCPeerConnection, with a password that expires.

    Args:
        urls: STUN and TURN servers.
        secret: shared with the TURN servers ("A REST API for access to TURN services", as coturn has it).
        now: seconds since 1970; None: the clock.
    """
    servers: list[dict[str, object]] = []
    for url in urls:
        if url.startswith("stun") or secret is None:
            servers.append({"urls": url})
            continue
        username = str(int(time.time() if now is None else now) + LIFETIME_SECONDS)
        digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
        servers.append({"urls": url, "username": username, "credential": base64.b64encode(digest).decode()})
    return servers
