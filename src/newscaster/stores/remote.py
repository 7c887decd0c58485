"""URLs of object stores, what stores say of objects, and their errors."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from newscaster.errors import InputError, MissingExtraError, NewscasterError, OutputError
from newscaster.system.durable import make_folder
from newscaster.system.os_errors import why
from newscaster.texts import quoted

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S+")


class StoreError(NewscasterError):
    """A store cannot be reached, or failed. A later attempt may succeed."""


def is_url(value: str) -> bool:
    """Return whether a value is a URL of a store other than this machine's files."""
    return _URL.fullmatch(value) is not None and not value.lower().startswith("file://")


def local_path(value: str) -> Path:
    """Return the path of a value, which may be a `file://` URL."""
    if value.lower().startswith("file://"):
        return Path(unquote(urlsplit(value).path))
    return Path(value)


def remote_identity(url: str) -> str:
    """Return what a store says of an object's or a folder's content.

    Raises:
        InputError: there is no such object.
        MissingExtraError: the package of the store is not installed.
        StoreError: the store cannot be reached.
    """
    with store_errors(url):
        system, path = opened(url)
        system.invalidate_cache(path)
        if not system.isdir(path):
            return f"object:{system.ukey(path)}"
        digest = hashlib.sha256()
        for name in sorted(system.find(path)):
            digest.update(f"{name}\0{system.ukey(name)}\0".encode())
        return f"objects:{digest.hexdigest()}"


def objects_in(url: str, *, suffix: str) -> list[str]:
    """Return the URLs of the objects in a folder, without those of deeper folders, in order.

    Args:
        url: URL of the folder.
        suffix: end of the names.

    Raises:
        InputError: there is no such folder.
        MissingExtraError: the package of the store is not installed.
        StoreError: the store cannot be reached.
    """
    with store_errors(url):
        system, path = opened(url)
        system.invalidate_cache()
        names = sorted(name.rstrip("/").rpartition("/")[2] for name in system.ls(path, detail=False))
        return [f"{url.rstrip('/')}/{name}" for name in names if name.endswith(suffix)]


def opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it.

    Raises:
        MissingExtraError: fsspec is not installed.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(purpose=f"'{url}'", extra="stores", package="fsspec") from error
    system, path = url_to_fs(url)
    return system, str(path)


@contextmanager
def store_errors(url: str, *, writing: bool = False) -> Generator[None]:
    """Turn what libraries of stores raise into errors of newscaster."""
    try:
        yield
    except NewscasterError:
        raise
    except ImportError as error:
        scheme = urlsplit(url).scheme
        raise InputError(
            f"{quoted(url)} needs a package that is not installed ({error}). Install what fsspec takes for "
            f"{scheme}://, or give a folder"
        ) from error
    except FileNotFoundError as error:
        if writing:
            raise OutputError(
                f"{quoted(url)} does not exist, or its bucket does not. Create it first"
            ) from error
        raise InputError(f"there is no {quoted(url)}. Check the address") from error
    except PermissionError as error:
        message = f"{quoted(url)} may not be {'written to' if writing else 'read'}. Check the credentials"
        raise (OutputError if writing else InputError)(message) from error
    except ValueError as error:  # an unknown protocol
        raise InputError(f"{quoted(url)} cannot be used ({error})") from error
    except Exception as error:  # each library of a store has its own
        raise StoreError(
            f"{quoted(url)}: {type(error).__name__}: {error}. Check that the store is up"
        ) from error


@contextmanager
def stored_file(folder: str, name: str, mode: str) -> Generator[BinaryIO]:
    """Open a file in a folder of this machine or in a store: to read ("rb"), or to replace it ("wb").

    Args:
        folder: path or URL of the folder; it is made if missing, to write.
        name: of the file.
        mode: "rb" or "wb".

    Raises:
        InputError: there is no such file.
        MissingExtraError: the package of the store is not installed.
        OutputError: it cannot be written.
        StoreError: the store cannot be reached, or failed.
    """
    if is_url(folder):
        url = f"{folder.rstrip('/')}/{name}"
        with store_errors(url, writing=mode == "wb"):
            system, path = opened(url)
            file: Any = system.open(path, mode)
    else:
        local = local_path(folder) / name
        try:
            if mode == "wb":
                make_folder(local.parent)
            file = local.open(mode)
        except OSError as error:
            if mode == "wb":
                raise OutputError(f"'{local}' cannot be written ({why(error)}). Write elsewhere") from error
            raise InputError(f"'{local}' cannot be read ({why(error)}). Check the folder") from error
    with file:
        yield file
