"""`newscaster doctor`: what is installed, what is missing, and whether it works, for bug reports."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from newscaster.cli.exits import EXIT_BROKEN_INSTALLATION
from newscaster.cli.terminal import json_output, say, value_text
from newscaster.errors import NewscasterError
from newscaster.texts import one_line
from newscaster.version import VERSION

_REQUIREMENT = re.compile(r'(?P<name>[A-Za-z0-9._-]+).*?(?:;.*\bextra\s*==\s*[\'"](?P<extra>[\w-]+)[\'"].*)?')
_LEFT_OUT = {"dev", "docs"}
_PLUGINS = ("livekit-plugins-newscaster", "pipecat-newscaster")
"""Packages of this project that have its version."""
_SHOWN = ("NEWSCASTER_BACKEND", "NEWSCASTER_HOME", "NEWSCASTER_LOG", "NEWSCASTER_LOG_FORMAT")
_LIBRARY_SETTINGS = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Show versions, machine, settings, codecs and voices, and what is missing.

    The output belongs into a bug report. It has no secrets: of tokens and keys, it shows that they are set.
    Nothing is sent anywhere.
    """
    sections: dict[str, Any] = {
        "newscaster": {"version": VERSION, "folder": str(Path(__file__).parents[1])},
        "machine": _tried(_machine),
        "settings": _settings(),
        "packages": _packages(),
        "plugins": _plugins(),
        "extras": _extras(),
        "codecs": _tried(_codecs),
        "backends": _tried(_backends),
        "voices": _tried(_voices),
        "trial": _tried(_trial),
    }
    if as_json:
        click.echo(json_output(sections).replace(str(Path.home()), "~"))
    else:
        for line in _lines(sections):
            say(line)
    if any("error" in section for section in sections.values()):
        click.get_current_context().exit(EXIT_BROKEN_INSTALLATION)


def _tried(find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what is found, or why it cannot be."""
    try:
        return find()
    except Exception as error:  # this is what is looked for
        reason = str(error) if isinstance(error, NewscasterError) else f"{type(error).__name__}: {error}"
        return {"error": one_line(reason)}


def _machine() -> dict[str, Any]:
    import numpy as np

    from newscaster.system.cpu import processor_name, usable_cores
    from newscaster.system.native_calls import memory_limit_bytes, total_memory_bytes

    build: Any = np.show_config(mode="dicts")
    blas = build.get("Build Dependencies", {}).get("blas", {})
    simd = build.get("SIMD Extensions", {})
    limit = memory_limit_bytes()
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}, {sys.prefix}",
        "system": _system(),
        "processor": processor_name(),
        "instruction sets": ", ".join([*simd.get("baseline", ()), *simd.get("found", ())]) or "unknown",
        "linear algebra": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".rstrip(),
        "cores": f"{usable_cores()} usable of {os.cpu_count()}",
        "memory": _gigabytes(total_memory_bytes()) + (f", limited to {_gigabytes(limit)}" if limit else ""),
        "free disk space": f"{_gigabytes(shutil.disk_usage(tempfile.gettempdir()).free)} for temporary files",
        "encodings": f"output {sys.stdout.encoding}, files {sys.getfilesystemencoding()}, "
        f"locale {locale.getencoding()}",
    }


def _system() -> str:
    """Return the name of the system, with that of the distribution on Linux."""
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {platform.platform()}"
    except (OSError, KeyError):
        return platform.platform()


def _gigabytes(size: int | None) -> str:
    return "unknown" if size is None else f"{size / 1e9:.1f} GB"


def _settings() -> dict[str, Any]:
    """Return the environment variables that change how newscaster works, without secrets."""
    own = sorted(name for name in os.environ if name.startswith("NEWSCASTER_"))
    others = [name for name in _LIBRARY_SETTINGS if name in os.environ]
    shown = {*_SHOWN, *others}
    return {name: os.environ[name] if name in shown else "set" for name in (*own, *others)} or {
        "NEWSCASTER_*": "none is set"
    }


def _requirements() -> Iterator[tuple[str, str | None]]:
    """Yield the packages that newscaster can use, each with its extra; None: it is needed."""
    from importlib import metadata

    for line in metadata.requires("newscaster") or ():
        match = _REQUIREMENT.fullmatch(line)
        if match is not None and match["extra"] not in _LEFT_OUT and match["name"].lower() != "newscaster":
            yield match["name"], match["extra"]


def _version(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> dict[str, Any]:
    needed = [name for name, extra in _requirements() if extra is None]
    found = {name: _version(name) or "missing" for name in needed}
    missing = [name for name, version in found.items() if version == "missing"]
    error = {"error": f"missing: {', '.join(missing)}. Install newscaster again"} if missing else {}
    return {**found, **error}


def _plugins() -> dict[str, Any]:
    found = {}
    for name in _PLUGINS:
        version = _version(name)
        fits = "" if version in (None, VERSION) else f": install version {VERSION}, the one of newscaster"
        found[name] = f"{version or 'not installed'}{fits}"
    return found


def _extras() -> dict[str, Any]:
    extras: dict[str, list[str]] = {}
    for name, extra in _requirements():
        if extra is not None:
            extras.setdefault(extra, []).append(name)
    return {extra: _extra_state(extra, names) for extra, names in extras.items()}


def _extra_state(extra: str, names: list[str]) -> str:
    versions = {name: _version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    if len(missing) == len(names):
        return f"not installed (pip install 'newscaster[{extra}]')"
    state = ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)
    return f"{state}; missing: {', '.join(missing)}" if missing else state


def _codecs() -> dict[str, Any]:
    from newscaster.media.ffmpeg_build import codec_support, ffmpeg_libraries

    support = codec_support()
    missing = [name for name, there in support.items() if not there]
    return {**ffmpeg_libraries(), "missing": ", ".join(missing) or "none"}


def _backends() -> dict[str, Any]:
    from newscaster.inference import installed_backends

    return {"installed": ", ".join(installed_backends())}


def _voices() -> dict[str, Any]:
    from newscaster.speech.voices import Reading, voice_names

    states = {}
    for name in voice_names():
        try:
            Reading(voice=name).load()
        except NewscasterError as error:
            states[name] = one_line(str(error))
        else:
            states[name] = "works"
    return states


def _trial() -> dict[str, Any]:
    """Open the bundled anchor, and render a second of speech."""
    import numpy as np

    import newscaster

    start = time.perf_counter()
    anchor = newscaster.open()
    opened = time.perf_counter()
    frames = sum(1 for _ in anchor.render(np.sin(np.arange(16_000) / 20).astype(np.float32) / 4))
    rendered = time.perf_counter()
    return {
        "anchor opened in": f"{opened - start:.2f} s",
        "speed": f"{frames / (rendered - opened):.0f} frames/s for one second of audio",
    }


def _lines(sections: dict[str, Any]) -> Iterator[str]:
    for title, section in sections.items():
        yield title
        for name, value in section.items():
            text = str(value).replace(str(Path.home()), "~")
            yield f"  {name:<24} {value_text(text)}"
