from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from making_mouths import hidden_mask, talking_clip
from newscaster.errors import AnchorError
from newscaster.face.crop import Mask, place, reduced
from newscaster.face.geometry import Similarity
from newscaster.face.references import ReferencePath, References, nearest_references
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.inference import Session
from newscaster.media import ColourTags, YuvFrame, to_planes
from newscaster.media.color import FromRgb
from newscaster.models.reference.base import load_base_renderer
from newscaster.models.reference.data import ReferenceFrames
from newscaster.models.reference.graph import plane_graph, reference_graph
from newscaster.models.reference.network import BlendingUNet, ReferenceConfig, ReferenceNetwork
from newscaster.models.renderer.data import RenderingClip
from newscaster.onnx_weights import with_weights
from newscaster.synthesis.reference_network import folded
from newscaster.synthesis.reference_renderer import (
    ReferenceRenderer,
    base_renderer,
    neighbours,
    plane_neighbours,
)
from newscaster.synthesis.renderer import Job, Renderer
from newscaster.synthesis.target import TargetFrame

SIDE = 128
HIDDEN = hidden_mask(SIDE)
CLIP = talking_clip(30, side=SIDE)
REFERENCES = References(list(CLIP.crops[:20]), np.asarray(CLIP.points[:20] / SIDE, np.float32))


def unet() -> BlendingUNet:
    torch.manual_seed(0)
    return BlendingUNet(ReferenceConfig(channels=(8, 12), detail_gain=1.0)).eval()


def weights(network: BlendingUNet) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def session() -> Session:
    network = unet()
    graph = reference_graph(network.config, SIDE)
    return Session(with_weights(graph, folded(weights(network))), trusted=True, threads=1)


@pytest.fixture(scope="module")
def planes() -> Session:
    network = unet()
    graph = plane_graph(network.config, SIDE)
    return Session(with_weights(graph, folded(weights(network))), trusted=True, threads=1)


def renderer(session: Session) -> ReferenceRenderer:
    return ReferenceRenderer(session, REFERENCES, hidden=HIDDEN, workers=1)


def jobs(numbers: range) -> Iterator[Job]:
    for number in numbers:
        yield Job(
            SimpleNamespace(crop=CLIP.crops[number], index=number, angles=None, is_kept=False),
            CLIP.points[number],
        )  # type: ignore[arg-type]


def pasted(made: ReferenceRenderer, job: Job) -> np.ndarray:
    """Return the crop of a job with its hidden pixels rendered, (S, S, 3)."""
    (part,), (left, top) = made.crops([job]), made.corner
    whole = job.frame.crop.copy()
    whole[top : top + len(part), left : left + part.shape[1]] = part
    return np.where(HIDDEN[..., None], whole, job.frame.crop)


def test_a_reference_that_shows_the_mouth_is_copied(session: Session) -> None:
    made = renderer(session)
    for number, job in enumerate(jobs(range(6))):
        difference = np.abs(pasted(made, job).astype(int) - CLIP.crops[number])
        assert difference[HIDDEN].mean() < 2.5


def test_the_rendered_part_has_all_hidden_pixels(session: Session) -> None:
    made = renderer(session)
    (part,), (left, top) = made.crops(list(jobs(range(1)))), made.corner
    outside = HIDDEN.copy()
    outside[top : top + part.shape[0], left : left + part.shape[1]] = False
    assert not outside.any()
    assert part.size < CLIP.crops[0].size


def test_rows_of_neighbours_are_those_of_the_image() -> None:
    image = CLIP.crops[0]
    rows = neighbours(image).reshape(SIDE, SIDE, 2, 2, 3)
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        expected = image[down : SIDE - 1 + down, right : SIDE - 1 + right]
        np.testing.assert_array_equal(rows[:-1, :-1, down, right], expected)


