"""The statement about a synthesised video in its C2PA manifest: written and parsed here.

Plain values only; leaves signing and verification to the other modules.

::

    claim_generator_info      newscaster, its version
    c2pa.actions              created, with the digital source type; the target video placed in it
    ingredients               the driving speech, the anchor, the target or source video: each by its sha256
    org.newscaster.video      anchor, consent, attribution, speech, label, watermark; further people
    org.newscaster.frames     which frames are synthesised
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from newscaster.deprecation import renamed_attributes
from newscaster.version import VERSION

GENERATOR = "newscaster"
_VIDEO = "org.newscaster.video"
_FRAMES = "org.newscaster.frames"
_FROM_SOURCE = "from_source"
_SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""Footage with a mouth that a network has rendered."""
SYNTHETIC = f"{_SOURCE_TYPES}trainedAlgorithmicMedia"
"""Frames that are rendered as a whole."""

_ONE_MOUTH = "The mouth was rendered to match the speech"

Runs = tuple[tuple[int, int], ...]
"""Runs of frames: the first of each, and the one after its last."""


@dataclass(frozen=True, kw_only=True)
class FurtherPerson:
    """Another person in a video whose mouth is synthesised, too."""

    anchor: str
    """Name of the anchor or the person."""
    anchor_id: str
    """As in :class:`Statement`."""
    anchor_created: str
    """When the anchor was made, in ISO 8601."""
    from_source: bool = False
    """Whether there is no anchor: the person is known from the video whose lips were rewritten."""
    consent: Mapping[str, object] = field(default_factory=dict)
    """The person's consent record."""
    attribution: tuple[str, ...] = ()
    """Lines that name the origin of the footage."""
    speech_sha256: str | None = None
    """Of the audio file that drove the mouth; None: the mouth is at rest."""
    speech_seconds: float = 0.0
    synthetic_voice: bool = False
    """Whether the speech is from a text-to-speech voice."""

    def to_json(self) -> dict[str, Any]:
        """Return the values of the manifest."""
        speech = _speech_json(self.speech_sha256, self.speech_seconds, synthetic=self.synthetic_voice)
        return {
            "anchor": _anchor_json(self),
            "consent": dict(self.consent),
            "attribution": list(self.attribution),
            "speech": None if self.speech_sha256 is None else speech,
        }

    @staticmethod
    def of_json(values: Mapping[str, Any]) -> FurtherPerson:
        """Parse the values of a manifest.

        Raises:
            KeyError, TypeError, ValueError: they are malformed.
        """
        anchor, speech = values["anchor"], values["speech"] or {}
        return FurtherPerson(
            anchor=anchor["name"],
            anchor_id=anchor["sha256"],
            anchor_created=anchor["created"],
            from_source=bool(anchor.get(_FROM_SOURCE, False)),
            consent=dict(values["consent"]),
            attribution=tuple(values["attribution"]),
            speech_sha256=speech.get("sha256"),
            speech_seconds=float(speech.get("seconds", 0.0)),
            synthetic_voice=bool(speech.get("synthetic", False)),
        )


def _anchor_json(person: Statement | FurtherPerson) -> dict[str, Any]:
    values = {"name": person.anchor, "sha256": person.anchor_id, "created": person.anchor_created}
    return {**values, _FROM_SOURCE: True} if person.from_source else values


def _speech_json(sha256: str | None, seconds: float, *, synthetic: bool) -> dict[str, Any]:
    return {"sha256": sha256, "seconds": round(seconds, 3), "synthetic": synthetic}


