from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from making_faces import EYES_PX, HEAD, SIZE, TINY, frames_of, moving_faces, two_sessions, write_clip
from newscaster.errors import FootageError
from newscaster.models.portrait.data import FullFrameData, Pairs, Sight, whole_frames
from newscaster.models.portrait.frames import RUN, chosen_frames, of_one_size, reduced_size


def test_frames_are_those_of_the_landmarks(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / "a", absent=(5, 6)), write_clip(tmp_path / "b", seed=1)]
    frames = whole_frames(clips, HEAD, tmp_path)
    assert (len(frames), frames.size) == (46, SIZE)
    assert frames.eye_distance_px == pytest.approx(EYES_PX, rel=0.02)
    expected = frames_of([clip.landmarks[clip.present] for clip in clips])
    apart = np.abs(frames.images.astype(int) - expected.images).mean(axis=(1, 2, 3))
    shifted = np.abs(frames.images[1:].astype(int) - expected.images[:-1]).mean(axis=(1, 2, 3))
    assert apart.max() < 3
    assert (apart[1:] < shifted).mean() > 0.9
    np.testing.assert_allclose(frames.landmarks, expected.landmarks)
    corners = (
        np.einsum("fij,pj->fpi", frames.planes[:, :, :2], [[-0.5, 0], [0.5, 0]])
        + frames.planes[:, None, :, 2]
    )
    assert np.abs(corners - frames.landmarks[:, [33, 263]]).max() < 1.5
    assert len(np.unique(frames.appearances[:, 0, 2])) == 2
    breaks = np.flatnonzero(np.diff(frames.firsts) > 1)
    assert breaks.tolist() == [3, 19]  # none over the gap, none over clips
    assert "46 frames" in repr(frames)


