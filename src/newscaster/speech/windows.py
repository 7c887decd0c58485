"""How a long sound is cut into windows for a network whose outputs depend on the whole window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction

from newscaster.errors import InputError
from newscaster.speech.spectral import SAMPLE_RATE

STATE_SAMPLES = 320
"""Samples per state of the speech encoder (20 ms)."""
MAX_WINDOW_SECONDS = 10.0
"""As many positions as the packaged encoder holds."""


@dataclass(frozen=True, kw_only=True)
class Windowing:
    """Overlapping windows, of which each keeps its middle.

    ::

        window k           |--- left ---|------ hop ------|-- right --|
        sound       ...................k*hop...........(k+1)*hop..........
        states kept                     |=================|
        window k+1                       |--- left ---|------ hop ------|-- right --|

    Outside the sound there are zeros. One windowing serves training, files and live speech alike.
    Every length is a multiple of 20 ms, the encoder's step.
    """

    left_seconds: float = 1.0
    """Context before what is kept."""
    hop_seconds: float = 2.0
    """What is kept of each window, and the way to the next one."""
    right_seconds: float = 1.0
    """Context after what is kept: how long live speech must wait, besides the hop."""

    def __post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            least = 0.02 if name == "hop_seconds" else 0.0
            steps = seconds * SAMPLE_RATE / STATE_SAMPLES
            if not (least <= seconds <= MAX_WINDOW_SECONDS and abs(steps - round(steps)) < 1e-6):
                raise InputError(
                    f"{name} is {seconds}; give a multiple of 0.02 seconds from {least} up to "
                    f"{MAX_WINDOW_SECONDS:g}"
                )
        if self.window_seconds > MAX_WINDOW_SECONDS + 1e-9:
            raise InputError(
                f"the window is {self.window_seconds:g} seconds long (left + hop + right); the speech "
                f"encoder takes at most {MAX_WINDOW_SECONDS:g}"
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
        """States of a window before those that are kept."""
        return self.left_samples // STATE_SAMPLES

    @property
    def hop_states(self) -> int:
        """States that are kept of a window."""
        return self.hop_samples // STATE_SAMPLES

    @property
    def cost(self) -> float:
        """Seconds of window computed per second of sound."""
        return float(Fraction(self.window_samples, self.hop_samples))

    def to_json(self) -> dict[str, float]:
        """As plain values, for from_json."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Windowing:
        """What to_json wrote.

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
