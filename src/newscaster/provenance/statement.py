"""What newscaster says of a video it has made, as a C2PA manifest holds it: written here, and read here.

Plain values only; signing and checking are left to the modules beside it.

::

    claim_generator_info      newscaster, its version
    c2pa.actions              created, of which digital source type; the stage placed in it
    ingredients               the driving speech, the anchor, its stage: each by its sha256
    org.newscaster.video      anchor, consent, attribution, speech, label, watermark
    org.newscaster.frames     which frames are synthesised
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from newscaster.deprecation import renamed_attributes
from newscaster.version import VERSION

GENERATOR = "newscaster"
_VIDEO = "org.newscaster.video"
_FRAMES = "org.newscaster.frames"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""Footage whose mouth a network has painted."""
SYNTHETIC = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
"""Pictures that are painted as a whole."""

Runs = tuple[tuple[int, int], ...]
"""Runs of frames: the first of each, and the one after its last."""


@renamed_attributes(painted="synthetic_target", stage_sha256="target_sha256")
@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is said of one video."""

    title: str
    """The file's name."""
    anchor: str
    """What the anchor is called."""
    anchor_id: str
    """sha256 of what the anchor is made of, see `AnchorFile.identity`."""
    anchor_created: str
    """When the anchor was made, in ISO 8601."""
    consent: Mapping[str, object] = field(default_factory=dict)
    """Who agreed to what, as the anchor has it."""
    attribution: tuple[str, ...] = ()
    """Lines that name the footage's origin."""
    synthetic_target: bool
    """Whether the stage is painted, too: no pixel is footage."""
    target_sha256: str | None
    """Of the stage's video; None where the stage is not the anchor's own."""
    frames: int
    """Frames of the video, F."""
    fps: Fraction
    synthesised: Runs
    """Frames with a mouth that is not the footage's own, in whole or in part."""
    speech_sha256: str
    """Of the sound file that drove the mouth."""
    speech_seconds: float
    synthetic_voice: bool
    """Whether a text-to-speech voice spoke it."""
    label: str | None = None
    """What is written on the pictures; None: nothing."""
    source_title: str | None = None
    """Name of the video whose lips were rewritten; None: it was no video but the anchor's own target."""
    source_sha256: str | None = None
    """Of that video."""
    watermark: str | None = None
    """What the mark in the pixels carries, see `watermark`; None: there is none."""
    version: str = VERSION
    """Of the newscaster that made it."""

    @property
    def synthesised_frames(self) -> int:
        """How many frames `synthesised` holds."""
        return sum(end - first for first, end in self.synthesised)

    @property
    def source_type(self) -> str:
        """The IPTC's digital source type."""
        return SYNTHETIC if self.synthetic_target else COMPOSITE

    def definition(self, *, mime_type: str) -> dict[str, Any]:
        """The manifest that c2pa's Builder is given."""
        return {
            "claim_generator_info": [{"name": GENERATOR, "version": self.version}],
            "title": self.title,
            "format": mime_type,
            "ingredients": self._ingredients(),
            "assertions": [
                _assertion("c2pa.actions", {"actions": self._actions()}),
                _assertion(_VIDEO, self._video()),
                _assertion(_FRAMES, self._frames()),
            ],
        }

    def _actions(self) -> list[dict[str, Any]]:
        created = {
            "action": "c2pa.created",
            "digitalSourceType": self.source_type,
            "softwareAgent": {"name": GENERATOR, "version": self.version},
            "description": f"The mouth was painted to the speech, with the anchor '{self.anchor}'.",
        }
        if self.source_sha256 is not None:
            opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}
            edited = {**created, "action": "c2pa.edited"}
            return [opened, edited]
        if self.target_sha256 is None:
            return [created]
        return [created, {"action": "c2pa.placed", "parameters": {"ingredientIds": ["stage"]}}]

    def _ingredients(self) -> list[dict[str, Any]]:
        voice = "text-to-speech" if self.synthetic_voice else "as it was given"
        target = {
            "label": "stage",
            "title": f"stage of the anchor '{self.anchor}'",
            "format": "video/mp4",
            "relationship": "componentOf",
            "instance_id": f"sha256:{self.target_sha256}",
        }
        source = {
            "label": "source",
            "title": self.source_title,
            "format": "video/mp4",
            "relationship": "parentOf",
            "instance_id": f"sha256:{self.source_sha256}",
        }
        return [
            *([] if self.source_sha256 is None else [source]),
            *([] if self.target_sha256 is None else [target]),
            {
                "label": "speech",
                "title": f"the speech, {voice}",
                "format": "audio/wav",
                "relationship": "inputTo",
                "instance_id": f"sha256:{self.speech_sha256}",
            },
            {
                "label": "anchor",
                "title": f"the anchor '{self.anchor}'",
                "format": "application/zip",
                "relationship": "inputTo",
                "instance_id": f"sha256:{self.anchor_id}",
                "data_types": [{"type": "c2pa.types.model"}],
            },
        ]

    def _video(self) -> dict[str, Any]:
        return {
            "anchor": {"name": self.anchor, "sha256": self.anchor_id, "created": self.anchor_created},
            "consent": dict(self.consent),
            "attribution": list(self.attribution),
            "stage": {"sha256": self.target_sha256, "painted": self.synthetic_target},
            "speech": {
                "sha256": self.speech_sha256,
                "seconds": round(self.speech_seconds, 3),
                "synthetic": self.synthetic_voice,
            },
            "label": self.label,
            "watermark": self.watermark,
            **(
                {}
                if self.source_sha256 is None
                else {"source": {"title": self.source_title, "sha256": self.source_sha256}}
            ),
        }

    def _frames(self) -> dict[str, Any]:
        return {
            "count": self.frames,
            "fps": f"{self.fps.numerator}/{self.fps.denominator}",
            "synthesised": [list(run) for run in self.synthesised],
        }

    @staticmethod
    def of_manifest(manifest: Mapping[str, Any]) -> Statement | None:
        """What a manifest of newscaster's says, as c2pa's Reader gives it; None where it is another's.

        Raises:
            KeyError, TypeError, ValueError: it is newscaster's, and not as newscaster writes it.
        """
        found = {part["label"]: part["data"] for part in manifest.get("assertions", [])}
        if _VIDEO not in found or _FRAMES not in found:
            return None
        video, frames = found[_VIDEO], found[_FRAMES]
        anchor, speech, target = video["anchor"], video["speech"], video["stage"]
        return Statement(
            title=str(manifest.get("title", "")),
            anchor=anchor["name"],
            anchor_id=anchor["sha256"],
            anchor_created=anchor["created"],
            consent=dict(video["consent"]),
            attribution=tuple(video["attribution"]),
            synthetic_target=target["painted"],
            target_sha256=target["sha256"],
            frames=int(frames["count"]),
            fps=Fraction(frames["fps"]),
            synthesised=tuple((int(first), int(end)) for first, end in frames["synthesised"]),
            speech_sha256=speech["sha256"],
            speech_seconds=float(speech["seconds"]),
            synthetic_voice=speech["synthetic"],
            label=video["label"],
            watermark=video.get("watermark"),
            source_title=video.get("source", {}).get("title"),
            source_sha256=video.get("source", {}).get("sha256"),
            version=manifest["claim_generator_info"][0]["version"],
        )


def is_newscasters(manifest: Mapping[str, Any]) -> bool:
    """Whether the manifest says that newscaster made it."""
    return any(info.get("name") == GENERATOR for info in manifest.get("claim_generator_info", []))


def _assertion(label: str, data: dict[str, Any]) -> dict[str, Any]:
    # "created": newscaster's own words, not gathered from elsewhere.
    return {"label": label, "created": True, "data": data}
