"""What a studio is told when it starts: which anchors, which doors, how much of everything."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from newscaster.errors import InputError
from newscaster.formats.anchor import BUNDLED
from newscaster.synthesis.look_ahead import LOOK_AHEADS_MS, MAX_MS, MIN_MS, STEP_MS
from newscaster.texts import check_unicode, is_unicode, quoted

DEFAULT_PORT = 8765
DEFAULT_LOOK_AHEAD_MS = 200
SHORTEST_TOKEN = 12


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much of everything. What lies beyond is refused in one sentence that names the limit."""

    sessions: int = 8
    """Live sessions at once."""
    clients: int = 4
    """WebRTC listeners of one session."""
    connect_seconds: float = 10.0
    """How long a WebRTC listener may take to connect."""
    jobs: int = 20
    """Jobs that wait or run."""
    kept_jobs: int = 200
    """Jobs that are done and not yet removed."""
    recordings: int = 100
    """Recordings that are kept."""
    recording_seconds: float = 3600.0
    """Length of one recording."""
    script_characters: int = 20_000
    """Text that a session may have waiting."""
    job_characters: int = 200_000
    """Text of a job."""
    upload_bytes: int = 100 << 20
    """Size of a sound file."""
    upload_seconds: float = 3600.0
    """Length of a sound file."""
    decode_seconds: float = 60.0
    """How long a sound file may take to be decoded."""
    uploads: int = 8
    """Sound files that come in at once."""
    stored_upload_bytes: int = 4 << 30
    """Size of all sound files on the disk: those that come in, wait to be spoken, or belong to a job."""
    spare_disk_bytes: int = 256 << 20
    """Free disk space that uploads leave."""
    waiting_seconds: float = 60.0
    """Sound that a session may have waiting."""
    message_bytes: int = 1 << 20
    """Size of a WebSocket message, and of a request that is not an upload."""
    connections: int = 512
    """Connections at once."""
    address_connections: int = 128
    """Connections at once from one address (of IPv6: from one /64 network)."""
    idle_seconds: float = 20.0
    """How long a session that nobody listens to is kept."""
    stall_seconds: float = 10.0
    """How long a client may send no request, nothing of what it announced, or take nothing of what it asked
    for."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"the limit {name} is {value}; expected a number above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A studio's settings.

    Raises:
        InputError: a value is out of range, or the address is not loopback and there is no token.
    """

    anchors: tuple[str, ...] = (BUNDLED,)
    """Anchor files, or `builtin`."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = DEFAULT_PORT
    """Port to listen on; 0 takes one that is free."""
    token: str | None = field(default=None, repr=False)
    """What every client must know; needed off loopback. None: none is asked for."""
    origins: tuple[str, ...] = ()
    """Pages of other origins that may use the API, such as https://news.example."""
    hosts: tuple[str, ...] = ()
    """Other names that the studio is reached by, such as studio.example behind a proxy."""
    keep: Path = field(default_factory=lambda: default_folder())
    """Folder of jobs and recordings, of one studio at a time."""
    adopt: bool = False
    """Whether to take the folder over from a studio on another machine without waiting for a sign of life."""
    look_ahead_ms: int = DEFAULT_LOOK_AHEAD_MS
    """How much later sound live mouths may know of, where a client does not say."""
    backend: str | None = None
    """What runs the rendering network, see `newscaster.open`."""
    timestamp: str | None = None
    """Address of a time-stamp authority (RFC 3161) for signatures; None: none is asked."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not self.anchors:
            raise InputError("no anchor is given; name a NAME.anchor file, or builtin")
        if not is_unicode(self.token or ""):  # which is not shown
            raise InputError(
                "the token is not valid UTF-8. Make one, for example, with: openssl rand -hex 16"
            )
        for name, values in (("host", (self.host,)), ("origin", self.origins), ("allow-host", self.hosts)):
            for value in values:
                check_unicode(value, f"--{name}")
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}; expected 0 to 65535")
        if self.token is not None and len(self.token) < SHORTEST_TOKEN:
            raise InputError(
                f"the token has {len(self.token)} characters; expected {SHORTEST_TOKEN} or more. "
                "Make one, for example, with: openssl rand -hex 16"
            )
        if self.token is None and not self.is_loopback:
            raise InputError(
                f"--host is {quoted(self.host)}, which other machines can reach, and there is no token. "
                "Set one in NEWSCASTER_TOKEN or with --token (openssl rand -hex 16 makes one), or serve on "
                "127.0.0.1"
            )
        if self.look_ahead_ms not in LOOK_AHEADS_MS:
            raise InputError(
                f"--look-ahead is {self.look_ahead_ms}; expected a multiple of {STEP_MS} from {MIN_MS} to "
                f"{MAX_MS}"
            )
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise InputError(
                    f"--origin is {quoted(origin)}; expected scheme and host, such as https://news.example"
                )

    @property
    def is_loopback(self) -> bool:
        """Whether nobody outside this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def new_token() -> str:
    """A token that nobody can guess, of 128 random bits, which needs no escape in an address."""
    return secrets.token_urlsafe(16)


def default_folder() -> Path:
    """Where jobs and recordings are kept: `newscaster` in the user's folder for caches."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "newscaster" / "studio"
