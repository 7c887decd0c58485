"""The anchor format: one file with everything needed to make one person speak.

A zip, stored and not compressed, whose members are data only: no code, no pickle. Defines the members and
detects damage; `synthesis` uses their content.

::

    NAME.anchor
    ├── anchor.json                    description, origin, sha256 of every other member
    ├── networks/speech_encoder.onnx   only if the features need it, and the header does not name the sha256
    │                                  of the encoder of the package
    ├── networks/motion.onnx           features (B, T, D) float32 -> coefficients (B, T, K) float32
    ├── networks/renderer.onnx         "region" (B, S, S, 3), "face_map" (B, C, M, M) -> rendered, all uint8;
    │   or renderer.safetensors        if the renderer copies: weights for the graph of the package
    ├── references.safetensors         face crops that the renderer copies from, if it does
    ├── face.safetensors               mouth basis, head, mask, face track of the target
    ├── stage.mp4                      the target video, on which the mouth is rewritten
    └── matte.bin                      optional: the matte of the person in it (format 2)
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
from newscaster.face.references import References
from newscaster.formats.anchor_face import AnchorFace as AnchorFace  # re-exported
from newscaster.formats.anchor_info import FORMATS, MATTE_FORMAT, AnchorInfo
from newscaster.formats.anchor_references import references_from_bytes, references_to_bytes
from newscaster.formats.bundled_anchors import BUNDLED, BUNDLED_ANCHORS
from newscaster.safety.readers import open_regular_file, read_json, read_tensors
from newscaster.version import VERSION

SUFFIX = ".anchor"
HEADER = "anchor.json"
SPEECH_ENCODER = "networks/speech_encoder.onnx"
MOTION = "networks/motion.onnx"
RENDERER = "networks/renderer.onnx"
RENDERER_WEIGHTS = "networks/renderer.safetensors"
FACE = "face.safetensors"
REFERENCES = "references.safetensors"
TARGET = "stage.mp4"
MATTE = "matte.bin"
_ORDER = (HEADER, FACE, SPEECH_ENCODER, MOTION, RENDERER, RENDERER_WEIGHTS, REFERENCES, TARGET, MATTE)
MAX_BYTES = 1 << 30
"""Largest size of an anchor's file. The bundled ones have 12 to 15 MB."""
_ZIP_BEGIN = b"PK\x03\x04"
_ZIP_END = b"PK\x05\x06"
_ZIP_END_BYTES = 22
_MAX_DIRECTORY = 1 << 16
_MAX_HEADER_BYTES = 1 << 20
_AGAIN = "Copy the file again from its source, or train the anchor again"


def _members(info: AnchorInfo, *, matte: bool) -> list[str]:
    """Return the members of an anchor without its header, in the order of the file."""
    optional = {
        SPEECH_ENCODER: info.features.needs_encoder and info.shared_encoder is None,
        RENDERER: not info.copies,
        RENDERER_WEIGHTS: info.copies,
        REFERENCES: info.copies,
        MATTE: matte,
    }
    return [name for name in _ORDER[1:] if optional.get(name, True)]


