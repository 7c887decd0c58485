"""Preparation: footage to prepared dataset, and the report on footage."""

from __future__ import annotations

from newscaster.prepare.check import check
from newscaster.prepare.clips import need_footage, need_video
from newscaster.prepare.measure import Measure
from newscaster.prepare.pipeline import prepare
from newscaster.prepare.report import Report

__all__ = ["Measure", "Report", "check", "need_footage", "need_video", "prepare"]
