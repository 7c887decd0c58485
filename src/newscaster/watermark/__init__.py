"""A mark in the pixels that says newscaster made them, and with which anchor: put on, and found again.

Knows the pattern, how faint it is, and how sure one must be to have found it. It is no proof, and no lock:
whoever knows how it is made can put it on or take it off. It is there for files whose manifest got lost.
"""

from __future__ import annotations

from newscaster.watermark.marking import Watermark
from newscaster.watermark.pattern import ID_DIGITS, id_of
from newscaster.watermark.reading import FoundMark, find_mark

__all__ = ["ID_DIGITS", "FoundMark", "Watermark", "find_mark", "id_of"]