class AnchorFile:
    """An anchor on disk, with every byte checked.

    Args:
        path: the file.

    Raises:
        AnchorError: the file is missing, not an anchor, truncated, changed, or of another format.
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
        return f"AnchorFile({str(self.path)!r}: {self.info.name!r}, {self.info.target_frames} target frames)"

    @property
    def identity(self) -> str:
        """sha256 over the sha256 of the members, without the header."""
        parts = [f"{name} {self.members[name]['sha256']}\n" for name in sorted(self.members)]
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    def read(self, name: str) -> bytes:
        """Return a member's content, checked again.

        Raises:
            AnchorError: the file has changed since it was opened.
        """
        with self._opened() as archive:
            return self._read(archive, name, keep=True)

    def speech_encoder(self) -> bytes:
        """Return the speech encoder, ONNX: the anchor's own, or that of the package.

        Raises:
            AnchorError: the file has changed, or the package has another encoder.
        """
        from newscaster.speech.encoder import packaged_encoder

        if self.info.shared_encoder is None:
            return self.read(SPEECH_ENCODER)
        packaged = packaged_encoder()
        digest = hashlib.sha256(packaged).hexdigest()
        if digest != self.info.shared_encoder:
            raise AnchorError(
                f"'{self.path}' needs the speech encoder with sha256 {self.info.shared_encoder[:16]}…, but "
                f"newscaster {VERSION} has {digest[:16]}…. Train the anchor "
                "again, or use the newscaster version that wrote it"
            )
        return packaged

    def face(self) -> AnchorFace:
        """Return the arrays of the face.

        Raises:
            AnchorError: they disagree with the header.
        """
        data = self.read(FACE)
        try:
            return AnchorFace.from_arrays(read_tensors(data), self.info)
        except (AnchorError, KeyError, ValueError) as error:
            raise AnchorError(f"'{self.path}' cannot be used: {FACE}: {error}. {_AGAIN}") from error

    def references(self) -> References:
        """Return what the renderer copies from.

        Raises:
            AnchorError: they are damaged, or do not fit the header.
        """
        data = self.read(REFERENCES)
        try:
            return references_from_bytes(data, side=self.info.crop.side)
        except AnchorError as error:
            raise AnchorError(f"'{self.path}' cannot be used: {REFERENCES}: {error}. {_AGAIN}") from error

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        path = self.path
        if path.is_dir():
            raise AnchorError(f"'{path}' is a folder, not an anchor. Give a NAME{SUFFIX} file")
        if not path.exists():
            raise AnchorError(
                f"no such file: '{path}'. Give an existing anchor or the name of a bundled one "
                f"({', '.join((BUNDLED, *BUNDLED_ANCHORS))}), or train one: "
                f"newscaster train FOOTAGE -o {path.stem}{SUFFIX}"
            )
        try:
            with open_regular_file(path) as file:
                if file.read(len(_ZIP_BEGIN)) != _ZIP_BEGIN:
                    raise self._not_an_anchor("it does not start with a zip header")
                size = os.fstat(file.fileno()).st_size
                try:
                    _check_directory(file, size)
                    archive = zipfile.ZipFile(file)
                    _check_sizes(archive, size)
                # A wrong byte in the zip's own tables makes zipfile raise one of many errors.
                except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
                    raise AnchorError(
                        f"'{path}' is cut short or damaged: it has {size} bytes and no intact table of "
                        f"contents at its end ({error!s:.200}). {_AGAIN}"
                    ) from error
                with archive:
                    yield archive
        except OSError as error:
            raise AnchorError(
                f"'{path}' cannot be read ({error.strerror or error}). Check the file's permissions"
            ) from error

    def _not_an_anchor(self, why: str) -> AnchorError:
        return AnchorError(
            f"'{self.path}' is not an anchor ({why}). "
            f"Give a file made by: newscaster train FOOTAGE -o NAME{SUFFIX}"
        )

    def _header(self, archive: zipfile.ZipFile) -> tuple[AnchorInfo, dict[str, dict[str, object]]]:
        data = self._content(archive, HEADER, limit=_MAX_HEADER_BYTES)
        try:
            values = read_json(data)
        except ValueError as error:
            raise AnchorError(
                f"'{self.path}' is damaged: {HEADER} is not JSON ({error}). {_AGAIN}"
            ) from error
        if type(values.get("format")) is not int:
            raise self._not_an_anchor(f"{HEADER} names no format")
        if values["format"] not in FORMATS:
            raise AnchorError(
                f"'{self.path}' has anchor format {values['format']} (written by newscaster "
                f"{str(values.get('newscaster', 'of an unknown version'))[:40]}); newscaster {VERSION} "
                f"reads the formats {FORMATS[0]} to {FORMATS[-1]}. "
                + (
                    "Upgrade: pip install --upgrade newscaster"
                    if values["format"] > FORMATS[-1]
                    else "Train the anchor again"
                )
            )
        try:
            info = AnchorInfo.from_json(values)
            members = values.get("members")
            matte = values["format"] >= MATTE_FORMAT and isinstance(members, dict) and MATTE in members
            return info, _records(members, _members(info, matte=matte))
        except (InputError, ValueError) as error:
            raise AnchorError(f"'{self.path}' cannot be used: {HEADER}: {error}. {_AGAIN}") from error

    def _check_names(self, names: list[str]) -> None:
        required = [HEADER, *self.members]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise AnchorError(f"'{self.path}' has {_list_names(duplicates)} more than once. {_AGAIN}")
        if unknown := sorted(set(names) - set(required)):
            raise AnchorError(
                f"'{self.path}' has the unknown members {_list_names(unknown)}; accepted are "
                f"{', '.join(required)}. {_AGAIN}"
            )
        if missing := [name for name in required if name not in names]:
            raise AnchorError(f"'{self.path}' lacks {', '.join(map(repr, missing))}. {_AGAIN}")

    def _content(self, archive: zipfile.ZipFile, name: str, *, limit: int) -> bytes:
        """Read a member of up to `limit` bytes. Raise AnchorError if it is longer, or not stored plainly."""
        entry = archive.getinfo(name)
        plain = entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
        if not plain or entry.flag_bits & 1 or entry.file_size > limit:
            raise AnchorError(
                f"'{self.path}': {name} has {entry.file_size} bytes or is compressed; expected at most "
                f"{limit} bytes, stored. {_AGAIN}"
            )
        try:
            return archive.read(entry)
        # A wrong byte in the zip's own tables makes zipfile raise one of many errors.
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
        digest = hashlib.sha256(data).hexdigest()
        if digest != record["sha256"]:
            raise AnchorError(
                f"'{self.path}' has been changed or damaged: {name} has sha256 {digest[:16]}…; {HEADER} "
                f"lists {str(record['sha256'])[:16]}…. {_AGAIN}"
            )
        return data if keep else b""


def _check_directory(file: BinaryIO, size: int) -> None:
    """Check that a zip ends with a small table of contents, as anchors do. Raise ValueError if not.

    Python's reader accepts a table of any length, anywhere.
    """
    if size > MAX_BYTES:
        raise ValueError(f"accepted are {MAX_BYTES} bytes")
    file.seek(max(0, size - _ZIP_END_BYTES))
    end = file.read(_ZIP_END_BYTES)
    if len(end) < _ZIP_END_BYTES or end[:4] != _ZIP_END:
        raise ValueError("it does not end with a zip directory")
    length = int.from_bytes(end[12:16], "little")
    if length > _MAX_DIRECTORY:
        raise ValueError(f"its table has {length} bytes; accepted are {_MAX_DIRECTORY}")
    file.seek(0)


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Check the members' total size: if it exceeds the file's, they overlap or lie beyond its end."""
    listed = sum(entry.compress_size for entry in archive.infolist())
    if listed > size:
        raise ValueError(f"its table lists {listed} bytes of members")


