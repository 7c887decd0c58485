from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from baselines.painters import RIVALS, Monitoring

from baselines import painters
from making_mouths import hidden_mask, talking_clip
from newscaster.models.renderer import training as rendering
from newscaster.models.renderer.data import RenderingData
from ticking import TickingClock

SIDE = 128


@pytest.fixture(scope="module")
def data() -> RenderingData:
    return RenderingData.of([talking_clip(4, side=SIDE, seed=s) for s in range(3)], hidden_mask(SIDE))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RIVALS if name not in ("ours", "l1")])
def test_every_rival_trains_by_name_and_paints_what_is_hidden(
    data: RenderingData, tmp_path: Path, name: str
) -> None:
    """But for those with newscaster's own network, whose export takes half a minute: see `test_pipelines`."""
    rival = RIVALS[name]
    rival.train(
        data,
        tmp_path,
        minutes=0.04,
        monitoring=Monitoring(check_frames=2, every_seconds=9),
        clock=TickingClock(0.5),
    )
    live_renderer = rival.open(tmp_path)
    clip = data.held_out[0]
    given = clip.crops.copy()
    given[:, data.hidden] = 0
    rendered = live_renderer.render_frames(given, clip.points)
    assert rendered.shape == clip.crops.shape
    assert rendered.dtype == np.uint8
    assert np.array_equal(rendered[:, ~data.hidden], clip.crops[:, ~data.hidden])
    assert rendered[:, data.hidden].any(axis=(1, 2)).all()
    # What was hidden makes no difference, and one frame alone is painted as in a row.
    assert np.array_equal(live_renderer.render_frames(clip.crops, clip.points), rendered)
    alone = live_renderer.render_frames(given[3:4], clip.points[3:4])[0]
    assert np.abs(alone.astype(int) - rendered[3]).max() <= 1
    assert json.loads(json.dumps(rival.recipe()))


@pytest.mark.parametrize(("name", "sharpened"), [("ours", None), ("l1", False)])
def test_the_two_of_ours_differ_in_what_makes_pictures_sharp(
    data: RenderingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sharpened: bool | None
) -> None:
    seen: list[rendering.RenderingTraining] = []

    def train(*_: object, training: rendering.RenderingTraining, **__: object) -> None:
        seen.append(training)

    monkeypatch.setattr(painters, "train_renderer", train)
    RIVALS[name].train(data, tmp_path, minutes=1, monitoring=Monitoring(check_frames=7, every_seconds=3))
    (how,) = seen
    assert (how.check_frames, how.intervals.evaluate_seconds) == (7, 3)
    default: Callable[[], rendering.RenderingTraining] = rendering.RenderingTraining
    if sharpened is None:
        assert how.sharpening == default().sharpening
        assert how.loss == default().loss
    else:
        assert how.sharpening is None
        assert how.loss.temporal == 0 < how.loss.gradient
