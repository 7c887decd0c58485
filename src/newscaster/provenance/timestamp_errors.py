"""Error messages for failed time-stamp requests.

The toolkit reports all connection failures alike, so the connection is tried again to find the cause. The
toolkit's own text goes to the log that NEWSCASTER_LOG names.
"""

from __future__ import annotations

import logging
import re
import socket
import ssl
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from newscaster import media

_log = logging.getLogger("c2pa")  # as a library's log: not shown, written to NEWSCASTER_LOG

_PATIENCE_SECONDS = 5.0
_STATUS = re.compile(r"\bstatus = (\d{3})\b")
_NOT_SENT = "error sending request"
_BY_STATUS = {
    401: "it asks for a user and a password",
    403: "it refuses access",
    404: "there is nothing at this address",
    405: "there is no time-stamp service at this address",
    410: "there is nothing at this address any more",
    429: "it received too many requests",
}


def refusal(address: str, error: Exception) -> str:
    """Describe in one clause why an authority returned no time stamp.

    Args:
        address: of the authority, valid according to `check_timestamp_address`. A key in it is not shown.
        error: raised by the toolkit.
    """
    shown = media.redact_url(address)
    text = str(error).replace(address, shown)
    _log.warning("no time stamp of %s: %s", shown, text)
    return f"{shown} gave no time stamp: {_cause(address, text)}"


def _cause(address: str, text: str) -> str:
    if (status := _STATUS.search(text)) is not None:
        return _describe_status(int(status[1]))
    if _NOT_SENT in text:
        return _diagnose_connection(address)
    return "it refused, or its answer is not a time stamp (RFC 3161)"


def _describe_status(status: int) -> str:
    cause = _BY_STATUS.get(status)
    if cause is None:
        cause = "it redirects to another address" if 300 <= status < 400 else "it failed"
    return f"{cause} (HTTP status {status})"


def _diagnose_connection(address: str) -> str:
    """Connect like the toolkit, and describe the failure."""
    parts = urlsplit(address)
    host, secure = parts.hostname or "", parts.scheme == "https"
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return f"it cannot be reached through the proxy that {parts.scheme}_proxy names"
    try:
        with socket.create_connection(
            (host, parts.port or (443 if secure else 80)), timeout=_PATIENCE_SECONDS
        ) as connection:
            if secure:
                ssl.create_default_context().wrap_socket(connection, server_hostname=host).close()
    except (socket.gaierror, UnicodeError):  # UnicodeError: a part of the name is too long
        return f"no machine named '{host}' was found"
    except ConnectionRefusedError:
        return "the connection was refused; nothing listens there"
    except TimeoutError:
        return f"it did not answer within {_PATIENCE_SECONDS:.0f} s"
    except ssl.SSLCertVerificationError:
        return "its certificate for https is not trusted here"
    except ssl.SSLError:
        return "it does not answer to https; the address may have to start with http:"
    except OSError as error:
        return f"it cannot be reached ({error.strerror or error})"
    return "it ended the connection without an answer"
