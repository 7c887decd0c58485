"""The command `verify`: check the manifest of a video, and detect the watermark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from newscaster.cli.exits import (
    EXIT_BROKEN,
    EXIT_DONE,
    EXIT_EXPIRED,
    EXIT_MARKED,
    EXIT_NOT_YET_VALID,
    EXIT_UNCHECKED,
    EXIT_UNFIT,
    EXIT_UNSIGNED,
)
from newscaster.cli.terminal import json_output, say, value_text

if TYPE_CHECKING:
    from newscaster.provenance import FurtherPerson, Statement, Verified
    from newscaster.provenance.verifying import Verdict
    from newscaster.watermark import FoundMark

_FILE = click.Path(path_type=Path)
_MAX_RUNS = 6
"""Maximum number of frame runs printed; --json prints all."""
_EXITS: Mapping[Verdict, int] = {
    "trusted": EXIT_DONE,
    "untrusted": EXIT_DONE,
    "unsigned": EXIT_UNSIGNED,
    "broken": EXIT_BROKEN,
    "expired": EXIT_EXPIRED,
    "not_yet_valid": EXIT_NOT_YET_VALID,
    "revoked": EXIT_UNFIT,
    "unfit": EXIT_UNFIT,
    "unsupported": EXIT_UNCHECKED,
    "unknown": EXIT_UNCHECKED,
    "malformed": EXIT_UNCHECKED,
}
_HEADLINES: Mapping[Verdict, str] = {
    "trusted": "valid, and its signer is trusted",
    "broken": "INVALID: the file differs from what was signed",
    "expired": "unchanged; {reason}",
    "not_yet_valid": "unchanged; {reason}",
    "revoked": "unchanged; {reason}",
    "unfit": "unchanged; {reason}",
    "unsupported": "NOT CHECKED: {reason}",
    "unknown": "NOT CHECKED: {reason}",
    "malformed": "NOT CHECKED: {reason}",
}

_EXIT_CODES = """\b
Exit codes:
  0  the manifest is valid, whoever signed it
  1  the file was changed after signing
  3  no manifest
  4  no manifest, but newscaster's watermark
  5  unchanged, but the signer's certificate has expired, and no time stamp
     of an authority in --trust proves an earlier signature
  6  unchanged, but the certificate is not valid yet (check the clock)
  7  unchanged, but the certificate was revoked or must not sign
  8  the manifest cannot be checked: it is malformed, or too new