def _list_names(names: Sequence[object]) -> str:
    """Return the first few names, for a message."""
    text = ", ".join(f"{name!r:.80}" for name in names[:8])
    return f"{text} …" if len(names) > 8 else text


def _records(values: object, required: list[str]) -> dict[str, dict[str, object]]:
    """Check the header's list of members. Return exactly the required ones, in their order."""
    if not isinstance(values, dict) or values.keys() != set(required):
        actual = _list_names(sorted(values)) if isinstance(values, dict) else f"{values!r:.100}"
        raise AnchorError(f"members lists {actual}; expected {', '.join(required)}")
    for name in required:
        record = values[name]
        if (
            not isinstance(record, dict)
            or record.keys() != {"sha256", "bytes"}
            or not isinstance(record["sha256"], str)
            or type(record["bytes"]) is not int
            or not 0 <= record["bytes"] <= MAX_BYTES
        ):
            raise AnchorError(f"members describes {name} as {record!r:.200}; expected sha256 and bytes")
    return {name: values[name] for name in required}


def write_anchor(
    path: Path,
    info: AnchorInfo,
    face: AnchorFace,
    *,
    motion: bytes,
    renderer: bytes,
    target: bytes,
    matte: bytes | None = None,
    speech_encoder: bytes | None = None,
    references: References | None = None,
) -> Path:
    """Write an anchor under a temporary name, then rename it.

    Args:
        path: NAME.anchor.
        info: the header.
        face: the arrays; they must fit `info`.
        motion: the motion network, ONNX.
        renderer: the rendering network, ONNX; if `info.copies`, its weights, a safetensors file.
        target: the target video, made by `media.encode_target`.
        matte: of the target video, as written by `matting.store`; None: it is computed at first use.
        speech_encoder: the speech encoder, ONNX; required exactly if `info.features` needs it and
            `info.shared_encoder` is None.
        references: what the renderer copies from; required exactly if `info.copies`.

    Returns:
        The path.

    Raises:
        OutputError: `path` cannot be written.
        AnchorError: the face does not fit `info`, or speech encoder or references are missing or superfluous.
    """
    from safetensors.numpy import save

    from newscaster.system.files import atomic_write, check_output

    check_output(path, suffixes=(SUFFIX,))
    members = _members(info, matte=matte is not None)
    if (speech_encoder is not None) != (SPEECH_ENCODER in members):
        raise AnchorError(
            f"features {info.features.kind!r} {'need' if speech_encoder is None else 'do not need'} a "
            f"speech encoder; {'pass' if speech_encoder is None else 'omit'} speech_encoder"
        )
    if (references is not None) != info.copies:
        raise AnchorError(
            f"copies is {info.copies}, and references are {'missing' if info.copies else 'given'}"
        )
    arrays = {name: np.ascontiguousarray(array) for name, array in face.to_arrays().items()}
    AnchorFace.from_arrays(arrays, info)
    network = RENDERER_WEIGHTS if info.copies else RENDERER
    contents = {FACE: save(arrays), MOTION: motion, network: renderer, TARGET: target}
    if speech_encoder is not None:
        contents[SPEECH_ENCODER] = speech_encoder
    if references is not None:
        contents[REFERENCES] = references_to_bytes(references)
    if matte is not None:
        contents[MATTE] = matte
    records = {
        name: {"sha256": hashlib.sha256(contents[name]).hexdigest(), "bytes": len(contents[name])}
        for name in members
    }
    if sum(map(len, contents.values())) > MAX_BYTES - (1 << 20):
        raise AnchorError(
            f"an anchor has at most {MAX_BYTES} bytes. Make its target video shorter or its frames smaller"
        )
    values = {**info.to_json(), "format": FORMATS[0] if matte is None else MATTE_FORMAT}
    header = json.dumps({**values, "members": records}, indent=1, ensure_ascii=False)
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(HEADER), header.encode())
        for name in members:
            archive.writestr(_entry(name), contents[name])
    return Path(path)


def _entry(name: str) -> zipfile.ZipInfo:
    """Return a member with a fixed time, so that the same content makes the same file."""
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o644 << 16
    return entry
