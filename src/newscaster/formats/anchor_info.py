"""The header of the anchor format, and its JSON.

Defines the possible values. `anchor` contains the file and its other members.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

from newscaster.consent import MAX_TEXT, Consent, check_text
from newscaster.deprecation import renamed_attributes
from newscaster.errors import AnchorError, InputError
from newscaster.face.crop import FaceCrop
from newscaster.face.grain import STRONGEST
from newscaster.face.topology import MOUTH_POINTS
from newscaster.formats.named_clips import MAX_CLIPS, NamedClip, clips_from_json, valid_clips
from newscaster.safety.readers import MAX_PIXELS, MAX_TARGET_FRAMES, fraction, is_plain_text
from newscaster.speech.features import MOTION_HZ, FeatureSpec
from newscaster.version import VERSION

FORMATS = (1, 2)
"""The supported versions of the anchor format."""
MATTE_FORMAT = 2
"""The version from which on an anchor may hold a matte; without one, version 1 is written."""

MAX_CONTEXT_STEPS = 250
"""Ten seconds on either side."""
_MAX_NAME, _MAX_TEXT, _MAX_LINES = 200, MAX_TEXT, 64

Value = TypeVar("Value")
Default = TypeVar("Default")


def check_labels(name: str, attribution: Sequence[str]) -> None:
    """Check an anchor's name and lines of attribution, before it is trained.

    Raises:
        InputError: a text is empty, too long, or has control characters; or there are too many lines.
    """
    if not name.strip():
        raise InputError("name is empty; expected a text. Give one with --name")
    check_text(name, "name", most=_MAX_NAME)
    if len(attribution) > _MAX_LINES:
        raise InputError(f"attribution has {len(attribution)} lines; accepted are {_MAX_LINES}. Join some")
    for line in attribution:
        check_text(line, "attribution")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@renamed_attributes(
    stage_frames="target_frames", stage_loops="target_loops", stage_seconds="target_seconds", region="crop"
)
@dataclass(frozen=True, kw_only=True)
class AnchorInfo:
    """The header of an anchor. Raises AnchorError for values that no anchor can have."""

    name: str
    """Name of the anchor."""
    fps: Fraction
    """Frames per second of the target video, and of every video made with the anchor."""
    size: tuple[int, int]
    """Width and height of the frames in pixels."""
    target_frames: int
    """Frames of the target video, F."""
    crop: FaceCrop
    """The square that is rewritten."""
    target_loops: bool = False
    """Whether the target's end meets its start, so that it plays as a loop; otherwise see
    `synthesis.playback_order`."""
    nods: tuple[int, ...] = ()
    """Frames of a target that loops at which the head is at the lowest point of a nod, rising."""
    clips: tuple[NamedClip, ...] = ()
    """Parts of the target that are shown on cue."""
    synthetic_target: bool = False
    """Whether no frame of the target video is footage: a network rendered all of it."""
    shared_encoder: str | None = None
    """sha256 of the speech encoder of the package, if the anchor uses that one and does not store it."""
    features: FeatureSpec
    """Input of the motion network."""
    coefficients: int
    """Mouth coefficients, K."""
    context_steps: int
    """Motion steps on either side that a coefficient depends on."""
    map_side: int
    """Side of the landmark maps in pixels, M."""
    grain: float = 0.0
    """Strength of the grain on rendered mouths, in 8-bit pixel values (`face.grain`)."""
    copies: bool = False
    """Whether the renderer copies from references, which the anchor stores."""
    training: Mapping[str, object] = field(default_factory=dict)
    """Metrics of the training."""
    consent: Mapping[str, object] = field(default_factory=dict)
    """The consent record, as returned by `Consent.to_json`."""
    attribution: tuple[str, ...] = ()
    """Lines that name the footage's origin; copied into every video made with the anchor."""
    created: str = field(default_factory=_now)
    """Time of writing, ISO 8601."""
    newscaster: str = VERSION
    """Version of newscaster that wrote it."""

    def __post_init__(self) -> None:
        _check(self.name.strip() != "", "name", self.name, "a text")
        self._check_texts()
        _check(Fraction(1) <= self.fps <= 240, "fps", self.fps, "1 to 240 frames per second")
        _check(all(16 <= side <= 16384 for side in self.size), "size", self.size, "16 to 16384 pixels")
        pixels = self.size[0] * self.size[1]
        _check(pixels <= MAX_PIXELS, "size", self.size, f"at most {MAX_PIXELS} pixels")
        frames = self.target_frames
        _check(1 <= frames <= MAX_TARGET_FRAMES, "stage_frames", frames, f"1 to {MAX_TARGET_FRAMES}")
        rising = [-1, *self.nods]
        is_rising = all(before < frame < frames for before, frame in pairwise(rising))
        _check(is_rising, "nods", self.nods, f"rising frame numbers below {frames}")
        accepted = f"up to {MAX_CLIPS} names, each with its own frames below {frames}"
        _check(valid_clips(self.clips, frames), "clips", self.clips, accepted)
        _check(1 <= self.coefficients <= 2 * MOUTH_POINTS, "coefficients", self.coefficients, "1 to 114")
        steps = self.context_steps
        _check(0 <= steps <= MAX_CONTEXT_STEPS, "context_steps", steps, f"0 to {MAX_CONTEXT_STEPS}")
        _check(8 <= self.map_side <= 1024, "map_side", self.map_side, "8 to 1024 pixels")
        try:
            _ = self.consent_record
        except InputError as error:
            raise AnchorError(str(error)) from error
        _check(0 <= self.grain <= STRONGEST, "grain", self.grain, f"8-bit pixel values of 0 to {STRONGEST:g}")

    def _check_texts(self) -> None:
        _check(
            is_plain_text(self.name, most=_MAX_NAME),
            "name",
            self.name,
            f"up to {_MAX_NAME} characters",
        )
        _check(
            len(self.attribution) <= _MAX_LINES, "attribution", len(self.attribution), f"{_MAX_LINES} lines"
        )
        texts = [("attribution", line) for line in self.attribution]
        texts += [("created", self.created), ("newscaster", self.newscaster)]
        for part in ("training", "consent"):
            for key, value in getattr(self, part).items():
                texts += [(part, key), (part, value if isinstance(value, str) else repr(value))]
        for name, text in texts:
            accepted = f"up to {_MAX_TEXT} characters without control characters"
            _check(is_plain_text(text, most=_MAX_TEXT), name, text, accepted)

    @property
    def target_seconds(self) -> float:
        """Length of the target video."""
        return float(self.target_frames / self.fps)

    @property
    def consent_record(self) -> Consent | None:
        """The consent record; None if the anchor has none."""
        return Consent.from_json(self.consent)

    def check_consent(self) -> None:
        """Check that the person's consent is still valid.

        Raises:
            ConsentError: the person's consent has ended or was withdrawn.
        """
        if (consent := self.consent_record) is not None:
            consent.check(self.name)

    def to_json(self) -> dict[str, object]:
        """Return plain values, for from_json."""
        return {
            "format": FORMATS[0],
            "name": self.name,
            "created": self.created,
            "newscaster": self.newscaster,
            "fps": f"{self.fps.numerator}/{self.fps.denominator}",
            "size": list(self.size),
            "stage_frames": self.target_frames,
            "stage_loops": self.target_loops,
            "nods": list(self.nods),
            "clips": [clip.to_json() for clip in self.clips],
            "synthetic_target": self.synthetic_target,
            "shared_encoder": self.shared_encoder,
            "region": self.crop.to_json(),
            "features": self.features.to_json(),
            "motion": {
                "rate_hz": MOTION_HZ,
                "coefficients": self.coefficients,
                "context_steps": self.context_steps,
            },
            "renderer": {"map_side": self.map_side, "grain": self.grain, "copies": self.copies},
            "training": dict(self.training),
            "consent": dict(self.consent),
            "attribution": list(self.attribution),
        }

    @staticmethod
    def from_json(values: Mapping[str, object]) -> AnchorInfo:
        """Parse the values of to_json; unknown fields are ignored.

        Raises:
            InputError: a field is missing, or of another type or range.
        """
        size = _field(values, "size", list)
        attribution = _field(values, "attribution", list)
        _check([type(side) for side in size] == [int, int], "size", size, "[width, height]")
        _check(
            all(isinstance(line, str) for line in attribution), "attribution", attribution, "lines of text"
        )
        nods = _optional(values, "nods", list, [])
        _check({type(frame) for frame in nods} <= {int}, "nods", nods, "frame numbers")
        motion, renderer = _field(values, "motion", dict), _field(values, "renderer", dict)
        rate = _field(motion, "rate_hz", int)
        _check(rate == MOTION_HZ, "motion.rate_hz", rate, str(MOTION_HZ))
        training = _field(values, "training", dict)
        return AnchorInfo(
            name=_field(values, "name", str),
            created=_field(values, "created", str),
            newscaster=_field(values, "newscaster", str),
            fps=_fraction(_field(values, "fps", str)),
            size=(size[0], size[1]),
            target_frames=_field(values, "stage_frames", int),
            crop=_crop_of(_field(values, "region", dict)),
            target_loops=_optional(values, "stage_loops", bool, False),
            nods=tuple(nods),
            clips=clips_from_json(_optional(values, "clips", list, [])),
            # Before the field existed, the metrics of the full-frame network were the only sign.
            synthetic_target=_optional(values, "synthetic_target", bool, "stage minutes" in training),
            shared_encoder=_optional(values, "shared_encoder", str, None),
            features=FeatureSpec.from_json(_field(values, "features", dict)),
            coefficients=_field(motion, "coefficients", int),
            context_steps=_field(motion, "context_steps", int),
            map_side=_field(renderer, "map_side", int),
            grain=float(_optional(renderer, "grain", float, 0.0)),
            copies=_optional(renderer, "copies", bool, False),
            training=training,
            consent=_field(values, "consent", dict),
            attribution=tuple(attribution),
        )


def _check(valid: bool, name: str, value: object, accepted: str) -> None:
    if not valid:
        raise AnchorError(f"{name} is {_short(value)}; expected {accepted}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _field(values: Mapping[str, object], name: str, kind: type[Value]) -> Value:
    value = values.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise AnchorError(f"{name} is {_short(value)}; expected {kind.__name__}")
    return value


def _optional(
    values: Mapping[str, object], name: str, kind: type[Value], default: Default
) -> Value | Default:
    """Return a field that was added to the format later, or its default."""
    value = values.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise AnchorError(f"{name} is {_short(value)}; expected {kind.__name__}")
    return value


def _fraction(text: str) -> Fraction:
    try:
        return fraction(text)
    except ValueError as error:
        raise AnchorError(f"fps is {_short(text)}; expected a fraction such as '25/1'") from error


def _crop_of(values: Mapping[str, object]) -> FaceCrop:
    _field(values, "side", int), _field(values, "extent", float)
    try:
        return FaceCrop.from_json(values)
    except (TypeError, ValueError) as error:
        raise InputError(f"the key 'region': {error}") from error
