"""One clip of a take: its record and its arrays, read on demand and as if their maker meant harm.

Leaves the take around it, and the writing of both, to `take`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from newscaster.errors import DatasetError
from newscaster.face.head_pose import Head
from newscaster.face.mouth_basis import is_moving, mouth_shapes, opening
from newscaster.face.surface_warp import SurfaceWarp
from newscaster.face.topology import LANDMARKS, MOUTH
from newscaster.safety.readers import (
    MAX_JSON_BYTES,
    check_range,
    fraction,
    map_array,
    read_json,
    read_regular_file,
)
from newscaster.speech.activity import MIN_SPEECH_SECONDS, speech_activity
from newscaster.speech.features import MOTION_HZ
from newscaster.speech.voice_activity import holds_speech
from newscaster.texts import restored, stored

SPEECH_RATE = 16_000
"""Samples per second of a take's speech."""
MAX_CLIP_FRAMES = 10_000_000
"""Eleven hours at 240 frames per second."""
_GREATEST = {"landmarks": 1e6, "transforms": 1e7, "share": 1.0}
"""Values beyond which no face can be, in pixels."""
_KINDS: dict[str, npt.DTypeLike] = {
    "landmarks": np.float32,
    "present": np.bool_,
    "speech": np.float32,
    "regions": np.uint8,
    "transforms": np.float64,
    "share": np.float32,
    "fits": np.bool_,
}
"""What a clip's arrays are of."""

Array = npt.NDArray[np.float64]
ImageArray = npt.NDArray[np.uint8]
AudioUse = Literal["speech", "silence", "no speech", "no sound"]
"""What footage's audio is to the motion of the mouth: what it is learnt from; silence under a mouth that
rests, which teaches how it rests and no more; silence under one that moves, as of a muted track; or no audio.
With the latter two, the renderer alone is trained."""
NEXT = "Run the preparation again on this folder: finished clips are kept"


