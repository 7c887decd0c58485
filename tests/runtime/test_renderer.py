from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from newscaster.errors import AnchorError
from newscaster.face.facemap import draw_face_map
from newscaster.face.region import Region
from newscaster.inference import Session
from newscaster.media import StageVideo, encode_stage
from newscaster.runtime.compositing import composite
from newscaster.runtime.renderer import JOBS_AHEAD, Job, Renderer
from newscaster.runtime.stage import Stage
from onnx_networks import renderer_network
from tiny_anchor import pictures, tiny_face

REGION = Region(128, 1.8)
FACE = tiny_face(frames=10, size=(96, 80), region=REGION, scale=24.0)


@pytest.fixture(scope="module")
def stage() -> Stage:
    video = StageVideo(encode_stage(iter(pictures(10, (96, 80))), Fraction(25)))
    return Stage(video, FACE, region=REGION, size=(96, 80))


def jobs(stage: Stage, count: int, *, share: float = 1.0) -> Iterator[Job]:
    for index in itertools.islice(stage.order(), count):
        here = np.array([index])
        points = stage.transforms(here).apply(stage.place(FACE.basis.mean[None], here))[0]
        yield Job(stage.frame(index), points, share)


def renderer(**options: float) -> Renderer:
    session = Session(renderer_network(side=128, map_side=64), threads=1)
    return Renderer(session, side=128, map_side=64, **options)


def test_threads_and_batches_give_what_one_frame_at_a_time_gives(stage: Stage) -> None:
    session = Session(renderer_network(side=128, map_side=64))
    expected = []
    for job in jobs(stage, 23):
        drawn = draw_face_map(job.points, side=128, map_side=64)
        patch = session.run(region=job.frame.region[None], face_map=drawn[None])["rendered"][0]
        assert job.frame.placement is not None
        composite(job.frame.picture, patch, job.frame.placement)
        expected.append(job.frame.rgb)
    for workers, batch in ((1, 1), (2, 1), (2, 3), (3, 8)):
        found = [p.rgb() for p in renderer(workers=workers, batch=batch).render(jobs(stage, 23))]
        assert len(found) == 23
        assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_only_the_region_changes(stage: Stage) -> None:
    (picture,) = renderer().render(jobs(stage, 1))
    found = picture.rgb()
    before = stage.frame(0).rgb
    changed = (found != before).any(axis=2)
    assert changed.any()
    corners = stage.transforms(np.array([0])).back(np.array([[[0.0, 0], [128, 128]]]))[0]
    y, x = np.nonzero(changed)
    assert x.min() >= corners[:, 0].min() - 2
    assert y.max() <= corners[:, 1].max() + 2
    assert not changed[: int(corners[:, 1].min())].any()


def test_jobs_are_taken_no_faster_than_pictures(stage: Stage) -> None:
    taken = 0

    def counted() -> Iterator[Job]:
        nonlocal taken
        for job in jobs(stage, 1000):
            taken += 1
            yield job

    pictures_out = renderer(workers=2, batch=2).render(counted())
    next(pictures_out)
    assert taken <= 2 * (2 + 1) + 2 + JOBS_AHEAD + 1
    pictures_out.close()
    assert not any(t.name.startswith("newscaster-") for t in threading.enumerate())


def test_frames_without_a_share_pass_through_as_they_are(stage: Stage) -> None:
    half = list(renderer().render(jobs(stage, 6, share=0.5)))
    full = list(renderer().render(jobs(stage, 6)))
    none = renderer().render(jobs(stage, 6, share=0.0))
    for index, (a, b, c) in enumerate(zip(none, half, full, strict=True)):
        before = stage.frame(index).picture
        assert all((x == y).all() for x, y in zip(a.planes, before.planes, strict=True))
        changed = [
            np.abs(after.planes[0].astype(int) - before.planes[0]).sum(dtype=float) for after in (b, c)
        ]
        assert changed[0] == pytest.approx(changed[1] / 2, rel=0.1)


def test_an_error_in_the_jobs_comes_through(stage: Stage) -> None:
    def broken() -> Iterator[Job]:
        yield from jobs(stage, 5)
        raise RuntimeError("the stage has burnt down")

    with pytest.raises(RuntimeError, match="burnt down"):
        list(renderer(workers=2, batch=2).render(broken()))


def test_another_network_is_refused() -> None:
    with pytest.raises(AnchorError, match="not this anchor's rendering network"):
        Renderer(Session(renderer_network(side=128, map_side=32)), side=128, map_side=64)


def test_grain_goes_to_what_is_painted_and_belongs_to_the_frame(stage: Stage) -> None:
    plain, grained, again = (
        [picture.planes[0].astype(int) for picture in renderer(**options).render(jobs(stage, 3))]
        for options in ({}, {"grain": 3.0}, {"grain": 3.0, "batch": 1})
    )
    for index, (one, other, same) in enumerate(zip(plain, grained, again, strict=True)):
        placement = stage.frame(index).placement
        assert placement is not None
        inside = np.zeros(one.shape, bool)
        inside[placement.box.rows, placement.box.columns] = placement.soft > 0
        assert (one == other)[~inside].all()
        assert 0.5 < (other - one)[inside].std() < 4
        assert (other == same).all()
