"""The take: prepared footage as a folder. Its reader and its writer, side by side.

Knows the files and what must agree between them. Leaves where their content comes from to ``prepare`` and
what becomes of it to ``training``::

    TAKE/
      take.json               format, fps, region, clips in order, stage, warnings; written last
      face.safetensors        head.points, mask.hidden, mask.soft
      stage.mp4               the footage that mouths are rewritten on (media.encode_stage)
      stage.safetensors       landmarks, pose_matrix, pose_shift, transforms of the stage's frames; share and
                              thumbnails where known
      clips/NAME/
        landmarks.npy         (F, 478, 3) float32 pixels of the source picture, raw; NaN where not present
        present.npy           (F,) bool: the person's face was found and followed
        speech.npy            (N,) float32, 16 kHz mono; sample 0 is the sound at frame 0. (0,): no sound
        regions.npy           (F, S, S, 3) uint8 RGB; black where not present
        transforms.npy        (F, 2, 3) float64, picture to region pixels; NaN where not present;
                              (F, 2, 4) where the region is bent (face.flattening)
        share.npy             (F,) float32: how much of a new mouth the frame may take; takes of old lack it
        clip.json             where it comes from and what is finished; written last

Every file is written under another name and renamed, so that a writer that is killed leaves a take that can
be resumed. Where ``take.json`` is missing, the take is unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from newscaster.errors import TakeError
from newscaster.face.flattening import Flattening
from newscaster.face.head import Head, Poses
from newscaster.face.moments import THUMBNAIL_SIDE
from newscaster.face.mouth import is_moving, mouth_shapes, opening
from newscaster.face.region import Mask, Region
from newscaster.face.topology import LANDMARKS, MOUTH
from newscaster.media.files import replacing, sole_user
from newscaster.speech.activity import LEAST_SPEECH_SECONDS, speech_activity
from newscaster.speech.features import MOTION_HZ
from newscaster.untrusted import (
    MOST_JSON_BYTES,
    MOST_STAGE_FRAMES,
    MOST_TENSOR_BYTES,
    check_range,
    fraction,
    map_array,
    read_json,
    read_plain,
    read_tensors,
)

FORMAT = 1
SPEECH_RATE = 16_000
"""Samples per second of a take's speech."""

_APART = frozenset("/\\:\0")
"""What no clip's name holds: it is that of a folder in `clips`."""
MOST_CLIPS = 10_000
MOST_CLIP_FRAMES = 10_000_000
"""Eleven hours at 240 frames per second."""
_GREATEST = {
    "head.points": 100.0,
    "landmarks": 1e6,
    "pose_matrix": 1e5,
    "pose_shift": 1e6,
    "transforms": 1e7,
    "share": 1.0,
}
"""Values beyond which no face can be, in outer-eye distances and pixels."""
_KINDS: dict[str, npt.DTypeLike] = {
    "landmarks": np.float32,
    "present": np.bool_,
    "speech": np.float32,
    "regions": np.uint8,
    "transforms": np.float64,
    "share": np.float32,
}
"""What a clip's arrays are of."""

Array = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]
_NEXT = "Run the preparation again on this folder: finished clips are kept"


