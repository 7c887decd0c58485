"""A watermark for videos of newscaster, with the anchor's id: embedding and detection.

Defines the pattern, its strength, and the threshold of the detector. It is not tamper-proof: the algorithm is
public. It serves files whose manifest was lost.
"""

from __future__ import annotations

from newscaster.watermark.marking import Watermark
from newscaster.watermark.pattern import ID_DIGITS, id_of
from newscaster.watermark.reading import FoundMark, find_mark

__all__ = ["ID_DIGITS", "FoundMark", "Watermark", "find_mark", "id_of"]
