"""Footage to take, and the report on footage before that. The only importer of MediaPipe."""

from __future__ import annotations

from newscaster.prepare.pipeline import Progress, prepare

__all__ = ["Progress", "prepare"]
