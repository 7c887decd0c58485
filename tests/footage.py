"""Footage for tests of the preparation that need no landmark detector: the faces are made up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pytest

from faces import talking
from making_media import SPEECH_RATE, moving_pattern
from newscaster.evaluation import held_out
from newscaster.face.crop import Mask
from newscaster.face.geometry import runs
from newscaster.face.head_pose import Head
from newscaster.formats.dataset import Clip
from newscaster.media import write_video, write_wav
from newscaster.prepare import (
    following,
    inspect_file,
    mouth_occlusion,
    pipeline,
    synchronise,
    track_clips,
    tracks,
    video_measures,
    work,
)
from newscaster.prepare.clips import Footage
from newscaster.prepare.people import People, Person
from newscaster.prepare.target import TargetSegment
from newscaster.synthesis import identity
from tiny_anchor import speech_like

WIDTH, HEIGHT = 320, 240

RAW = os.fsdecode(b"caf\xe9") if sys.platform == "linux" else "caf\xe9"
"""A name whose bytes are not UTF-8, on file systems that take such names."""


def babble(seconds: float, *, seed: int = 0) -> npt.NDArray[np.float32]:
    """A buzz in syllables, with a little noise: what is taken for speech. (N,) at 16 kHz."""
    time = np.arange(round(seconds * SPEECH_RATE)) / SPEECH_RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    loud = np.clip(np.sin(2 * np.pi * 2.3 * time), 0.001, None)
    return (loud * (0.8 * speech_like(seconds, seed=seed) + 0.01 * noise)).astype(np.float32)


def write_footage(
    path: Path,
    *,
    seconds: float = 4.0,
    fps: Fraction | int = 25,
    audio: bool = True,
    silent: bool = False,
    covered: range = range(0),
) -> Path:
    """A clip with a moving pattern and babble; in frames that are covered, a red box over the lower face."""
    path.write_bytes(_footage(path.suffix, seconds, Fraction(fps), audio, silent, covered))
    return path


@lru_cache(maxsize=32)
def _footage(suffix: str, seconds: float, fps: Fraction, audio: bool, silent: bool, covered: range) -> bytes:
    with TemporaryDirectory() as folder:
        path, wav = Path(folder, f"footage{suffix}"), None
        if audio:
            wav = Path(folder, "audio.wav")
            write_wav(wav, babble(seconds) * (0 if silent else 1), SPEECH_RATE)
        frames = (
            _with_box(frame) if index in covered else frame
            for index, frame in enumerate(moving_pattern(round(seconds * fps), width=WIDTH, height=HEIGHT))
        )
        write_video(path, frames, fps=fps, audio=wav, preset="ultrafast")
        return path.read_bytes()


def _with_box(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    out = frame.copy()
    out[150:230, 110:210] = 255, 0, 0
    return out


def somebody(seed: int = 0) -> npt.NDArray[np.float32]:
    """A descriptor (128,): those of two seeds are further apart than two people's."""
    return (0.1 * np.random.default_rng(seed).standard_normal(128)).astype(np.float32)


def one_person(_: object, *, seed: int = 0) -> tuple[Person, ...]:
    """The people in a file of :func:`write_footage`."""
    box = np.array([[110.0, 70.0, 210.0, 220.0]])
    return (Person(np.repeat(box, 4, axis=0), (0.0, 1.0, 2.0, 3.0), descriptor=somebody(seed), described=4),)


def let_show(patch: pytest.MonkeyPatch, people: Callable[[Footage], tuple[Person, ...]]) -> None:
    """Let preparations in this process see these people in files, whatever their pictures show."""
    for module in (work, track_clips, tracks, inspect_file):
        patch.setattr(module, "look", partial(_shown, people))  # worker processes can be sent it


def _shown(
    people: Callable[[Footage], tuple[Person, ...]], footage: Footage, frames: object = None
) -> tuple[Person, ...]:
    return people(footage)


class MadeUpTracker:
    """In place of `FaceTracker`: every frame shows the talking face."""

    def __init__(self, people: People, *, fps: float) -> None:
        assert people.persons
        self.seen = 0
        self._landmarks = talking(128)

    def step(self, frame: object) -> npt.NDArray[np.float32]:
        if self.seen == len(self._landmarks):
            self._landmarks = talking(2 * self.seen)
        self.seen += 1
        return self._landmarks[self.seen - 1]


class RedCovers:
    """In place of `OcclusionNetwork`: what is pure red lies before the face, and nothing else."""

    def cells(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        small = crops[:, 2::4, 2::4].astype(int)
        return ((small[..., 0] > 180) & (small[..., 1:].max(axis=-1) < 90)).astype(np.float32)


def make_up_faces(patch: pytest.MonkeyPatch) -> None:
    """Let preparations in this process (workers=0) see :func:`talking` instead of what is in the picture."""
    let_show(patch, one_person)
    patch.setattr(mouth_occlusion, "load_occlusion_network", RedCovers)
    for module in (inspect_file, synchronise):  # the babble is not what the face says
        patch.setattr(module, "predicted_openings", lambda speech: np.zeros(0))
    patch.setattr(synchronise, "audio_syncs", lambda segments: [])
    patch.setattr(following, "FaceTracker", MadeUpTracker)
    describe_as(patch, lambda frame: somebody())


def accept_short_footage(patch: pytest.MonkeyPatch, *, seconds: float = 4.0) -> None:
    """Let preparations and reports in this process accept footage of so many seconds."""
    for module in (pipeline, video_measures):
        patch.setattr(module, "MIN_SECONDS", seconds)
    for module in (pipeline, mouth_occlusion):
        patch.setattr(module, "MIN_FREE_SECONDS", seconds)


def shorten_target(patch: pytest.MonkeyPatch, *, frames: int = 12) -> None:
    """Let preparations in this process take the first clip's first frames as the target video.

    To choose it, and to encode it in full length, takes as long as all else.
    """

    def first_frames(clips: Sequence[Clip], head: Head, mask: Mask) -> list[TargetSegment]:
        start, stop = max(runs(clips[0].usable), key=lambda run: run[1] - run[0])
        return [TargetSegment(clips[0], start, min(stop, start + frames), 0.0)]

    patch.setattr(pipeline, "choose_segments", first_frames)


def describe_as(
    patch: pytest.MonkeyPatch, descriptor: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
) -> None:
    """Let faces be described in this process by this function of the frame (H, W, 3)."""

    def describe(frames: Sequence[npt.NDArray[np.uint8]], landmarks: object) -> npt.NDArray[np.float32]:
        return np.array([descriptor(frame) for frame in frames], np.float32).reshape(-1, 128)

    for module in (following, held_out, identity):
        patch.setattr(module, "describe_faces", describe)
