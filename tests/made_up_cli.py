"""The command `newscaster` on made-up faces: `python tests/made_up_cli.py check FOOTAGE`, for instance.

Worker processes import this file anew, and so see the same faces.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from footage import accept_short_footage, make_up_faces

PATCH = pytest.MonkeyPatch()
make_up_faces(PATCH)
accept_short_footage(PATCH)

MOTION_STEPS = 8


def main() -> None:
    if sys.argv[1:2] == ["train"]:
        from newscaster.models.motion import speaker
        from newscaster.models.motion.data import MotionTraining
        from newscaster.models.renderer import crop_task

        PATCH.setattr(speaker, "ADAPTING", MotionTraining(steps=MOTION_STEPS))
        PATCH.setattr(speaker, "LEARNING", MotionTraining(steps=MOTION_STEPS, live_batch=4))
        PATCH.setattr(speaker, "MIN_SPEAKING_SECONDS", 0.5)
        PATCH.setattr(crop_task, "_GRAIN_TRIPLES", 4)
    from newscaster import cli

    cli.main()


if __name__ == "__main__":
    main()