def audio_use(speech_seconds: float, *, moving: bool) -> AudioUse:
    """What audio is good for: one rule for reports on footage, training and evaluation.

    Args:
        speech_seconds: how long speech is heard in it.
        moving: whether the mouth above it moves as in talking. With no speech under it, it would teach that
            talking makes no sound.
    """
    if speech_seconds >= MIN_SPEECH_SECONDS:
        return "speech"
    return "no speech" if moving else "silence"


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

    audio_shift_ms: int = 0
    """How much later in the footage the audio lies than the frames it goes with."""
    audio_dropped: bool = False
    """Whether the footage's audio was left out, since it does not go with the mouth."""

    def to_json(self) -> dict[str, Any]:
        """For storing; the way back is :meth:`from_json`."""
        fields = {**self.__dict__, "source": stored(self.source)}
        return {**fields, "fps": fraction_text(self.fps), "frame_size": list(self.frame_size)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClipRecord:
        """``KeyError``, ``TypeError`` or ``ValueError`` where the data are not a record's."""
        width, height = data["frame_size"]
        fields = {**data, "fps": fraction(data["fps"]), "frame_size": (int(width), int(height))}
        record = ClipRecord(**fields)
        for name, kind in _RECORD.items():
            if type(getattr(record, name)) not in kind:
                raise TypeError(f"{name} is {getattr(record, name)!r:.100}")
        if not 0 <= record.frames <= MAX_CLIP_FRAMES or not 1 <= record.fps <= 240:
            raise ValueError(f"{record.frames} frames at {record.fps} fps")
        return replace(record, source=restored(record.source))

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
    def blend_weight(self) -> npt.NDArray[np.float32]:
        """(F,): how much of a new mouth each frame may take, 0 to 1: 0 where none can be put on.

        It falls to 0 where the head is turned away, cut off by the picture's edge or something is before the
        mouth, and where the face is not :attr:`present`.
        """
        if not (self.folder / "share.npy").exists():
            return self.present.astype(np.float32)
        return np.asarray(self._load("share", (self.frames,)), np.float32)

    @cached_property
    def audio_fits(self) -> npt.NDArray[np.bool_]:
        """(F,): frames whose audio goes with the mouth, as far as measured: motion is learnt from them.

        False where another voice is heard, and where a mouth moves without a sound.
        """
        if not (self.folder / "fits.npy").exists():
            return np.ones(self.frames, np.bool_)
        return np.asarray(self._load("fits", (self.frames,)), np.bool_)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """(F,): the frames whose mouth is free: those that a renderer may learn from."""
        return np.asarray(self.blend_weight >= 1)

    @cached_property
    def speech(self) -> npt.NDArray[np.float32]:
        """(N,) 16 kHz mono; sample 0 is the sound at frame 0, and N spans the F frames.

        (0,) where the footage has no sound.
        """
        stored = self._load("speech", (None,), memory_map=True)
        samples = round(self.frames * SPEECH_RATE / self.record.fps) if len(stored) else 0
        return np.asarray(self._load("speech", (samples,)), np.float32)

    @property
    def has_audio(self) -> bool:
        """Whether the footage has sound, be it silence."""
        return len(self.speech) > 0

    @cached_property
    def speech_seconds(self) -> float:
        """How long speech is heard; 0 in noise and music."""
        seconds = float(speech_activity(self.speech).sum()) / MOTION_HZ
        return seconds if seconds and holds_speech(self.speech) else 0.0

    @property
    def has_speech(self) -> bool:
        """Whether speech is heard; room noise is not enough."""
        return self.has_audio and self.speech_seconds >= MIN_SPEECH_SECONDS

    def audio_use(self, head: Head) -> AudioUse:
        """What the clip's audio teaches, see :func:`audio_use`."""
        if not self.has_audio:
            return "no sound"
        if self.has_speech:
            return "speech"
        return audio_use(self.speech_seconds, moving=is_moving(opening(self.mouth_shapes(head))))

    def teaches_motion(self, head: Head) -> bool:
        """Whether a motion network can learn from the clip, if only how the mouth rests."""
        return self.audio_use(head) in ("speech", "silence")

    @cached_property
    def crops(self) -> ImageArray:
        """(F, S, S, 3) uint8 RGB crops, memory-mapped; black where not :attr:`present`."""
        crops: ImageArray = self._load("regions", (self.frames, None, None, 3), memory_map=True)
        return crops

    @cached_property
    def transforms(self) -> SurfaceWarp:
        """Source picture to region pixels, (F,); NaN where not :attr:`present`."""
        return SurfaceWarp.from_array(self._load("transforms", (self.frames, 2, None)), self.crops.shape[1])

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
            raise DatasetError(f"'{path}' is missing or damaged ({error}). {NEXT}") from error
        if array.dtype != _KINDS[kind]:
            raise DatasetError(f"'{path}' is of {array.dtype}, expected {np.dtype(_KINDS[kind])}. {NEXT}")
        agrees = array.ndim == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=False)
        )
        if not agrees:
            raise DatasetError(f"'{path}' has shape {array.shape}, expected {shape}. {NEXT}")
        if memory_map:
            return array
        whole = np.array(array)
        check_range({kind: whole}, _GREATEST, lambda why: DatasetError(f"'{path}': {why}. {NEXT}"))
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
        if (self.folder / "fits.npy").exists():
            shapes["fits"] = (self.frames,)
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
    "audio_shift_ms": (int,),
    "audio_dropped": (bool,),
}
"""What a record's fields are."""


def read_record(folder: Path) -> ClipRecord | None:
    """The record of a clip's folder; None where there is none that can be read."""
    try:
        return ClipRecord.from_json(read_dataset_json(folder / "clip.json"))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def read_dataset_json(path: Path) -> dict[str, Any]:
    """A JSON object of a take's."""
    return read_json(read_regular_file(path, most=MAX_JSON_BYTES, follow_links=False))


def fraction_text(value: Fraction) -> str:
    """For storing, as `untrusted.fraction` reads it."""
    return f"{value.numerator}/{value.denominator}"