def test_a_finished_cache_is_used_again_and_another_replaced(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a")
    images = np.array(whole_frames([clip], HEAD, tmp_path).images)
    written = (tmp_path / "pictures.npy").stat().st_mtime_ns
    hidden = Path(clip.record.source).rename(tmp_path / "hidden.mp4")
    np.testing.assert_array_equal(whole_frames([clip], HEAD, tmp_path).images, images)
    hidden.rename(clip.record.source)
    assert (tmp_path / "pictures.npy").stat().st_mtime_ns == written
    smaller = whole_frames([clip], HEAD, tmp_path, max_pixels=40 * 30)
    assert smaller.images.shape == (24, *smaller.size[::-1], 3)
    assert smaller.size == reduced_size(SIZE, max_pixels=40 * 30)


def test_a_killed_cache_is_made_again(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a")
    images = np.array(whole_frames([clip], HEAD, tmp_path).images)
    (tmp_path / "pictures.json").unlink()
    (tmp_path / "pictures.npy").write_bytes(b"half a pic")
    (tmp_path / ".pictures.0123abcd.part.npy").write_bytes(b"left over")
    np.testing.assert_array_equal(whole_frames([clip], HEAD, tmp_path).images, images)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "pictures.json", "pictures.npy"]
    (tmp_path / "pictures.npy").write_bytes(b"cut short")
    np.testing.assert_array_equal(whole_frames([clip], HEAD, tmp_path).images, images)


def test_a_source_that_is_gone_or_changed_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a")
    source = Path(clip.record.source)
    os.utime(source, ns=(0, 0))
    with pytest.raises(FootageError, match=r"has changed since it was prepared.*Restore the file"):
        whole_frames([clip], HEAD, tmp_path)
    source.unlink()
    with pytest.raises(FootageError, match="no longer exists"):
        whole_frames([clip], HEAD, tmp_path)
    assert not (tmp_path / "pictures.npy").exists()


def test_large_frames_are_downscaled_and_landmarks_with_them(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a", size=(288, 240), eyes_px=3 * EYES_PX, frames=10)
    frames = whole_frames([clip], HEAD, tmp_path, max_pixels=SIZE[0] * SIZE[1])
    assert frames.size == SIZE
    assert frames.eye_distance_px == pytest.approx(EYES_PX, rel=0.02)
    np.testing.assert_allclose(frames.landmarks * 3, clip.landmarks[:, :, :2], rtol=1e-5)
    data = FullFrameData.of(frames, source_size=(288, 240))
    assert data.scale == pytest.approx((1 / 3, 1 / 3))
    drawn = frames_of([clip.landmarks / 3])
    assert np.abs(frames.images.astype(int) - drawn.images).mean() < 8


def test_long_footage_is_thinned_to_runs_over_all_clips() -> None:
    seen = [np.ones(100, bool), np.ones(60, bool), np.ones(5, bool), np.ones(40, bool)]
    seen[1][20:30] = False
    chosen = chosen_frames(seen, most=100)
    assert [len(c) // RUN for c in chosen] == [6, 3, 0, 3]
    for frames, present in zip(chosen, seen, strict=True):
        assert present[frames].all()
        assert (np.diff(frames.reshape(-1, RUN), axis=1) == 1).all()
    assert [len(c) for c in chosen_frames(seen, most=195)] == [100, 50, 5, 40]


def test_frames_of_other_sizes_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clips = [write_clip(tmp_path / "a"), write_clip(tmp_path / "b", frames=9, size=(64, 64))]
    assert of_one_size(clips) == clips[:1]
    assert "skipped 1 of 2 clips" in caplog.text
    dataset = SimpleNamespace(clips=tuple(clips), head=HEAD)
    data = FullFrameData.from_dataset(dataset, tmp_path)  # type: ignore[arg-type]
    assert (len(data.learn), len(data.held_out)) == (22, 2)
    assert (data.config.appearances, data.config.size, data.scale) == (1, SIZE, (1, 1))


def test_clips_are_held_out_whole_and_by_name(tmp_path: Path) -> None:
    data = two_sessions()
    assert set(data.held_out.clips) == {0}
    assert set(data.learn.clips) == {1, 2, 3, 4}
    clips = tuple(write_clip(tmp_path / name, frames=9) for name in "ab")
    dataset = SimpleNamespace(clips=clips, head=HEAD)
    named = FullFrameData.from_dataset(dataset, tmp_path, held_out={"b"})  # type: ignore[arg-type]
    assert (set(named.learn.clips), set(named.held_out.clips)) == ({0}, {1})
    with pytest.raises(FootageError, match="no frame with a face to learn from"):
        FullFrameData.from_dataset(dataset, tmp_path, held_out={"a", "b"})  # type: ignore[arg-type]


def test_batches_depend_on_seed_and_step_alone() -> None:
    pairs = Pairs(two_sessions().learn, TINY, Sight())
    first, again, other = (pairs.random(3, seed=1, step=step) for step in (7, 7, 8))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.maps, again.maps)
    assert first.window == again.window != other.window


def test_a_window_shows_its_part_of_frame_and_map() -> None:
    frames = two_sessions().learn
    pairs = Pairs(frames, TINY, Sight())
    assert pairs.crop == (36, 36)  # 160 px at 65 px
    batch = pairs.batch(np.array([3, 15]), np.array([[40.0, 33.0], [500.0, -9.0]]))
    assert batch.window.corners == ((24, 16), (24, 16), (60, 0), (60, 0))
    numbers = [3, 4, 15, 16]
    maps = frames.maps(np.array(numbers), TINY)
    for index, (x, y) in enumerate(batch.window.corners):
        image = frames.image(numbers[index])
        np.testing.assert_array_equal(batch.images[index], image[y : y + 36, x : x + 36])
        cut = maps[index, :, y // 2 : y // 2 + 18, x // 2 : x // 2 + 18]
        np.testing.assert_array_equal(batch.maps[index], cut)
    np.testing.assert_array_equal(batch.planes, frames.planes[numbers])


def test_edges_are_repeated_in_windows_and_cropped_off_whole_frames() -> None:
    frames = frames_of([moving_faces(3)])
    cut = frames[np.arange(3)]
    narrow = type(frames)(np.ascontiguousarray(frames.images[:, :78, :94]), *list(vars(cut).values())[1:])
    config = replace(TINY, size=(94, 78))
    assert config.padded == (96, 80)
    at_corner = Pairs(narrow, config, Sight()).batch(np.array([0]), np.array([[90.0, 75.0]]))
    assert at_corner.images.shape == (2, 36, 36, 3)
    np.testing.assert_array_equal(at_corner.images[:, -3:], at_corner.images[:, -3:-2].repeat(3, axis=1))
    whole = Pairs(narrow, config, Sight(side=20)).batch(np.array([0]), np.array([[40.0, 40.0]]))
    assert (whole.window.size, whole.images.shape[1:3]) == ((96, 80), (78, 94))
    np.testing.assert_array_equal(whole.images, narrow.images[:2])
