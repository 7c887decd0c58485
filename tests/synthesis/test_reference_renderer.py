from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.errors import AnchorError
from newscaster.face.references import ReferencePath, References, nearest_references
from newscaster.inference import Session
from newscaster.models.reference.network import CELLS, ReferenceConfig, ReferenceNetwork
from newscaster.synthesis.reference_renderer import ReferenceRenderer
from newscaster.synthesis.renderer import Job

SIDE = 128
HIDDEN = hidden_mask(SIDE)
CLIP = talking_clip(30, side=SIDE)
REFERENCES = References(list(CLIP.crops[:20]), np.asarray(CLIP.points[:20] / SIDE, np.float32))


class TorchSession:
    """A session that runs the network in PyTorch: an export takes 20 s, and `test_pipelines` makes one."""

    def __init__(self, network: ReferenceNetwork) -> None:
        self._network = network
        crop = torch.zeros(1, SIDE, SIDE, 3, dtype=torch.uint8)
        example = network.example(crop, torch.zeros(1, 4, CELLS, CELLS, dtype=torch.uint8))
        self.inputs = {name: tuple(tensor.shape) for name, tensor in example.items()}
        self.outputs = {"rendered": tuple(crop.shape)}

    def run_one(self, output: str, shape: tuple[int, ...], **inputs: np.ndarray) -> np.ndarray:
        assert output == "rendered"
        assert {name: array.shape for name, array in inputs.items()} == self.inputs
        with torch.no_grad():
            rendered = self._network(*(torch.from_numpy(np.array(inputs[name])) for name in self.inputs))
        assert rendered.shape == shape
        return np.asarray(rendered.numpy())


@pytest.fixture(scope="module")
def session() -> Session:
    torch.manual_seed(0)
    network = ReferenceNetwork(ReferenceConfig(channels=(8, 12), detail_gain=1.0), HIDDEN).eval()
    return TorchSession(network)  # type: ignore[return-value]


def renderer(session: Session) -> ReferenceRenderer:
    return ReferenceRenderer(session, REFERENCES, side=SIDE, map_side=CELLS, workers=1)


def jobs(numbers: range) -> Iterator[Job]:
    for number in numbers:
        yield Job(SimpleNamespace(crop=CLIP.crops[number], index=number), CLIP.points[number])  # type: ignore[arg-type]


def test_a_reference_that_shows_the_mouth_is_copied(session: Session) -> None:
    made = renderer(session).crops(list(jobs(range(6))))
    for number in range(6):
        difference = np.abs(made[number].astype(int) - CLIP.crops[number])
        assert difference[HIDDEN].mean() < 2.5
        assert (difference[~HIDDEN] == 0).all()


def test_mouths_without_a_frame_of_their_own_are_rendered(session: Session) -> None:
    openings = np.ptp(CLIP.points[:, 20:40, 1], axis=1)
    few = np.argsort(openings)[[0, 15, 29]]
    references = References([CLIP.crops[n] for n in few], np.asarray(CLIP.points[few] / SIDE, np.float32))
    made = ReferenceRenderer(session, references, side=SIDE, map_side=CELLS, workers=1)
    new = [n for n in range(30) if n not in few]
    rendered = np.concatenate([made.crops(list(jobs(range(n, n + 1)))) for n in new])
    nearest = [few[nearest_references(CLIP.points[n] / SIDE, references.points)[0]] for n in new]
    error, pasted = (
        np.abs(crops.astype(int) - CLIP.crops[new])[:, HIDDEN].mean()
        for crops in (rendered, CLIP.crops[nearest])
    )
    assert error < 0.8 * pasted, "warped references are nearer than the nearest as it is"


def test_jobs_keep_their_order_and_get_the_path(session: Session) -> None:
    planned = list(renderer(session).planned(jobs(range(25))))
    assert [job.frame.index for job in planned] == list(range(25))
    path = ReferencePath(REFERENCES.points)
    expected = np.concatenate([path.push(CLIP.points[:25] / SIDE), path.flush()])
    assert (np.stack([job.references for job in planned]) == expected).all()


def test_a_stream_chooses_for_itself(session: Session) -> None:
    made = renderer(session)
    one, other = made.chooser(), made.chooser()
    first = one.choose(CLIP.points[0])
    assert first is not None
    assert first[0] == 0
    later = other.choose(CLIP.points[7])
    assert later is not None
    assert later[0] == 7, "streams do not share their paths"


def test_another_network_is_refused(session: Session) -> None:
    with pytest.raises(AnchorError, match="not a network that copies"):
        ReferenceRenderer(session, REFERENCES, side=256, map_side=CELLS)
    with pytest.raises(AnchorError, match="no references"):
        ReferenceRenderer(
            session, References([], np.zeros((0, 57, 2), np.float32)), side=SIDE, map_side=CELLS
        )
