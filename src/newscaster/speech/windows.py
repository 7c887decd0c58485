"""Windows of long audio, for a network whose outputs depend on the whole window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction

from newscaster.errors import InputError
from newscaster.speech.spectral import SAMPLE_RATE

STATE_SAMPLES = 320
"""Samples per state of the speech encoder (20 ms)."""
MAX_WINDOW_SECONDS = 10.0
"""Limit of the packaged encoder's positions."""
LIVE_STEPS = 30
"""Motion steps (1.2 s) of a window of live speech, which is encoded on its own. Motion networks are trained
on such windows, so another length needs another training."""


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """Overlapping windows; the middle of each is kept.

    ::

        window k           |--- left ---|------ hop ------|-- right --|
        audio       ...................k*hop...........(k+1)*hop..........
        states kept                     |=================|
        window k+1                       |--- left ---|------ hop ------|-- right --|

    Outside the audio there are zeros. Training, files and live speech use the same windowing. Every length is
    a multiple of 20 ms, the encoder's step.
    """

    left_seconds: float = 1.0
    """Context before the kept part."""
    hop_seconds: float = 2.0
    """The kept part of each window, and the distance to the next one."""
    right_seconds: float = 1.0
    """Context after the kept part; live speech waits for it in addition to the hop."""

    def __post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            min_seconds = 0.02 if name == "hop_seconds" else 0.0
            steps = seconds * SAMPLE_RATE / STATE_SAMPLES
            if not (min_seconds <= seconds <= MAX_WINDOW_SECONDS and abs(steps - round(steps)) < 1e-6):
                raise InputError(
                    f"{name} is {seconds}; give a multiple of 0.02 seconds from {min_seconds} up to "
                    f"{MAX_WINDOW_SECONDS:g}"
                )
        if self.window_seconds > MAX_WINDOW_SECONDS + 1e-9:
            raise InputError(
                f"the window is {self.window_seconds:g} seconds long (left + hop + right); the speech "
                f"encoder accepts at most {MAX_WINDOW_SECONDS:g}"
            )

    @property
    def window_seconds(self) -> float:
        """Length of one window."""
        return self.window_samples / SAMPLE_RATE

    @property
    def left_samples(self) -> int:
        """Samples of context before the hop."""
        return _samples(self.left_seconds)

    @property
    def hop_samples(self) -> int:
        """Samples from one window to the next."""
        return _samples(self.hop_seconds)

    @property
    def right_samples(self) -> int:
        """Samples of context after the hop."""
        return _samples(self.right_seconds)

    @property
    def window_samples(self) -> int:
        """Samples of one window."""
        return self.left_samples + self.hop_samples + self.right_samples

    @property
    def left_states(self) -> int:
        """States of a window before the kept ones."""
        return self.left_samples // STATE_SAMPLES

    @property
    def hop_states(self) -> int:
        """Kept states of a window."""
        return self.hop_samples // STATE_SAMPLES

    @property
    def cost(self) -> float:
        """Seconds of window computed per second of audio."""
        return float(Fraction(self.window_samples, self.hop_samples))

    def to_json(self) -> dict[str, float]:
        """Return plain values, for from_json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Windowing:
        """Parse the values of to_json.

        Raises:
            InputError: a field is missing, unknown, not a number, or out of range.
        """
        fields = cls.__dataclass_fields__
        numbers = {key: value for key, value in values.items() if isinstance(value, int | float)}
        if values.keys() != fields.keys() or len(numbers) != len(fields):
            raise InputError(f"windowing is {dict(values)!s:.200}; expected the numbers {', '.join(fields)}")
        return cls(**{key: float(value) for key, value in numbers.items()})


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE / STATE_SAMPLES) * STATE_SAMPLES
