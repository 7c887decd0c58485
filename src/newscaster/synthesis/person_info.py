"""The metadata of a person whose mouth is rewritten: of an anchor, or of someone in a given video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from newscaster.face.crop import FaceCrop
from newscaster.speech.features import FeatureSpec


class PersonInfo(Protocol):
    """The metadata of a person. `AnchorInfo` has them, and more."""

    @property
    def name(self) -> str:
        """Name of the person or the anchor."""

    @property
    def created(self) -> str:
        """When the person's model was made, ISO 8601."""

    @property
    def consent(self) -> Mapping[str, object]:
        """The consent record, as returned by `Consent.to_json`."""

    @property
    def attribution(self) -> tuple[str, ...]:
        """Lines that name the footage's origin."""

    @property
    def crop(self) -> FaceCrop:
        """The square that is rewritten."""

    @property
    def features(self) -> FeatureSpec:
        """Input of the motion network."""

    @property
    def context_steps(self) -> int:
        """Motion steps on either side that a coefficient depends on."""
