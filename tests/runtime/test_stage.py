from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import AnchorError
from newscaster.face.mouth import place_mouth
from newscaster.face.region import Region, crop
from newscaster.media import StageVideo, encode_stage
from newscaster.runtime.stage import CACHE_BYTES, Stage
from tiny_anchor import pictures, tiny_face

REGION = Region(128, 1.8)


def make(
    frames: int = 10, size: tuple[int, int] = (96, 80), cache_bytes: int = CACHE_BYTES, loops: bool = False
) -> Stage:
    video = StageVideo(encode_stage(iter(pictures(frames, size)), Fraction(25)))
    face = tiny_face(frames=frames, size=size, region=REGION, scale=24.0)
    return Stage(video, face, region=REGION, size=size, loops=loops, cache_bytes=cache_bytes)


def test_order_goes_forth_and_back() -> None:
    assert list(itertools.islice(make(4).order(), 10)) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert list(itertools.islice(make(4).order(start=3), 4)) == [3, 2, 1, 0]
    assert list(itertools.islice(make(1).order(), 3)) == [0, 0, 0]
    with pytest.raises(ValueError, match="start=4"):
        make(4).order(start=4)


def test_a_stage_that_loops_goes_round() -> None:
    assert list(itertools.islice(make(3, loops=True).order(), 7)) == [0, 1, 2, 0, 1, 2, 0]
    assert list(itertools.islice(make(3, loops=True).order(start=2), 3)) == [2, 0, 1]


@pytest.mark.parametrize("size", [(96, 80), (95, 81)])
def test_cached_and_uncached_agree(size: tuple[int, int]) -> None:
    kept, crops_only, fresh = (
        make(size=size),
        make(size=size, cache_bytes=128 * 128 * 3 * 10),
        make(size=size, cache_bytes=0),
    )
    order = list(itertools.islice(kept.order(), 25))
    for a, b, c in zip(kept.frames(order), crops_only.frames(order), fresh.frames(order), strict=True):
        assert a.image.shape == (size[1], size[0], 3)
        assert (a.image == b.image).all()
        assert (a.image == c.image).all()
        assert (a.region == c.region).all()
        assert (b.region == c.region).all()
        a.image[:] = b.image[:] = c.image[:] = 0  # the caller's to write to
    assert (len(kept._images), len(kept._crops)) == (10, 10)
    assert (len(crops_only._images), len(crops_only._crops)) == (0, 10)
    assert (len(fresh._images), len(fresh._crops)) == (0, 0)


def test_frames_show_what_the_footage_did() -> None:
    stage = make()
    frame = stage.frame(7)
    assert np.abs(frame.image.astype(int) - pictures(10, (96, 80))[7]).mean() < 4
    assert (frame.region == crop(frame.image, frame.transform, 128)).all()


def test_mouths_are_put_on_the_frames_poses() -> None:
    stage = make()
    face = tiny_face(frames=10, size=(96, 80), region=REGION, scale=24.0)
    indices = np.array([3, 2, 9])
    shapes = np.broadcast_to(face.basis.mean, (3, 57, 2))
    assert (stage.place(shapes, indices) == place_mouth(shapes, face.head, face.poses[indices])).all()
    # The region is upright about the mouth's depth, so a mouth at rest always lands in the same place there.
    in_region = stage.transforms(indices).apply(stage.place(shapes, indices))
    np.testing.assert_allclose(in_region, np.broadcast_to(in_region[:1], in_region.shape), atol=0.1)


def test_video_and_track_must_fit() -> None:
    video = StageVideo(encode_stage(iter(pictures(9, (96, 80))), Fraction(25)))
    face = tiny_face(frames=10, size=(96, 80), region=REGION, scale=24.0)
    with pytest.raises(AnchorError, match="9 frames of 96x80 pixels; expected 10 of 96x80"):
        Stage(video, face, region=REGION, size=(96, 80))
