"""The command that reads what a manifest claims, and looks for the watermark: `verify`."""

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
    from newscaster.provenance import Statement, Verified
    from newscaster.provenance.verifying import Verdict
    from newscaster.watermark import FoundMark

_FILE = click.Path(path_type=Path)
_MAX_RUNS = 6
"""Runs of frames that are shown; --json gives all."""
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
    "trusted": "holds, and its signer is trusted",
    "broken": "BROKEN: this is not what was signed",
    "expired": "nothing was changed; {reason}",
    "not_yet_valid": "nothing was changed; {reason}",
    "revoked": "nothing was changed; {reason}",
    "unfit": "nothing was changed; {reason}",
    "unsupported": "NOT CHECKED: {reason}",
    "unknown": "NOT CHECKED: {reason}",
    "malformed": "NOT CHECKED: {reason}",
}


@click.command()
@click.argument("file", type=_FILE)
@click.option(
    "--trust",
    type=_FILE,
    metavar="FILE",
    help="PEM certificates of the authorities that you trust, for signers and for time stamps; by default "
    "nobody is trusted.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def verify(file: Path, trust: Path | None, as_json: bool) -> None:
    """Read the C2PA manifest of FILE: what it claims, whether it holds, and which frames were synthesised.

    The pixels are looked at for newscaster's watermark, too, which is there when the manifest is lost.
    Returns 0 if the manifest holds, whoever signed it, 1 if something was changed, 3 if there is none, and
    4 if there is none, but the watermark. Nothing was changed with 5 (the signer's certificate has ended, and
    no time stamp of an authority in --trust shows that it was signed before), 6 (the certificate is not valid
    yet: is the clock right?) and 7 (it was revoked, or is not one to sign with). 8: the manifest cannot be
    checked, since it is malformed, or uses what this version does not know. Nothing is fetched from a
    network.
    """
    from newscaster import provenance

    found = provenance.verify(file, trust=trust)
    if as_json:
        click.echo(json_output(_facts(found)))
    else:
        say(f"{found.path}: {value_text(_headline(found))}")
        for name, value in (*_lines(found), *_of_mark(found.watermark, found.statement)):
            say(f"  {name:<12} {value_text(value)}")
    marked = found.verdict == "unsigned" and found.watermark is not None
    click.get_current_context().exit(EXIT_MARKED if marked else _EXITS[found.verdict])


def _headline(found: Verified) -> str:
    if found.verdict == "unsigned":
        marked = "" if found.watermark is None else ", but the pixels carry newscaster's watermark"
        return "no manifest" + marked
    if found.verdict in _HEADLINES:
        return _HEADLINES[found.verdict].format(reason=found.reasons[0] if found.reasons else "")
    if found.local:
        return (
            "holds, signed with a local certificate: nothing was changed since, and who signed is not known, "
            "since anybody can make one"
        )
    return "holds, signed by somebody who is not on a list of yours (--trust FILE): nothing was changed since"


def _lines(found: Verified) -> Iterator[tuple[str, str]]:
    in_headline = "{reason}" in _HEADLINES.get(found.verdict, "")
    for reason in found.reasons[1 if in_headline else 0 :]:
        yield ("broken" if found.verdict == "broken" else "why"), reason
    for note in found.notes:
        yield "note", note
    if found.sidecar is not None:
        yield "manifest", str(found.sidecar)
    if found.generator:
        yield "made by", found.generator
    if found.signer:
        yield "signed by", found.signer
    if found.certificate_start is not None and found.certificate_end is not None and not found.local:
        yield "certificate", f"{_minute(found.certificate_start)} to {_minute(found.certificate_end)}"
    if found.signed_at is not None:
        yield "time stamp", _minute(found.signed_at)
    for source_type in found.source_types:
        yield "source type", source_type
    if found.statement is not None:
        yield from _of_statement(found.statement)
    for ingredient in found.ingredients:
        yield "ingredient", ingredient


def _minute(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _of_statement(said: Statement) -> Iterator[tuple[str, str]]:
    yield "anchor", f"{said.anchor}, sha256 {said.anchor_id}, made {said.anchor_created}"
    for name, value in said.consent.items():
        yield "consent", f"{name}: {value}"
    for line in said.attribution:
        yield "attribution", line
    voice = "a text-to-speech voice" if said.synthetic_voice else "as it was given"
    yield "speech", f"{said.speech_seconds:.1f} s, {voice}, sha256 {said.speech_sha256}"
    yield "label", said.label if said.label is not None else "none"
    yield "synthesised", f"{said.synthesised_frames} of {said.frames} frames: {_runs(said)}"
    if said.synthetic_target:
        yield "", "and the rest of every picture: none of it is footage"


def _of_mark(mark: FoundMark | None, said: Statement | None) -> Iterator[tuple[str, str]]:
    if mark is None:
        if said is not None and said.watermark is not None:
            yield "watermark", "not found, though the manifest speaks of one"
        return
    if mark.id is None:
        whose = "too faint to tell of which anchor"
    elif said is None:
        whose = f"of the anchor whose sha256 begins with {mark.id}"
    elif said.anchor_id.startswith(mark.id):
        whose = f"{mark.id}, of the same anchor"
    else:
        whose = f"{mark.id}: this is not the anchor that the manifest names"
    yield "watermark", f"newscaster's, {whose}, found in {mark.marked} of {mark.pieces} pieces"
    if mark.scale < 1:
        yield "", f"the picture was cropped to about {mark.scale:.0%} of its smaller side"
    if mark.mirrored:
        yield "", "the picture was mirrored"


def _runs(said: Statement) -> str:
    """The runs of frames, first and last of each counted from 0."""
    shown = [f"{first}-{end - 1}" for first, end in said.synthesised[:_MAX_RUNS]]
    more = len(said.synthesised) - len(shown)
    return (", ".join(shown) or "none") + (f" and {more} more runs (--json)" if more else "")


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()


def _facts(found: Verified) -> dict[str, object]:
    said = found.statement
    facts: dict[str, object] = {
        "path": str(found.path),
        "verdict": found.verdict,
        "holds": found.holds,
        "unchanged": found.unchanged,
        "reasons": list(found.reasons),
        "notes": list(found.notes),
        "sidecar": None if found.sidecar is None else str(found.sidecar),
        "generator": found.generator,
        "signer": found.signer,
        "certificate_start": _iso(found.certificate_start),
        "certificate_end": _iso(found.certificate_end),
        "signed_at": _iso(found.signed_at),
        "local": found.local,
        "source_types": list(found.source_types),
        "ingredients": list(found.ingredients),
        "watermark": None if found.watermark is None else asdict(found.watermark),
    }
    return {**facts, "statement": None if said is None else _statement_json(said)}


def _statement_json(statement: Statement) -> dict[str, object]:
    """Under the names that the statement has had from the start."""
    old = {"synthetic_target": "painted", "target_sha256": "stage_sha256"}
    values = {**asdict(statement), "fps": str(statement.fps)}
    return {old.get(name, name): value for name, value in values.items()}
