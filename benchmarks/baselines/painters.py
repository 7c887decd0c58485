"""Every renderer that the benchmark compares, by name: how it is trained, and how it paints.

All have one shape. ``train`` takes the same data and minutes for each and leaves what it learnt in a folder;
``paint`` takes regions, whose hidden pixels nobody looks at, and the mouths of successive frames of a clip.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import nn

from baselines.inpainter_network import InpainterConfig
from baselines.inpainting import (
    InpaintingTraining,
    draw_outline,
    export_inpainter,
    load_inpainter,
    train_inpainter,
)
from baselines.retrieval import Retrieval, RetrievalConfig, build_index
from newscaster.face.grain import Grain
from newscaster.face.references import ReferencePath, References
from newscaster.inference import Session
from newscaster.models.reference.task import AdaptingTraining, ReferenceTask
from newscaster.models.registry import DEFAULT_RENDERER
from newscaster.models.renderer.data import Frames, RenderingClip, RenderingData
from newscaster.models.renderer.network import Renderer, RendererConfig
from newscaster.models.renderer.training import (
    RenderingTraining,
    export_renderer,
    load_renderer,
    train_renderer,
)
from newscaster.synthesis.reference_network import reference_session
from newscaster.synthesis.reference_renderer import ReferenceRenderer
from newscaster.synthesis.renderer import Job
from newscaster.synthesis.target import TargetFrame
from newscaster.training.loop import Intervals, OnReport

ImageArray = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
Inputs = dict[str, ImageArray]

_COPIED = "copied.npz"
"""File with the frames that the reference renderer copies from."""
_REMEDY = "Train it again"
"""Next step if a network of the benchmark is damaged."""


class Painter(Protocol):
    """Makes mouths in regions."""

    def render_frames(self, crops: ImageArray, points: Floats) -> ImageArray:
        """Regions (B, S, S, 3) with hidden pixels made anew, for the mouths (B, 57, 2) in region pixels.

        The frames are successive ones of a clip. Pixels that are not hidden come back as they were.
        """


class NetworkPainter:
    """A network that runs in ONNX Runtime.

    Args:
        network: the PyTorch module, for what is counted on it.
        session: the same as ONNX.
        draw: from regions and mouths to what the network takes.
        grain: what is added to what it paints, and
        hidden: (S, S), where that is.
    """

    def __init__(
        self,
        network: nn.Module,
        session: Session,
        draw: Callable[[ImageArray, Floats], Inputs],
        *,
        grain: Grain | None = None,
        hidden: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.network, self.session, self.draw = network, session, draw
        self.grain, self.hidden = grain, hidden

    def render_frames(self, crops: ImageArray, points: Floats) -> ImageArray:
        """See :class:`Painter`."""
        rendered: ImageArray = self.session.run(**self.draw(crops, points))["rendered"]
        if self.grain is None or self.hidden is None:
            return rendered
        # A stage's frames have numbers; here a mouth stands for its own.
        numbers = [zlib.crc32(mouth.tobytes()) for mouth in points]
        grained = [self.grain.add(crop, number) for crop, number in zip(rendered, numbers, strict=True)]
        return np.where(self.hidden[..., None], np.stack(grained), rendered)


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """What a benchmark wants to see of a training; it costs a little of the budget."""

    check_frames: int
    """Held-out frames that figures are taken on."""
    every_seconds: float
    """Time between two figures."""


class Train(Protocol):
    """Trains for some minutes, as counted by the clock; goes on from what is in the folder."""

    def __call__(
        self,
        data: RenderingData,
        folder: Path,
        *,
        minutes: float,
        monitoring: Monitoring,
        progress: OnReport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None: ...


@dataclass(frozen=True)
class Rival:
    """One way to make mouths."""

    train: Train
    open: Callable[[Path], Painter]
    """From the folder that it was trained into; networks run with one thread."""
    recipe: Callable[[], dict[str, Any]]
    """What shapes it and how it is trained, for storing beside a result."""


def reconstruction_only() -> RenderingTraining:
    """The renderer's own training, with nothing but the errors of pixels and of those next to each other."""
    plain = RenderingTraining()
    return replace(plain, sharpening=None, loss=replace(plain.loss, temporal=0.0))


