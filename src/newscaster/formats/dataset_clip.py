"""One clip of a dataset: its record and its arrays, read on demand and treated as untrusted input.

`dataset` contains the dataset around it and the writers of both.
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
from newscaster.types import ArrayBool, ArrayF32, ArrayF64, ImageU8

SPEECH_RATE = 16_000
"""Samples per second of a dataset's speech."""
MAX_CLIP_FRAMES = 10_000_000
"""Eleven hours at 240 frames per second."""
_MAX_VALUES = {"landmarks": 1e6, "transforms": 1e7, "share": 1.0}
"""Largest possible absolute values, in pixels."""
_KINDS: dict[str, npt.DTypeLike] = {
    "landmarks": np.float32,
    "present": np.bool_,
    "speech": np.float32,
    "regions": np.uint8,
    "transforms": np.float64,
    "share": np.float32,
    "fits": np.bool_,
}
"""Types of a clip's arrays."""

AudioUse = Literal["speech", "silence", "no speech", "no sound"]
"""The use of a clip's audio for the motion network: speech to train on; silence with a resting mouth, which
trains the rest alone; silence with a moving mouth, as in a muted track; or no audio. The latter two train the
renderer alone."""
NEXT = "Run the preparation again on this folder: finished clips are kept"


def audio_use(speech_seconds: float, *, moving: bool) -> AudioUse:
    """Classify audio: one rule for reports on footage, training and evaluation.

    Args:
        speech_seconds: duration of the speech in it.
        moving: whether the mouth moves as in talking. Without speech, such a clip would teach that talking
            is silent.
    """
    if speech_seconds >= MIN_SPEECH_SECONDS:
        return "speech"
    return "no speech" if moving else "silence"


