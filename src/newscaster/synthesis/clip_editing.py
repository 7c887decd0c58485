"""Named clips of an anchor: add parts of its target, or of other footage of the person; remove them.

A part of the target is only a name in the header: the anchor keeps its identity. Frames of other footage are
appended to the target, with the face track that `prepare` finds, and leave it with their clip. The anchor
gets another identity then. `target_frames` does both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from newscaster.errors import FootageError, InputError, OutputError
from newscaster.face.geometry import runs
from newscaster.formats.anchor import AnchorFile
from newscaster.formats.anchor_info import AnchorInfo
from newscaster.formats.bundled_anchors import anchor_path, is_bundled
from newscaster.formats.header import rewrite_header
from newscaster.formats.named_clips import (
    MAX_CLIPS,
    MIN_SECONDS,
    ClipTimes,
    NamedClip,
    check_names,
    names_text,
    overlapping,
)
from newscaster.media import locked
from newscaster.prepare.clips import read_footage
from newscaster.prepare.video_track import WantedPerson, track_part
from newscaster.synthesis.identity import anchor_descriptor
from newscaster.synthesis.loading import load_target
from newscaster.synthesis.target_frames import TargetFrames, TrackedClip
from newscaster.texts import quoted

_MIN_LEFT_SECONDS = 1.0
"""Of the target, which its clips must leave."""
_MAX_UNSEEN_SECONDS = 0.2
"""Of a clip, in a row, in which the face need not be found."""


def anchor_clips(path: str | Path) -> tuple[NamedClip, ...]:
    """Return the named clips of an anchor.

    Raises:
        AnchorError: the file is missing, not an anchor, or damaged.
    """
    return AnchorFile(anchor_path(path)).info.clips


def edit_clips(
    path: str | Path,
    *,
    add: Sequence[ClipTimes] = (),
    remove: Sequence[str] = (),
    footage: Path | None = None,
    face: int | None = None,
) -> tuple[NamedClip, ...]:
    """Remove and add named clips of an anchor.

    Args:
        path: NAME.anchor. It is replaced when the new file is complete.
        add: parts of `footage`; without footage, of the anchor's target video.
        remove: names. Frames of other footage leave the anchor; parts of its target become part of it again.
        footage: video of the person, of the anchor's frame size.
        face: number of the person in it, from the left; None: the person of the anchor.

    Returns:
        All clips that the anchor has now.

    Raises:
        AnchorError: the file is missing, not an anchor, or damaged.
        ConsentError: the person's consent has ended or was withdrawn.
        InputError: a clip is unknown, too short, named twice, shares frames with another one, or lies
            outside the video.
        MediaError: the footage is missing or damaged.
        FootageError: the footage does not show the person.
        OutputError: the file cannot be written.
    """
    path = anchor_path(path)
    if is_bundled(path):
        raise InputError(
            f"'{path}' is the bundled anchor, which stays as it is. Copy the file, and give the copy"
        )
    AnchorFile(path)  # raises an AnchorError if the file is missing or not an anchor
    with _locked(path):
        file = AnchorFile(path)
        file.info.check_consent()
        kept = _without(file.info.clips, remove)
        check_names(add, kept)
        tracked: list[TrackedClip] = []
        clips = kept
        if footage is None:
            clips = _checked((*kept, *(_in_target(file, times) for times in add)), file.info)
            _check_left(file, clips)
        else:
            _check_accepts_footage(file.info)
            check_parts(footage, add, fps=file.info.fps, size=file.info.size)
            wanted = WantedPerson(name=file.info.name, descriptor=_descriptor(file, face), face=face)
            tracked = track_clips(footage, add, wanted, fps=file.info.fps, size=file.info.size)
        cut = [clip for clip in file.info.clips if clip.from_footage and clip not in kept]
        return _rewritten(file, clips, cut=cut, tracked=tracked)


def append_clips(path: Path, tracked: Sequence[TrackedClip]) -> None:
    """Append tracked clips to the target of an anchor. See :func:`edit_clips`."""
    with _locked(path):
        file = AnchorFile(path)
        _rewritten(file, file.info.clips, cut=(), tracked=tracked)


def track_clips(
    footage: Path,
    clips: Sequence[ClipTimes],
    wanted: WantedPerson,
    *,
    fps: Fraction,
    size: tuple[int, int],
) -> list[TrackedClip]:
    """Track a person through parts of footage.

    Args:
        footage: a video file.
        clips: the parts.
        wanted: the person.
        fps: frames per second of the anchor.
        size: width and height of its frames; of odd frames, the footage may have a pixel more.

    Raises:
        InputError: the frames have another size; a part reaches beyond the end.
        FootageError: the person's face is not seen all the time.
    """
    check_parts(footage, clips, fps=fps, size=size)
    return [_tracked(footage, times, wanted, fps) for times in clips]


def check_parts(
    footage: Path,
    clips: Sequence[ClipTimes],
    *,
    fps: Fraction | None = None,
    size: tuple[int, int] | None = None,
) -> None:
    """Check, before any work, that parts of footage can be clips.

    Args:
        footage: a video file.
        clips: the parts.
        fps: frames per second of the anchor; None: those of the footage.
        size: width and height of its frames; None: those of the footage.

    Raises:
        MediaError: the file is missing or damaged.
        FootageError: it is no video.
        InputError: its frames have another size; a part reaches beyond its end.
    """
    file = read_footage(footage)
    actual = file.video.width, file.video.height
    if size is not None and any(not a <= b <= a + 1 for a, b in zip(size, actual, strict=True)):
        raise InputError(
            f"'{footage}' has frames of {actual[0]}x{actual[1]} pixels; expected those of the "
            f"anchor, {size[0]}x{size[1]}. Give the footage that it was trained on, or scale this one"
        )
    frame_seconds = float(1 / (fps or file.fps))
    for times in clips:
        if times.stop_seconds > file.end_seconds + frame_seconds:
            raise _beyond(times, footage, file.end_seconds)


def _beyond(times: ClipTimes, footage: Path, end_seconds: float) -> InputError:
    return InputError(
        f"the clip {quoted(times.name)} ends at {times.stop_seconds:g} s, but '{footage}' ends at "
        f"{end_seconds:.2f} s. Name a part within the video"
    )


def _tracked(footage: Path, times: ClipTimes, wanted: WantedPerson, fps: Fraction) -> TrackedClip:
    start, stop = (round(seconds * fps) for seconds in (times.start_seconds, times.stop_seconds))
    track = track_part(footage, wanted, fps=fps, start_frame=start, stop_frame=stop)
    if len(track) < stop - start:
        raise _beyond(times, footage, float((start + len(track)) / fps))
    if track.cuts:
        raise InputError(
            f"the clip {quoted(times.name)} has a cut at {float((start + track.cuts[0]) / fps):.2f} s of "
            f"'{footage}'; expected one shot. Name a part without a cut"
        )
    for first, last in runs(~track.present):
        if (last - first) / fps > _MAX_UNSEEN_SECONDS or not track.present.any():
            raise FootageError(
                f"the clip {quoted(times.name)} does not show the person's face at "
                f"{float((start + first) / fps):.2f} s of '{footage}'. Name a part that shows it all the time"
            )
    return TrackedClip(times=times, start_frame=start, track=track)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        with locked(path):
            yield
    except OSError as error:
        raise OutputError(
            f"'{path}' cannot be opened ({error.strerror or error}). Give a readable, writable file"
        ) from error


def _without(clips: Sequence[NamedClip], remove: Sequence[str]) -> tuple[NamedClip, ...]:
    names = {clip.name for clip in clips}
    if remove and not names:
        raise InputError(
            f"the anchor has no clips, so {quoted(remove[0])} cannot be removed. Omit the removal"
        )
    for name in remove:
        if name not in names:
            raise InputError(
                f"no clip is named {quoted(name)}; the anchor has {names_text(clips)}. Name one of them"
            )
    return tuple(clip for clip in clips if clip.name not in remove)


def _in_target(file: AnchorFile, times: ClipTimes) -> NamedClip:
    """Return a part of the target as a clip."""
    info = file.info
    start, stop = (round(seconds * info.fps) for seconds in (times.start_seconds, times.stop_seconds))
    if stop > info.target_frames:
        raise InputError(
            f"the clip {quoted(times.name)} ends at {times.stop_seconds:g} s; the target video of the anchor "
            f"ends at {info.target_seconds:g} s. Name a part of it, or give the footage"
        )
    segment = file.face().segment
    if segment is not None and segment[start] != segment[stop - 1]:
        cut = start + int(np.flatnonzero(np.diff(segment[start:stop]))[0]) + 1
        raise InputError(
            f"the clip {quoted(times.name)} has a cut at {float(cut / info.fps):.2f} s of the target video; "
            "expected one shot. Name a part without a cut"
        )
    return NamedClip(name=times.name, start=start, stop=stop)


def _checked(clips: Sequence[NamedClip], info: AnchorInfo) -> tuple[NamedClip, ...]:
    if len(clips) > MAX_CLIPS:
        raise InputError(f"there are {len(clips)} clips; expected at most {MAX_CLIPS}. Remove some")
    if (pair := overlapping(clips)) is not None:
        first, second = pair
        raise InputError(
            f"the clips {quoted(first.name)} and {quoted(second.name)} share the frames from "
            f"{float(second.start / info.fps):.2f} s on; expected clips apart. Name other times"
        )
    return tuple(sorted(clips, key=lambda clip: clip.start))


def _check_left(file: AnchorFile, clips: Sequence[NamedClip]) -> None:
    """Check that a target that is not a loop has frames outside its clips, which are shown on cue alone."""
    info = file.info
    left = info.target_frames - sum(clip.frames for clip in clips)
    if clips and not info.target_loops and left < _MIN_LEFT_SECONDS * info.fps:
        raise InputError(
            f"the clips leave {float(left / info.fps):.2f} s of the target video; expected "
            f"{_MIN_LEFT_SECONDS:g} s or more, which are shown otherwise. Name shorter clips (from "
            f"{MIN_SECONDS:g} s), or give other footage"
        )


def _check_accepts_footage(info: AnchorInfo) -> None:
    if info.target_loops or info.synthetic_target:
        kind = "rendered by a network" if info.synthetic_target else "made from a photograph"
        raise InputError(
            f"the target video of '{info.name}' is {kind}, and takes no footage. Name parts of the target "
            "itself, or train an anchor on the footage"
        )


def _descriptor(file: AnchorFile, face: int | None) -> np.ndarray | None:
    return None if face is not None else anchor_descriptor(load_target(file, file.face()))


def _rewritten(
    file: AnchorFile, clips: Sequence[NamedClip], *, cut: Sequence[NamedClip], tracked: Sequence[TrackedClip]
) -> tuple[NamedClip, ...]:
    """Write the anchor with these clips, without the frames of some, and with those of others; return all."""
    if not cut and not tracked:
        rewrite_header(file, {"clips": [clip.to_json() for clip in clips]})
        return tuple(clips)
    target = TargetFrames.of(file, clips)
    for clip in sorted(cut, key=lambda clip: -clip.start):
        target = target.without(clip)
    if tracked:
        target = target.appended(tracked)
        target = replace(target, info=replace(target.info, clips=_checked(target.info.clips, target.info)))
    target.write(file)
    return target.info.clips
