"""The anchor format: one file that holds everything needed to make one person speak.

A zip, stored and not compressed, whose members are data only: nothing in it is code or pickle. Knows what
the members are and how to tell a sound file from a damaged one; what they do is for `runtime` to know.

::

    NAME.anchor
    ├── anchor.json                    what it is, how it was made, sha256 of every other member
    ├── networks/speech_encoder.onnx   only where the features need it, and not where the header names its
    │                                  sha256 as that of the encoder that comes with newscaster
    ├── networks/motion.onnx           features (B, T, D) float32 -> coefficients (B, T, K) float32
    ├── networks/renderer.onnx         region (B, S, S, 3), face_map (B, C, M, M) -> rendered, all uint8
    ├── face.safetensors               mouth basis, head, mask, the stage's face track
    └── stage.mp4                      the footage that the mouth is rewritten on
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from newscaster.errors import AnchorError, InputError
from newscaster.formats.anchor_face import AnchorFace as AnchorFace  # known by both names
from newscaster.formats.anchor_info import FORMAT, AnchorInfo
from newscaster.safety.readers import open_regular_file, read_json, read_tensors
from newscaster.version import VERSION

SUFFIX = ".anchor"
BUNDLED = "builtin"
"""What the anchor that comes with newscaster is called wherever an anchor's file can be named."""
HEADER = "anchor.json"
SPEECH_ENCODER = "networks/speech_encoder.onnx"
MOTION = "networks/motion.onnx"
RENDERER = "networks/renderer.onnx"
FACE = "face.safetensors"
TARGET = "stage.mp4"
_ORDER = (HEADER, FACE, SPEECH_ENCODER, MOTION, RENDERER, TARGET)
MAX_BYTES = 1 << 30
"""Of an anchor's file. The built-in one has 18 MB."""
_ZIP_BEGIN = b"PK\x03\x04"
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_MAX_DIRECTORY = 1 << 16
_LARGEST_HEADER = 1 << 20
_AGAIN = "Copy the file again from where it came, or train the anchor again"


def bundled_anchor() -> Path:
    """The file of the anchor that comes with newscaster.

    Raises:
        AnchorError: this installation lacks it.
    """
    path = Path(__file__).parents[1] / "data" / "builtin.anchor"
    if not path.is_file():
        raise AnchorError(
            f"this installation of newscaster lacks the built-in anchor ('{path}'). Install newscaster "
            "again, or name an anchor of your own, NAME.anchor"
        )
    return path


def is_bundled(path: Path) -> bool:
    """Whether a file is the anchor that comes with newscaster."""
    try:
        return path.resolve() == bundled_anchor().resolve()
    except AnchorError:
        return False


def anchor_path(anchor: str | Path) -> Path:
    """The file of an anchor, which BUILTIN (a string; ./builtin is a file) stands for, too."""
    return bundled_anchor() if anchor == BUNDLED else Path(anchor)


def _members(info: AnchorInfo) -> list[str]:
    """The members that an anchor has besides its header, in the order of the file."""
    own_encoder = info.features.needs_encoder and info.shared_encoder is None
    return [name for name in _ORDER[1:] if name != SPEECH_ENCODER or own_encoder]


