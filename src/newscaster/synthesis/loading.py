"""Loading of an anchor file: its networks, face and target video, with a check that they fit and work.

`frames` turns speech into frames, `anchor` is the public interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.errors import AnchorError, InputError
from newscaster.face.references import SMALL_SIDE
from newscaster.formats.anchor import (
    MATTE,
    MOTION,
    RENDERER,
    RENDERER_WEIGHTS,
    SPEECH_ENCODER,
    TARGET,
    AnchorFace,
    AnchorFile,
)
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.formats.bundled_anchors import is_bundled
from newscaster.inference import Session, backend_named
from newscaster.matting.store import CACHE_FAST_BYTES
from newscaster.provenance import Statement
from newscaster.speech.encoder import SpeechEncoder
from newscaster.speech.voice_activity import load_voice_activity
from newscaster.synthesis.actions import ActionOrder
from newscaster.synthesis.articulation import AS_TRAINED, Articulation
from newscaster.synthesis.background import (
    Background,
    Compositor,
    background_change,
    open_compositor,
)
from newscaster.synthesis.gate import AHEAD_STEPS
from newscaster.synthesis.labelling import place_label
from newscaster.synthesis.live_rendering import LiveRenderer
from newscaster.synthesis.motion import MotionStream
from newscaster.synthesis.motion_log import SynthesisedFrames
from newscaster.synthesis.name_strap import strap_of
from newscaster.synthesis.nods import NodOrder
from newscaster.synthesis.options import Style
from newscaster.synthesis.overlays import Overlays
from newscaster.synthesis.person import LoadedPerson
from newscaster.synthesis.reference_renderer import reference_renderer
from newscaster.synthesis.renderer import MapRenderer, Renderer, default_workers
from newscaster.synthesis.signing import PersonOrigin, SpeechSource, statement
from newscaster.synthesis.target import Target
from newscaster.synthesis.target_matte import TargetMatte, write_target_matte
from newscaster.synthesis.trial import try_encoder, try_motion, try_renderer
from newscaster.types import ArrayF64
from newscaster.watermark import Watermark, id_of


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedAnchor(LoadedPerson):
    """The loaded parts of an anchor. Thread-safe."""

    path: Path
    info: AnchorInfo
    target: Target
    stored_matte: Callable[[], bytes] | None = None
    """Reads the matte in the anchor's file; None: it has none."""

    @property
    def is_bundled(self) -> bool:
        """Whether this is the bundled anchor."""
        return is_bundled(self.path)

    @cached_property
    def live_renderer(self) -> LiveRenderer:
        """Renders single frames of the target. Live streams share it."""
        basis = self.face.basis
        rest = AS_TRAINED.shapes(np.zeros((1, basis.size)), basis)[0]
        return LiveRenderer(self.target, self.renderer, rest=rest)

    @cached_property
    def matte(self) -> TargetMatte:
        """The matte of the target."""
        target = self.target
        return TargetMatte(
            name=self.info.name,
            compute=lambda file: write_target_matte(
                file,
                target.image,
                target.landmarks,
                segment=target.segment,
                loops=target.loops,
                fast_bytes=CACHE_FAST_BYTES,
            ),
            frames=len(target),
            size=target.plane_size,
            stored=self.stored_matte,
            key=self.origin.target_sha256,
        )

    def compositor(self, background: Background | None, *, start: int = 0) -> Compositor | None:
        """Return what puts a background behind the frames of the target; None without a background.

        Raises:
            MediaError: the file of the background cannot be read.
            AnchorError: the stored matte is damaged.
        """
        if background is None:
            return None
        return open_compositor(
            background, self.matte.load, like=self.target.image(start), first=start, fps=self.info.fps
        )

    @cached_property
    def watermark(self) -> Watermark:
        """The watermark of all frames of the target."""
        return Watermark(self.origin.person_id, like=self.target.frame(0).image)

    def on_target(self, target: Target) -> LoadedAnchor:
        """Return the same person on another target video."""
        origin, info = replace(self.origin, target_sha256=None), replace(self.info, nods=(), clips=())
        return replace(self, target=target, origin=origin, info=info, stored_matte=None)

    def motion_stream(
        self,
        *,
        articulation: Articulation = AS_TRAINED,
        ahead_steps: int = AHEAD_STEPS,
        look_ahead_ms: int | None = None,
        fps: Fraction | None = None,
    ) -> MotionStream:
        """See :meth:`LoadedPerson.motion_stream`; ``fps`` is by default that of the anchor."""
        return super().motion_stream(
            fps=fps or self.info.fps,
            articulation=articulation,
            ahead_steps=ahead_steps,
            look_ahead_ms=look_ahead_ms,
        )

    def order(self, target_start: int, *, stresses: ArrayF64 | None = None) -> Iterator[int]:
        """Return an endless order of frames of the target.

        Args:
            target_start: the first one.
            stresses: times of stressed syllables in seconds, which nods of the target meet if it has any;
                None: they are unknown.

        Raises:
            InputError: the target has no such frame to start with.
        """
        if not 0 <= target_start < len(self.target):
            raise InputError(f"target_start is {target_start}; expected 0 to {len(self.target) - 1}")
        if stresses is not None and self.info.nods:
            return self._nod_order.frames(stresses, start=target_start)
        return self.target.order(start=target_start)

    def live_order(self, target_start: int) -> ActionOrder:
        """Return an endless order of frames that plays named clips on cue; see :meth:`order`."""
        plain, actions = self.order(target_start), self.target.actions
        return ActionOrder(actions, start=self.target.own_start(target_start), plain=plain)

    @cached_property
    def _nod_order(self) -> NodOrder:
        return NodOrder.of(self.face, self.info)

    def marks(self, style: Style) -> Overlays:
        """Return the label, the name strap and the watermark of finished frames.

        Raises:
            InputError: a text cannot be drawn, or is too long.
        """
        text, landmarks, size = self.label_text(style), self.target.landmarks, self.info.size
        label = None if text is None else place_label(text, landmarks, size=size)
        strap = strap_of(style, landmarks, size=size, fps=self.info.fps, label=label)
        return Overlays(label=label, strap=strap, watermark=self.watermark if style.watermark else None)

    def statement(
        self,
        title: str,
        *,
        frames: SynthesisedFrames,
        speech: SpeechSource,
        style: Style,
    ) -> Statement:
        """Return the claims about a video of the target. See :meth:`newscaster.Anchor.statement`."""
        return statement(
            title,
            person=self.info,
            origin=self.origin,
            frames=frames,
            speech=speech,
            label=self.label_text(style),
            watermark=id_of(self.origin.person_id) if style.watermark else None,
            background=background_change(style.background),
            fps=self.info.fps,
            synthetic_target=self.info.synthetic_target and self.origin.target_sha256 is not None,
        )