@dataclass(frozen=True)
class ClipRecord:
    """``clip.json``: where a clip comes from and how far it has come."""

    source: str
    """Absolute path of the footage."""
    size_bytes: int
    """Of the footage when it was read; with ``mtime_ns`` it tells whether the file has changed since."""
    mtime_ns: int
    start_frame: int
    """First frame within the footage, at ``fps``."""
    stop_frame: int | None
    """One past the last frame that was asked for; None reads to the end."""
    fps: Fraction
    frame_size: tuple[int, int]
    """Width and height of the picture in pixels."""
    face_asked: int | None
    """Which person was asked for; None: the largest."""
    face: int
    """Which person was tracked, counted from the left, 0 first."""
    people: int
    """How many were seen."""
    frames: int = 0
    """Frames in the clip."""
    cropped_with: str | None = None
    """Fingerprint of the head, region and mask that the crops were made with; None before that."""

    def to_json(self) -> dict[str, Any]:
        """For storing; the way back is :meth:`from_json`."""
        return {**self.__dict__, "fps": _fraction_text(self.fps), "frame_size": list(self.frame_size)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClipRecord:
        """``KeyError``, ``TypeError`` or ``ValueError`` where the data are not a record's."""
        width, height = data["frame_size"]
        fields = {**data, "fps": fraction(data["fps"]), "frame_size": (int(width), int(height))}
        record = ClipRecord(**fields)
        for name, kind in _RECORD.items():
            if type(getattr(record, name)) not in kind:
                raise TypeError(f"{name} is {getattr(record, name)!r:.100}")
        if not 0 <= record.frames <= MOST_CLIP_FRAMES or not 1 <= record.fps <= 240:
            raise ValueError(f"{record.frames} frames at {record.fps} fps")
        return record

    def same_origin(self, other: ClipRecord) -> bool:
        """Whether the other record describes the same stretch of the same, unchanged footage."""
        return self._origin() == other._origin()

    def _origin(self) -> tuple[object, ...]:
        # The folder may have been moved: name, size and time tell a file well enough.
        file = (Path(self.source).name, self.size_bytes, self.mtime_ns)
        return (*file, self.start_frame, self.stop_frame, self.fps, self.face_asked)


@dataclass(frozen=True)
class Clip:
    """One clip of a take, read on demand."""

    folder: Path
    record: ClipRecord

    def __repr__(self) -> str:
        return f"Clip({self.name!r}, {self.frames} frames)"

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def frames(self) -> int:
        """Number of frames, ``F``."""
        return self.record.frames

    @cached_property
    def landmarks(self) -> npt.NDArray[np.float32]:
        """(F, 478, 3) pixels of the source picture, raw; NaN where not :attr:`present`."""
        return np.asarray(self._load("landmarks", (self.frames, LANDMARKS, 3)), np.float32)

    @cached_property
    def present(self) -> npt.NDArray[np.bool_]:
        """(F,): the person's face was found and followed."""
        return np.asarray(self._load("present", (self.frames,)), np.bool_)

    @cached_property
    def share(self) -> npt.NDArray[np.float32]:
        """(F,): how much of a new mouth each frame may take, 0 to 1: 0 where none can be put on.

        It falls to 0 where the head is turned away, cut off by the picture's edge or something is before the
        mouth, and where the face is not :attr:`present`.
        """
        if not (self.folder / "share.npy").exists():
            return self.present.astype(np.float32)
        return np.asarray(self._load("share", (self.frames,)), np.float32)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """(F,): the frames whose mouth is free: those that a renderer may learn from."""
        return np.asarray(self.share >= 1)

    @cached_property
    def speech(self) -> npt.NDArray[np.float32]:
        """(N,) 16 kHz mono; sample 0 is the sound at frame 0, and N spans the F frames.

        (0,) where the footage has no sound.
        """
        stored = self._load("speech", (None,), memory_map=True)
        samples = round(self.frames * SPEECH_RATE / self.record.fps) if len(stored) else 0
        return np.asarray(self._load("speech", (samples,)), np.float32)

    @property
    def has_sound(self) -> bool:
        """Whether the footage has sound, be it silence."""
        return len(self.speech) > 0

    @cached_property
    def speech_seconds(self) -> float:
        """How long speech is heard."""
        return float(speech_activity(self.speech).sum()) / MOTION_HZ

    def teaches_motion(self, head: Head) -> bool:
        """Whether a motion network can learn from the clip.

        Not where there is no sound, nor where the mouth moves and no speech is heard, as under a muted
        track: it would teach that talking makes no sound.
        """
        if not self.has_sound:
            return False
        speaks = self.speech_seconds >= LEAST_SPEECH_SECONDS
        return speaks or not is_moving(opening(self.mouth_shapes(head)))

    @cached_property
    def regions(self) -> ImageArray:
        """(F, S, S, 3) uint8 RGB crops, memory-mapped; black where not :attr:`present`."""
        regions: ImageArray = self._load("regions", (self.frames, None, None, 3), memory_map=True)
        return regions

    @cached_property
    def transforms(self) -> Flattening:
        """Source picture to region pixels, (F,); NaN where not :attr:`present`."""
        return Flattening.from_array(self._load("transforms", (self.frames, 2, None)), self.regions.shape[1])

    def mouth_points(self) -> Array:
        """(F, 57, 2): the mouth in region pixels, raw; NaN where not :attr:`present`."""
        return self.transforms.apply(self.landmarks[:, list(MOUTH), :2].astype(np.float64))

    def learnable_points(self) -> Array:
        """:meth:`mouth_points`, NaN where not :attr:`usable` too: what a renderer must not learn from."""
        return np.where(self.usable[:, None, None], self.mouth_points(), np.nan)

    def mouth_shapes(self, head: Head) -> Array:
        """(F, 57, 2): the mouth in the head's own frame; NaN where not :attr:`present`."""
        return mouth_shapes(self.landmarks, head)

    def _load(self, kind: str, shape: tuple[int | None, ...], *, memory_map: bool = False) -> Any:
        path = self.folder / f"{kind}.npy"
        try:
            array = map_array(path)
        except (OSError, ValueError) as error:
            raise TakeError(f"'{path}' is missing or damaged ({error}). {_NEXT}") from error
        if array.dtype != _KINDS[kind]:
            raise TakeError(f"'{path}' is of {array.dtype}, expected {np.dtype(_KINDS[kind])}. {_NEXT}")
        agrees = array.ndim == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=False)
        )
        if not agrees:
            raise TakeError(f"'{path}' has shape {array.shape}, expected {shape}. {_NEXT}")
        if memory_map:
            return array
        whole = np.array(array)
        check_range({kind: whole}, _GREATEST, lambda why: TakeError(f"'{path}': {why}. {_NEXT}"))
        return whole

    def check(self, side: int) -> None:
        """Raise TakeError unless every file is there and of the right shape; quick: headers are read."""
        shapes: dict[str, tuple[int | None, ...]] = {
            "landmarks": (self.frames, LANDMARKS, 3),
            "present": (self.frames,),
            "speech": (None,),
            "regions": (self.frames, side, side, 3),
            "transforms": (self.frames, 2, None),
        }
        if (self.folder / "share.npy").exists():
            shapes["share"] = (self.frames,)
        for kind, shape in shapes.items():
            self._load(kind, shape, memory_map=True)


