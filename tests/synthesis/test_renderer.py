from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import AnchorError
from newscaster.face.crop import FaceCrop
from newscaster.face.landmark_map import draw_landmark_map
from newscaster.inference import Session
from newscaster.media import TargetVideo, encode_target
from newscaster.synthesis.compositing import composite
from newscaster.synthesis.renderer import JOBS_AHEAD, Job, MapRenderer, Renderer
from newscaster.synthesis.target import Target
from onnx_networks import renderer_network
from tiny_anchor import images, tiny_face

CROP = FaceCrop(128, 1.8)
FACE = tiny_face(frames=10, size=(96, 80), crop=CROP, scale=24.0)


@pytest.fixture(scope="module")
def target() -> Target:
    video = TargetVideo(encode_target(iter(images(10, (96, 80))), Fraction(25)))
    return Target(video, FACE, crop=CROP, size=(96, 80))


def jobs(target: Target, count: int, *, blend_weight: float = 1.0) -> Iterator[Job]:
    for index in itertools.islice(target.order(), count):
        here = np.array([index])
        points = target.transforms(here).apply(target.place(FACE.basis.mean[None], here))[0]
        yield Job(target.frame(index), points, blend_weight)


def renderer(**options: float) -> Renderer:
    session = Session(renderer_network(side=128, map_side=64), threads=1)
    return MapRenderer(session, side=128, map_side=64, **options)


def test_threads_and_batches_give_what_one_frame_at_a_time_gives(target: Target) -> None:
    session = Session(renderer_network(side=128, map_side=64))
    expected = []
    for job in jobs(target, 23):
        drawn = draw_landmark_map(job.points, side=128, map_side=64)
        patch = session.run(**{"region": job.frame.crop[None], "face_map": drawn[None]})["rendered"][0]
        assert job.frame.placement is not None
        composite(job.frame.image, patch, job.frame.placement)
        expected.append(job.frame.rgb)
    for workers, batch in ((1, 1), (2, 1), (2, 3), (3, 8)):
        found = [p.rgb() for p in renderer(workers=workers, batch=batch).render(jobs(target, 23))]
        assert len(found) == 23
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_only_the_crop_changes(target: Target) -> None:
    (image,) = renderer().render(jobs(target, 1))
    found = image.rgb()
    before = target.frame(0).rgb
    changed = (found != before).any(axis=2)
    assert changed.any()
    corners = target.transforms(np.array([0])).back(np.array([[[0.0, 0], [128, 128]]]))[0]
    y, x = np.nonzero(changed)
    assert x.min() >= corners[:, 0].min() - 2
    assert y.max() <= corners[:, 1].max() + 2
    assert not changed[: int(corners[:, 1].min())].any()


@pytest.mark.parametrize("hue", [(128, 128), (120, 139)])
def test_mouths_of_black_and_white_video_have_no_colour(target: Target, hue: tuple[int, int]) -> None:
    given = list(jobs(target, 2))
    for job in given:
        for plane, value in zip(job.frame.image.planes[1:], hue, strict=True):
            plane[:] = value
    before = [job.frame.image.planes[0].copy() for job in given]
    for luma, image in zip(before, renderer().render(iter(given)), strict=True):
        assert (image.planes[0] != luma).any()
        assert all((plane == value).all() for plane, value in zip(image.planes[1:], hue, strict=True))


def test_mouths_of_colour_video_have_colour(target: Target) -> None:
    (image,) = renderer().render(jobs(target, 1))
    assert any(
        (a != b).any() for a, b in zip(image.planes[1:], target.frame(0).image.planes[1:], strict=True)
    )


def test_jobs_are_consumed_no_faster_than_frames(target: Target) -> None:
    taken = 0

    def counted() -> Iterator[Job]:
        nonlocal taken
        for job in jobs(target, 1000):
            taken += 1
            yield job

    before = set(threading.enumerate())
    rendered = renderer(workers=2, batch=2).render(counted())
    next(rendered)
    assert set(threading.enumerate()) > before
    assert taken <= 2 * (2 + 1) + 2 + JOBS_AHEAD + 1
    rendered.close()
    assert set(threading.enumerate()) <= before


def test_frames_of_blend_weight_zero_are_unchanged(target: Target) -> None:
    half = list(renderer().render(jobs(target, 6, blend_weight=0.5)))
    full = list(renderer().render(jobs(target, 6)))
    none = renderer().render(jobs(target, 6, blend_weight=0.0))
    for index, (a, b, c) in enumerate(zip(none, half, full, strict=True)):
        before = target.frame(index).image
        assert all((x == y).all() for x, y in zip(a.planes, before.planes, strict=True))
        changed = [
            np.abs(after.planes[0].astype(int) - before.planes[0]).sum(dtype=float) for after in (b, c)
        ]
        assert changed[0] == pytest.approx(changed[1] / 2, rel=0.1)


def test_an_error_in_the_jobs_comes_through(target: Target) -> None:
    def broken() -> Iterator[Job]:
        yield from jobs(target, 5)
        raise RuntimeError("the target has burnt down")

    with pytest.raises(RuntimeError, match="burnt down"):
        list(renderer(workers=2, batch=2).render(broken()))


def test_another_network_is_refused() -> None:
    with pytest.raises(AnchorError, match="not this anchor's rendering network"):
        MapRenderer(Session(renderer_network(side=128, map_side=32)), side=128, map_side=64)


def test_grain_is_added_to_rendered_pixels_and_belongs_to_the_frame(target: Target) -> None:
    plain, grained, again = (
        [image.planes[0].astype(int) for image in renderer(**options).render(jobs(target, 3))]
        for options in ({}, {"grain": 3.0}, {"grain": 3.0, "batch": 1})
    )
    for index, (one, other, same) in enumerate(zip(plain, grained, again, strict=True)):
        placement = target.frame(index).placement
        assert placement is not None
        inside = np.zeros(one.shape, bool)
        inside[placement.box.rows, placement.box.columns] = placement.soft > 0
        assert (one == other)[~inside].all()
        assert 0.5 < (other - one)[inside].std() < 4
        assert (other == same).all()
