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
        fits.npy              (F,) bool: the frame's audio goes with its mouth, as far as measured; optional
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
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from newscaster.errors import TakeError
from newscaster.face.flattening import Flattening
from newscaster.face.head import Head, Poses
from newscaster.face.moments import THUMBNAIL_SIDE
from newscaster.face.region import Mask, Region
from newscaster.face.topology import LANDMARKS
from newscaster.media.files import new_array, replacing
from newscaster.media.leases import sole_user
from newscaster.take_clip import (
    NEXT,
    SPEECH_RATE,
    Clip,
    ClipRecord,
    fraction_text,
    read_record,
    read_take_json,
)
from newscaster.texts import restored, shown, stored
from newscaster.untrusted import (
    MOST_STAGE_FRAMES,
    MOST_TENSOR_BYTES,
    check_range,
    fraction,
    read_plain,
    read_tensors,
)

__all__ = [
    "FORMAT",
    "SPEECH_RATE",
    "Clip",
    "ClipRecord",
    "Stage",
    "StagePart",
    "Take",
    "TakeWriter",
    "read_record",
    "write_audio",
    "write_audio_fits",
    "write_share",
    "write_track",
    "write_transforms",
    "writing_regions",
]

FORMAT = 1

_APART = frozenset("/\\:\0")
"""What no clip's name holds: it is that of a folder in `clips`."""
MOST_CLIPS = 10_000
_GREATEST = {
    "head.points": 100.0,
    "landmarks": 1e6,
    "pose_matrix": 1e5,
    "pose_shift": 1e6,
    "transforms": 1e7,
    "share": 1.0,
}
"""Values beyond which no face can be, in outer-eye distances and pixels."""
Array = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]


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
        data = _read_description(folder)
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
            raise TakeError(f"'{folder / 'take.json'}' is damaged ({error!r:.300}). {NEXT}") from error


def _read_description(folder: Path) -> dict[str, Any]:
    path = folder / "take.json"
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise TakeError(
            f"'{folder}' {what}; a take is a folder made by the preparation. Prepare footage first"
        )
    if not path.exists():
        unfinished = (folder / "clips").is_dir()
        what = "is an unfinished take" if unfinished else "is not a take"
        next_step = NEXT if unfinished else "Prepare footage first, into a folder of its own"
        raise TakeError(f"'{folder}' {what}: there is no take.json in it. {next_step}")
    try:
        data = read_take_json(path)
    except (OSError, ValueError) as error:
        raise TakeError(f"'{path}' is damaged ({error}). {NEXT}") from error
    found = data.get("format")
    if found != FORMAT:
        raise TakeError(
            f"'{path}' has format {found!r:.40}; this version of newscaster reads format {FORMAT}. "
            f"Prepare the footage again with this version, into a new folder"
        )
    return data


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
        raise TakeError(f"'{path}' is missing or damaged ({error}). {NEXT}") from error
    for name, kind in wanted.items():
        array = arrays.get(name)
        if array is None or not array.dtype.name.startswith(kind):
            found = "not there" if array is None else array.dtype
            raise TakeError(f"'{path}': {name} is {found}, expected {kind}. {NEXT}")
        if not np.isfinite(array).all():
            raise TakeError(f"'{path}': {name} holds values that are not finite. {NEXT}")
    check_range(arrays, _GREATEST, lambda why: TakeError(f"'{path}': {why}. {NEXT}"))
    return arrays


def _read_face(path: Path, region: Region) -> tuple[Head, Mask]:
    arrays = _read_tensors(path, {"head.points": "float", "mask.hidden": "uint8", "mask.soft": "uint8"})
    head = Head.from_arrays(arrays)
    if head.points.shape != (LANDMARKS, 3) or not head.has_depth:
        raise TakeError(f"'{path}': head.points, {head.points.shape}, are no head's. {NEXT}")
    mask = Mask(arrays["mask.hidden"].astype(bool), arrays["mask.soft"])
    if mask.hidden.shape != (region.side,) * 2 or mask.soft.shape != mask.hidden.shape:
        raise TakeError(
            f"'{path}' holds a mask of shape {mask.hidden.shape}, the region's side is {region.side}. {NEXT}"
        )
    return head, mask