@dataclass(frozen=True)
class ClipRecord:
    """``clip.json``: the origin of a clip and its progress."""

    source: str
    """Absolute path of the footage."""
    size_bytes: int
    """Size of the footage when it was read; with ``mtime_ns`` it detects a later change of the file."""
    mtime_ns: int
    start_frame: int
    """First frame within the footage, at ``fps``."""
    stop_frame: int | None
    """One past the last requested frame; None reads to the end."""
    fps: Fraction
    frame_size: tuple[int, int]
    """Width and height of the frame in pixels."""
    face_asked: int | None
    """The requested person; None: the largest."""
    face: int
    """The tracked person, counted from the left, 0 first."""
    people: int
    """Number of people found."""
    frames: int = 0
    """Frames in the clip."""
    cropped_with: str | None = None
    """Fingerprint of the head, the crop's geometry and the mask of the crops; None without crops."""

    audio_shift_ms: int = 0
    """Lag of the footage's audio behind its frames."""
    audio_dropped: bool = False
    """Whether the footage's audio was dropped because it does not match the mouth."""

    def to_json(self) -> dict[str, Any]:
        """Return the values to store; :meth:`from_json` is the inverse."""
        fields = {**self.__dict__, "source": stored(self.source)}
        return {**fields, "fps": fraction_text(self.fps), "frame_size": list(self.frame_size)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClipRecord:
        """Parse a record. Raise ``KeyError``, ``TypeError`` or ``ValueError`` if the data are malformed."""
        width, height = data["frame_size"]
        fields = {**data, "fps": fraction(data["fps"]), "frame_size": (int(width), int(height))}
        record = ClipRecord(**fields)
        for name, types in _RECORD.items():
            if type(getattr(record, name)) not in types:
                raise TypeError(f"{name} is {getattr(record, name)!r:.100}")
        if not 0 <= record.frames <= MAX_CLIP_FRAMES or not 1 <= record.fps <= 240:
            raise ValueError(f"{record.frames} frames at {record.fps} fps")
        return replace(record, source=restored(record.source))

    def same_origin(self, other: ClipRecord) -> bool:
        """Return whether the other record describes the same segment of the same, unchanged footage."""
        return self._origin() == other._origin()

    def _origin(self) -> tuple[object, ...]:
        # The folder may have moved: name, size and time identify a file well enough.
        file = (Path(self.source).name, self.size_bytes, self.mtime_ns)
        return (*file, self.start_frame, self.stop_frame, self.fps, self.face_asked)


@dataclass(frozen=True)
class Clip:
    """One clip of a dataset, read on demand."""

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
    def landmarks(self) -> ArrayF32:
        """(F, 478, 3) pixels of the source frame, raw; NaN if not :attr:`present`."""
        return np.asarray(self._load("landmarks", (self.frames, LANDMARKS, 3)), np.float32)

    @cached_property
    def present(self) -> ArrayBool:
        """(F,): the person's face was found and tracked."""
        return np.asarray(self._load("present", (self.frames,)), np.bool_)

    @cached_property
    def blend_weight(self) -> ArrayF32:
        """(F,): blend weight of a new mouth in each frame, 0 to 1.

        It falls to 0 if the head turns away, the frame's border cuts it off, something covers the mouth, or
        the face is not :attr:`present`.
        """
        if not (self.folder / "share.npy").exists():
            return self.present.astype(np.float32)
        return np.asarray(self._load("share", (self.frames,)), np.float32)

    @cached_property
    def audio_fits(self) -> ArrayBool:
        """(F,): frames whose audio matches the mouth, as far as measured. They train the motion network.

        False if the audio has another voice, or if a mouth moves in silence.
        """
        if not (self.folder / "fits.npy").exists():
            return np.ones(self.frames, np.bool_)
        return np.asarray(self._load("fits", (self.frames,)), np.bool_)

    @property
    def usable(self) -> ArrayBool:
        """(F,): frames with a free mouth, which may train a renderer."""
        return np.asarray(self.blend_weight >= 1)

    @cached_property
    def speech(self) -> ArrayF32:
        """(N,) 16 kHz mono; sample 0 is the audio at frame 0, and N spans the F frames.

        (0,) if the footage has no audio.
        """
        stored = self._load("speech", (None,), memory_map=True)
        samples = round(self.frames * SPEECH_RATE / self.record.fps) if len(stored) else 0
        return np.asarray(self._load("speech", (samples,)), np.float32)

    @property
    def has_audio(self) -> bool:
        """Whether the footage has audio, even if silent."""
        return len(self.speech) > 0

    @cached_property
    def speech_seconds(self) -> float:
        """Duration of the speech; 0 in noise and music."""
        seconds = float(speech_activity(self.speech).sum()) / MOTION_HZ
        return seconds if seconds and holds_speech(self.speech) else 0.0

    @property
    def has_speech(self) -> bool:
        """Whether the audio contains speech; room noise is not enough."""
        return self.has_audio and self.speech_seconds >= MIN_SPEECH_SECONDS

    def audio_use(self, head: Head) -> AudioUse:
        """Return the use of the clip's audio, see :func:`audio_use`."""
        if not self.has_audio:
            return "no sound"
        if self.has_speech:
            return "speech"
        return audio_use(self.speech_seconds, moving=is_moving(opening(self.mouth_shapes(head))))

    def teaches_motion(self, head: Head) -> bool:
        """Return whether the clip can train a motion network, even if with a resting mouth alone."""
        return self.audio_use(head) in ("speech", "silence")

    @cached_property
    def crops(self) -> ImageU8:
        """(F, S, S, 3) uint8 RGB crops, memory-mapped; black if not :attr:`present`."""
        crops: ImageU8 = self._load("regions", (self.frames, None, None, 3), memory_map=True)
        return crops

    @cached_property
    def transforms(self) -> SurfaceWarp:
        """Source frame to crop pixels, (F,); NaN if not :attr:`present`."""
        return SurfaceWarp.from_array(self._load("transforms", (self.frames, 2, None)), self.crops.shape[1])

    def mouth_points(self) -> ArrayF64:
        """Return the mouth in crop pixels, (F, 57, 2), raw; NaN if not :attr:`present`."""
        return self.transforms.apply(self.landmarks[:, list(MOUTH), :2].astype(np.float64))

    def learnable_points(self) -> ArrayF64:
        """Return :meth:`mouth_points` for training a renderer: NaN also if not :attr:`usable`."""
        return np.where(self.usable[:, None, None], self.mouth_points(), np.nan)

    def mouth_shapes(self, head: Head) -> ArrayF64:
        """Return the mouth in the head frame, (F, 57, 2); NaN if not :attr:`present`."""
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
            expected in (None, actual) for expected, actual in zip(shape, array.shape, strict=False)
        )
        if not agrees:
            raise DatasetError(f"'{path}' has shape {array.shape}, expected {shape}. {NEXT}")
        if memory_map:
            return array
        loaded = np.array(array)
        check_range({kind: loaded}, _MAX_VALUES, lambda why: DatasetError(f"'{path}': {why}. {NEXT}"))
        return loaded

    def check(self, side: int) -> None:
        """Raise DatasetError unless every file exists with the right shape. Fast: reads the headers alone."""
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
"""Types of a record's fields."""


def read_record(folder: Path) -> ClipRecord | None:
    """Return the record of a clip's folder, or None if it is missing or unreadable."""
    try:
        return ClipRecord.from_json(read_dataset_json(folder / "clip.json"))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def read_dataset_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a dataset. Raise OSError or ValueError if it is unreadable."""
    return read_json(read_regular_file(path, most=MAX_JSON_BYTES, follow_links=False))


def fraction_text(value: Fraction) -> str:
    """Format a fraction for storage, as `safety.readers.fraction` parses it."""
    return f"{value.numerator}/{value.denominator}"