def test_reduced_crops_of_the_frames_are_enough(session: Session) -> None:
    made = renderer(session)
    for job in jobs(range(20, 23)):
        small = SimpleNamespace(crop=reduced(job.frame.crop, SIDE // 2), angles=None, is_kept=False)
        reduced_job = replace(job, frame=small)  # type: ignore[arg-type]
        difference = np.abs(made.crops([job]).astype(int) - made.crops([reduced_job]))
        assert difference.mean() < 0.3
        assert difference.max() <= 12


def test_frames_whose_crops_are_kept_are_reduced_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, reduced_crops = renderer(session), []
    context = made._box.context
    monkeypatch.setattr(made._box, "context", lambda crop: reduced_crops.append(crop) or context(crop))

    def kept(job: Job, crop: np.ndarray) -> Job:
        frame = SimpleNamespace(crop=crop, index=3, angles=None, is_kept=True)
        return replace(job, frame=frame)  # type: ignore[arg-type]

    (job,) = jobs(range(3, 4))
    other = CLIP.crops[20].copy()
    expected = made.crops([job]), made.crops([kept(job, other)])
    reduced_crops.clear()
    for _ in range(2):
        np.testing.assert_array_equal(made.crops([kept(job, other)]), expected[1])
    assert not reduced_crops
    np.testing.assert_array_equal(made.crops([kept(job, job.frame.crop)]), expected[0])
    assert len(reduced_crops) == 1, "another crop of that number is reduced anew"


def test_mouths_without_a_frame_of_their_own_are_rendered(session: Session) -> None:
    openings = np.ptp(CLIP.points[:, 20:40, 1], axis=1)
    few = np.argsort(openings)[[0, 15, 29]]
    references = References([CLIP.crops[n] for n in few], np.asarray(CLIP.points[few] / SIDE, np.float32))
    made = ReferenceRenderer(session, references, hidden=HIDDEN, workers=1)
    new = [n for n in range(30) if n not in few]
    rendered = np.stack([pasted(made, *jobs(range(n, n + 1))) for n in new])
    nearest = [few[nearest_references(CLIP.points[n] / SIDE, references.points)[0]] for n in new]
    error, nearest_error = (
        np.abs(crops.astype(int) - CLIP.crops[new])[:, HIDDEN].mean()
        for crops in (rendered, CLIP.crops[nearest])
    )
    assert error < 0.8 * nearest_error, "warped references are nearer than the nearest as it is"


def test_jobs_keep_their_order_and_get_the_path(session: Session) -> None:
    planned = list(renderer(session).planned(jobs(range(25))))
    assert [job.frame.index for job in planned] == list(range(25))
    path = ReferencePath(REFERENCES.points)
    expected = np.concatenate([path.push(CLIP.points[:25] / SIDE), path.flush()])
    assert (np.stack([job.references for job in planned]) == expected).all()


FOOTAGE = replace(REFERENCES, angles=np.zeros((20, 3), np.float32))
OTHERS = np.array([15, 14, 13, 12])
OWN = np.array([3, 4, 5, 6])
LIT = replace(
    REFERENCES,
    crops=[crop if number < 10 else crop // 2 + 90 for number, crop in enumerate(REFERENCES.crops)],
)
"""The others are in another light."""


def test_references_of_footage_fade_where_the_first_changes(session: Session) -> None:
    made = ReferenceRenderer(session, FOOTAGE, hidden=HIDDEN, workers=1)
    planned = list(made.planned(jobs(range(30))))
    changes = 0
    for before, job in itertools.pairwise(planned):
        assert before.references is not None
        assert job.references is not None
        changed = before.references[0] != job.references[0]
        changes += changed
        assert (job.fading is not None) == changed
        if job.fading is not None:
            assert (job.fading == before.references).all()
    assert changes > 3
    assert planned[0].fading is None
    assert all(job.fading is None for job in renderer(session).planned(jobs(range(30)))), "a photograph"


def test_cheeks_are_the_mean_and_lips_are_new(session: Session) -> None:
    made = ReferenceRenderer(session, LIT, hidden=HIDDEN, workers=1)
    (job,) = jobs(range(3, 4))
    new, old, mean = (
        made.crops([replace(job, references=references, fading=fading)])[0].astype(int)
        for references, fading in ((OWN, None), (OTHERS, None), (OWN, OTHERS))
    )
    left, top = made.corner
    mouth = CLIP.points[3]
    y, x = np.mgrid[top : top + new.shape[0], left : left + new.shape[1]] + 0.5
    far = np.abs(y - mouth[:40, 1].mean()) > 0.75 * np.ptp(mouth[:40, 0])
    far |= np.abs(x - mouth[:40, 0].mean()) > 0.75 * np.ptp(mouth[:40, 0])
    differs = np.abs(new - old) > 6
    assert (far[..., None] & differs).any()
    assert np.abs(mean - (new + old) / 2)[far].max() <= 1
    outer, inner = mouth[:20].mean(axis=0), mouth[20:40]
    near = np.hypot(x - outer[0], y - inner[:, 1].mean()) < 2
    assert (near[..., None] & differs).any()
    assert np.abs(mean - new)[near].max() <= 0.15 * np.abs(new - old)[near].max()


def test_planes_fade_as_rgb_pixels_do(session: Session, planes: Session) -> None:
    mask = np.where(HIDDEN, 255, 0).astype(np.uint8)
    made = ReferenceRenderer(session, LIT, hidden=HIDDEN, workers=1, planes=planes)
    matrix = np.array([[0.93, 0.06, -80.0], [-0.06, 0.93, -60.0]])
    job, other, new = (
        replace(on_frames(3, mask, 288, matrix), references=OWN, fading=fading)
        for fading in (OTHERS, OTHERS, None)
    )
    made._render_frames([job])
    Renderer._render_frames(made, [other])
    made._render_frames([new])
    for plane, expected, alone, least in zip(
        job.frame.image.planes, other.frame.image.planes, new.frame.image.planes, (6, 2, 2), strict=True
    ):
        changed = expected.astype(int) - alone
        assert np.abs(changed).max() >= least
        difference = np.abs(plane.astype(int) - expected)
        assert difference.mean() < 0.15 + 0.25, "both are rounded once more"
        assert np.quantile(difference[changed != 0], 0.99) <= 4


def test_a_stream_chooses_for_itself(session: Session) -> None:
    made = renderer(session)
    one, other = made.chooser(), made.chooser()
    frames = [job.frame for job in jobs(range(8))]
    first = one.choose(frames[0], CLIP.points[0])
    assert first is not None
    assert first[0] == 0
    later = other.choose(frames[7], CLIP.points[7])
    assert later is not None
    assert later[0] == 7, "streams do not share their paths"


def test_it_renders_what_the_trained_network_does() -> None:
    """The graph of the package, its weights, and the box that the renderer cuts, against PyTorch."""
    made = base_renderer(REFERENCES, Mask(HIDDEN, HIDDEN.astype(np.uint8)), workers=1)
    network = ReferenceNetwork(ReferenceConfig(), HIDDEN).eval()
    network.unet.load_state_dict(load_base_renderer().state_dict())
    frames = ReferenceFrames([CLIP], HIDDEN, sources=[RenderingClip(CLIP.crops[:20], CLIP.points[:20])])
    for number in (0, 24):
        batch = frames.batch(np.array([number]))
        arrays = (batch.crops, batch.landmark_maps, batch.flow, batch.distance, batch.small, batch.large)
        with torch.no_grad():
            expected = network(*map(torch.from_numpy, arrays)).numpy()
        difference = np.abs(pasted(made, *jobs(range(number, number + 1))).astype(int) - expected[0])
        # Levels of the context are rounded here, and not there.
        assert difference.max() <= 3
        assert difference.mean() < 0.1


def on_frames(number: int, mask: np.ndarray, height: int, matrix: np.ndarray) -> Job:
    """Return a job on a plain frame that shows a crop, placed by ``matrix``, with other pixels around."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (height, 320, 3), dtype=np.uint8)
    frame = YuvFrame(FromRgb(ColourTags.for_height(height))(image))
    warp = SurfaceWarp.of(Similarity(matrix))
    placement = place(mask, warp, size=(320, height))
    target = TargetFrame(number, frame, CLIP.crops[number], warp, placement)
    return Job(target, CLIP.points[number], blend_weight=0.75)


@pytest.mark.parametrize("height", [288, 720])
@pytest.mark.parametrize("reaches_edge", [False, True])
def test_planes_are_those_of_the_rgb_pixels(
    session: Session, planes: Session, height: int, reaches_edge: bool
) -> None:
    """Only rounding differs: luma by a level or two, where RGB is not clipped."""
    hidden = HIDDEN.copy()
    if reaches_edge:
        hidden[SIDE // 2 :] = True
    mask = np.where(hidden, 255, 0).astype(np.uint8)
    made = ReferenceRenderer(session, REFERENCES, hidden=hidden, workers=1, planes=planes)
    matrix = np.array([[0.93, 0.06, -80.0], [-0.06, 0.93, -60.0]])
    for number in (2, 25):
        job, other = (on_frames(number, mask, height, matrix) for _ in range(2))
        made._render_frames([job])
        Renderer._render_frames(made, [other])
        before = on_frames(number, mask, height, matrix).frame.image.planes
        for plane, expected, old in zip(
            job.frame.image.planes, other.frame.image.planes, before, strict=True
        ):
            difference = np.abs(plane.astype(int) - expected)
            assert (expected != old).any()
            assert difference.mean() < 0.15
            assert np.quantile(difference[expected != old], 0.99) <= 4
            assert not difference[expected == old].max() > 8


def test_only_plain_frames_are_rendered_as_planes(session: Session) -> None:
    class Unused:
        def run(self, **_: object) -> None:
            raise AssertionError("these planes are not those of the frame")

    made = ReferenceRenderer(session, REFERENCES, hidden=HIDDEN, workers=1, planes=Unused())  # type: ignore[arg-type]
    mask = np.where(HIDDEN, 255, 0).astype(np.uint8)
    job = on_frames(4, mask, 288, np.array([[1.0, 0.0, -80.0], [0.0, 1.0, -60.0]]))
    full = job.frame.image.frame.reformat(format="yuv444p")
    frame = replace(job.frame, image=YuvFrame(full))
    before = frame.image.planes[0].copy()
    made._render_frames([replace(job, frame=frame)])
    assert (frame.image.planes[0] != before).any()
    with pytest.raises(AssertionError, match="not those of the frame"):
        made._render_frames([job])


def test_neighbours_of_planes_are_those_of_the_converted_crop() -> None:
    tags = ColourTags.for_height(288)
    luma, chroma = plane_neighbours(CLIP.crops[0], tags)
    y, u, v = (np.asarray(plane) for plane in to_planes(CLIP.crops[0], tags))
    assert luma.shape == (SIDE**2, 4)
    assert chroma.shape == (SIDE**2 // 4, 8)
    np.testing.assert_array_equal(luma.reshape(SIDE, SIDE, 2, 2)[:-1, :-1, 1, 0], y[1:, :-1])
    right = chroma.reshape(SIDE // 2, SIDE // 2, 2, 2, 2)[:-1, :-1, 0, 1]
    np.testing.assert_array_equal(right, np.stack([u, v], axis=-1)[:-1, 1:])


def test_no_references_are_refused(session: Session) -> None:
    with pytest.raises(AnchorError, match="no references"):
        ReferenceRenderer(session, References([], np.zeros((0, 57, 2), np.float32)), hidden=HIDDEN)
