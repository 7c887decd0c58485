"""An anchor from one photograph: no training, no footage.

::

    photo ─► target video (`still`): the head moves, the eyes blink
      ├────► face crop ─► open mouths (`face.open_mouths`): what the renderer copies from
      └────► mouth, closed ─► around which the base motion network moves it

Both networks are those of the package, which fit people whom they were not trained on.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.consent import Consent
from newscaster.face.crop import FaceCrop, Mask, cut_crop, lower_face_mask
from newscaster.face.geometry import eye_distance
from newscaster.face.mouth_basis import MouthBasis, closed_shape, extreme_shapes, mouth_shapes, place_mouth
from newscaster.face.open_mouths import natural_shapes, opened_mouths
from newscaster.face.references import CELLS, References
from newscaster.face.surface_warp import Surface
from newscaster.face.topology import MOUTH
from newscaster.formats.anchor import AnchorFace, AnchorFile, write_anchor
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.media import computed_ahead, encode_target
from newscaster.onnx_weights import in_half
from newscaster.speech.encoder import packaged_encoder
from newscaster.still.head_motion import HeadMotion, MotionStyle
from newscaster.still.photo import find_face, read_photo, upright
from newscaster.still.target import StillTarget
from newscaster.synthesis.base_motion import base_motion, base_motion_network
from newscaster.synthesis.loading import load_anchor
from newscaster.synthesis.reference_network import base_renderer_weights
from newscaster.synthesis.renderer import default_workers
from newscaster.system.files import atomic_write
from newscaster.types import ArrayF64, ImageU8, Progress

_log = logging.getLogger(__name__)


DEFAULT_MOTION: MotionStyle = "calm"
DEFAULT_FPS = Fraction(25)
_ONE_PHOTOGRAPH: Mapping[str, float] = {"photographs": 1}


def anchor_of_photo(
    path: Path,
    out: Path,
    *,
    name: str,
    consent: Consent,
    face: int | None = None,
    fps: Fraction | None = None,
    motion: MotionStyle | None = None,
    blinks: bool = True,
    attribution: Sequence[str] = (),
    reuse_encoder: bool = False,
    progress: Progress | None = None,
    warn: Callable[[str], None] | None = None,
) -> Path:
    """Make an anchor of the person in a photograph.

    Args:
        path: the photograph.
        out: NAME.anchor; an existing file is replaced when the new one is complete.
        name: of the anchor.
        consent: of the person.
        face: number of the person, from the left, if there are several.
        fps: frames per second of the anchor; None: 25.
        motion: of the head: "calm", "lively" or "still"; None: calm.
        blinks: whether the eyes blink.
        attribution: lines for the metadata of every video.
        reuse_encoder: omit the speech encoder from the anchor.
        progress: called with "target", the frames done and the total.
        warn: called with what the photograph does not allow, a sentence each; None: it is logged.

    Raises:
        MediaError: the file is missing, damaged or no still image.
        FootageError: it shows no face, one that is too small, turned away or covered, or several.
        InputError: an argument is out of range.
        OutputError: the anchor cannot be written.
    """
    rate = fps or DEFAULT_FPS
    head_motion = HeadMotion.generate(fps=float(rate), style=motion or DEFAULT_MOTION, blinks=blinks)
    photo = upright(read_photo(path))
    still = StillTarget(photo.pixels, find_face(photo.pixels, name=str(path), face=face), head_motion)
    for note in (*photo.notes, *still.notes):
        warning = f"'{path}': {note}"
        _log.warning("%s", warning) if warn is None else warn(warning)
    return write_photo_anchor(
        still,
        out,
        name=name,
        fps=rate,
        consent=consent,
        attribution=attribution,
        reuse_encoder=reuse_encoder,
        progress=progress,
    )


def write_photo_anchor(
    still: StillTarget,
    out: Path,
    *,
    name: str,
    fps: Fraction,
    consent: Consent,
    attribution: Sequence[str] = (),
    reuse_encoder: bool = False,
    references: Callable[[KnownFace, MouthBasis], References] | None = None,
    training: Mapping[str, float] = _ONE_PHOTOGRAPH,
    synthetic_target: bool = False,
    preset: str = "superfast",
    crf: int = 12,
    progress: Progress | None = None,
) -> Path:
    """Write the anchor of a photograph, or of a synthesised image.

    Args:
        still: its target video.
        out: NAME.anchor; an existing file is replaced when the new one is complete.
        name: of the anchor.
        fps: frames per second of the target video.
        consent: of the person.
        attribution: lines for the metadata of every video.
        reuse_encoder: omit the speech encoder from the anchor.
        references: returns what the renderer copies from; None: mouths that are drawn into the photograph.
        training: metrics for the header.
        synthetic_target: whether the image is synthesised, not photographed.
        preset: x264's trade of speed for size, for the target video.
        crf: x264's quality for it. Slower presets are as good with larger numbers.
        progress: called with "target", the frames done and the total.

    Raises:
        OutputError: the file cannot be written.
        AnchorError: the anchor does not work; it is not written.
    """
    motion = base_motion()
    known = KnownFace(still)
    basis = motion.basis.with_mean(closed_shape(known.shape, motion.basis))
    poses = still.poses
    face = AnchorFace(
        basis=basis,
        head=still.head,
        mask=known.mask(basis),
        poses=poses,
        transforms=known.crop.transforms(still.head, poses),
        landmarks=still.landmarks,
    )
    encoder = packaged_encoder()
    info = AnchorInfo(
        name=name,
        fps=fps,
        size=(still.photo.shape[1], still.photo.shape[0]),
        target_frames=len(still),
        crop=known.crop,
        target_loops=True,
        nods=tuple(still.motion.nods.tolist()),
        shared_encoder=hashlib.sha256(encoder).hexdigest() if reuse_encoder else None,
        features=motion.features,
        coefficients=basis.size,
        context_steps=motion.context_steps,
        map_side=CELLS,
        copies=True,
        training=dict(training),
        synthetic_target=synthetic_target,
        consent=consent.record().to_json(),
        attribution=tuple(attribution),
    )
    with ThreadPoolExecutor(1, thread_name_prefix="newscaster-references") as pool:
        copied = pool.submit(references or KnownFace.references, known, basis)
        video = encode_target(_frames(still, progress), fps, preset=preset, crf=crf)
    with atomic_write(out) as temporary:
        write_anchor(
            temporary,
            info,
            face,
            motion=in_half(base_motion_network()),
            renderer=base_renderer_weights(),
            target=video,
            matte=still.matte(),
            speech_encoder=None if reuse_encoder or not motion.features.needs_encoder else encoder,
            references=copied.result(),
        )
        load_anchor(AnchorFile(temporary), workers=1)  # it works
    return out


class KnownFace:
    """The face in a photograph: its crop, and its mouth."""

    def __init__(self, still: StillTarget) -> None:
        landmarks = still.photo_landmarks[None]
        self._head, self._pose = still.head, still.head.poses(landmarks)
        crop = FaceCrop.for_face(float(eye_distance(landmarks)[0]))
        self.crop = replace(crop, surface=Surface.where_turned(still.head, still.poses))
        self.warp = self.crop.transforms(still.head, self._pose)[0]
        """From pixels of the photograph to those of the crop."""
        self.shape: ArrayF64 = mouth_shapes(landmarks, still.head)[0]
        """The mouth, (57, 2) in head units."""
        self.mouth: ArrayF64 = self.warp.apply(landmarks[:, list(MOUTH), :2].astype(np.float64))[0]
        """The mouth in the crop, (57, 2) pixels."""
        self._image = cut_crop(still.photo, self.warp, self.crop.side)

    def mask(self, basis: MouthBasis) -> Mask:
        """Return the mask of the mouth as it is, and of those that speech may make."""
        possible = self._placed(extreme_shapes(basis))
        return lower_face_mask(np.concatenate([self.mouth[None], possible]), self.crop)

    def references(self, basis: MouthBasis) -> References:
        """Return what a renderer copies from: the photograph with other mouths."""
        side = self.crop.side
        places = self._placed(natural_shapes(basis)) / side
        return opened_mouths(
            self._image,
            self.mouth / side,
            points=places,
            rest=places[0],
            pixels_per_unit=self.crop.pixels_per_unit,
        )

    def _placed(self, shapes: ArrayF64) -> ArrayF64:
        """Return where mouth shapes (N, 57, 2) lie in the crop of the photograph, in pixels."""
        return self.warp.apply(place_mouth(shapes, self._head, self._pose.repeated(len(shapes))))


def _frames(still: StillTarget, progress: Progress | None) -> Iterator[ImageU8]:
    """Yield the frames in order; they are rendered on all cores, a few ahead."""
    total = len(still)
    frames = computed_ahead(still.frame, range(total), workers=default_workers(), name="newscaster-photo")
    with closing(frames):
        for number, frame in enumerate(frames):
            yield frame
            if progress is not None:
                progress("target", number + 1, total)
