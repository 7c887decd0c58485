"""Files of a batch in folders and in object stores (`s3://`, `gs://`; any file system of fsspec)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from newscaster.errors import InputError, OutputError
from newscaster.stores.cache import temporary_folder
from newscaster.stores.remote import is_url, local_path, opened, store_errors
from newscaster.system.durable import PRIVATE_FOLDER, make_folder, replace_durably
from newscaster.system.files import atomic_write, file_sha256, scratch_folder
from newscaster.system.leases import exclusive_lock
from newscaster.system.os_errors import why

RECORDS = ".newscaster-batch"
"""Folder in the destination: receipts, and unfinished outputs."""
_RECEIPTS = "receipts"
_UNFINISHED = "unfinished"
_RECEIPTS_AT_ONCE = 500


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
        try:
            return all(
                (self.folder / file.path).stat().st_size == file.bytes
                and file_sha256(self.folder / file.path) == file.sha256
                for file in receipt.files
            )
        except OSError:
            return False

    @contextmanager
    def workspace(self) -> Generator[Path]:
        """See :class:`Destination`. It is in the destination, so that files are moved by renaming."""
        with temporary_folder(self.records / _UNFINISHED) as folder:
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
        with store_errors(self.url, writing=True):
            system, path = opened(f"{self.url}/{RECORDS}/started")
            system.pipe_file(path, b"")
        yield

    def receipts(self) -> Iterator[Receipt]:
        """See :class:`Destination`."""
        with store_errors(self.url):
            system, path = opened(f"{self.url}/{RECORDS}/{_RECEIPTS}")
            system.invalidate_cache()
            names = system.find(path)
        for start in range(0, len(names), _RECEIPTS_AT_ONCE):
            with store_errors(self.url):
                found = system.cat(names[start : start + _RECEIPTS_AT_ONCE], on_error="omit")
            for data in found.values():
                if (receipt := Receipt.parse(data)) is not None:
                    yield receipt

    def has(self, receipt: Receipt) -> bool:
        """See :class:`Destination`. Sizes are compared: stores do not give one kind of hash."""
        try:
            with store_errors(self.url):
                system, path = opened(self.url)
                return all(system.size(f"{path}/{file.path}") == file.bytes for file in receipt.files)
        except InputError:
            return False

    @contextmanager
    def workspace(self) -> Generator[Path]:
        """See :class:`Destination`. It is a temporary folder."""
        with scratch_folder() as folder:
            yield folder

    def store(self, workspace: Path, files: Sequence[StoredFile], receipt: Receipt) -> None:
        """See :class:`Destination`."""
        with store_errors(self.url, writing=True):
            system, path = opened(self.url)
            for file in files:
                system.put_file(str(workspace / file.path), f"{path}/{file.path}")
            system.pipe_file(f"{path}/{RECORDS}/{_RECEIPTS}/{receipt.key}.json", receipt.to_json())

    def put(self, source: Path, name: str) -> None:
        """See :class:`Destination`."""
        with store_errors(self.url, writing=True):
            system, path = opened(self.url)
            system.put_file(str(source), f"{path}/{name}")
