"""Changes of the header of an anchor: all other members are copied."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping

from newscaster.formats.anchor import HEADER, AnchorFile
from newscaster.system.files import atomic_write


def rewrite_header(file: AnchorFile, changes: Mapping[str, object]) -> None:
    """Replace these keys of an anchor's header. The caller holds a lock of the file.

    Raises:
        OutputError: the file cannot be written.
    """
    with (
        atomic_write(file.path) as temporary,
        zipfile.ZipFile(file.path) as old,
        zipfile.ZipFile(temporary, "w") as new,
    ):
        for entry in old.infolist():
            with old.open(entry) as source, new.open(_copy_entry(entry), "w") as target:
                if entry.filename == HEADER:
                    header = {**json.load(source), **changes}
                    target.write(json.dumps(header, indent=1, ensure_ascii=False).encode())
                else:
                    shutil.copyfileobj(source, target, 1 << 20)


def _copy_entry(entry: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """Return a member of the same name, time and permissions, without size and offset."""
    copied = zipfile.ZipInfo(entry.filename, entry.date_time)
    copied.external_attr = entry.external_attr
    return copied
