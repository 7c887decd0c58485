"""Sync of audio and frames, file by file: whether the audio belongs to the mouth, and its lag.

Groups short files, and classifies each result. `check` reports it. The preparation corrects a constant lag,
and learns no motion from audio that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from newscaster.face.geometry import runs
from newscaster.prepare.audio_fit import unfit_frames
from newscaster.prepare.lag import MIN_SPEECH_SECONDS, REACH_SECONDS, Lag, SpokenSegment, estimate_lag
from newscaster.prepare.measure import FILES_NAMED, NO_SPEECH, Measure, Verdict, graded, not_measured

State = Literal["fits", "unmeasured", "off", "partly", "drifts", "unrelated"]
_WORST_LAST: tuple[State, ...] = ("fits", "unmeasured", "off", "partly", "drifts", "unrelated")
MAX_LAG_SECONDS = 0.045
"""People notice 45 ms of early and 125 ms of late audio (ITU-R BT.1359). A network learns any constant lag,
and the anchor reproduces it."""
_MAX_UNMEASURED = 0.2
"""Maximum unmeasured fraction of the speech if the rest fits."""
_MAX_UNFIT = 0.1
"""Maximum fraction of the footage that does not fit if the rest does: a laugh, a head that turns."""
_PARTS_NAMED = 3
_TITLE = "Audio against video"
_MEANING = (
    "The detected mouth is compared with the one predicted from the audio. Offsets in the time stamps of the "
    "file are already applied; this is the remaining lag. Training corrects a constant lag, and learns no "
    "motion from audio that does not fit the mouth."
)
_TOO_LITTLE_SPEECH = "there is too little speech under a moving mouth"


@dataclass(frozen=True)
class Part:
    """A part of a file."""

    path: Path
    start_seconds: float
    stop_seconds: float

    @property
    def seconds(self) -> float:
        return self.stop_seconds - self.start_seconds

    def __str__(self) -> str:
        return f"'{self.path.name}' {self.start_seconds:.1f} to {self.stop_seconds:.1f} s"


@dataclass(frozen=True)
class AudioSync:
    """The audio of one file, or of short ones together."""

    files: tuple[Path, ...]
    lag: Lag | None
    """None if there is nothing to compare."""
    unfit: tuple[Part, ...] = ()
    """Parts whose audio does not match the mouth, although the rest matches."""
    seconds: float = 0.0
    """Length of all compared footage."""

    @property
    def unfit_seconds(self) -> float:
        return sum(part.seconds for part in self.unfit)

    @property
    def state(self) -> State:
        """Classification of the result.

        ``off``: a constant lag; ``partly``: parts have other audio, or none; ``drifts``: the clocks drift
        apart; ``unrelated``: the audio is not this mouth's.
        """
        lag = self.lag
        if lag is None or not (lag.is_clear or lag.is_known):
            return "unmeasured"
        if not lag.is_clear:
            return "unrelated"
        if lag.drift:
            return "drifts"
        if self.unfit_seconds > _MAX_UNFIT * self.seconds:
            return "partly"
        return "off" if self.is_off else "fits"

    @property
    def is_off(self) -> bool:
        """Whether the lag is longer than people accept."""
        lag = self.lag
        return lag is not None and abs(lag.seconds) - lag.uncertainty_seconds > MAX_LAG_SECONDS

    @property
    def speech_seconds(self) -> float:
        return self.lag.speech_seconds if self.lag is not None else 0.0

    @property
    def named(self) -> str:
        """Names of its files, for messages."""
        names = ", ".join(f"'{path.name}'" for path in self.files[:FILES_NAMED])
        return names + (" and others" if len(self.files) > FILES_NAMED else "")

    @property
    def described(self) -> str:
        """The problem, for messages."""
        lag = self.lag
        if lag is None or self.state == "unmeasured":
            return _TOO_LITTLE_SPEECH
        if self.state == "unrelated":
            return (
                f"the audio does not match the mouth (r {max(0.0, lag.correlation):.2f} at the best lag "
                f"within {REACH_SECONDS:g} s): it is another person's, or its lag is larger or changes"
            )
        if self.state == "drifts":
            return f"the audio runs {_drift_text(lag)}"
        if self.state == "partly":
            return (
                f"{self.unfit_seconds:.1f} of {self.seconds:.1f} s have audio that does not match the "
                f"mouth, or none: {self.named_parts}"
            )
        return f"the audio is {_lag_text(lag)}"

    @property
    def named_parts(self) -> str:
        """Names and times of the longest parts that do not fit, for messages."""
        longest = sorted(self.unfit, key=lambda part: -part.seconds)[:_PARTS_NAMED]
        shown = sorted(longest, key=lambda part: (part.path.name, part.start_seconds))
        more = f" and {len(self.unfit) - len(shown)} more" if len(self.unfit) > len(shown) else ""
        return ", ".join(map(str, shown)) + more


def audio_syncs(segments: Mapping[Path, Sequence[SpokenSegment]]) -> list[AudioSync]:
    """Measure the sync of audio and frames of these files.

    A file with :data:`MIN_SPEECH_SECONDS` of speech is measured alone, all others together.
    """
    speech = {path: sum(s.speech_seconds for s in of_file) for path, of_file in segments.items()}
    long = [path for path, seconds in speech.items() if seconds >= MIN_SPEECH_SECONDS]
    short = tuple(path for path in segments if path not in long)
    groups = [(path,) for path in long] + ([short] if short else [])
    return [_audio_sync(files, segments) for files in groups]


def _audio_sync(files: tuple[Path, ...], segments: Mapping[Path, Sequence[SpokenSegment]]) -> AudioSync:
    """Measure the sync of audio and frames of these files together."""
    owned = [(path, segment) for path in files for segment in segments[path]]
    every = [segment for _, segment in owned]
    lag = estimate_lag(every)
    seconds = sum(len(segment.opening) / segment.fps for segment in every)
    if lag is None or not lag.is_clear or lag.drift:
        return AudioSync(files, lag, (), seconds)
    parts = [
        Part(path, segment.start_seconds + start / segment.fps, segment.start_seconds + stop / segment.fps)
        for (path, segment), flags in zip(owned, unfit_frames(every, lag), strict=True)
        for start, stop in runs(flags)
    ]
    return AudioSync(files, lag, tuple(parts), seconds)


def worst_sync(syncs: Iterable[AudioSync]) -> AudioSync | None:
    """Return the result with the worst state; among equal states, the largest lag."""

    def badness(sync: AudioSync) -> tuple[int, float]:
        return _WORST_LAST.index(sync.state), abs(sync.lag.seconds) if sync.lag is not None else 0.0

    return max(syncs, key=badness, default=None)


def sync_measure(syncs: Sequence[AudioSync], *, has_speech: bool) -> Measure:
    """Return the sync of audio and frames as a measure of footage."""
    if not has_speech:
        return not_measured("lag", _TITLE, "ms", NO_SPEECH, _MEANING, "")
    worst = worst_sync(_without_small_unmeasured(syncs))
    if worst is None or worst.lag is None or worst.state in ("unmeasured", "unrelated"):
        reason = _TOO_LITTLE_SPEECH if worst is None else worst.described
        advice = "Watch some of it: if lips and audio do not match, use the audio recorded with it."
        if worst is not None and worst.state == "unrelated":
            text = "the audio is not this mouth's"
            return Measure("lag", _TITLE, None, "ms", text, "poor", _MEANING, _advice(syncs, advice))
        return not_measured("lag", _TITLE, "ms", reason, _MEANING, advice)
    lag = worst.lag
    milliseconds = 1000 * lag.seconds
    text = f"{_lag_text(lag)}, ± {1000 * lag.uncertainty_seconds:.0f} ms"
    if lag.drift:
        text = _drift_text(lag)
    if worst.state == "partly":
        text = f"{worst.unfit_seconds:.1f} of {worst.seconds:.1f} s do not match the mouth"
        advice = "Watch these parts: give them the audio that was recorded with them, or cut them."
        return graded("lag", _TITLE, milliseconds, "ms", text, "poor", _MEANING, _advice(syncs, advice))
    verdict: Verdict = "good" if worst.state == "fits" else "poor"
    advice = (
        "Watch it, and shift the audio, for example with: "
        f"ffmpeg -i IN -itsoffset {-lag.seconds:+.3f} -i IN -map 0:v -map 1:a -c copy OUT"
        if not lag.drift
        else "Watch it, and change the speed of the audio, for example with: "
        f"ffmpeg -i IN -af atempo={1 + lag.drift:.4f} -c:v copy OUT"
    )
    return graded("lag", _TITLE, milliseconds, "ms", text, verdict, _MEANING, _advice(syncs, advice))


def _without_small_unmeasured(syncs: Sequence[AudioSync]) -> list[AudioSync]:
    """Remove unmeasured results if they are a small fraction of the speech."""
    total = sum(sync.speech_seconds for sync in syncs)
    unmeasured = sum(sync.speech_seconds for sync in syncs if sync.state == "unmeasured")
    is_small = unmeasured <= _MAX_UNMEASURED * total
    return [sync for sync in syncs if not (is_small and sync.state == "unmeasured")]


def _advice(syncs: Sequence[AudioSync], advice: str) -> str:
    bad = [sync for sync in syncs if sync.state not in ("fits", "unmeasured")]
    problems = "; ".join(f"{sync.named}: {sync.described}" for sync in bad[:FILES_NAMED])
    return f"{problems}. {advice}" if problems else advice


def _lag_text(lag: Lag) -> str:
    return f"{abs(1000 * lag.seconds):.0f} ms {'late' if lag.seconds > 0 else 'early'}"


def _drift_text(lag: Lag) -> str:
    return f"{abs(100 * lag.drift):.1f} % {'slow' if lag.drift > 0 else 'fast'}"
