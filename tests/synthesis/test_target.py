from __future__ import annotations

import functools
import itertools
from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import AnchorError
from newscaster.face.crop import FaceCrop, cut_crop
from newscaster.face.mouth_basis import place_mouth
from newscaster.media import TargetVideo, encode_target
from newscaster.synthesis.target import CACHE_BYTES, Target
from tiny_anchor import images, tiny_face

CROP = FaceCrop(128, 1.8)


@functools.cache
def encoded(frames: int, size: tuple[int, int]) -> bytes:
    """Encode once: with several threads, x264 does not always write the same."""
    return encode_target(iter(images(frames, size)), Fraction(25))


def make(
    frames: int = 10, size: tuple[int, int] = (96, 80), cache_bytes: int = CACHE_BYTES, loops: bool = False
) -> Target:
    video = TargetVideo(encoded(frames, size))
    face = tiny_face(frames=frames, size=size, crop=CROP, scale=24.0)
    return Target(video, face, crop=CROP, size=size, loops=loops, cache_bytes=cache_bytes)


def test_order_goes_forth_and_back() -> None:
    assert list(itertools.islice(make(4).order(), 10)) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]
    assert list(itertools.islice(make(4).order(start=3), 4)) == [3, 2, 1, 0]
    assert list(itertools.islice(make(1).order(), 3)) == [0, 0, 0]
    with pytest.raises(ValueError, match="start=4"):
        make(4).order(start=4)


def test_a_looping_target_wraps_around() -> None:
    assert list(itertools.islice(make(3, loops=True).order(), 7)) == [0, 1, 2, 0, 1, 2, 0]
    assert list(itertools.islice(make(3, loops=True).order(start=2), 3)) == [2, 0, 1]


@pytest.mark.parametrize("size", [(96, 80), (95, 81)])
def test_kept_and_fresh_agree(size: tuple[int, int]) -> None:
    kept, some, fresh = make(size=size), make(size=size, cache_bytes=200_000), make(size=size, cache_bytes=0)
    order = list(itertools.islice(kept.order(), 25))
    for a, b, c in zip(kept.frames(order), some.frames(order), fresh.frames(order), strict=True):
        assert a.rgb.shape == (size[1], size[0], 3)
        assert a.placement is not None
        for other in (b, c):
            assert other.placement is not None
            assert (a.rgb == other.rgb).all()
            assert (a.crop == other.crop).all()
            assert (a.placement.soft == other.placement.soft).all()
            assert a.placement.box == other.placement.box
        for frame in (a, b, c):  # the caller's to write to
            for plane in frame.image.planes:
                plane[:] = 0
    assert len(kept._cache) == 10
    assert 0 < len(some._cache) < 10
    assert not fresh._cache


def test_frames_show_what_the_footage_did() -> None:
    target = make()
    frame = target.frame(7)
    assert np.abs(frame.rgb.astype(int) - images(10, (96, 80))[7]).mean() < 4


@pytest.mark.parametrize(("scale", "size"), [(24.0, (96, 80)), (40.0, (200, 161)), (60.0, (64, 120))])
def test_crops_are_those_of_the_whole_frame(scale: float, size: tuple[int, int]) -> None:
    """Inside the frame, and beyond its border."""
    video = TargetVideo(encode_target(iter(images(4, size)), Fraction(25)))
    face = tiny_face(frames=4, size=size, crop=CROP, scale=scale)
    target = Target(video, face, crop=CROP, size=size)
    for frame in target.frames(range(4)):
        assert (frame.crop == cut_crop(video.frame(frame.index), frame.transform, 128)).all()


def test_mouths_are_put_on_the_frames_poses() -> None:
    target = make()
    face = tiny_face(frames=10, size=(96, 80), crop=CROP, scale=24.0)
    indices = np.array([3, 2, 9])
    shapes = np.broadcast_to(face.basis.mean, (3, 57, 2))
    assert (target.place(shapes, indices) == place_mouth(shapes, face.head, face.poses[indices])).all()
    # The crop is upright at the depth of the mouth, so a mouth at rest always lands in the same place.
    in_crop = target.transforms(indices).apply(target.place(shapes, indices))
    np.testing.assert_allclose(in_crop, np.broadcast_to(in_crop[:1], in_crop.shape), atol=0.1)


def test_video_and_track_must_fit() -> None:
    video = TargetVideo(encode_target(iter(images(9, (96, 80))), Fraction(25)))
    face = tiny_face(frames=10, size=(96, 80), crop=CROP, scale=24.0)
    with pytest.raises(AnchorError, match="9 frames of 96x80 pixels; expected 10 of 96x80"):
        Target(video, face, crop=CROP, size=(96, 80))