_RECORD: dict[str, tuple[type, ...]] = {
    "source": (str,),
    "size_bytes": (int,),
    "mtime_ns": (int,),
    "start_frame": (int,),
    "stop_frame": (int, type(None)),
    "face_asked": (int, type(None)),
    "face": (int,),
    "people": (int,),
    "frames": (int,),
    "cropped_with": (str, type(None)),
}
"""What a record's fields are."""


@dataclass(frozen=True)
class StagePart:
    """A stretch of footage on the stage."""

    source: str
    start_frame: int
    frames: int


@dataclass(frozen=True)
class Stage:
    """The footage that mouths are rewritten on."""

    video: Path
    """H.264 in short closed groups: what ``media.StageVideo`` reads."""
    source: str
    """The footage it was taken from, and :attr:`start_frame` of it."""
    start_frame: int
    size: tuple[int, int]
    """Width and height in pixels."""
    landmarks: npt.NDArray[np.float32]
    """(F, 478, 3) pixels, raw."""
    poses: Poses
    """How the head stands, smoothed, (F,)."""
    transforms: Flattening
    """Picture to region pixels, smoothed, (F,)."""
    loops: bool = False
    """Whether its end meets its beginning: it is shown round and round, others in an order of their own."""
    parts: tuple[StagePart, ...] = ()
    """The stretches that it is made of, one after another; none: one, from :attr:`start_frame` on."""
    share: npt.NDArray[np.float32] | None = None
    """(F,): how much of the new mouth each frame takes, 0 to 1; None: 1 everywhere."""
    thumbnails: ImageArray | None = None
    """(F, 2, 48, 48): what the frames look like beside the mouth (``face.moments``); None: not known."""

    def __repr__(self) -> str:
        return f"Stage({self.size[0]}x{self.size[1]}, {self.frames} frames)"

    @property
    def frames(self) -> int:
        return len(self.landmarks)

    @property
    def stretch(self) -> npt.NDArray[np.int64]:
        """(F,): which of its parts each frame belongs to."""
        frames = [part.frames for part in self.parts] or [self.frames]
        return np.repeat(np.arange(len(frames)), frames)