class AnchorFile:
    """An anchor on disk, every byte of it checked.

    Args:
        path: the file.

    Raises:
        AnchorError: it is missing, not an anchor, cut short, changed, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with self._opened() as archive:
            names = [entry.filename for entry in archive.infolist()]
            if HEADER not in names:
                raise self._not_an_anchor(f"it is a zip file without {HEADER}")
            self.info, self.members = self._header(archive)
            self._check_names(names)
            for name in self.members:
                self._read(archive, name, keep=False)

    def __repr__(self) -> str:
        return f"AnchorFile({str(self.path)!r}: {self.info.name!r}, {self.info.target_frames} stage frames)"

    @property
    def identity(self) -> str:
        """sha256 of what the anchor is made of: of its members' own, whatever its header says of it."""
        parts = [f"{name} {self.members[name]['sha256']}\n" for name in sorted(self.members)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def read(self, name: str) -> bytes:
        """A member's content, checked again.

        Raises:
            AnchorError: the file has been changed since it was opened.
        """
        with self._opened() as archive:
            return self._read(archive, name, keep=True)

    def speech_encoder(self) -> bytes:
        """The speech encoder, ONNX: the anchor's own, or the one that comes with newscaster.

        Raises:
            AnchorError: the file has been changed, or newscaster comes with another encoder.
        """
        from newscaster.speech.encoder import packaged_encoder

        if self.info.shared_encoder is None:
            return self.read(SPEECH_ENCODER)
        packaged = packaged_encoder()
        found = hashlib.sha256(packaged).hexdigest()
        if found != self.info.shared_encoder:
            raise AnchorError(
                f"'{self.path}' needs the speech encoder with sha256 {self.info.shared_encoder[:16]}…, and "
                f"newscaster {VERSION} comes with {found[:16]}…. Use the newscaster that the anchor came with"
            )
        return packaged

    def face(self) -> AnchorFace:
        """The arrays of the face.

        Raises:
            AnchorError: they are not what the header calls for.
        """
        data = self.read(FACE)
        try:
            return AnchorFace.from_arrays(read_tensors(data), self.info)
        except (AnchorError, KeyError, ValueError) as error:
            raise AnchorError(f"'{self.path}' cannot be used: {FACE}: {error}. {_AGAIN}") from error

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        path = self.path
        if path.is_dir():
            raise AnchorError(f"'{path}' is a folder, where an anchor is needed. Give a NAME{SUFFIX} file")
        if not path.exists():
            raise AnchorError(
                f"no such file: '{path}'. Give an existing anchor, {BUNDLED!r} for the one that comes with "
                f"newscaster, or make one: newscaster train FOOTAGE -o {path.stem}{SUFFIX}"
            )
        try:
            with open_regular_file(path) as file:
                if file.read(len(_ZIP_BEGIN)) != _ZIP_BEGIN:
                    raise self._not_an_anchor("it does not begin as one")
                size = os.fstat(file.fileno()).st_size
                try:
                    _check_directory(file, size)
                    archive = zipfile.ZipFile(file)
                    _check_sizes(archive, size)
                # What a wrong byte in the zip's own tables makes zipfile raise has many names.
                except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
                    raise AnchorError(
                        f"'{path}' is cut short or damaged: it has {size} bytes and no intact table of "
                        f"contents at its end ({error!s:.200}). {_AGAIN}"
                    ) from error
                with archive:
                    yield archive
        except OSError as error:
            raise AnchorError(
                f"'{path}' cannot be read ({error.strerror or error}). Check that the file may be read"
            ) from error

    def _not_an_anchor(self, why: str) -> AnchorError:
        return AnchorError(
            f"'{self.path}' is not an anchor ({why}). "
            f"Give a file made by: newscaster train FOOTAGE -o NAME{SUFFIX}"
        )

    def _header(self, archive: zipfile.ZipFile) -> tuple[AnchorInfo, dict[str, dict[str, object]]]:
        data = self._content(archive, HEADER, limit=_LARGEST_HEADER)
        try:
            values = read_json(data)
        except ValueError as error:
            raise AnchorError(
                f"'{self.path}' is damaged: {HEADER} is not JSON ({error}). {_AGAIN}"
            ) from error
        if type(values.get("format")) is not int:
            raise self._not_an_anchor(f"{HEADER} names no format")
        if values["format"] != FORMAT:
            raise AnchorError(
                f"'{self.path}' has anchor format {values['format']} (written by newscaster "
                f"{str(values.get('newscaster', 'of an unknown version'))[:40]}); newscaster {VERSION} "
                f"reads format {FORMAT}. "
                + (
                    "Upgrade: pip install --upgrade newscaster"
                    if values["format"] > FORMAT
                    else "Train the anchor again"
                )
            )
        try:
            info = AnchorInfo.from_json(values)
            return info, _records(values.get("members"), _members(info))
        except (InputError, ValueError) as error:
            raise AnchorError(f"'{self.path}' cannot be used: {HEADER}: {error}. {_AGAIN}") from error

    def _check_names(self, names: list[str]) -> None:
        wanted = [HEADER, *self.members]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise AnchorError(f"'{self.path}' holds {_some(twice)} more than once. {_AGAIN}")
        if unknown := sorted(set(names) - set(wanted)):
            raise AnchorError(
                f"'{self.path}' holds {_some(unknown)}, which no anchor has; its members are "
                f"{', '.join(wanted)}. {_AGAIN}"
            )
        if missing := [name for name in wanted if name not in names]:
            raise AnchorError(f"'{self.path}' lacks {', '.join(map(repr, missing))}. {_AGAIN}")

    def _content(self, archive: zipfile.ZipFile, name: str, *, limit: int) -> bytes:
        """Up to `limit` bytes of a member; AnchorError if it has more, or is not stored plainly."""
        entry = archive.getinfo(name)
        plain = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        if not plain or entry.flag_bits & 1 or entry.file_size > limit:
            raise AnchorError(
                f"'{self.path}': {name} has {entry.file_size} bytes or is compressed; expected at most "
                f"{limit} bytes, stored. {_AGAIN}"
            )
        try:
            return archive.read(entry)
        # What a wrong byte in the zip's own tables makes zipfile raise has many names.
        except (
            zipfile.BadZipFile,
            ValueError,
            NotImplementedError,
            RuntimeError,
            EOFError,
            struct.error,
        ) as error:
            raise AnchorError(f"'{self.path}' is damaged: {name}: {error!s:.200}. {_AGAIN}") from error

    def _read(self, archive: zipfile.ZipFile, name: str, *, keep: bool) -> bytes:
        record = self.members[name]
        size = record["bytes"]
        assert isinstance(size, int)
        if name not in archive.namelist():
            raise AnchorError(f"'{self.path}' lacks '{name}'. {_AGAIN}")
        data = self._content(archive, name, limit=size)
        found = hashlib.sha256(data).hexdigest()
        if found != record["sha256"]:
            raise AnchorError(
                f"'{self.path}' has been changed or damaged: {name} has sha256 {found[:16]}…, and {HEADER} "
                f"says {str(record['sha256'])[:16]}…. {_AGAIN}"
            )
        return data if keep else b""


def _check_directory(file: BinaryIO, size: int) -> None:
    """Look at the end of a zip: a table of contents that is small and ends the file, as anchors have it.

    Python's reader takes a table of any length, wherever it finds it.
    """
    if size > MAX_BYTES:
        raise ValueError(f"accepted are {MAX_BYTES} bytes")
    file.seek(max(0, size - _ZIP_END_BYTES))
    end = file.read(_ZIP_END_BYTES)
    if len(end) < _ZIP_END_BYTES or end[:4] != _ZIP_END:
        raise ValueError("it does not end as a zip file")
    length = int.from_bytes(end[12:16], "little")
    if length > _MAX_DIRECTORY:
        raise ValueError(f"its table has {length} bytes; accepted are {_MAX_DIRECTORY}")
    file.seek(0)


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Members that together are longer than the file lie over each other, or beyond its end."""
    listed = sum(entry.compress_size for entry in archive.infolist())
    if listed > size:
        raise ValueError(f"its members are said to have {listed} bytes")


def _some(names: Sequence[object]) -> str:
    """The first few names, for a message."""
    said = ", ".join(f"{name!r:.80}" for name in names[:8])
    return f"{said} …" if len(names) > 8 else said


def _records(values: object, wanted: list[str]) -> dict[str, dict[str, object]]:
    """The header's list of members, checked: exactly those wanted, in their order."""
    if not isinstance(values, dict) or values.keys() != set(wanted):
        found = _some(sorted(values)) if isinstance(values, dict) else f"{values!r:.100}"
        raise AnchorError(f"members lists {found}; expected {', '.join(wanted)}")
    for name in wanted:
        record = values[name]
        if (
            not isinstance(record, dict)
            or record.keys() != {"sha256", "bytes"}
            or not isinstance(record["sha256"], str)
            or type(record["bytes"]) is not int
            or not 0 <= record["bytes"] <= MAX_BYTES
        ):
            raise AnchorError(f"members describes {name} as {record!r:.200}; expected sha256 and bytes")
    return {name: values[name] for name in wanted}


def write_anchor(
    path: Path,
    info: AnchorInfo,
    face: AnchorFace,
    *,
    motion: bytes,
    renderer: bytes,
    target: bytes,
    speech_encoder: bytes | None = None,
) -> Path:
    """Write an anchor, beside its place first and then renamed.

    Args:
        path: NAME.anchor.
        info: what it is.
        face: the arrays; they must fit `info`.
        motion: the motion network, ONNX.
        renderer: the rendering network, ONNX.
        target: the stage's video, made by `media.encode_target`.
        speech_encoder: the speech encoder, ONNX; given exactly where `info.features` needs it and
            `info.shared_encoder` names no other.

    Returns:
        The path.

    Raises:
        OutputError: `path` cannot be written.
        AnchorError: the face does not fit `info`, or the speech encoder is missing or too much.
    """
    from safetensors.numpy import save

    from newscaster.system.files import atomic_write, check_output

    check_output(path, suffixes=(SUFFIX,))
    if (speech_encoder is not None) != (SPEECH_ENCODER in _members(info)):
        raise AnchorError(
            f"features {info.features.kind!r} {'need' if speech_encoder is None else 'have no use for'} a "
            f"speech encoder; {'pass' if speech_encoder is None else 'leave out'} speech_encoder"
        )
    arrays = {name: np.ascontiguousarray(array) for name, array in face.to_arrays().items()}
    AnchorFace.from_arrays(arrays, info)
    contents = {FACE: save(arrays), MOTION: motion, RENDERER: renderer, TARGET: target}
    if speech_encoder is not None:
        contents[SPEECH_ENCODER] = speech_encoder
    records = {
        name: {"sha256": hashlib.sha256(contents[name]).hexdigest(), "bytes": len(contents[name])}
        for name in _members(info)
    }
    if sum(map(len, contents.values())) > MAX_BYTES - (1 << 20):
        raise AnchorError(
            f"an anchor has {MAX_BYTES} bytes at most. Make its stage shorter, or its pictures smaller"
        )
    header = json.dumps({**info.to_json(), "members": records}, indent=1, ensure_ascii=False)
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(HEADER), header.encode())
        for name in _members(info):
            archive.writestr(_entry(name), contents[name])
    return Path(path)


def _entry(name: str) -> zipfile.ZipInfo:
    """A member with a fixed time, so that the same content makes the same file."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    return entry
