"""Folders of the user."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from newscaster.errors import OutputError

HOME_VARIABLE = "NEWSCASTER_HOME"
"""Environment variable that names another folder for what newscaster keeps of a user."""


def platform_cache_folder() -> Path:
    """Return the folder of newscaster in the user's cache.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "newscaster"


def config_folder() -> Path:
    """Return the folder of the user's configuration: `config` in NEWSCASTER_HOME if that is set.

    Raises:
        RuntimeError: the user has no home folder.
    """
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named) / "config"
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or str(Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Application Support")
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "newscaster"


def make_cache_folder(folder: Path) -> None:
    """Make a folder that the user named for what can be computed again, if it is missing.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"the cache '{folder}' cannot be made ({error}). Name another folder") from error


def cache_folder() -> Path:
    """Return the folder of what can be computed again: that of `platform_cache_folder`, unless
    NEWSCASTER_HOME names another one.

    Raises:
        RuntimeError: the user has no home folder.
    """
    named = os.environ.get(HOME_VARIABLE)
    return Path(named) / "cache" if named else platform_cache_folder()
