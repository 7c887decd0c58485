"""Turns off the telemetry of libraries. No other module does.

- ONNX Runtime collects telemetry by default on Linux and macOS since version 1.32.0. On import it writes a
  permanent device identifier and a database of events to the user's cache folder. Some seconds later it
  resolves the name of a collection service to upload them. It reads ORT_DISABLE_TELEMETRY once, when its
  native library is loaded.
- OpenVINO reports each import to Google Analytics, and writes a client identifier to `~/intel`, if the
  package `openvino_telemetry` can be imported. Otherwise OpenVINO uses an empty stub.
- Ray reports the use of a cluster that a program starts, unless RAY_USAGE_STATS_ENABLED is 0. Clusters that
  `ray start` made are not changed.

Voices and other packages import these libraries too, so `newscaster` calls this at import. Worker processes
and other programs inherit the variable.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress

VARIABLE = "ORT_DISABLE_TELEMETRY"
RAY_VARIABLE = "RAY_USAGE_STATS_ENABLED"
_OPENVINO_PACKAGE = "openvino_telemetry"
_FIRST_VERSION = (1, 32)
"""First version of ONNX Runtime with telemetry on by default."""
_log = logging.getLogger("newscaster.telemetry")


def disable_telemetry() -> None:
    """Turn off the telemetry of all libraries that newscaster loads, whatever the environment says.

    The telemetry of a library that the program loaded earlier has started, and cannot be stopped: its files
    exist, and it will try to upload them. A warning names the library and the remedy.
    """
    started = [
        name
        for name, is_on in (("onnxruntime", _onnx_runtime_is_on()), ("openvino", _openvino_is_on()))
        if is_on
    ]
    os.environ[VARIABLE] = "1"
    os.environ[RAY_VARIABLE] = "0"
    sys.modules.setdefault(_OPENVINO_PACKAGE, None)  # type: ignore[arg-type]  # import raises ImportError
    for name in started:
        _log.warning(
            "%s was imported before newscaster, so its telemetry has started in this process. Import "
            "newscaster first",
            name,
        )


def _onnx_runtime_is_on() -> bool:
    """Return whether ONNX Runtime is loaded and collects telemetry; also ask it to stop."""
    runtime = sys.modules.get("onnxruntime")
    if runtime is None or sys.platform == "win32" or os.environ.get(VARIABLE) in ("1", "true", "yes"):
        return False
    with suppress(AttributeError):  # it is being imported, or is a stub
        runtime.disable_telemetry_events()
        version = tuple(int(part) for part in runtime.__version__.split(".")[:2] if part.isdigit())
        return version >= _FIRST_VERSION
    return False


def _openvino_is_on() -> bool:
    return sys.modules.get(_OPENVINO_PACKAGE) is not None
