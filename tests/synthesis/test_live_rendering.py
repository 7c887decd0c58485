from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

import newscaster
from newscaster.media import TargetVideo, YuvFrame
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.live_rendering import LiveRenderer
from newscaster.synthesis.renderer import Job, Renderer
from newscaster.system import turns
from newscaster.system.turns import Turns, outside_turn
from newscaster.types import ArrayF64, ImageU8
from tiny_anchor import write_tiny_anchor


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    blend_weight = np.ones(10, np.float32)
    blend_weight[3:5] = [0.5, 0.0]
    path = write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor", blend_weight=blend_weight)
    return newscaster.open(path)


class Counting(Renderer):
    """The anchor's renderer, and how often it was asked."""

    def __init__(self, anchor: Anchor) -> None:
        super().__init__(workers=1)
        self.renderer, self.asked = anchor._loaded.renderer, 0

    def crops(self, jobs: list[Job]) -> ImageU8:
        self.asked += len(jobs)
        return self.renderer.crops(jobs)


def live_renderer(anchor: Anchor, counting: Counting, **options: int) -> LiveRenderer:
    return LiveRenderer(anchor.target, counting, rest=anchor._loaded.live_renderer.rest, **options)


def test_frames_are_those_of_the_file_renderer(anchor: Anchor) -> None:
    order = [index for index, _ in zip(anchor.target.order(), range(12), strict=False)]
    noise = np.random.default_rng(0).normal(0, 0.02, (12, 57, 2))
    shapes = anchor._loaded.live_renderer.rest + noise * (np.arange(12) % 3 > 0)[:, None, None]
    render_frames = live_renderer(anchor, Counting(anchor))
    for index, shape, wanted in zip(order, shapes, anchor.show(shapes), strict=True):
        made = render_frames.image(index, shape).rgb().astype(int)
        assert np.abs(made - wanted.rgb()).max() <= 1


def test_mouths_that_are_copied_go_into_the_planes_as_in_files() -> None:
    anchor = newscaster.open("grid-s4")
    live_renderer = anchor._loaded.live_renderer
    shape = live_renderer.rest + np.random.default_rng(0).normal(0, 0.01, (57, 2))
    expected = next(iter(anchor.show(shape[None])))
    for made in (live_renderer.image(0, shape), live_renderer.image(0, shape)):
        for plane, wanted in zip(made.planes, expected.planes, strict=True):
            np.testing.assert_array_equal(plane, wanted)
    resting = [live_renderer.image(0, live_renderer.rest) for _ in range(2)]  # the second one is kept
    for plane, again in zip(*(image.planes for image in resting), strict=True):
        np.testing.assert_array_equal(plane, again)


@pytest.mark.parametrize(("cache_bytes", "asked"), [(64 << 20, 9), (0, 18)])
def test_a_mouth_at_rest_is_rendered_once(anchor: Anchor, cache_bytes: int, asked: int) -> None:
    counting = Counting(anchor)
    render_frames = live_renderer(anchor, counting, cache_bytes=cache_bytes)
    first = [render_frames.image(index, render_frames.rest).rgb() for index in range(10)]
    second = [render_frames.image(index, render_frames.rest).rgb() for index in range(10)]
    np.testing.assert_array_equal(first, second)
    assert counting.asked == asked  # one frame's mouth is not free


def test_streams_take_turns_and_no_more_than_these_run_networks(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, at_once, most = anchor._loaded.live_renderer, 0, 0
    guard, render_frame = threading.Lock(), LiveRenderer.image
    monkeypatch.setattr(shared, "turns", Turns(2))

    def slowly(self: LiveRenderer, index: int, shape: ArrayF64, *, number: int = 0) -> YuvFrame:
        outside_turn(compute, 0.005)
        return render_frame(self, index, shape, number=number)

    def compute(seconds: float) -> None:
        nonlocal at_once, most
        with guard:
            at_once += 1
            most = max(most, at_once)
        time.sleep(seconds)
        with guard:
            at_once -= 1

    monkeypatch.setattr(LiveRenderer, "image", slowly)

    def show(_: int) -> int:
        with anchor.live() as live:
            return sum(frame.image is not None for frame in itertools.islice(live.frames(paced=False), 10))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(show, range(6))) == [10] * 6
    assert most == 2


def test_groups_are_decoded_outside_of_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other streams wait for what a turn does in Python."""
    decode, turns_then = TargetVideo._decode_group, []

    def watched(self: TargetVideo, group: int) -> list[VideoFrame]:
        turns_then.append(turns._turn.get())
        return decode(self, group)

    monkeypatch.setattr(TargetVideo, "_decode_group", watched)
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor"))
    with anchor.live() as live:
        anchor._loaded.target.release()
        turns_then.clear()
        for _ in itertools.islice(live.frames(paced=False), 4):
            pass
    assert turns_then
    assert not any(turns_then)


def test_threads_render_at_once(anchor: Anchor, tmp_path: Path) -> None:
    live_renderer = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor"))._loaded.live_renderer
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda k: live_renderer.image(k % 10, live_renderer.rest).rgb(), range(80)))
    for number, image in enumerate(made):
        np.testing.assert_array_equal(image, made[number % 10])
