"""The frames of an anchor's target, with their face: parts of footage are appended, and cut out again.

No frame is encoded again. `clip_editing` decides what may be a clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from newscaster.errors import InputError
from newscaster.face.frame_similarity import head_window, thumbnail
from newscaster.face.head_pose import Poses
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.formats.anchor import (
    MATTE,
    MOTION,
    RENDERER,
    RENDERER_WEIGHTS,
    SPEECH_ENCODER,
    TARGET,
    AnchorFace,
    AnchorFile,
    write_anchor,
)
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.formats.named_clips import ClipTimes, NamedClip
from newscaster.matting.packed import is_packed, packed, unpacked
from newscaster.matting.store import joined, without_frames
from newscaster.media import (
    TargetVideo,
    atomic_write,
    cut_target,
    encode_target,
    join_targets,
    read_frames,
)
from newscaster.prepare.video_track import VideoTrack
from newscaster.safety.readers import MAX_TARGET_FRAMES
from newscaster.synthesis.target_matte import video_matte
from newscaster.synthesis.video_target import VideoTarget
from newscaster.types import ArrayI64


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackedClip:
    """A part of footage, and the person's face in it."""

    times: ClipTimes
    start_frame: int
    """First frame of the part in the footage, at the anchor's frame rate."""
    track: VideoTrack


@dataclass(frozen=True, kw_only=True, eq=False)
class TargetFrames:
    """The target of an anchor, and what the anchor holds of each of its frames."""

    info: AnchorInfo
    """Of the anchor, with the clips of these frames."""
    face: AnchorFace
    video: bytes
    matte: bytes | None
    """Not packed; None: the anchor stores none."""
    packs_matte: bool
    """Whether the anchor stores it packed."""

    @staticmethod
    def of(file: AnchorFile, clips: Sequence[NamedClip]) -> TargetFrames:
        """Return the target of an anchor with other clips."""
        matte = file.read(MATTE) if MATTE in file.members else None
        return TargetFrames(
            info=replace(file.info, clips=tuple(clips)),
            face=file.face(),
            video=file.read(TARGET),
            matte=None if matte is None else unpacked(matte),
            packs_matte=matte is not None and is_packed(matte),
        )

    def without(self, clip: NamedClip) -> TargetFrames:
        """Return the target without the frames of a clip that was appended."""
        start, stop, face = clip.start, clip.stop, self.face
        left = np.r_[0:start, stop : self.info.target_frames]
        clips = tuple(
            other
            if other.start < start
            else replace(other, start=other.start - clip.frames, stop=other.stop - clip.frames)
            for other in self.info.clips
            if other != clip
        )
        segment = None if face.segment is None else np.unique(face.segment[left], return_inverse=True)[1]
        return replace(
            self,
            info=replace(self.info, clips=clips, target_frames=len(left)),
            face=replace(
                face,
                poses=face.poses[left],
                transforms=face.transforms[left],
                landmarks=face.landmarks[left],
                blend_weight=None if face.blend_weight is None else face.blend_weight[left],
                segment=segment,
                thumbnails=None if face.thumbnails is None else face.thumbnails[left],
            ),
            video=cut_target(self.video, start, stop),
            matte=None if self.matte is None else without_frames(self.matte, start, stop),
        )

    def appended(self, tracked: Sequence[TrackedClip]) -> TargetFrames:
        """Return the target with the frames of tracked clips at its end, each a segment of its own.

        Raises:
            InputError: there are too many frames, or the target was encoded in another way.
        """
        count = self.info.target_frames + sum(len(clip.track) for clip in tracked)
        if count > MAX_TARGET_FRAMES:
            raise InputError(
                f"with its clips, the target video has {count} frames; expected at most {MAX_TARGET_FRAMES}. "
                "Name shorter clips"
            )
        clips, start, face = list(self.info.clips), self.info.target_frames, self.face
        for clip in tracked:
            stop = start + len(clip.track)
            clips.append(NamedClip(name=clip.times.name, start=start, stop=stop, from_footage=True))
            start = stop
            face = _extended(face, self.info, clip)
        video = _joined_video(self, tracked)
        face = replace(face, thumbnails=_thumbnails(video, face))
        info, matte = replace(self.info, clips=tuple(clips), target_frames=count), self.matte
        if matte is not None:
            added = slice(self.info.target_frames, count)
            target, segment = TargetVideo(video, name=TARGET), face.segment
            new = video_matte(
                target,
                face.landmarks[added],
                size=info.size,
                first=added.start,
                segment=None if segment is None else segment[added],
            )
            matte = joined(matte, new)
        return replace(self, info=info, face=face, video=video, matte=matte)

    def write(self, file: AnchorFile) -> None:
        """Replace an anchor by itself with this target.

        Raises:
            OutputError: the file cannot be written.
        """
        info = self.info
        encoder = file.read(SPEECH_ENCODER) if SPEECH_ENCODER in file.members else None
        with atomic_write(file.path) as temporary:
            write_anchor(
                temporary,
                info,
                self.face,
                motion=file.read(MOTION),
                renderer=file.read(RENDERER_WEIGHTS if info.copies else RENDERER),
                target=self.video,
                matte=packed(self.matte) if self.packs_matte and self.matte is not None else self.matte,
                speech_encoder=encoder,
                references=file.references() if info.copies else None,
            )


