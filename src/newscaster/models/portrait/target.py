"""Synthetic target of an anchor without footage, and training data for mouths on it.

Uses a trained full-frame network. :func:`render_target` renders a resting face from a synthetic track;
:func:`synthetic_data` renders the surroundings of every mouth of the footage, so that the renderer learns to
put real mouths into synthetic faces. No frame of the target is footage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from newscaster.face.crop import Mask
from newscaster.face.geometry import Similarity
from newscaster.formats.dataset import Clip, Dataset, Target
from newscaster.formats.dataset_writer import writing_crops
from newscaster.media import atomic_write, encode_target
from newscaster.models.portrait.head_track import FaceTrack, resting_track
from newscaster.models.portrait.inference import render_crops, render_frames
from newscaster.models.portrait.network import FullFrame
from newscaster.models.renderer.data import RenderingClip, RenderingData
from newscaster.training.precision import fast_precision
from newscaster.types import ArrayI64, FrameProgress, ImageU8

TARGET_SECONDS = 10.0
RING_UNITS = 0.12
"""Width of the ring around the mask for matching colours, in inter-ocular distances."""


def render_target(
    network: FullFrame,
    dataset: Dataset,
    folder: Path,
    *,
    scale: float = 1.0,
    seconds: float | None = None,
    seed: int = 0,
    progress: FrameProgress | None = None,
) -> Target:
    """Render a target video that loops, from a synthetic track of the face in the dataset.

    Args:
        network: trained on the dataset.
        dataset: the footage.
        folder: output folder of ``stage.mp4``.
        scale: pixels of the network's frames per pixel of the footage.
        seconds: length of the target video; by default :data:`TARGET_SECONDS`.
        seed: of the track.
        progress: called with the number of rendered frames and of all frames.
    """
    fps = float(dataset.fps)
    landmarks = [np.where(clip.present[:, None, None], clip.landmarks, np.nan) for clip in dataset.clips]
    track = resting_track(landmarks, dataset.head, fps=fps, seconds=seconds or TARGET_SECONDS, seed=seed)
    width, height = (side - side % 2 for side in dataset.target.size)

    def images() -> Iterator[ImageU8]:
        for count, image in enumerate(_rendered_frames(network, track, scale), start=1):
            if progress is not None:
                progress(count, len(track.landmarks))
            yield _resized(image, (width, height))

    video = encode_target(images(), dataset.fps)
    with atomic_write(folder / "stage.mp4") as temporary:
        temporary.write_bytes(video)
    return Target(
        video=folder / "stage.mp4",
        source="rendered by a full-frame network",
        start_frame=0,
        size=(width, height),
        landmarks=track.landmarks,
        poses=track.poses,
        transforms=dataset.crop.transforms(dataset.head, track.poses),
        loops=True,
    )


def _rendered_frames(network: FullFrame, track: FaceTrack, scale: float) -> Iterator[ImageU8]:
    planes = track.poses.planes * scale
    appearances = np.repeat(track.home[None] * scale, len(planes), axis=0)
    precision = fast_precision(network.backdrops.device)
    return render_frames(network, track.landmarks[..., :2] * scale, planes, appearances, precision=precision)


def synthetic_data(
    network: FullFrame,
    dataset: Dataset,
    folder: Path,
    *,
    scale: float = 1.0,
    progress: FrameProgress | None = None,
) -> RenderingData:
    """Return training data for a renderer that puts real mouths into synthetic faces.

    Every crop is synthetic except for the real mouth inside the mask. The colours of the mouth are matched
    to the synthetic face around it, and it is blended in as in an anchor that speaks.

    Args:
        network: trained on the dataset.
        dataset: the footage.
        folder: output folder of the crops; crops of the same network in it are reused.
        scale: pixels of the network's frames per pixel of the footage.
        progress: called with the number of rendered clips and of all clips.
    """
    clips_folder = folder / f"painted-{_fingerprint(network)}"
    clips = []
    for count, clip in enumerate(dataset.clips, start=1):
        clips.append(_rendered_clip(network, dataset, clip, clips_folder / clip.name, scale))
        if progress is not None:
            progress(count, len(dataset.clips))
    return RenderingData.of(clips, dataset.mask.hidden)


def _rendered_clip(
    network: FullFrame, dataset: Dataset, clip: Clip, folder: Path, scale: float
) -> RenderingClip:
    path, crop = folder / "regions.npy", dataset.crop
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shown = np.flatnonzero(clip.present)
        with writing_crops(folder, frames=clip.frames, side=crop.side) as crops:
            if len(shown):
                rendered = _rendered_crops(network, dataset, clip, shown, scale)
                ring_px = RING_UNITS * crop.pixels_per_unit
                crops[shown] = with_real_mouths(rendered, clip.crops[shown], dataset.mask, ring_px=ring_px)
    return RenderingClip(np.load(path, mmap_mode="r"), clip.learnable_points())


def _rendered_crops(
    network: FullFrame, dataset: Dataset, clip: Clip, shown: ArrayI64, scale: float
) -> ImageU8:
    """Render the crops (f, S, S, 3) of the frames ``shown`` of a clip."""
    poses = dataset.head.steady_poses(clip.landmarks, clip.present, fps=dataset.fps)
    planes = poses.planes[shown] * scale
    to_footage = Similarity.of(scale=1 / scale, shift=(0.0, 0.0))
    crops = render_crops(
        network,
        clip.landmarks[shown, :, :2] * scale,
        planes,
        np.repeat(planes.mean(axis=0, keepdims=True), len(planes), axis=0),
        clip.transforms[shown].after(to_footage),
        side=dataset.crop.side,
        precision=fast_precision(network.backdrops.device),
    )
    return np.stack(list(crops))


def with_real_mouths(rendered: ImageU8, real: ImageU8, mask: Mask, *, ring_px: float) -> ImageU8:
    """Blend the lower faces of real crops (F, S, S, 3) into synthetic crops (F, S, S, 3).

    First, one offset per channel and clip matches the colours of the real crops to those of the synthetic
    crops around the mask.
    """
    reach = 2 * max(1, round(ring_px)) + 1
    grown = Image.fromarray(mask.hidden).convert("L").filter(ImageFilter.MaxFilter(reach))
    ring = (np.asarray(grown) > 0) & ~mask.hidden
    offset = (rendered[:, ring].astype(np.float32) - real[:, ring]).mean(axis=(0, 1)) if ring.any() else 0.0
    fraction = (mask.soft / np.float32(255))[..., None]
    out = np.empty_like(rendered)
    for index, (below, above) in enumerate(zip(rendered, real, strict=True)):
        matched = np.clip(above + offset, 0, 255)
        out[index] = np.rint(below + fraction * (matched - below)).astype(np.uint8)
    return out


def _fingerprint(network: FullFrame) -> str:
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]


def _resized(image: ImageU8, size: tuple[int, int]) -> ImageU8:
    if (image.shape[1], image.shape[0]) == size:
        return image
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
