"""Target video: random access returns the same frames as reading in order."""

from __future__ import annotations

import io
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from making_media import moving_pattern
from newscaster.errors import MediaError
from newscaster.media import TargetVideo, encode_target, join_targets
from newscaster.media import target_video as target_module

COUNT = 53
FRAMES = list(moving_pattern(COUNT))


@pytest.fixture(scope="module")
def encoded() -> bytes:
    return encode_target(FRAMES, Fraction(25), group=12)


@pytest.fixture(scope="module")
def in_order(encoded: bytes) -> list[np.ndarray]:
    return list(TargetVideo(encoded).frames(range(COUNT)))


def test_facts(encoded: bytes, in_order: list[np.ndarray]) -> None:
    target = TargetVideo(encoded)
    assert (target.frame_count, target.size, target.fps) == (COUNT, (96, 64), 25)
    for got, wanted in zip(in_order, FRAMES, strict=True):
        assert np.abs(got.astype(int) - wanted).mean() < 2


@pytest.mark.parametrize("cache_bytes", [0, 96 << 20])
@pytest.mark.parametrize("order", ["backwards", "forth and back", "random", "every fifth", "the same"])
def test_any_order(
    encoded: bytes, in_order: list[np.ndarray], monkeypatch: pytest.MonkeyPatch, order: str, cache_bytes: int
) -> None:
    monkeypatch.setattr(target_module, "_CACHE_BYTES", cache_bytes)
    indices = {
        "backwards": list(range(COUNT))[::-1],
        "forth and back": [*range(COUNT), *range(COUNT - 2, -1, -1), *range(1, 20)],
        "random": random.Random(1).choices(range(COUNT), k=80),
        "every fifth": list(range(0, COUNT, 5)),
        "the same": [17] * 5,
    }[order]
    for index, frame in zip(indices, TargetVideo(encoded).frames(indices), strict=True):
        np.testing.assert_array_equal(frame, in_order[index])


def test_forth_and_back_decodes_each_group_once_each_way(
    encoded: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target_module, "_CACHE_BYTES", 0)  # two groups are cached all the same
    target = TargetVideo(encoded)
    decoded: list[int] = []
    original = target._decode_group
    monkeypatch.setattr(target, "_decode_group", lambda group: (decoded.append(group), original(group))[1])
    list(target.frames([*range(COUNT), *range(COUNT - 2, -1, -1)]))
    assert decoded == [0, 1, 2, 3, 4, 2, 1, 0]


def test_a_small_target_is_decoded_once(encoded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    target = TargetVideo(encoded)
    list(target.frames(range(COUNT)))
    monkeypatch.setattr(target, "_decode_group", None)
    list(target.frames(range(COUNT)))


def test_frames_are_the_callers_own(encoded: bytes, in_order: list[np.ndarray]) -> None:
    target = TargetVideo(encoded)
    target.frame(3)[:] = 0
    np.testing.assert_array_equal(target.frame(3), in_order[3])


def test_other_sources(encoded: bytes, in_order: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "target.mp4"
    path.write_bytes(encoded)
    for source in (io.BytesIO(encoded), memoryview(encoded), path):
        np.testing.assert_array_equal(TargetVideo(source).frame(30), in_order[30])


def test_one_frame_and_odd_sides() -> None:
    frames = list(moving_pattern(1, width=41, height=33))
    target = TargetVideo(encode_target(frames, Fraction(30)))
    assert (target.frame_count, target.size) == (1, (42, 34))
    assert np.abs(target.frame(0)[:33, :41].astype(int) - frames[0]).mean() < 2


@pytest.mark.parametrize("index", [-1, COUNT])
def test_index_out_of_range(encoded: bytes, index: int) -> None:
    with pytest.raises(IndexError, match=f"it has frames 0 to {COUNT - 1}"):
        TargetVideo(encoded).frame(index)


def test_damage_is_named(encoded: bytes, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"the target video of 'x.anchor' is damaged"):
        TargetVideo(encoded[: len(encoded) // 2], name="the target video of 'x.anchor'")
    with pytest.raises(MediaError, match="damaged"):
        TargetVideo(b"")
    with pytest.raises(MediaError, match="cannot be read"):
        TargetVideo(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="no frames"):
        encode_target([], Fraction(25))


def test_joined_targets_keep_every_frame() -> None:
    first, second = (encode_target(moving_pattern(frames), Fraction(25)) for frames in (15, 30))
    joined = join_targets(first, second)
    assert joined is not None
    videos = [TargetVideo(data) for data in (first, second, joined)]
    assert videos[2].frame_count == 45
    assert videos[2].fps == 25
    separate = [video.frame(index) for video in videos[:2] for index in range(video.frame_count)]
    assert all((videos[2].frame(index) == frame).all() for index, frame in enumerate(separate))


def test_targets_of_other_settings_are_not_joined() -> None:
    first = encode_target(moving_pattern(15), Fraction(25))
    assert join_targets(first, encode_target(moving_pattern(15), Fraction(30))) is None
    with pytest.raises(MediaError, match="the target video is damaged"):
        join_targets(first, first[:200])
