"""Settings of a studio: anchors, addresses, access and limits."""

from __future__ import annotations

import ipaddress
import math
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from newscaster.errors import InputError
from newscaster.formats.bundled_anchors import BUNDLED
from newscaster.server.ids import check_instance
from newscaster.server.turn import check_turn
from newscaster.speech.spoken import Pronunciations
from newscaster.synthesis.look_ahead import LOOK_AHEADS_MS, MAX_MS, MIN_MS, STEP_MS
from newscaster.system.folders import platform_cache_folder
from newscaster.texts import check_unicode, is_unicode, quoted

DEFAULT_PORT = 8765
DEFAULT_LOOK_AHEAD_MS = 200
MIN_TOKEN_CHARACTERS = 12


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits. A request beyond one is rejected with a sentence that names the limit."""

    sessions: int = 8
    """Concurrent live sessions."""
    clients: int = 4
    """WebRTC clients of one session."""
    viewers: int = 50
    """WebRTC viewers of one session, beside its clients."""
    connect_seconds: float = 10.0
    """Time for a WebRTC client to connect."""
    jobs: int = 20
    """Queued and running jobs."""
    kept_jobs: int = 200
    """Finished jobs that are not removed."""
    recordings: int = 100
    """Stored recordings."""
    recording_seconds: float = 3600.0
    """Length of one recording."""
    script_characters: int = 20_000
    """Pending text of a session."""
    job_characters: int = 200_000
    """Text of a job."""
    upload_bytes: int = 100 << 20
    """Size of an audio file."""
    upload_seconds: float = 3600.0
    """Length of an audio file."""
    decode_seconds: float = 60.0
    """Time to decode an audio file, and to find the faces in a video."""
    uploads: int = 8
    """Concurrent uploads of audio and video files."""
    video_bytes: int = 1 << 30
    """Size of a video to dub."""
    video_seconds: float = 3600.0
    """Length of a video to dub."""
    photo_bytes: int = 64 << 20
    """Size of a photograph."""
    training_minutes: float = 720.0
    """Training time of an anchor of footage."""
    videos: int = 20
    """Uploaded videos that are not removed."""
    video_idle_seconds: float = 3600.0
    """Time after which an uploaded video that no request and no job uses is removed."""
    stored_upload_bytes: int = 8 << 30
    """Total size of uploaded files on disk, in progress, pending or of jobs, and of anchors made of them."""
    spare_disk_bytes: int = 256 << 20
    """Free disk space that uploads leave."""
    open_anchors: int = 8
    """Open anchors, apart from those that sessions use."""
    anchor_cache_bytes: int = 8 << 30
    """Size of the copies of anchors in object stores beyond which unused ones are removed."""
    waiting_seconds: float = 60.0
    """Pending audio of a session."""
    message_bytes: int = 1 << 20
    """Size of a WebSocket message, and of a request that is not an upload."""
    connections: int = 512
    """Concurrent connections."""
    address_connections: int = 128
    """Concurrent connections per address (IPv6: per /64 network)."""
    idle_seconds: float = 20.0
    """Time after which a session without a client ends."""
    stall_seconds: float = 10.0
    """Time for which a client may send no request, nothing of a started body, or read nothing of a reply."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise InputError(f"the limit {name} is {value}; expected a number above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of a studio.

    Raises:
        InputError: a value is out of range, or the address is not loopback and there is no token.
    """

    anchors: tuple[str, ...] = (BUNDLED,)
    """Anchor files, `builtin`, and URLs of anchors or of folders of anchors in object stores."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = DEFAULT_PORT
    """Port to listen on; 0 picks a free one."""
    token: str | None = field(default=None, repr=False)
    """API token; required when binding to a non-loopback address. None: no token."""
    origins: tuple[str, ...] = ()
    """Origins of other pages that may use the API, such as https://news.example."""
    hosts: tuple[str, ...] = ()
    """Further Host names of the studio, such as studio.example behind a proxy."""
    keep: Path = field(default_factory=lambda: default_folder())
    """Folder of jobs and recordings; one studio at a time."""
    adopt: bool = False
    """Whether to take over the folder of a stopped studio on another machine without waiting."""
    look_ahead_ms: int = DEFAULT_LOOK_AHEAD_MS
    """Audio look-ahead of live speech, if a client sets none."""
    backend: str | None = None
    """Inference backend, see `newscaster.open`."""
    timestamp: str | None = None
    """Address of a time-stamp authority (RFC 3161) for signatures; None: no time stamps."""
    turn: tuple[str, ...] = ()
    """STUN and TURN servers for the browsers."""
    turn_secret: str | None = field(default=None, repr=False)
    """Secret shared with the TURN servers."""
    instance: str | None = None
    """Name of the studio among several behind one proxy: a prefix of ids. None: no prefix."""
    drain_seconds: float = 0.0
    """Time for which sessions and the running job go on after a SIGTERM; 0: they end at once."""
    limits: Limits = field(default_factory=Limits)
    pronunciations: Pronunciations | None = None
    """How words of texts are read; None: the user's own file, if there is one."""

    def __post_init__(self) -> None:
        if not self.anchors:
            raise InputError("no anchor is given; name a NAME.anchor file, or builtin")
        if not is_unicode(self.token or ""):  # not quoted in the message
            raise InputError(
                "the token is not valid UTF-8. Create one, for example with: openssl rand -hex 16"
            )
        for name, values in (("host", (self.host,)), ("origin", self.origins), ("allow-host", self.hosts)):
            for value in values:
                check_unicode(value, f"--{name}")
        if not 0 <= self.port <= 65535:
            raise InputError(f"--port is {self.port}; expected 0 to 65535")
        check_instance(self.instance)
        check_turn(self.turn, self.turn_secret)
        if not 0 <= self.drain_seconds < math.inf:
            raise InputError(f"--drain is {self.drain_seconds}; expected a number of seconds, 0 or more")
        if self.token is not None and len(self.token) < MIN_TOKEN_CHARACTERS:
            raise InputError(
                f"the token has {len(self.token)} characters; expected at least {MIN_TOKEN_CHARACTERS}. "
                "Create one, for example with: openssl rand -hex 16"
            )
        if self.token is None and not self.is_loopback:
            raise InputError(
                f"--host is {quoted(self.host)}, which other machines can reach, but there is no token. "
                "Set NEWSCASTER_TOKEN or --token (create one with: openssl rand -hex 16), or serve on "
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
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def new_token() -> str:
    """Return a random URL-safe token of 128 bits."""
    return secrets.token_urlsafe(16)


def default_folder() -> Path:
    """Return the default folder of jobs and recordings, in the user's cache."""
    return platform_cache_folder() / "studio"