def _extended(face: AnchorFace, info: AnchorInfo, clip: TrackedClip) -> AnchorFace:
    """Return the face of an anchor with the frames of one clip at the end, as a segment of their own."""
    target = VideoTarget.of(clip.track, face, info.crop)
    frames, total = len(clip.track), len(face.poses)
    landmarks = clip.track.landmarks[_nearest(clip.track)]
    weight = np.ones(total, np.float32) if face.blend_weight is None else face.blend_weight
    segment = np.zeros(total, np.int64) if face.segment is None else face.segment
    return replace(
        face,
        poses=Poses(
            np.concatenate([face.poses.matrix, target.poses.matrix]),
            np.concatenate([face.poses.shift, target.poses.shift]),
        ),
        transforms=SurfaceWarp.from_array(
            np.concatenate([face.transforms.to_array(), target.warps.to_array()]), info.crop.side
        ),
        landmarks=np.concatenate([face.landmarks, landmarks]),
        blend_weight=np.concatenate([weight, target.weights]),
        segment=np.concatenate([segment, np.full(frames, segment[-1] + 1)]),
    )


def _nearest(track: VideoTrack) -> ArrayI64:
    """Return for each frame (F,) the nearest one that shows the face."""
    seen = np.flatnonzero(track.present)
    distance = np.abs(np.arange(len(track))[:, None] - seen[None])
    return np.asarray(seen[distance.argmin(axis=1)])


def _joined_video(target: TargetFrames, tracked: Sequence[TrackedClip]) -> bytes:
    info, video = target.info, target.video
    width, height = TargetVideo(video, name=TARGET).size
    for clip in tracked:
        first = clip.start_frame
        images = read_frames(
            clip.track.path, fps=info.fps, start_frame=first, stop_frame=first + len(clip.track)
        )
        even = (np.ascontiguousarray(image[:height, :width]) for image in images)
        added = encode_target(even, info.fps)
        joined = join_targets(video, added)
        if joined is None:
            raise InputError(
                f"'{info.name}' has a target video that was encoded in another way, and takes no footage. "
                "Train the anchor again, with --clip"
            )
        video = joined
    return video


def _thumbnails(video: bytes, face: AnchorFace) -> np.ndarray:
    """Return the thumbnails (F, 2, 48, 48) of all frames, with one window of the head."""
    target = TargetVideo(video, name=TARGET)
    window = head_window([face.landmarks], target.size)
    return np.stack(
        [
            thumbnail(target.frame(index), face.transforms[index], face.mask, window)
            for index in range(target.frame_count)
        ]
    )
