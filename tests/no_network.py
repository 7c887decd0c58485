"""Watching for the network: an audit hook that refuses what leaves this machine, or every socket there is.

As `sitecustomize` of a Python of its own (see `write_sitecustomize`), it refuses all of them and tells of it
in a file. What a library does without Python's sockets, an audit hook does not see.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from functools import cache
from pathlib import Path
from typing import Any


class NetworkUsedError(OSError):
    """Something reached for the network where nothing may."""


def watch_beyond_this_machine() -> None:
    """From now on, refuse connections and look-ups that leave this machine; they cannot be allowed again."""
    sys.addaudithook(_refuse_beyond)


def _refuse_beyond(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and not _is_here(str(address[0])):
            raise NetworkUsedError(f"a test reached for {address!r}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
        host = host.decode() if isinstance(host, bytes) else host
        if host is not None and not _is_here(host):
            raise NetworkUsedError(f"a test asked for the address of {host!r}")


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified or _is_own(address)


@cache
def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether it is an address of this machine's: WebRTC within it goes by those."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def write_sitecustomize(folder: Path, told: Path) -> Path:
    """A folder for PYTHONPATH: Pythons that have it refuse every socket, and write down in `told` which."""
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "def hook(event, arguments):\n"
        "    if event.startswith('socket.'):\n"
        f"        with open({str(told)!r}, 'a') as file:\n"
        "            file.write(f'{event} {arguments!r}\\n')\n"
        "        raise OSError(f'{event}: nothing may use a socket here')\n"
        "sys.addaudithook(hook)\n"
    )
    return folder
