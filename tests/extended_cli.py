"""The command line with made-up faces: footage without a real face can be trained on, in a moment.

Started by tests/test_extending.py with the extended copy of the package on the path.
"""

from __future__ import annotations

import sys

import pytest

from footage import accept_short_footage, make_up_faces
from newscaster import cli
from newscaster.models.motion import speaker
from newscaster.models.motion.data import MotionTraining
from newscaster.models.renderer import crop_task
from newscaster.prepare.pool import worker_pool

if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        accept_short_footage(patch)
        patch.setattr(crop_task, "_GRAIN_TRIPLES", 4)
        patch.setattr(speaker, "MIN_SPEAKING_SECONDS", 0.5)
        for module in ("pipeline", "tracks"):
            patch.setattr(
                f"newscaster.prepare.{module}.worker_pool",
                lambda workers, tasks: worker_pool(0, tasks=tasks),
            )
        patch.setattr(speaker, "ADAPTING", MotionTraining(steps=4))
        patch.setattr(speaker, "LEARNING", MotionTraining(steps=4, live_batch=4))
        sys.exit(cli.run(sys.argv[1:]))
