"""Which speech features drive the mouth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from newscaster.errors import InputError
from newscaster.speech.features.feature import MOTION_HZ, Feature
from newscaster.speech.features.kinds import KINDS
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.speech.windows import Windowing


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Which features drive the mouth; stored with every dataset and anchor."""

    kind: str = "whisper"
    """One of KINDS."""
    windowing: Windowing = field(default_factory=Windowing)
    """Windows of audio for the speech encoder; the spectral kinds ignore it."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"the feature kind is {self.kind!r:.60}; expected one of {', '.join(KINDS)}")

    @property
    def parts(self) -> tuple[Feature, ...]:
        """The features that are concatenated."""
        return KINDS[self.kind]

    @property
    def rate_hz(self) -> int:
        """Feature steps per second."""
        return min(part.rate_hz for part in self.parts)

    @property
    def channels(self) -> int:
        """Channels of one feature step."""
        return sum(part.channels * (part.rate_hz // self.rate_hz) for part in self.parts)

    @property
    def steps_per_motion_step(self) -> int:
        """Feature steps that are stacked for one motion step."""
        return self.rate_hz // MOTION_HZ

    @property
    def width(self) -> int:
        """Numbers per motion step."""
        return self.steps_per_motion_step * self.channels

    @property
    def needs_encoder(self) -> bool:
        """Whether the speech encoder takes part."""
        return any(part.needs_encoder for part in self.parts)

    @property
    def delay_seconds(self) -> float:
        """How long a motion step's features wait, at most, for audio after the start of the step."""
        return max(part.delay_samples(self.windowing) for part in self.parts) / SAMPLE_RATE

    def to_json(self) -> dict[str, object]:
        """As plain values, for from_json."""
        return {"kind": self.kind, "windowing": self.windowing.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> FeatureSpec:
        """What to_json wrote.

        Raises:
            InputError: a field is missing, unknown or out of range.
        """
        kind, windowing = values.get("kind"), values.get("windowing")
        if (
            values.keys() != {"kind", "windowing"}
            or not isinstance(kind, str)
            or not isinstance(windowing, Mapping)
        ):
            raise InputError(
                f"the feature spec is {dict(values)!s:.200}; expected the fields kind and windowing"
            )
        return cls(kind=kind, windowing=Windowing.from_json(windowing))