"""


@click.command(epilog=_EXIT_CODES)
@click.argument("file", type=_FILE)
@click.option(
    "--trust",
    type=_FILE,
    metavar="FILE",
    help="PEM certificates of authorities to trust, for signers and time stamps (default: none).",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(file: Path, trust: Path | None, as_json: bool) -> None:
    """Verify the C2PA manifest of FILE.

    Shows its claims, its signature, and the synthesised frames. Also detects newscaster's watermark in the
    pixels, which survives the loss of the manifest. Uses no network.
    """
    from newscaster import provenance

    result = provenance.verify(file, trust=trust)
    if as_json:
        click.echo(json_output(_json_values(result)))
    else:
        say(f"{result.path}: {value_text(_headline(result))}")
        lines = (*_manifest_lines(result), *_watermark_lines(result.watermark, result.statement))
        for name, value in lines:
            say(f"  {name:<12} {value_text(value)}")
    marked = result.verdict == "unsigned" and result.watermark is not None
    click.get_current_context().exit(EXIT_MARKED if marked else _EXITS[result.verdict])


def _headline(result: Verified) -> str:
    if result.verdict == "unsigned":
        marked = "" if result.watermark is None else ", but the pixels carry newscaster's watermark"
        return "no manifest" + marked
    if result.verdict in _HEADLINES:
        return _HEADLINES[result.verdict].format(reason=result.reasons[0] if result.reasons else "")
    if result.local:
        return (
            "valid, signed with a local certificate: unchanged since, but the signer is unknown, because "
            "anyone can make one"
        )
    return "valid, but the signer is not trusted (--trust FILE): unchanged since signing"


def _manifest_lines(result: Verified) -> Iterator[tuple[str, str]]:
    reason_in_headline = "{reason}" in _HEADLINES.get(result.verdict, "")
    for reason in result.reasons[1 if reason_in_headline else 0 :]:
        yield ("invalid" if result.verdict == "broken" else "reason"), reason
    for note in result.notes:
        yield "note", note
    if result.sidecar is not None:
        yield "manifest", str(result.sidecar)
    if result.generator:
        yield "made by", result.generator
    if result.signer:
        yield "signed by", result.signer
    if result.certificate_start is not None and result.certificate_end is not None and not result.local:
        yield (
            "certificate",
            f"{_minute_text(result.certificate_start)} to {_minute_text(result.certificate_end)}",
        )
    if result.signed_at is not None:
        yield "time stamp", _minute_text(result.signed_at)
    for source_type in result.source_types:
        yield "source type", source_type
    if result.statement is not None:
        yield from _statement_lines(result.statement)
    for ingredient in result.ingredients:
        yield "ingredient", ingredient


def _minute_text(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _statement_lines(statement: Statement) -> Iterator[tuple[str, str]]:
    yield _person_line(statement)
    for name, value in statement.consent.items():
        yield "consent", f"{name}: {value}"
    for line in statement.attribution:
        yield "attribution", line
    yield "speech", _speech_text(statement)
    for person in statement.others:
        yield _person_line(person)
        for name, value in person.consent.items():
            yield "consent", f"{name}: {value}"
        for line in person.attribution:
            yield "attribution", line
        yield "speech", _speech_text(person)
    yield "label", statement.label if statement.label is not None else "none"
    yield (
        "synthesised",
        f"{statement.synthesised_frames} of {statement.frames} frames: {_frame_runs(statement)}",
    )
    if statement.synthetic_target:
        yield "", "and the rest of every frame: nothing in it is footage"


def _person_line(person: Statement | FurtherPerson) -> tuple[str, str]:
    if person.from_source:
        return "person", f"{person.anchor}, known from the source video itself, id {person.anchor_id}"
    return "anchor", f"{person.anchor}, sha256 {person.anchor_id}, made {person.anchor_created}"


def _speech_text(person: Statement | FurtherPerson) -> str:
    if person.speech_sha256 is None:
        return "none: the mouth is at rest"
    voice = "a text-to-speech voice" if person.synthetic_voice else "the given audio"
    return f"{person.speech_seconds:.1f} s, {voice}, sha256 {person.speech_sha256}"


def _watermark_lines(mark: FoundMark | None, statement: Statement | None) -> Iterator[tuple[str, str]]:
    if mark is None:
        if statement is not None and statement.watermark is not None:
            yield "watermark", "not found, although the manifest claims one"
        return
    if mark.id is None:
        anchor = "too faint to identify the anchor"
    elif statement is None:
        anchor = f"of the anchor whose sha256, or the person whose id, starts with {mark.id}"
    elif statement.anchor_id.startswith(mark.id):
        anchor = f"{mark.id}, of the same {'person' if statement.from_source else 'anchor'}"
    else:
        kind = "person" if statement.from_source else "anchor"
        anchor = f"{mark.id}: not the {kind} in the manifest"
    yield "watermark", f"newscaster's, {anchor}, detected in {mark.marked} of {mark.pieces} pieces"
    if mark.scale < 1:
        yield "", f"the video was cropped to about {mark.scale:.0%} of its smaller side"
    if mark.mirrored:
        yield "", "the video was mirrored"


def _frame_runs(statement: Statement) -> str:
    """Format the synthesised runs, first and last frame of each counted from 0."""
    shown = [f"{first}-{end - 1}" for first, end in statement.synthesised[:_MAX_RUNS]]
    more = len(statement.synthesised) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more runs (--json)" if more else "")


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _json_values(result: Verified) -> dict[str, object]:
    statement = result.statement
    values: dict[str, object] = {
        "path": str(result.path),
        "verdict": result.verdict,
        "holds": result.holds,
        "unchanged": result.unchanged,
        "reasons": list(result.reasons),
        "notes": list(result.notes),
        "sidecar": None if result.sidecar is None else str(result.sidecar),
        "generator": result.generator,
        "signer": result.signer,
        "certificate_start": _iso(result.certificate_start),
        "certificate_end": _iso(result.certificate_end),
        "signed_at": _iso(result.signed_at),
        "local": result.local,
        "source_types": list(result.source_types),
        "ingredients": list(result.ingredients),
        "watermark": None if result.watermark is None else asdict(result.watermark),
    }
    return {**values, "statement": None if statement is None else _statement_json(statement)}


def _statement_json(statement: Statement) -> dict[str, object]:
    """Return a statement under its original JSON keys."""
    old_keys = {"synthetic_target": "painted", "target_sha256": "stage_sha256"}
    values = {**asdict(statement), "fps": str(statement.fps)}
    return {old_keys.get(name, name): value for name, value in values.items()}