@renamed_attributes(painted="synthetic_target", stage_sha256="target_sha256")
@dataclass(frozen=True, kw_only=True)
class Statement:
    """The statement about one video."""

    title: str
    """The file's name."""
    anchor: str
    """Name of the anchor or the person."""
    anchor_id: str
    """sha256 of the content of the anchor, see `AnchorFile.identity`."""
    anchor_created: str
    """When the anchor was made, in ISO 8601."""
    from_source: bool = False
    """Whether there is no anchor: the person is known from the video whose lips were rewritten. Then
    `anchor_id` is the sha256 of `source_sha256` and the number of the face."""
    consent: Mapping[str, object] = field(default_factory=dict)
    """The person's consent record."""
    attribution: tuple[str, ...] = ()
    """Lines that name the origin of the footage."""
    synthetic_target: bool
    """Whether the target video is synthetic, too: no pixel is footage."""
    target_sha256: str | None
    """Of the target video; None if it is not the anchor's own."""
    frames: int
    """Frames of the video, F."""
    fps: Fraction
    synthesised: Runs
    """Frames with a mouth that is not the footage's own, fully or in part."""
    speech_sha256: str
    """Of the audio file that drove the mouth."""
    speech_seconds: float
    synthetic_voice: bool
    """Whether the speech is from a text-to-speech voice."""
    label: str | None = None
    """The text drawn on the frames; None: no label."""
    background: str | None = None
    """What was put behind the person: "replaced", "blurred" or "removed"; None: the footage's own."""
    source_title: str | None = None
    """Name of the video whose lips were rewritten; None: the anchor's own target video."""
    source_sha256: str | None = None
    """Of that video."""
    watermark: str | None = None
    """The payload of the watermark, see `watermark`; None: no watermark."""
    others: tuple[FurtherPerson, ...] = ()
    """Further people whose mouths are synthesised."""
    version: str = VERSION
    """Version of newscaster that made it."""

    @property
    def synthesised_frames(self) -> int:
        """Number of frames in `synthesised`."""
        return sum(end - first for first, end in self.synthesised)

    @property
    def source_type(self) -> str:
        """IPTC digital source type."""
        return SYNTHETIC if self.synthetic_target else COMPOSITE

    def definition(self, *, mime_type: str) -> dict[str, Any]:
        """Return the manifest definition for c2pa's Builder."""
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
            "description": self._description(),
        }
        composited = []
        if self.background is not None:
            text = f"The background behind the person was {self.background}."
            composited = [{"action": "c2pa.edited", "description": text}]
        if self.source_sha256 is not None:
            opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}
            edited = {**created, "action": "c2pa.edited"}
            return [opened, edited, *composited]
        if self.target_sha256 is None:
            return [created, *composited]
        placed = {"action": "c2pa.placed", "parameters": {"ingredientIds": ["stage"]}}
        return [created, placed, *composited]

    def _description(self) -> str:
        people: list[Statement | FurtherPerson] = [self, *self.others]
        anchors = [person.anchor for person in people if not person.from_source]
        known = [person.anchor for person in people if person.from_source]
        what = "The mouths were rendered to match the speeches" if self.others else _ONE_MOUTH
        models = []
        if anchors:
            models.append(f"with the anchor{'s' if len(anchors) > 1 else ''} {_quoted(anchors)}")
        if known:
            models.append(f"with models of {_quoted(known)} that were made from the video itself")
        return f"{what}, {' and '.join(models)}."

    def _ingredients(self) -> list[dict[str, Any]]:
        target = {
            "label": "stage",
            "title": f"target video of the anchor '{self.anchor}'",
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
            _speech_ingredient("speech", self.speech_sha256, synthetic=self.synthetic_voice),
            *([] if self.from_source else [_anchor_ingredient("anchor", self.anchor, self.anchor_id)]),
            *(part for number, person in enumerate(self.others, 2) for part in _of_person(number, person)),
        ]

    def _video(self) -> dict[str, Any]:
        return {
            "anchor": _anchor_json(self),
            "consent": dict(self.consent),
            "attribution": list(self.attribution),
            "stage": {"sha256": self.target_sha256, "painted": self.synthetic_target},
            "speech": _speech_json(self.speech_sha256, self.speech_seconds, synthetic=self.synthetic_voice),
            "label": self.label,
            "watermark": self.watermark,
            **({} if self.background is None else {"background": self.background}),
            **(
                {}
                if self.source_sha256 is None
                else {"source": {"title": self.source_title, "sha256": self.source_sha256}}
            ),
            **({"others": [person.to_json() for person in self.others]} if self.others else {}),
        }

    def _frames(self) -> dict[str, Any]:
        return {
            "count": self.frames,
            "fps": f"{self.fps.numerator}/{self.fps.denominator}",
            "synthesised": [list(run) for run in self.synthesised],
        }

    @staticmethod
    def of_manifest(manifest: Mapping[str, Any]) -> Statement | None:
        """Parse the statement in a manifest from c2pa's Reader; None if it has none of newscaster's.

        Raises:
            KeyError, TypeError, ValueError: it is newscaster's, but malformed.
        """
        assertions = {part["label"]: part["data"] for part in manifest.get("assertions", [])}
        if _VIDEO not in assertions or _FRAMES not in assertions:
            return None
        video, frames = assertions[_VIDEO], assertions[_FRAMES]
        anchor, speech, target = video["anchor"], video["speech"], video["stage"]
        return Statement(
            title=str(manifest.get("title", "")),
            anchor=anchor["name"],
            anchor_id=anchor["sha256"],
            anchor_created=anchor["created"],
            from_source=bool(anchor.get(_FROM_SOURCE, False)),
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
            background=video.get("background"),
            source_title=video.get("source", {}).get("title"),
            source_sha256=video.get("source", {}).get("sha256"),
            others=tuple(FurtherPerson.of_json(values) for values in video.get("others", ())),
            version=manifest["claim_generator_info"][0]["version"],
        )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _of_person(number: int, person: FurtherPerson) -> list[dict[str, Any]]:
    """Return the ingredients of a further person: the speech and the anchor, if there are such."""
    parts = []
    if person.speech_sha256 is not None:
        label = f"speech{number}"
        parts.append(_speech_ingredient(label, person.speech_sha256, synthetic=person.synthetic_voice))
    if not person.from_source:
        parts.append(_anchor_ingredient(f"anchor{number}", person.anchor, person.anchor_id))
    return parts


def _speech_ingredient(label: str, sha256: str, *, synthetic: bool) -> dict[str, Any]:
    voice = "text-to-speech" if synthetic else "as it was given"
    return {
        "label": label,
        "title": f"the speech, {voice}",
        "format": "audio/wav",
        "relationship": "inputTo",
        "instance_id": f"sha256:{sha256}",
    }


def _anchor_ingredient(label: str, name: str, sha256: str) -> dict[str, Any]:
    return {
        "label": label,
        "title": f"the anchor '{name}'",
        "format": "application/zip",
        "relationship": "inputTo",
        "instance_id": f"sha256:{sha256}",
        "data_types": [{"type": "c2pa.types.model"}],
    }


def is_newscasters(manifest: Mapping[str, Any]) -> bool:
    """Return whether the manifest names newscaster as its generator."""
    return any(info.get("name") == GENERATOR for info in manifest.get("claim_generator_info", []))


def _assertion(label: str, data: dict[str, Any]) -> dict[str, Any]:
    # "created": newscaster's own assertions, not gathered from other sources.
    return {"label": label, "created": True, "data": data}