def load_anchor(file: AnchorFile, *, workers: int | None = None, backend: str | None = None) -> LoadedAnchor:
    """Load an anchor file, and run its networks once.

    Args:
        file: the anchor file.
        workers: threads that render; None: one per core, up to 8.
        backend: inference backend of the rendering network, see :func:`newscaster.open`.

    Raises:
        AnchorError: the parts of the anchor do not fit each other, or a network does not work.
        InputError: the backend does not exist, or `workers` is below 1.
    """
    face, origin = file.face(), PersonOrigin.of(file)
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; expected 1 or more, or None for one per core")
    backend = backend_named(backend)
    try:
        # One thread per network: several would cost a third more, and other work fills the other cores.
        loaded = LoadedAnchor(
            path=file.path,
            info=file.info,
            face=face,
            origin=origin,
            encoder=_encoder(file),
            motion=Session(file.read(MOTION), threads=1, name=MOTION),
            activity=load_voice_activity(),
            target=load_target(file, face),
            renderer=_renderer(file, face, workers or default_workers(), backend),
            stored_matte=(lambda: file.read(MATTE)) if MATTE in file.members else None,
        )
        _try(loaded)
    except (InputError, ValueError) as error:
        raise AnchorError(
            f"'{file.path}' cannot be used: {error}. Copy the file again from where it came, "
            "or train it again"
        ) from error
    return loaded


def _encoder(file: AnchorFile) -> SpeechEncoder | None:
    info = file.info
    if not info.features.needs_encoder:
        return None
    shared = info.shared_encoder is not None
    session = Session(file.speech_encoder(), threads=1, name=SPEECH_ENCODER, trusted=shared)
    return SpeechEncoder(session, info.features.windowing)


def load_target(file: AnchorFile, face: AnchorFace) -> Target:
    """Load the target video of an anchor alone, without the networks.

    Raises:
        AnchorError: it does not fit the anchor.
    """
    info, video = file.info, media.TargetVideo(file.read(TARGET), name=TARGET)
    if video.fps != info.fps:
        raise AnchorError(f"{TARGET} has {video.fps} frames per second; expected {info.fps}")
    side = info.crop.side
    return Target(
        video,
        face,
        crop=info.crop,
        size=info.size,
        loops=info.target_loops,
        cut_side=min(SMALL_SIDE, side) if info.copies else side,
        clips=info.clips,
    )


def _renderer(file: AnchorFile, face: AnchorFace, workers: int, backend: str) -> Renderer:
    info, side = file.info, file.info.crop.side
    if info.copies:
        return reference_renderer(
            file.read(RENDERER_WEIGHTS),
            file.references(),
            hidden=face.mask.hidden,
            name=RENDERER_WEIGHTS,
            workers=workers,
            backend=backend,
        )
    session = Session(file.read(RENDERER), threads=1, name=RENDERER, backend=backend, callers=workers)
    return MapRenderer(session, side=side, map_side=info.map_side, grain=info.grain, workers=workers)


def _try(loaded: LoadedAnchor) -> None:
    """Find parts that do not fit or work now, not in the middle of a video. Tests try the bundled anchor."""
    info, face = loaded.info, loaded.face
    _ = loaded.live_renderer
    loaded.motion_stream()  # the network fits the features and the basis
    if is_bundled(loaded.path):
        return
    if loaded.encoder is not None and info.shared_encoder is None:
        try_encoder(loaded.encoder, info.features)
    try_motion(loaded.motion, width=info.features.width, basis=face.basis)
    try_renderer(loaded.renderer, loaded.target, face, pixels_per_unit=info.crop.pixels_per_unit)
