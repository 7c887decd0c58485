"""What the worker process of a verification runs: it checks a manifest, and looks for the watermark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from newscaster.server.job_process import without_folder
from newscaster.texts import escaped
from newscaster.types import Progress

if TYPE_CHECKING:
    from newscaster.provenance import FurtherPerson, Statement, Verified


@dataclass(frozen=True, kw_only=True)
class VerifyWork:
    """A video to verify."""

    starts_processes: ClassVar[bool] = False
    video: Path

    @property
    def folder(self) -> Path:
        """See :class:`newscaster.server.job_process.Task`."""
        return self.video.parent

    def run(self, progress: Progress) -> dict[str, Any]:
        """Verify the video. See :class:`newscaster.server.job_process.Task`."""
        from newscaster import provenance

        name = self.video.name
        found = provenance.verify(self.video)
        shown = _shown(found)
        for key in ("reasons", "notes"):
            lines = [
                without_folder(line, self.folder).replace(f"'{name}'", "the file") for line in shown[key]
            ]
            shown[key] = lines
        return {"found": shown}


def _shown(found: Verified) -> dict[str, Any]:
    """Return the JSON of the API. Every text from the file has its control characters escaped."""
    statement, mark = found.statement, found.watermark
    return {
        "verdict": found.verdict,
        "unchanged": found.unchanged,
        "local": found.local,
        "reasons": [escaped(line) for line in found.reasons],
        "notes": [escaped(line) for line in found.notes],
        "generator": escaped(found.generator),
        "signer": escaped(found.signer),
        "signed_at": None if found.signed_at is None else found.signed_at.isoformat(),
        "ingredients": [escaped(title) for title in found.ingredients],
        "statement": None if statement is None else _statement(statement),
        "watermark": None if mark is None else {**asdict(mark), "same": _is_same(mark.id, statement)},
    }


def _is_same(mark: str | None, statement: Statement | None) -> bool | None:
    """Whether a watermark names the anchor of the statement; None: one of them does not say."""
    return None if mark is None or statement is None else statement.anchor_id.startswith(mark)


def _statement(statement: Statement) -> dict[str, Any]:
    people: list[Statement | FurtherPerson] = [statement, *statement.others]
    return {
        "people": [_person(person) for person in people],
        "frames": statement.frames,
        "synthesised_frames": statement.synthesised_frames,
        "synthetic_target": statement.synthetic_target,
        "background": statement.background,
        "label": None if statement.label is None else escaped(statement.label),
    }


def _person(person: Statement | FurtherPerson) -> dict[str, Any]:
    return {
        "name": escaped(person.anchor),
        "from_source": person.from_source,
        "consent": _escaped_values(person.consent),
        "attribution": [escaped(line) for line in person.attribution],
        "speech_seconds": person.speech_seconds if person.speech_sha256 is not None else None,
        "synthetic_voice": person.synthetic_voice,
    }


def _escaped_values(values: Mapping[str, object]) -> dict[str, object]:
    return {
        escaped(name): escaped(value) if isinstance(value, str) else value for name, value in values.items()
    }
