from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import newscaster
from newscaster.runtime.anchor import Anchor
from newscaster.runtime.live_painting import LivePainter
from newscaster.runtime.renderer import Image, Job
from tiny_anchor import write_tiny_anchor


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    share = np.ones(10, np.float32)
    share[3:5] = [0.5, 0.0]
    path = write_tiny_anchor(tmp_path_factory.mktemp("anchor") / "tiny.anchor", share=share)
    return newscaster.open(path)


class Counting:
    """The anchor's renderer, and how often it was asked."""

    def __init__(self, anchor: Anchor) -> None:
        self.renderer, self.asked = anchor._loaded.renderer, 0

    def regions(self, jobs: list[Job]) -> Image:
        self.asked += len(jobs)
        return self.renderer.regions(jobs)


def painter(anchor: Anchor, counting: Counting, **options: int) -> LivePainter:
    return LivePainter(anchor.stage, counting, rest=anchor._loaded.live_painter.rest, **options)  # type: ignore[arg-type]


def test_pictures_are_those_of_the_whole(anchor: Anchor) -> None:
    order = [index for index, _ in zip(anchor.stage.order(), range(12), strict=False)]
    noise = np.random.default_rng(0).normal(0, 0.02, (12, 57, 2))
    shapes = anchor._loaded.live_painter.rest + noise * (np.arange(12) % 3 > 0)[:, None, None]
    paint = painter(anchor, Counting(anchor))
    for index, shape, wanted in zip(order, shapes, anchor.show(shapes), strict=True):
        made = paint.picture(index, shape).rgb().astype(int)
        assert np.abs(made - wanted.rgb()).max() <= 1


@pytest.mark.parametrize(("kept_bytes", "asked"), [(64 << 20, 9), (0, 18)])
def test_a_mouth_at_rest_is_rendered_once(anchor: Anchor, kept_bytes: int, asked: int) -> None:
    counting = Counting(anchor)
    paint = painter(anchor, counting, kept_bytes=kept_bytes)
    first = [paint.picture(index, paint.rest).rgb() for index in range(10)]
    second = [paint.picture(index, paint.rest).rgb() for index in range(10)]
    np.testing.assert_array_equal(first, second)
    assert counting.asked == asked  # one frame's mouth is not free


def test_threads_paint_at_once(anchor: Anchor, tmp_path: Path) -> None:
    painter = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor"))._loaded.live_painter
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda k: painter.picture(k % 10, painter.rest).rgb(), range(80)))
    for number, image in enumerate(made):
        np.testing.assert_array_equal(image, made[number % 10])
