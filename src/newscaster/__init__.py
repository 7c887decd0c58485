"""newscaster: train on a few minutes of someone reading the news, then make them read anything.

::

    anchor = newscaster.open("ada.anchor")  # or newscaster.open(): the bundled anchor
    anchor.speak("news.wav", "news.mp4")

Submodules are imported at first use, so that importing newscaster is fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from newscaster.errors import (
    AnchorError,
    ConsentError,
    DatasetError,
    FootageError,
    InputError,
    MediaError,
    MissingExtraError,
    NewscasterError,
    OutputError,
    SpeechError,
    TrainingError,
)
from newscaster.telemetry import disable_telemetry
from newscaster.version import VERSION

__version__ = VERSION

disable_telemetry()  # before any module of newscaster, or a voice, loads an inference engine

if TYPE_CHECKING:
    from pathlib import Path

    from newscaster.consent import Consent
    from newscaster.formats.anchor_info import AnchorInfo
    from newscaster.pipelines import check, evaluate, train
    from newscaster.provenance import Verified, verify
    from newscaster.speech.spoken import Pronunciations
    from newscaster.speech.voices import Reading
    from newscaster.synthesis.anchor import Anchor
    from newscaster.synthesis.articulation import Articulation
    from newscaster.synthesis.dub_options import DubOptions, DubResult
    from newscaster.synthesis.live import Live
    from newscaster.synthesis.live_frame import LiveFrame
    from newscaster.synthesis.options import LiveLimits, Outputs, SigningOptions, Style
    from newscaster.synthesis.result import SpeakResult
    from newscaster.synthesis.speakers import Speaker, dub
    from newscaster.withdrawal import withdraw

__all__ = [
    "Anchor",
    "AnchorError",
    "AnchorInfo",
    "Articulation",
    "Consent",
    "ConsentError",
    "DatasetError",
    "DubOptions",
    "DubResult",
    "FootageError",
    "InputError",
    "Live",
    "LiveFrame",
    "LiveLimits",
    "MediaError",
    "MissingExtraError",
    "NewscasterError",
    "OutputError",
    "Outputs",
    "Pronunciations",
    "Reading",
    "SigningOptions",
    "SpeakResult",
    "Speaker",
    "SpeechError",
    "Style",
    "TrainingError",
    "Verified",
    "__version__",
    "bundled",
    "check",
    "dub",
    "evaluate",
    "open",
    "train",
    "verify",
    "withdraw",
]

_LAZY = {
    "Anchor": "newscaster.synthesis.anchor",
    "AnchorInfo": "newscaster.formats.anchor_info",
    "DubOptions": "newscaster.synthesis.dub_options",
    "DubResult": "newscaster.synthesis.dub_options",
    "Articulation": "newscaster.synthesis.articulation",
    "Live": "newscaster.synthesis.live",
    "LiveFrame": "newscaster.synthesis.live_frame",
    "LiveLimits": "newscaster.synthesis.options",
    "Outputs": "newscaster.synthesis.options",
    "Pronunciations": "newscaster.speech.spoken",
    "Reading": "newscaster.speech.voices",
    "SigningOptions": "newscaster.synthesis.options",
    "SpeakResult": "newscaster.synthesis.result",
    "Speaker": "newscaster.synthesis.speakers",
    "Style": "newscaster.synthesis.options",
    "Consent": "newscaster.consent",
    "Verified": "newscaster.provenance",
    "check": "newscaster.pipelines",
    "dub": "newscaster.synthesis.speakers",
    "evaluate": "newscaster.pipelines",
    "train": "newscaster.pipelines",
    "verify": "newscaster.provenance",
    "withdraw": "newscaster.withdrawal",
}
_RENAMED = {"Performance": "SpeakResult", "TakeError": "DatasetError"}
"""Old public name to new one. The old one works for one release, with a DeprecationWarning."""


def open(path: str | Path = "builtin", *, workers: int | None = None, backend: str | None = None) -> Anchor:
    """Open an anchor and load its networks.

    Args:
        path: NAME.anchor, or the name of a bundled anchor: `grid-s4` or `grid-s1`; by default `builtin`,
            which is `grid-s4`.
        workers: threads for rendering; by default one per core, up to 8.
        backend: backend of the rendering network: `onnxruntime` (on the CPU), `openvino`, `cuda`, or `auto`,
            the fastest of the installed ones. Default: the environment variable NEWSCASTER_BACKEND, or else
            `auto`. A backend that cannot be used is replaced by ONNX Runtime, with a warning.

    Raises:
        AnchorError: the file is missing, not an anchor, damaged, or of another version.
        InputError: the backend does not exist, or `workers` is below 1.
    """
    from newscaster.synthesis.anchor import Anchor

    return Anchor.open(path, workers=workers, backend=backend)


def bundled() -> tuple[str, ...]:
    """Return the names of the bundled anchors, which :func:`open` accepts. The first one is the default."""
    from newscaster.formats.bundled_anchors import BUNDLED_ANCHORS

    return tuple(BUNDLED_ANCHORS)


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _RENAMED:
        import warnings

        new = _RENAMED[name]
        warnings.warn(f"newscaster.{name} is now newscaster.{new}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(__name__), new)
    raise AttributeError(f"module 'newscaster' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
