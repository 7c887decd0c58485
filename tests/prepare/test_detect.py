from __future__ import annotations

import numpy as np
import pytest

from newscaster.prepare.detect import _points

pytest.importorskip("mediapipe")


@pytest.mark.parametrize("extra", [False, True], ids=["as usual", "with visibility"])
def test_landmarks_are_read_from_the_message(extra: bool) -> None:
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    wanted = np.random.default_rng(0).normal(size=(478, 3)).astype(np.float32)
    wanted[5] = 0.0
    message = NormalizedLandmarkList()
    for x, y, z in wanted.tolist():
        point = message.landmark.add(x=x, y=y, z=z)
        if extra:
            point.visibility = 0.5
    np.testing.assert_array_equal(_points(message), wanted)
