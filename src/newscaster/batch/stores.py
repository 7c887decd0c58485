"""Files of a batch in folders and in object stores (`s3://`, `gs://`; any file system of fsspec)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from newscaster.errors import InputError, MissingExtraError, NewscasterError, OutputError
from newscaster.system.durable import PRIVATE_FOLDER, make_folder, rename_unless_there, replace_durably
from newscaster.system.files import atomic_write, listed_temporary
from newscaster.system.leases import exclusive_lock
from newscaster.system.os_errors import why
from newscaster.texts import quoted

RECORDS = ".newscaster-batch"
"""Folder in the destination: receipts, and unfinished outputs."""
_RECEIPTS = "receipts"
_UNFINISHED = "unfinished"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S+")
_MAX_RECEIPT_BYTES = 1 << 20
_RECEIPTS_AT_ONCE = 500
_CACHE_BYTES = 8 << 30
_CACHE_SECONDS = 3600.0


class StoreError(NewscasterError):
    """A store cannot be reached, or failed. A later attempt may succeed."""


@dataclass(frozen=True)
class StoredFile:
    """An output."""

    path: str
    """With /, in the destination."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Receipt:
    """The record that a row is done, written after its outputs."""

    key: str
    """Of the row: see `Plan.key`."""
    files: tuple[StoredFile, ...]
    seconds: float
    """Wall-clock time that the row took."""

    @staticmethod
    def parse(data: bytes) -> Receipt | None:
        """Return a receipt from its JSON; None if it is damaged."""
        try:
            values = json.loads(data)
            files = tuple(
                StoredFile(str(f["path"]), int(f["bytes"]), str(f["sha256"])) for f in values["files"]
            )
            return Receipt(str(values["key"]), files, float(values["seconds"]))
        except (ValueError, KeyError, TypeError):
            return None

    def to_json(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()


class Destination(Protocol):
    """Where outputs go. Pickled to worker processes."""

    def in_use(self) -> AbstractContextManager[None]:
        """Return a context in which a batch may write there: it exists, without what a killed run left
        unfinished.

        Raises:
            OutputError: it cannot be written to, or another batch does.
            StoreError: the store failed.
        """

    def receipts(self) -> Iterator[Receipt]:
        """Yield the receipts of earlier runs.

        Raises:
            StoreError: the store failed.
        """

    def has(self, receipt: Receipt) -> bool:
        """Return whether the outputs of a receipt are there, as they were written.

        Raises:
            StoreError: the store failed.
        """

    def workspace(self) -> AbstractContextManager[Path]:
        """Return a context: a folder for the outputs of a row, removed afterwards."""

    def store(self, workspace: Path, files: Sequence[StoredFile], receipt: Receipt) -> None:
        """Move files of a workspace to the destination, in this order, and then write the receipt.

        Raises:
            OutputError: there is no room, or it cannot be written to.
            StoreError: the store failed.
        """

    def put(self, source: Path, name: str) -> None:
        """Write a copy of a file to the destination, whole or not at all; as :meth:`store`."""


def is_url(value: str) -> bool:
    """Return whether a value is a URL of a store other than this machine's files."""
    return _URL.fullmatch(value) is not None and not value.lower().startswith("file://")


def local_path(value: str) -> Path:
    """Return the path of a value, which may be a `file://` URL."""
    if value.lower().startswith("file://"):
        return Path(unquote(urlsplit(value).path))
    return Path(value)


def destination_of(value: str) -> Destination:
    """Return the destination that a folder or a URL names."""
    return StoreFolder(value.rstrip("/")) if is_url(value) else LocalFolder(local_path(value).absolute())


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine, or one that several machines share. See :class:`Destination`."""

    folder: Path

    @property
    def records(self) -> Path:
        """The folder of the records."""
        return self.folder / RECORDS

    @contextmanager
    def in_use(self) -> Generator[None]:
        """See :class:`Destination`."""
        with exclusive_lock(self.records, what="batch", next_step="wait for it, or name another folder"):
            try:
                make_folder(self.records / _RECEIPTS, mode=PRIVATE_FOLDER)
                shutil.rmtree(self.records / _UNFINISHED, ignore_errors=True)
                make_folder(self.records / _UNFINISHED, mode=PRIVATE_FOLDER)
            except OSError as error:
                raise OutputError(
                    f"'{self.folder}' cannot be written to ({why(error)}). Give another folder with --to"
                ) from error
            yield

    def receipts(self) -> Iterator[Receipt]:
        """See :class:`Destination`."""
        for path in (self.records / _RECEIPTS).glob("*/*.json"):
            with suppress(OSError):
                if (receipt := Receipt.parse(path.read_bytes())) is not None:
                    yield receipt

    def has(self, receipt: Receipt) -> bool:
        """See :class:`Destination`. Sizes and hashes are compared."""
        from newscaster.batch.identity import file_hash

        try:
            return all(
                (self.folder / file.path).stat().st_size == file.bytes
                and file_hash(self.folder / file.path) == file.sha256
                for file in receipt.files
            )
        except OSError:
            return False

    @contextmanager
    def workspace(self) -> Generator[Path]:
        """See :class:`Destination`. It is in the destination, so that files are moved by renaming."""
        with _temporary_folder(self.records / _UNFINISHED) as folder:
            yield folder

    def store(self, workspace: Path, files: Sequence[StoredFile], receipt: Receipt) -> None:
        """See :class:`Destination`."""
        try:
            for file in files:
                target = self.folder / file.path
                make_folder(target.parent)
                replace_durably(workspace / file.path, target)
            path = self.records / _RECEIPTS / receipt.key[:2] / f"{receipt.key}.json"
            make_folder(path.parent)
        except OSError as error:
            raise OutputError(
                f"'{self.folder}' cannot be written to ({why(error)}). Free some space, or write elsewhere"
            ) from error
        with atomic_write(path) as temporary:
            temporary.write_bytes(receipt.to_json())

    def put(self, source: Path, name: str) -> None:
        """See :class:`Destination`."""
        with atomic_write(self.folder / name) as temporary:
            shutil.copyfile(source, temporary)


@dataclass(frozen=True)
class StoreFolder:
    """A folder of an object store, whose objects appear whole. See :class:`Destination`."""

    url: str

    @contextmanager
    def in_use(self) -> Generator[None]:
        """See :class:`Destination`. Of two batches in one store, both write what both do."""
        with _store_errors(self.url, writing=True):
            system, path = _opened(f"{self.url}/{RECORDS}/started")
            system.pipe_file(path, b"")
        yield

    def receipts(self) -> Iterator[Receipt]:
        """See :class:`Destination`."""
        with _store_errors(self.url):
            system, path = _opened(f"{self.url}/{RECORDS}/{_RECEIPTS}")
            system.invalidate_cache()
            names = system.find(path)
        for start in range(0, len(names), _RECEIPTS_AT_ONCE):
            with _store_errors(self.url):
                found = system.cat(names[start : start + _RECEIPTS_AT_ONCE], on_error="omit")
            for data in found.values():
                if (receipt := Receipt.parse(data)) is not None:
                    yield receipt

    def has(self, receipt: Receipt) -> bool:
        """See :class:`Destination`. Sizes are compared: stores do not give one kind of hash."""
        try:
            with _store_errors(self.url):
                system, path = _opened(self.url)
                return all(system.size(f"{path}/{file.path}") == file.bytes for file in receipt.files)
        except InputError:
            return False

    @contextmanager
    def workspace(self) -> Generator[Path]:
        """See :class:`Destination`. It is a temporary folder."""
        with _temporary_folder(Path(tempfile.gettempdir())) as folder:
            yield folder

    def store(self, workspace: Path, files: Sequence[StoredFile], receipt: Receipt) -> None:
        """See :class:`Destination`."""
        with _store_errors(self.url, writing=True):
            system, path = _opened(self.url)
            for file in files:
                system.put_file(str(workspace / file.path), f"{path}/{file.path}")
            system.pipe_file(f"{path}/{RECORDS}/{_RECEIPTS}/{receipt.key}.json", receipt.to_json())

    def put(self, source: Path, name: str) -> None:
        """See :class:`Destination`."""
        with _store_errors(self.url, writing=True):
            system, path = _opened(self.url)
            system.put_file(str(source), f"{path}/{name}")


@contextmanager
def _temporary_folder(parent: Path) -> Generator[Path]:
    try:
        make_folder(parent)
        folder = Path(tempfile.mkdtemp(prefix="newscaster-", dir=parent))
    except OSError as error:
        raise OutputError(f"'{parent}' cannot be written to ({why(error)}). Free some space") from error
    with listed_temporary(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def remote_identity(url: str) -> str:
    """Return what a store says of an object's or a folder's content.

    Raises:
        InputError: there is no such object.
        MissingExtraError: the package of the store is not installed.
        StoreError: the store cannot be reached.
    """
    with _store_errors(url):
        system, path = _opened(url)
        if not system.isdir(path):
            return f"object:{system.ukey(path)}"
        digest = hashlib.sha256()
        for name in sorted(system.find(path)):
            digest.update(f"{name}\0{system.ukey(name)}\0".encode())
        return f"objects:{digest.hexdigest()}"


def fetched(url: str) -> Path:
    """Return a local copy of an object, or of a folder of objects; processes of a machine share it.

    Copies that were not used for an hour are removed when they take more than 8 GB together.

    Raises:
        InputError: there is no such object.
        MissingExtraError: the package of the store is not installed.
        OutputError: there is no room for the copy.
        StoreError: the store cannot be reached, or failed.
    """
    folder = _cache() / hashlib.sha256(f"{url}\0{remote_identity(url)}".encode()).hexdigest()[:32]
    target = folder / (url.rstrip("/").rpartition("/")[2] or "input")
    if not target.exists():
        with _temporary_folder(_cache()) as temporary:
            with _store_errors(url):
                system, path = _opened(url)
                copy = temporary / target.name
                system.get(path, str(copy), recursive=system.isdir(path))
            make_folder(folder, mode=PRIVATE_FOLDER)
            rename_unless_there(copy, target)
        _remove_unused(keep=folder)
    os.utime(folder)
    return target


def _cache() -> Path:
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir(), f"newscaster-inputs-{user}")
    try:
        make_folder(folder, mode=PRIVATE_FOLDER)
    except OSError as error:
        raise OutputError(f"'{folder}' cannot be written to ({why(error)}). Set TMPDIR") from error
    return folder


def _remove_unused(*, keep: Path) -> None:
    """Remove the copies that were used longest ago until the rest takes at most `_CACHE_BYTES`."""
    copies = []
    for folder in _cache().iterdir():
        with suppress(OSError):
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            copies.append((folder.stat().st_mtime, size, folder))
    total = sum(size for _, size, _ in copies)
    for used, size, folder in sorted(copies):
        if total <= _CACHE_BYTES or time.time() - used < _CACHE_SECONDS:
            break
        if folder != keep:
            shutil.rmtree(folder, ignore_errors=True)
            total -= size


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(purpose=f"'{url}'", extra="cluster", package="fsspec") from error
    system, path = url_to_fs(url)
    return system, str(path)


@contextmanager
def _store_errors(url: str, *, writing: bool = False) -> Generator[None]:
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