def _read_clip(folder: Path, region: Region, fps: Fraction) -> Clip:
    if folder.is_symlink() or folder.parent.is_symlink():
        raise TakeError(f"'{folder}' is reached by a link, which no take has. Put the folder itself there")
    record = read_record(folder)
    if record is None:
        raise TakeError(f"'{folder / 'clip.json'}' is missing or damaged. {NEXT}")
    if record.cropped_with is None:
        raise TakeError(f"the clip '{folder}' is unfinished: it has no crops yet. {NEXT}")
    if record.fps != fps:
        raise TakeError(f"the clip '{folder}' is at {record.fps} fps, the take at {fps}. {NEXT}")
    clip = Clip(folder, record)
    clip.check(region.side)
    return clip


def _read_stage(folder: Path, data: Mapping[str, Any], region: Region) -> Stage:
    video, tensors = folder / "stage.mp4", folder / "stage.safetensors"
    arrays = _read_tensors(
        tensors, dict.fromkeys(("landmarks", "pose_matrix", "pose_shift", "transforms"), "float")
    )
    if not video.is_file() or video.is_symlink():
        raise TakeError(f"'{video}' is missing, or a link. {NEXT}")
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
        raise TakeError(f"'{tensors}' does not have {frames} frames of {', '.join(odd)}. {NEXT}")
    stage = Stage(
        video,
        restored(str(data["source"])),
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
        raise TakeError(f"'{tensors}' does not have the {len(stage.stretch)} frames of its parts. {NEXT}")
    return stage


def _parts(values: Sequence[Mapping[str, Any]]) -> tuple[StagePart, ...]:
    parts = tuple(
        StagePart(restored(str(v["source"])), int(v["start_frame"]), int(v["frames"])) for v in values
    )
    frames = [part.frames for part in parts]
    if len(parts) > MOST_STAGE_FRAMES or min(frames, default=1) < 1 or sum(frames) > MOST_STAGE_FRAMES:
        raise ValueError(f"its stage has {len(parts)} parts of {sum(frames)} frames")
    return parts


# --- Writing: what prepare uses, in worker processes too


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
    for stale in ("clip.json", "share.npy", "fits.npy"):
        (folder / stale).unlink(missing_ok=True)
    for kind, array in (("landmarks", landmarks), ("present", present), ("speech", speech)):
        with replacing(folder / f"{kind}.npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    return _write_record(folder, replace(record, frames=len(present), cropped_with=None))


def write_audio(
    folder: Path, record: ClipRecord, speech: npt.NDArray[np.float32], *, shift_ms: int, dropped: bool
) -> ClipRecord:
    """Replace a clip's audio, and record how it lies in the footage. Returns the record as stored.

    If that is interrupted, the clip counts as not tracked.
    """
    (folder / "clip.json").unlink(missing_ok=True)
    with replacing(folder / "speech.npy") as temporary:
        np.save(temporary, speech, allow_pickle=False)
    return _write_record(folder, replace(record, audio_shift_ms=shift_ms, audio_dropped=dropped))


@contextmanager
def writing_regions(folder: Path, *, frames: int, side: int) -> Iterator[ImageArray]:
    """A black (F, S, S, 3) uint8 array on disk to write crops to; the clip's when the block ends well."""
    with replacing(folder / "regions.npy") as temporary:
        array: Any = new_array(temporary, (frames, side, side, 3))
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


def write_audio_fits(folder: Path, fits: npt.NDArray[np.bool_]) -> None:
    """Store which of a clip's frames have audio that goes with the mouth, (F,)."""
    with replacing(folder / "fits.npy") as temporary:
        np.save(temporary, fits, allow_pickle=False)


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
                "fps": fraction_text(fps),
                "region": region.to_json(),
                "clips": list(clips),
                "stage": {
                    "source": stored(stage.source),
                    "start_frame": stage.start_frame,
                    "frames": stage.frames,
                    "size": list(stage.size),
                    "parts": [{**part.__dict__, "source": stored(part.source)} for part in stage.parts],
                },
                "warnings": [shown(warning) for warning in warnings],
            },
        )
        return Take.open(self.folder)

    def _write_tensors(self, name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        contiguous = {key: np.ascontiguousarray(value) for key, value in arrays.items()}
        with replacing(self.folder / name) as temporary:
            temporary.write_bytes(save(contiguous))  # its own writer hides why it fails


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
