"""The version of newscaster: one place, read by the package, the build, and every file written."""

from __future__ import annotations

VERSION = "0.1.0"
