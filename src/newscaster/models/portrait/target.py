"""An anchor without a frame of the footage inside: a stage that is painted, and mouths that sit on it.

Knows what a trained full-frame network is used for. :func:`paint_stage` lets it paint a resting face that
nobody acted; :func:`painted_clips` lets it paint the surroundings of every mouth of the footage, so that the
renderer learns to put real mouths into painted faces. Nothing of the stage is footage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from newscaster.face.geometry import Similarity
from newscaster.face.region import Mask
from newscaster.media import encode_stage, replacing
from newscaster.models.portrait.head_track import FaceTrack, resting_track
from newscaster.models.portrait.inference import paint, paint_regions
from newscaster.models.portrait.network import FullFrame
from newscaster.models.renderer.data import RenderingClip, RenderingData
from newscaster.take import Clip, Stage, Take, writing_regions
from newscaster.training.precision import fast_precision

ImageArray = npt.NDArray[np.uint8]
Progress = Callable[[int, int], None]

STAGE_SECONDS = 10.0
RING_UNITS = 0.12
"""How far around the mask the colours of painted and real face are compared, in outer-eye distances."""


def paint_stage(
    network: FullFrame,
    take: Take,
    folder: Path,
    *,
    scale: float = 1.0,
    seconds: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Stage:
    """A stage that goes round and round, painted from a track made of the take's own face.

    Args:
        network: trained on the take.
        take: the footage.
        folder: where ``stage.mp4`` is written.
        scale: pixels of the network's pictures per pixel of the footage's.
        seconds: how long the stage is; by default STAGE_SECONDS.
        seed: of the track.
        progress: called with the frames painted and the frames in all.
    """
    fps = float(take.fps)
    landmarks = [np.where(clip.present[:, None, None], clip.landmarks, np.nan) for clip in take.clips]
    track = resting_track(landmarks, take.head, fps=fps, seconds=seconds or STAGE_SECONDS, seed=seed)
    width, height = (side - side % 2 for side in take.stage.size)

    def pictures() -> Iterator[ImageArray]:
        for count, picture in enumerate(_painted(network, track, scale), start=1):
            if progress is not None:
                progress(count, len(track.landmarks))
            yield _resized(picture, (width, height))

    video = encode_stage(pictures(), take.fps)
    with replacing(folder / "stage.mp4") as temporary:
        temporary.write_bytes(video)
    return Stage(
        video=folder / "stage.mp4",
        source="painted by a full-frame network",
        start_frame=0,
        size=(width, height),
        landmarks=track.landmarks,
        poses=track.poses,
        transforms=take.region.transforms(take.head, track.poses),
        loops=True,
    )


def _painted(network: FullFrame, track: FaceTrack, scale: float) -> Iterator[ImageArray]:
    planes = track.poses.planes * scale
    looks = np.repeat(track.home[None] * scale, len(planes), axis=0)
    precision = fast_precision(network.backdrops.device)
    return paint(network, track.landmarks[..., :2] * scale, planes, looks, precision=precision)


def painted_data(
    network: FullFrame, take: Take, folder: Path, *, scale: float = 1.0, progress: Progress | None = None
) -> RenderingData:
    """What a renderer is trained on that shall put real mouths into painted faces.

    Every region is painted but for the mouth inside the mask, which is the real one, its colours matched to
    the painted face around it, and faded in as it will be when an anchor speaks.

    Args:
        network: trained on the take.
        take: the footage.
        folder: where the regions are written; those found there for the same network are used again.
        scale: pixels of the network's pictures per pixel of the footage's.
        progress: called with the clips painted and the clips in all.
    """
    made = folder / f"painted-{_fingerprint(network)}"
    clips = []
    for count, clip in enumerate(take.clips, start=1):
        clips.append(_painted_clip(network, take, clip, made / clip.name, scale))
        if progress is not None:
            progress(count, len(take.clips))
    return RenderingData.of(clips, take.mask.hidden)


def _painted_clip(network: FullFrame, take: Take, clip: Clip, folder: Path, scale: float) -> RenderingClip:
    path, region = folder / "regions.npy", take.region
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shown = np.flatnonzero(clip.present)
        with writing_regions(folder, frames=clip.frames, side=region.side) as regions:
            if len(shown):
                painted = _painted_regions(network, take, clip, shown, scale)
                ring_px = RING_UNITS * region.pixels_per_unit
                regions[shown] = with_real_mouths(painted, clip.regions[shown], take.mask, ring_px=ring_px)
    return RenderingClip(np.load(path, mmap_mode="r"), clip.learnable_points())


def _painted_regions(
    network: FullFrame, take: Take, clip: Clip, shown: npt.NDArray[np.int64], scale: float
) -> ImageArray:
    """The regions of the frames ``shown`` of a clip, all painted: (f, S, S, 3)."""
    poses = take.head.steady_poses(clip.landmarks, clip.present, fps=take.fps)
    planes = poses.planes[shown] * scale
    to_footage = Similarity.of(scale=1 / scale, shift=(0.0, 0.0))
    found = paint_regions(
        network,
        clip.landmarks[shown, :, :2] * scale,
        planes,
        np.repeat(planes.mean(axis=0, keepdims=True), len(planes), axis=0),
        clip.transforms[shown].after(to_footage),
        side=take.region.side,
        precision=fast_precision(network.backdrops.device),
    )
    return np.stack(list(found))


def with_real_mouths(painted: ImageArray, real: ImageArray, mask: Mask, *, ring_px: float) -> ImageArray:
    """Painted regions (F, S, S, 3) with the lower faces of real ones (F, S, S, 3) faded in.

    Before that the real ones get, by one offset per channel and clip, the colours that the painted ones have
    around the mask.
    """
    reach = 2 * max(1, round(ring_px)) + 1
    grown = Image.fromarray(mask.hidden).convert("L").filter(ImageFilter.MaxFilter(reach))
    ring = (np.asarray(grown) > 0) & ~mask.hidden
    offset = (painted[:, ring].astype(np.float32) - real[:, ring]).mean(axis=(0, 1)) if ring.any() else 0.0
    share = (mask.soft / np.float32(255))[..., None]
    out = np.empty_like(painted)
    for index, (below, above) in enumerate(zip(painted, real, strict=True)):
        matched = np.clip(above + offset, 0, 255)
        out[index] = np.rint(below + share * (matched - below)).astype(np.uint8)
    return out


def _fingerprint(network: FullFrame) -> str:
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _resized(picture: ImageArray, size: tuple[int, int]) -> ImageArray:
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))