@dataclass(frozen=True)
class Take:
    """Prepared footage, opened for reading."""

    folder: Path
    fps: Fraction
    region: Region
    head: Head
    mask: Mask
    clips: tuple[Clip, ...]
    stage: Stage
    warnings: tuple[str, ...]
    """What was noticed while the footage was prepared."""

    def __repr__(self) -> str:
        length = f"{len(self.clips)} clips, {self.seconds:.0f} s at {float(self.fps):.5g} fps"
        return f"Take('{self.folder}', {length})"

    @property
    def frames(self) -> int:
        """Frames of all clips together."""
        return sum(clip.frames for clip in self.clips)

    @property
    def seconds(self) -> float:
        """Length of all clips together."""
        return float(self.frames / self.fps)

    @staticmethod
    def open(path: Path | str) -> Take:
        """Open a finished take and check that its parts are there and agree.

        Raises:
            TakeError: it is not a take, unfinished, damaged, or of another version.
        """
        folder = Path(path)
        data = _read_take_json(folder)
        try:
            region = Region.from_json(data["region"])
            fps = fraction(data["fps"])
            names, stage = _names(data["clips"]), dict(data["stage"])
            head, mask = _read_face(folder / "face.safetensors", region)
            clips = tuple(_read_clip(folder / "clips" / name, region, fps) for name in names)
            return Take(
                folder,
                fps,
                region,
                head,
                mask,
                clips,
                _read_stage(folder, stage, region),
                tuple(map(str, data["warnings"])),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise TakeError(f"'{folder / 'take.json'}' is damaged ({error!r:.300}). {_NEXT}") from error


def _read_take_json(folder: Path) -> dict[str, Any]:
    path = folder / "take.json"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise TakeError(
            f"'{folder}' {what}; a take is a folder made by the preparation. Prepare footage first"
        )
    if not path.exists():
        unfinished = (folder / "clips").is_dir()
        what = "is an unfinished take" if unfinished else "is not a take"
        next_step = _NEXT if unfinished else "Prepare footage first, into a folder of its own"
        raise TakeError(f"'{folder}' {what}: there is no take.json in it. {next_step}")
    try:
        data = _read_json(path)
    except (OSError, ValueError) as error:
        raise TakeError(f"'{path}' is damaged ({error}). {_NEXT}") from error
    found = data.get("format")
    if found != FORMAT:
        raise TakeError(
            f"'{path}' has format {found!r:.40}; this version of newscaster reads format {FORMAT}. "
            f"Prepare the footage again with this version, into a new folder"
        )
    return data


def _read_json(path: Path) -> dict[str, Any]:
    return read_json(read_plain(path, most=MOST_JSON_BYTES, follow_links=False))


def _names(values: object) -> list[str]:
    """Names of clips' folders: of folders in `clips`, and nowhere else."""
    if not isinstance(values, list) or len(values) > MOST_CLIPS:
        raise ValueError(f"its clips are no list of at most {MOST_CLIPS}")
    for name in values:
        if not isinstance(name, str) or not 0 < len(name) <= 255 or name in (".", "..") or set(name) & _APART:
            raise ValueError(f"{name!r:.100} is no name of a clip")
    if len(set(values)) < len(values):
        raise ValueError("a clip is there twice")
    return values


def _read_tensors(path: Path, wanted: Mapping[str, str]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a file, among them those wanted, which are finite, and not beyond their limits."""
    try:
        arrays = read_tensors(read_plain(path, most=MOST_TENSOR_BYTES, follow_links=False))
    except (OSError, ValueError) as error:
        raise TakeError(f"'{path}' is missing or damaged ({error}). {_NEXT}") from error
    for name, kind in wanted.items():
        array = arrays.get(name)
        if array is None or not array.dtype.name.startswith(kind):
            found = "not there" if array is None else array.dtype
            raise TakeError(f"'{path}': {name} is {found}, expected {kind}. {_NEXT}")
        if not np.isfinite(array).all():
            raise TakeError(f"'{path}': {name} holds values that are not finite. {_NEXT}")
    check_range(arrays, _GREATEST, lambda why: TakeError(f"'{path}': {why}. {_NEXT}"))
    return arrays


def _read_face(path: Path, region: Region) -> tuple[Head, Mask]:
    arrays = _read_tensors(path, {"head.points": "float", "mask.hidden": "uint8", "mask.soft": "uint8"})
    head = Head.from_arrays(arrays)
    if head.points.shape != (LANDMARKS, 3) or not head.has_depth:
        raise TakeError(f"'{path}': head.points, {head.points.shape}, are no head's. {_NEXT}")
    mask = Mask(arrays["mask.hidden"].astype(bool), arrays["mask.soft"])
    if mask.hidden.shape != (region.side,) * 2 or mask.soft.shape != mask.hidden.shape:
        raise TakeError(
            f"'{path}' holds a mask of shape {mask.hidden.shape}, the region's side is {region.side}. {_NEXT}"
        )
    return head, mask


def _read_clip(folder: Path, region: Region, fps: Fraction) -> Clip:
    if folder.is_symlink() or folder.parent.is_symlink():
        raise TakeError(f"'{folder}' is reached by a link, which no take has. Put the folder itself there")
    record = read_record(folder)
    if record is None:
        raise TakeError(f"'{folder / 'clip.json'}' is missing or damaged. {_NEXT}")
    if record.cropped_with is None:
        raise TakeError(f"the clip '{folder}' is unfinished: it has no crops yet. {_NEXT}")
    if record.fps != fps:
        raise TakeError(f"the clip '{folder}' is at {record.fps} fps, the take at {fps}. {_NEXT}")
    clip = Clip(folder, record)
    clip.check(region.side)
    return clip


def _read_stage(folder: Path, data: Mapping[str, Any], region: Region) -> Stage:
    video, tensors = folder / "stage.mp4", folder / "stage.safetensors"
    arrays = _read_tensors(
        tensors, dict.fromkeys(("landmarks", "pose_matrix", "pose_shift", "transforms"), "float")
    )
    if not video.is_file() or video.is_symlink():
        raise TakeError(f"'{video}' is missing, or a link. {_NEXT}")
    width, height = data["size"]
    frames = int(data["frames"])
    shapes = {
        "landmarks": (frames, LANDMARKS, 3),
        "pose_matrix": (frames, 2, 3),
        "pose_shift": (frames, 2),
        "transforms": (frames, 2, 3 if region.surface is None else 4),
        "share": (frames,),
        "thumbnails": (frames, 2, THUMBNAIL_SIDE, THUMBNAIL_SIDE),
    }
    if odd := [name for name, array in arrays.items() if array.shape != shapes.get(name)]:
        raise TakeError(f"'{tensors}' does not have {frames} frames of {', '.join(odd)}. {_NEXT}")
    stage = Stage(
        video,
        str(data["source"]),
        int(data["start_frame"]),
        (int(width), int(height)),
        arrays["landmarks"],
        Poses(arrays["pose_matrix"].astype(np.float64), arrays["pose_shift"].astype(np.float64)),
        Flattening.from_array(arrays["transforms"], region.side),
        parts=_parts(data.get("parts", [])),
        share=arrays.get("share"),
        thumbnails=arrays.get("thumbnails"),
    )
    if len(stage.stretch) != frames:
        raise TakeError(f"'{tensors}' does not have the {len(stage.stretch)} frames of its parts. {_NEXT}")
    return stage


def _parts(values: Sequence[Mapping[str, Any]]) -> tuple[StagePart, ...]:
    parts = tuple(StagePart(str(v["source"]), int(v["start_frame"]), int(v["frames"])) for v in values)
    frames = [part.frames for part in parts]
    if len(parts) > MOST_STAGE_FRAMES or min(frames, default=1) < 1 or sum(frames) > MOST_STAGE_FRAMES:
        raise ValueError(f"its stage has {len(parts)} parts of {sum(frames)} frames")
    return parts


# --- Writing: what prepare uses, in worker processes too


def read_record(folder: Path) -> ClipRecord | None:
    """The record of a clip's folder; None where there is none that can be read."""
    try:
        return ClipRecord.from_json(_read_json(folder / "clip.json"))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def write_track(
    folder: Path,
    record: ClipRecord,
    *,
    landmarks: npt.NDArray[np.float32],
    present: npt.NDArray[np.bool_],
    speech: npt.NDArray[np.float32],
) -> ClipRecord:
    """Store a clip's face track and speech; its crops, if any, are void. Returns the record as stored."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in ("clip.json", "share.npy"):
        (folder / stale).unlink(missing_ok=True)
    for kind, array in (("landmarks", landmarks), ("present", present), ("speech", speech)):
        with replacing(folder / f"{kind}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    return _write_record(folder, replace(record, frames=len(present), cropped_with=None))


@contextmanager
def writing_regions(folder: Path, *, frames: int, side: int) -> Iterator[ImageArray]:
    """A black (F, S, S, 3) uint8 array on disk to write crops to; the clip's when the block ends well."""
    with replacing(folder / "regions.npy") as temporary:
        shape = (frames, side, side, 3)
        array: Any = np.lib.format.open_memmap(temporary, "w+", dtype=np.uint8, shape=shape)  # type: ignore[no-untyped-call]
        yield array
        array.flush()


def write_transforms(
    folder: Path, record: ClipRecord, transforms: Flattening, cropped_with: str
) -> ClipRecord:
    """Store the transforms of finished crops, and that they are finished."""
    with replacing(folder / "transforms.npy") as temporary:
        np.save(temporary, transforms.to_array(), allow_pickle=False)
    return _write_record(folder, replace(record, cropped_with=cropped_with))


def write_share(folder: Path, share: npt.NDArray[np.float32]) -> None:
    """Store how much of a new mouth each of a clip's frames may take, (F,)."""
    with replacing(folder / "share.npy") as temporary:
        np.save(temporary, share.astype(np.float32), allow_pickle=False)


def _write_record(folder: Path, record: ClipRecord) -> ClipRecord:
    _write_json(folder / "clip.json", record.to_json())
    return record


class TakeWriter:
    """Writes a take, as the only one to do so: use it in a ``with`` statement.

    Raises:
        OutputError: the folder cannot be made, or somebody else is writing to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        alone = sole_user(self.folder, what="preparation", otherwise="give another folder for the take")
        self._stack.enter_context(alone)
        for left_over in self.folder.rglob(".*.part*"):  # of a writer that was killed
            left_over.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def clip_folder(self, name: str) -> Path:
        return self.folder / "clips" / name

    def begin(self) -> None:
        """Mark the take as unfinished: what is written from here on may not fit together."""
        (self.folder / "take.json").unlink(missing_ok=True)

    def write_face(self, head: Head, mask: Mask) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {
            **head.to_arrays(),
            "mask.hidden": mask.hidden.astype(np.uint8),
            "mask.soft": mask.soft,
        }
        self._write_tensors("face.safetensors", arrays)

    def write_stage(self, video: bytes, stage: Stage) -> None:
        """Store the stage; ``stage.video`` is not looked at."""
        arrays: dict[str, npt.NDArray[Any]] = {
            "landmarks": stage.landmarks.astype(np.float32),
            "pose_matrix": stage.poses.matrix,
            "pose_shift": stage.poses.shift,
            "transforms": stage.transforms.to_array(),
        }
        for name, given in (("share", stage.share), ("thumbnails", stage.thumbnails)):
            if given is not None:
                arrays[name] = given
        self._write_tensors("stage.safetensors", arrays)
        with replacing(self.folder / "stage.mp4") as temporary:
            temporary.write_bytes(video)

    def finish(
        self,
        *,
        fps: Fraction,
        region: Region,
        clips: Sequence[str],
        stage: Stage,
        warnings: Sequence[str] = (),
    ) -> Take:
        """Write ``take.json`` and open the take."""
        _write_json(
            self.folder / "take.json",
            {
                "format": FORMAT,
                "fps": _fraction_text(fps),
                "region": region.to_json(),
                "clips": list(clips),
                "stage": {
                    "source": stage.source,
                    "start_frame": stage.start_frame,
                    "frames": stage.frames,
                    "size": list(stage.size),
                    "parts": [dict(part.__dict__) for part in stage.parts],
                },
                "warnings": list(warnings),
            },
        )
        return Take.open(self.folder)

    def _write_tensors(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        with replacing(self.folder / name) as temporary:
            save_file(contiguous, temporary)


def _fraction_text(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