def _train_renderer(how: Callable[[], RenderingTraining], *, renderer: str = DEFAULT_RENDERER) -> Train:
    def train(
        data: RenderingData,
        folder: Path,
        *,
        minutes: float,
        monitoring: Monitoring,
        progress: OnReport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        training = replace(
            how(),
            check_frames=monitoring.check_frames,
            intervals=Intervals(evaluate_seconds=monitoring.every_seconds),
        )
        train_renderer(
            data,
            folder,
            minutes=minutes,
            renderer=renderer,
            device="cpu",
            training=training,
            progress=progress,
            clock=clock,
        )

    return train


def _train_inpainter(
    data: RenderingData,
    folder: Path,
    *,
    minutes: float,
    monitoring: Monitoring,
    progress: OnReport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    training = InpaintingTraining(
        check_frames=monitoring.check_frames, intervals=Intervals(evaluate_seconds=monitoring.every_seconds)
    )
    train_inpainter(data, folder, minutes=minutes, training=training, progress=progress, clock=clock)


def _build_index(
    data: RenderingData,
    folder: Path,
    *,
    minutes: float,
    monitoring: Monitoring,
    progress: OnReport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    build_index(data, folder)


def _open_renderer(folder: Path) -> NetworkPainter:
    network = load_renderer(folder)
    session = Session(export_renderer(network), threads=1, name="the renderer", trusted=True, remedy=_REMEDY)
    return NetworkPainter(
        network,
        session,
        lambda *given: _face_maps(network, *given),
        grain=Grain(network.grain, side=network.side),
        hidden=network.hidden.numpy(),
    )


def _open_inpainter(folder: Path) -> NetworkPainter:
    network = load_inpainter(folder)
    session = Session(
        export_inpainter(network), threads=1, name="the in-painter", trusted=True, remedy=_REMEDY
    )
    return NetworkPainter(network, session, _outlines)


def _face_maps(network: Renderer, crops: ImageArray, points: Floats) -> Inputs:
    frames = Frames([RenderingClip(crops, points)], map_side=network.map_side)
    batch = frames.batch(np.arange(len(crops)))
    return {"region": batch.crops, "face_map": batch.landmark_maps}


def _outlines(crops: ImageArray, points: Floats) -> Inputs:
    return {"region": crops, "outline": np.stack([draw_outline(p, crops.shape[1]) for p in points])}


class CopyingPainter:
    """The reference renderer: copies from frames of the training clips.

    Args:
        folder: of its training, with the frames beside the weights.
    """

    def __init__(self, folder: Path) -> None:
        weights = export_renderer(load_renderer(folder, renderer="reference"))
        stored = np.load(folder / _COPIED)
        self._references = References(list(stored["crops"]), stored["points"])
        hidden = stored["hidden"]
        session = reference_session(weights, side=len(hidden), name="the reference renderer")
        self._renderer = ReferenceRenderer(session, self._references, hidden=hidden, workers=1)
        self._hidden = hidden

    def render_frames(self, crops: ImageArray, points: Floats) -> ImageArray:
        """See :class:`Painter`. The frames of a call are one path."""
        side = crops.shape[1]
        path = ReferencePath(self._references.points)
        numbers = np.concatenate([path.push(points / side), path.flush()])
        left, top = self._renderer.corner
        made = crops.copy()
        for index, (crop, mouth) in enumerate(zip(crops, points, strict=True)):
            frame = TargetFrame(index, None, crop, None, None)  # type: ignore[arg-type]  # only the crop is read
            (box,) = self._renderer.crops([Job(frame, mouth, references=numbers[index])])
            made[index, top : top + box.shape[0], left : left + box.shape[1]] = box
        return np.where(self._hidden[..., None], made, crops)


def _train_reference(data: RenderingData, folder: Path, **given: Any) -> None:
    references = ReferenceTask.references_of(data)
    assert references is not None
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(
        folder / _COPIED, crops=np.stack(list(references.crops)), points=references.points, hidden=data.hidden
    )
    _train_renderer(AdaptingTraining, renderer="reference")(data, folder, **given)


def _renderer_recipe(how: Callable[[], RenderingTraining]) -> Callable[[], dict[str, Any]]:
    return lambda: {"network": RendererConfig().to_json(), "training": asdict(how())}


def _inpainter_recipe() -> dict[str, Any]:
    return {"network": InpainterConfig().to_json(), "training": asdict(InpaintingTraining())}


RIVALS: dict[str, Rival] = {
    "ours": Rival(_train_renderer(RenderingTraining), _open_renderer, _renderer_recipe(RenderingTraining)),
    "l1": Rival(_train_renderer(reconstruction_only), _open_renderer, _renderer_recipe(reconstruction_only)),
    "reference": Rival(_train_reference, CopyingPainter, lambda: asdict(AdaptingTraining())),
    "obamanet": Rival(_train_inpainter, _open_inpainter, _inpainter_recipe),
    "retrieval": Rival(_build_index, Retrieval, lambda: asdict(RetrievalConfig())),
}
"""``ours`` is the renderer as it is trained for an anchor, ``l1`` the same with reconstruction losses alone,
``reference`` the renderer that copies, from the base weights of the package, ``obamanet`` the pix2pix
in-painter,
``retrieval`` the weighted median of candidate frames."""
