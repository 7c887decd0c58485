"""Turns off what libraries report to their makers; the one place that does.

- ONNX Runtime collects telemetry by default on Linux and macOS since version 1.32.0. On import it writes a
  lasting device identifier and a database of events to the user's cache folder; some seconds later it looks
  up the name of a collection service to upload them. It reads ORT_DISABLE_TELEMETRY once, as its native
  library is loaded.
- OpenVINO reports each import to Google Analytics, and writes a client identifier to `~/intel`, if the
  package `openvino_telemetry` can be imported. Otherwise OpenVINO uses an empty stub.

Voices and other packages import these libraries too, so this is done when `newscaster` itself is imported.
Worker processes and other programs inherit the variable.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

VARIABLE = "ORT_DISABLE_TELEMETRY"
_OPENVINO_PACKAGE = "openvino_telemetry"
_FIRST_VERSION = (1, 32)
"""Of ONNX Runtime, with telemetry on by default."""
_log = logging.getLogger("newscaster.telemetry")


def disable_telemetry() -> None:
    """Turn off the telemetry of every library that newscaster loads, whatever the environment asks for.

    A library that the program has loaded before has begun its telemetry, which cannot be ended from outside:
    its files are there, and the upload is tried. A warning names the library and the remedy.
    """
    begun = [
        name
        for name, is_on in (("onnxruntime", _onnx_runtime_is_on()), ("openvino", _openvino_is_on()))
        if is_on
    ]
    os.environ[VARIABLE] = "1"
    sys.modules.setdefault(_OPENVINO_PACKAGE, None)  # type: ignore[arg-type]  # import raises ImportError
    for name in begun:
        _log.warning(
            "%s was imported before newscaster, so its own telemetry has begun in this process. Import "
            "newscaster first",
            name,
        )


def _onnx_runtime_is_on() -> bool:
    """Whether ONNX Runtime is loaded and collects; it is also asked to collect no more."""
    runtime = sys.modules.get("onnxruntime")
    if runtime is None or sys.platform == "win32" or os.environ.get(VARIABLE) in ("1", "true", "yes"):
        return False
    with suppress(AttributeError):  # it is just being imported, or is a stand-in
        runtime.disable_telemetry_events()
        version = tuple(int(part) for part in runtime.__version__.split(".")[:2] if part.isdigit())
        return version >= _FIRST_VERSION
    return False


def _openvino_is_on() -> bool:
    return sys.modules.get(_OPENVINO_PACKAGE) is not None
