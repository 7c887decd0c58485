"""The meaning of the 478 face-mesh landmarks.

Contains the numbering of the MediaPipe face mesh with attention (``canonical_face_model_uv_visualization``
in google-ai-edge/mediapipe): the lips as two closed rings, the jaw as a line, and the points that speech
does not move. The other modules of ``face`` use it.
"""

from __future__ import annotations

LANDMARKS = 478
"""Landmarks of one face, ``L``."""

OUTER_LIPS = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
"""Outer border of the lips: from the corner at the image's left over the upper lip and back below."""

INNER_LIPS = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
"""Inner border of the lips, in the same order as :data:`OUTER_LIPS`."""

JAW = (361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132)
"""The jaw line from one ear to the other; the chin is its middle point."""

MOUTH = OUTER_LIPS + INNER_LIPS + JAW
"""The points of a mouth shape: 40 of the lips, then 17 of the jaw."""

MOUTH_POINTS = len(MOUTH)

STABLE = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 127, 356, 234, 454)
"""Points that speech hardly moves: eye corners, bridge and tip of the nose, temples."""

LEFT_EYE_OUTER, RIGHT_EYE_OUTER = 33, 263
"""Outer eye corners, named by the side of the image on which an upright face shows them."""

RING = len(OUTER_LIPS)
INNER_RING = slice(RING, 2 * RING)
"""Within a mouth shape: the inner border of the lips."""
JAW_LINE = slice(2 * RING, MOUTH_POINTS)
"""Within a mouth shape: the jaw line."""
UPPER_LIP_OUTER = slice(0, RING // 2 + 1)
"""Within a ring of the lips: the upper half, both corners included."""

OPENING_PAIRS = ((82, 87), (13, 14), (312, 317))
"""Pairs (upper, lower) of inner-lip landmarks whose distance is the opening of the mouth."""
