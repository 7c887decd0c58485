"""Where `live` sends frames: FFmpeg, a media server over WebRTC, or a virtual camera, by the address."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from newscaster.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from newscaster.media import LiveItem
    from newscaster.media.containers import Container

WHIP_TOKEN = "NEWSCASTER_WHIP_TOKEN"
_WHIP = "whip+"


def container_for(address: str, format_name: str | None) -> Container | None:
    """Return the container of an address; None: it takes frames in another way.

    Raises:
        InputError: a format is named for such an address.
        OutputError: the address implies no format.
    """
    from newscaster import media

    if _is_whip(address) or media.is_camera(address):
        if format_name is not None:
            raise InputError(
                f"--format is given, but '{media.redact_url(address)}' has none. Remove the option"
            )
        return None
    return media.live_container(address, format_name)


def file_of(address: str) -> Path | None:
    """Return the file that an address names; None if it is no file."""
    from newscaster import media

    return None if media.is_camera(address) else media.live_file(address)


def write(
    address: str,
    items: Iterable[LiveItem],
    *,
    fps: Fraction,
    rate: int,
    format_name: str | None,
    metadata: Mapping[str, str],
    crf: int,
    inputs: Iterable[tuple[object, str]],
) -> None:
    """Send frames to an address: see `media.write_live`, `media.write_camera` and `server.whip.send_whip`."""
    from newscaster import media

    if media.is_camera(address):
        media.write_camera(address, items, fps=fps)
    elif _is_whip(address):
        try:
            from newscaster.server.whip import send_whip
        except ModuleNotFoundError as error:
            raise MissingExtraError(purpose="WHIP", extra="serve", package=error.name or "aiortc") from error
        send_whip(address, items, fps=fps, rate=rate, token=os.environ.get(WHIP_TOKEN))
    else:
        media.write_live(
            address,
            items,
            fps=fps,
            rate=rate,
            format_name=format_name,
            metadata=metadata,
            crf=crf,
            inputs=inputs,
        )


def _is_whip(address: str) -> bool:
    return address.lower().startswith(_WHIP)
