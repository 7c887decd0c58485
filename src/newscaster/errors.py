"""The error tree of newscaster.

Every error that a user can cause is one of these. Its message names the argument or file, the value
found, what would be accepted, and the next step. ``assert`` is kept for invariants of the code itself.

::

    NewscasterError
    ├── InputError              what was given cannot be used
    │   ├── MediaError          a file that is missing, unreadable, or without the stream that is needed
    │   ├── FootageError        footage that nobody can be learnt from (no face, too short, ...)
    │   ├── SpeechError         speech that says nothing (empty, silent, not finite)
    │   ├── TakeError           prepared footage that is damaged, unfinished or of another version
    │   ├── AnchorError         an anchor that is damaged, cut short or of another version
    │   └── ConsentError        an anchor of somebody whose consent has ended or was withdrawn
    ├── TrainingError           a training that diverged
    ├── OutputError             a place that cannot be written
    └── MissingExtraError       a part of newscaster that is not installed
"""

from __future__ import annotations


class NewscasterError(Exception):
    """Base of all errors raised on purpose by newscaster."""


class InputError(NewscasterError):
    """An argument or file that cannot be used as given."""


class MediaError(InputError):
    """A media file that is missing, unreadable, or lacks the stream that is needed."""


class FootageError(InputError):
    """Footage that an anchor cannot be made from."""


class SpeechError(InputError):
    """Speech that cannot drive an anchor: empty, silent, or not finite."""


class DatasetError(InputError):
    """Prepared footage that is damaged, unfinished, or written by another version."""


class AnchorError(InputError):
    """An anchor file that is damaged, cut short, or written by another version."""


class ConsentError(InputError):
    """An anchor that nothing is made with: the person's consent has ended, or was withdrawn."""


class TrainingError(NewscasterError, FloatingPointError):
    """A training whose numbers are not finite any more. Nothing was made of it."""


class OutputError(NewscasterError):
    """A place that cannot be written."""


class MissingExtraError(NewscasterError):
    """A part of newscaster that is not installed; the message says which command installs it."""

    def __init__(self, *, purpose: str, extra: str | None, package: str) -> None:
        wanted = package if extra is None else f"newscaster[{extra}]"  # None: it comes with newscaster itself
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install '{wanted}'"
        )
        self.extra = extra
