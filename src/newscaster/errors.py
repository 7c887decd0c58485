"""The error tree of newscaster.

Errors that a user can cause are of these classes. A message names the argument or file, the value found, the
accepted values, and the next step. ``assert`` is for invariants of the code.

::

    NewscasterError
    ├── InputError              an argument or a file cannot be used
    │   ├── MediaError          a media file is missing, unreadable, or lacks a stream
    │   ├── FootageError        footage is unsuitable for training (no face, too short, ...)
    │   ├── SpeechError         speech is empty, silent or not finite
    │   ├── DatasetError        a prepared dataset is damaged, incomplete or of another version
    │   ├── AnchorError         an anchor is damaged, truncated or of another version
    │   └── ConsentError        the consent to an anchor has ended or was withdrawn
    ├── TrainingError           training diverged
    ├── OutputError             a file cannot be written
    └── MissingExtraError       an optional part of newscaster is not installed
"""

from __future__ import annotations


class NewscasterError(Exception):
    """Base class of all errors of newscaster."""


class InputError(NewscasterError):
    """An argument or a file cannot be used."""


class MediaError(InputError):
    """A media file is missing, unreadable, or lacks a required stream."""


class FootageError(InputError):
    """Footage is unsuitable for training an anchor."""


class SpeechError(InputError):
    """Speech cannot drive an anchor: it is empty, silent, or not finite."""


class DatasetError(InputError):
    """A prepared dataset is damaged, incomplete, or of another version."""


class AnchorError(InputError):
    """An anchor file is damaged, truncated, or of another version."""


class ConsentError(InputError):
    """An anchor cannot be used: the person's consent has ended or was withdrawn."""


class TrainingError(NewscasterError, FloatingPointError):
    """Training diverged: its values are no longer finite. No anchor was written."""


class OutputError(NewscasterError):
    """A file cannot be written."""


class MissingExtraError(NewscasterError):
    """An optional part of newscaster is not installed. The message has the command that installs it."""

    def __init__(self, *, purpose: str, extra: str | None, package: str) -> None:
        requirement = package if extra is None else f"newscaster[{extra}]"  # None: a dependency of newscaster
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install '{requirement}'"
        )
        self.extra = extra
