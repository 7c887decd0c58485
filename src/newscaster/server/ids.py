"""Ids of sessions, jobs, recordings and videos, and the routing of requests to the studio that has them.

With `serve --instance NAME`, ids have the form NAME.RANDOM. A proxy in front of several studios finds the
studio of a request by this prefix, or by the cookie of the page. The random part cannot be guessed.
"""

from __future__ import annotations

import re

from newscaster.errors import InputError
from newscaster.texts import quoted

COOKIE = "newscaster-studio"
"""Cookie of the page, with the name of its studio. It holds no secret."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")


def check_instance(name: str | None) -> None:
    """Check the name of a studio.

    Raises:
        InputError: it does not fit into ids and file names.
    """
    if name is not None and _NAME.fullmatch(name) is None:
        raise InputError(
            f"--instance is {quoted(name)}; expected 1 to 32 lower-case letters, digits and hyphens, such as "
            "studio-0"
        )


def with_instance(name: str | None, random: str) -> str:
    """Return an id: the random part, after the name of the studio if it has one."""
    return random if name is None else f"{name}.{random}"


def cookie(name: str) -> bytes:
    """Return the value of a Set-Cookie header that names a studio."""
    return f"{COOKIE}={name}; Path=/; HttpOnly; SameSite=Strict".encode()
