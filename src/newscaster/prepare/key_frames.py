"""The people in a long file, found in its key frames, each of which decodes alone.

Frames at exact times cost the decoding from the key frame before, of up to 250 frames each.
"""

from __future__ import annotations

import itertools

from newscaster.media import read_key_frames
from newscaster.prepare.clips import Footage
from newscaster.prepare.people import Person
from newscaster.prepare.work import look_at, seconds_with_frames

_PLACES = 8
_MORE_EVERY_SECONDS = 60.0
_MIN_KEY_FRAMES = 3


def look_at_key_frames(footage: Footage) -> tuple[Person, ...]:
    """Find the people in key frames spread over a file; none if it has few, or they show no face."""
    count = _PLACES + int(footage.seconds / _MORE_EVERY_SECONDS)
    frames = read_key_frames(footage.path, seconds_with_frames(footage, count))
    first = list(itertools.islice(frames, _MIN_KEY_FRAMES))
    return look_at(footage, itertools.chain(first, frames)) if len(first) == _MIN_KEY_FRAMES else ()
