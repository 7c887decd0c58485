"""Tokens for less than the whole API, for addresses that are given away.

A token to watch lets its holder watch one session. A token to embed lets a page start sessions of one anchor,
and control those that it has started. Both are derived from the token of the studio: a studio with another
token accepts none of them. `embed_tokens` has the ids of those that were made and revoked. ::

    watch~SESSION~MAC        MAC: HMAC-SHA256 of what is before it, keyed with the studio's token
    embed~ANCHOR~MAC         the first token of the anchor
    embed.ID~ANCHOR~MAC      another one
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from urllib.parse import quote, unquote

from newscaster.server.settings import Settings

_MAC_BYTES = 16
_SESSION = r"/v1/sessions/(?P<session>[^/]+)"
_WATCH = (("GET", ""), ("GET", "/ice_servers"), ("POST", "/webrtc"), ("POST", "/viewers"))
_HLS = "/hls/"
_CONTROL = (("DELETE", ""), ("POST", "/say"), ("POST", "/stop"), ("SOCKET", "/socket"))
FIRST_ID = "1"
"""Id of the tokens that show none."""
SOCKET = "SOCKET"
"""Stands for the method of a WebSocket."""


class Kind(Enum):
    """What a token is for."""

    WATCH = "watch"
    EMBED = "embed"


@dataclass(frozen=True)
class Grant:
    """What the holder of a derived token may do."""

    kind: Kind
    subject: str
    """Id of the session that may be watched, or of the anchor."""
    id: str = FIRST_ID
    """Which of the tokens for the same it is, in lower-case letters and digits."""

    def token(self, settings: Settings) -> str | None:
        """Return the token; None: the studio requires none."""
        if settings.token is None:
            return None
        kind = self.kind.value if self.id == FIRST_ID else f"{self.kind.value}.{self.id}"
        content = f"{kind}~{quote(self.subject, safe='')}"
        mac = hmac.digest(settings.token.encode(), content.encode(), "sha256")[:_MAC_BYTES]
        return f"{content}~{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    @staticmethod
    def of(token: str, settings: Settings, *, revoked: Collection[Grant] = ()) -> Grant | None:
        """Return what a token grants; None: it is not a derived one, of another studio, or revoked.

        The MAC is compared in constant time.
        """
        start, _, rest = token.partition("~")
        kind, _, token_id = start.partition(".")
        subject, _, _ = rest.rpartition("~")
        if kind not in {each.value for each in Kind} or not subject:
            return None
        grant = Grant(Kind(kind), unquote(subject, errors="replace"), token_id or FIRST_ID)
        expected = grant.token(settings)
        given = token.encode("utf-8", "surrogatepass")
        if expected is None or not hmac.compare_digest(given, expected.encode()):
            return None
        return None if grant in revoked else grant

    def allows(self, method: str, path: str) -> bool:
        """Whether a request may pass. Of a session to control, the endpoint checks who has started it."""
        match = re.match(_SESSION, path)
        if match is not None:
            rest = path[match.end() :]
            watches = (method, rest) in _WATCH or (method == "GET" and rest.startswith(_HLS))
            if self.kind is Kind.WATCH:
                return match["session"] == self.subject and watches
            return watches or (method, rest) in _CONTROL
        anchor = f"/v1/anchors/{self.subject}"
        return self.kind is Kind.EMBED and (method, path) in {
            ("GET", anchor),
            ("GET", f"{anchor}/poster.jpg"),
            ("POST", "/v1/sessions"),
        }
