"""The C2PA toolkit, loaded on demand and configured to fetch nothing."""

from __future__ import annotations

import json
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from newscaster.errors import MissingExtraError

_SETTINGS: dict[str, Any] = {
    "verify": {
        "remote_manifest_fetch": False,
        "ocsp_fetch": False,
        "verify_trust": True,
        "verify_after_sign": False,  # it doubles the work; `verify` does it
    },
    "builder": {"thumbnail": {"enabled": False}},
    # Above this size, the toolkit buffers files on disk; the default is 512.
    "core": {"backing_store_memory_threshold_in_mb": 8},
}


def is_there() -> bool:
    """Return whether the toolkit is installed."""
    return find_spec("c2pa") is not None and find_spec("cryptography") is not None


def load() -> ModuleType:
    """Import and return the module.

    Raises:
        MissingExtraError: it is not installed.
    """
    if not is_there():
        raise MissingExtraError(purpose="reading and signing provenance", extra=None, package="c2pa-python")
    import c2pa

    module: ModuleType = c2pa
    return module


def context(c2pa: ModuleType, *, signer: Any = None, anchors: str | None = None) -> Any:
    """Return a context for the toolkit's readers and builders.

    Args:
        c2pa: the module.
        signer: a toolkit signer, which is consumed.
        anchors: PEM certificates of authorities whose signers are trusted.
    """
    settings = dict(_SETTINGS)
    if anchors is not None:
        settings["trust"] = {"user_anchors": anchors}
    return c2pa.Context.from_json(json.dumps(settings), signer=signer)
