"""The group of all commands, those that make an anchor or look at one, and how errors leave the program."""

from __future__ import annotations

import io
import logging
import re
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.dubbing import dub
from newscaster.cli.exits import (
    EXIT_BUG,
    EXIT_DONE,
    EXIT_ERROR,
    EXIT_HUNG_UP,
    EXIT_INTERRUPTED,
    EXIT_NOT_READ,
    EXIT_TERMINATED,
    EXIT_UNMEASURED,
    EXIT_UNUSABLE,
)
from newscaster.cli.serving import serve
from newscaster.cli.signals import SIGNALS, Terminated, end_programs, word
from newscaster.cli.speaking import demo, speak, timestamp_option
from newscaster.cli.streaming import live
from newscaster.cli.terminal import (
    Warnings,
    has_written_all,
    json_output,
    need_memory,
    open_standard_streams,
    progress_report,
    say,
    send_library_output_to_log,
    value_text,
    watch_standard_streams,
)
from newscaster.cli.verifying import verify
from newscaster.consent import is_refusal
from newscaster.errors import InputError, NewscasterError
from newscaster.safety.readers import read_option
from newscaster.system.os_errors import fault
from newscaster.texts import quoted, without_escapes, write_raw_names
from newscaster.version import VERSION

if TYPE_CHECKING:
    from newscaster.formats.anchor import AnchorFile

CONSENT_QUESTIONS = (
    ("who", "Who in this footage agrees to an anchor being made of them?", ""),
    ("for", "For what?", ""),
    ("when", "When did they agree (YEAR-MONTH-DAY)?", "today"),
    ("until", "Until when (YEAR-MONTH-DAY; nothing: until it is withdrawn)?", ""),
)
"""Lines of the record of consent, what is asked for each, and what is taken where nothing is said."""
_MAX_CONSENT_BYTES = 1 << 20
_NAMES_FILE = re.compile(
    r"\S*[/\\]\S*|.*\.(txt|text|md|json|ya?ml|toml|csv|rtf|odt|docx?|pdf)", re.IGNORECASE
)
"""A consent that is no words but the name of a file."""
_FILE = click.Path(path_type=Path)
_WRITTEN = {"report": "report", "json_file": "figures", "keep": "videos"}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="newscaster")
def cli() -> None:
    """A few minutes of somebody reading the news in; an anchor who reads anything else out."""
    need_memory()


@cli.command()
@click.argument("footage", nargs=-1, required=True, type=_FILE)
@click.option(
    "--face", type=click.IntRange(min=0), help="Which face, where there are several (from the left)."
)
@click.option("--report", type=_FILE, help="Also write the report as a web page.")
def check(footage: tuple[Path, ...], face: int | None, report: Path | None) -> None:
    """Say whether FOOTAGE (files or folders) is fit to make an anchor of."""
    from newscaster import pipelines

    with progress_report() as progress:
        found = pipelines.check(footage, face=face, report=report, progress=progress)
    say(found.headline)
    for measure in found.measures:
        say(f"  {measure.verdict:<9} {measure.title}: {measure.text}")
        if measure.advice:
            say(f"            {measure.advice}")
    for note in found.notes:
        say(f"  note      {note}")
    if report is not None:
        say(f"report: {report}")
    if found.verdict == "unusable":
        click.get_current_context().exit(EXIT_UNUSABLE)


@cli.command()
@click.argument("footage", nargs=-1, required=True, type=_FILE)
@click.option("-o", "--output", "out", required=True, type=_FILE, help="NAME.anchor to write.")
@click.option("--name", help="What the anchor is called; by default as its file.")
@click.option(
    "--minutes",
    default=12.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How long the rendering network is trained.",
)
@click.option("--work", type=_FILE, help="Folder for prepared footage and training; kept, and resumed from.")
@click.option("--fps", help="Frames per second, such as 25 or 30000/1001; by default the footage's own.")
@click.option(
    "--face", type=click.IntRange(min=0), help="Which face, where there are several (from the left)."
)
@click.option(
    "--stage",
    "target",
    metavar="FILE",
    help="Clip that the mouth will be rewritten on; by default the calmest stretch. 'synthetic' paints one: "
    "no frame of the footage is then in the anchor.",
)
@click.option(
    "--stage-minutes",
    "target_minutes",
    default=50.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How long the network that paints a synthetic stage is trained.",
)
@click.option(
    "--consent",
    help="Who agreed to the anchor, and for what: the text, or a file that holds it, or one with the lines "
    "who, for, when and until (days, YEAR-MONTH-DAY). Asked for by default.",
)
@click.option(
    "--attribution", multiple=True, help="A line for every video made, such as the footage's source."
)
def train(footage: tuple[Path, ...], out: Path, consent: str | None, fps: str | None, **options: Any) -> None:
    """Make an anchor of the person in FOOTAGE (files or folders)."""
    statement = _consent(consent)
    rate = None if fps is None else _frame_rate(fps)
    from newscaster import pipelines

    with progress_report() as progress:
        path = pipelines.train(footage, out, consent=statement, fps=rate, progress=progress, **options)
    say(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


@cli.command()
@click.argument("anchor")
@click.argument("footage", nargs=-1, required=True, type=_FILE)
@click.option(
    "--face", type=click.IntRange(min=0), help="Which face, where there are several (from the left)."
)
@click.option(
    "--breath",
    is_flag=True,
    help="Let the motion network move the mouth in silence, too, as people do who draw breath; otherwise the "
    "lips rest there.",
)
@click.option("--json", "json_file", type=_FILE, help="Also write the figures to this file.")
@click.option("--report", type=_FILE, help="Also write a web page, with pictures and plots.")
@click.option("--keep", type=_FILE, metavar="FOLDER", help="Keep the videos that are made.")
@timestamp_option
def evaluate(anchor: str, footage: tuple[Path, ...], breath: bool, **options: Any) -> None:
    """Measure ANCHOR (a file, or builtin) on FOOTAGE (files or folders) that it has not learnt from.

    The footage of the anchor's person is made anew, from its true mouth shapes and from its own sound, and
    compared with what it was. The real video, encoded alike, shows how near anything can come.
    """
    from newscaster import pipelines
    from newscaster.evaluation.page import table, unmeasured
    from newscaster.synthesis.articulation import Articulation

    with progress_report() as progress:
        found = pipelines.evaluate(
            anchor, footage, articulation=Articulation(rests=not breath), progress=progress, **options
        )
    for line in [*table(found.figures), *unmeasured(found.figures)]:
        say(line)
    for kind in ("report", "json_file", "keep"):
        if options[kind] is not None:
            say(f"{_WRITTEN[kind]}: {options[kind]}")
    if found.unmeasured:
        click.get_current_context().exit(EXIT_UNMEASURED)


cli.add_command(speak)
cli.add_command(dub)
cli.add_command(live)
cli.add_command(demo)
cli.add_command(serve)
cli.add_command(verify)


@cli.command()
@click.argument("anchor", default="builtin")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def info(anchor: str, as_json: bool) -> None:
    """Say what ANCHOR (a file, or by default the built-in one) is, and check that its file is sound."""
    from newscaster.formats.anchor import AnchorFile, anchor_path

    file = AnchorFile(anchor_path(anchor))
    if as_json:
        facts = {
            **file.info.to_json(),
            "members": file.members,
            "path": str(file.path),
            "bytes": file.path.stat().st_size,
        }
        click.echo(json_output(facts))
        return
    for name, value in _facts(file):
        say(f"{name:<12} {value_text(value)}")


@cli.command()
@click.argument("anchor", type=_FILE)
@click.option("--reason", default="", metavar="TEXT", help="Why; shown wherever the anchor is refused.")
def withdraw(anchor: Path, reason: str) -> None:
    """Mark the consent to ANCHOR (a file) as withdrawn: nothing is made with it from then on.

    It cannot be undone, and other copies of the file do not know of it.
    """
    from newscaster.withdrawal import withdraw as mark

    consent = mark(anchor, reason=reason)
    say(f"{anchor}: the consent {consent.ended}. Delete other copies of the file: they do not know of it")


def _of_target(file: AnchorFile) -> str:
    """What else is to be said of a stage."""
    face, said = file.face(), ""
    segments = 1 if face.segment is None else int(face.segment.max()) + 1
    if segments > 1:
        said += f" in {segments} stretches"
    kept = 0 if face.blend_weight is None else int((face.blend_weight < 1).sum())
    if kept:
        said += f", {kept} of them with the footage's own mouth"
    return said


def _facts(file: AnchorFile) -> Iterator[tuple[str, str]]:
    about = file.info
    width, height = about.size
    yield "name", about.name
    yield "created", f"{about.created} by newscaster {about.newscaster}"
    yield "pictures", f"{width}x{height} at {_shown(about.fps)} frames/s"
    yield "stage", f"{about.target_seconds:.1f} s, {about.target_frames} frames{_of_target(file)}"
    yield (
        "region",
        f"{about.crop.side}x{about.crop.side} pixels, face maps {about.map_side}x{about.map_side}",
    )
    yield "motion", f"{about.features.kind} -> {about.coefficients} coefficients"
    for section, values in (("training", about.training), ("consent", about.consent)):
        for name, value in values.items():
            yield section, f"{name}: {value}"
    if about.consent_record is not None and about.consent_record.ended:
        yield "consent", f"{about.consent_record.ended}: nothing is made with this anchor any more"
    for line in about.attribution:
        yield "attribution", line
    size = file.path.stat().st_size
    yield "file", f"{size / 1e6:.1f} MB, {len(file.members)} members, every sha256 as recorded"


def _shown(fps: Fraction) -> str:
    return str(fps) if fps.denominator == 1 else f"{float(fps):.3f} ({fps})"


def _asked_consent() -> str:
    """A record of consent, asked for line by line; somebody who does not agree is not asked further."""
    lines = []
    for name, question, default in CONSENT_QUESTIONS:
        answer = click.prompt(question, default=default, show_default=bool(default), err=True).strip()
        if name == "who" and is_refusal(answer):
            return answer
        if name == "when" and answer == default:
            answer = date.today().isoformat()
        lines.append(f"{name}: {answer}")
    return "\n".join(lines)


def _consent(given: str | None) -> str:
    """The statement or the record of consent: from the option, or asked for."""
    if given is None:
        if not _interactive():
            raise InputError(
                "an anchor is made of a person, and no statement of their consent was given. Add who agreed, "
                "and to what: --consent 'Ada Byron, 2026-11-02: news videos on our own channels', or a file "
                "with the lines who, for, when and until"
            )
        return _asked_consent()
    path = Path(given)
    try:
        exists = bool(given) and path.exists()
    except (OSError, ValueError):  # a text that is too long for a name, or has a null character in it
        exists = False
    if not exists and _NAMES_FILE.fullmatch(given):
        raise InputError(
            f"--consent: no such file: '{given}'. Give the file, or who agreed, and to what, in words"
        )
    try:
        # A pipe, too: <(...).
        statement = read_option(path, most=_MAX_CONSENT_BYTES).decode("utf-8") if exists else given
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--consent: '{given}' cannot be read as text in UTF-8 ({why}). Give another file, or the text "
            "itself"
        ) from error
    return statement.strip()


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _frame_rate(text: str) -> Fraction:
    """A frame rate; 29.97 and its like mean 30000/1001."""
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 1 <= rate <= 240:
        raise InputError(
            f"--fps is {quoted(text)}; expected 1 to 240 as a number or a fraction, such as 25 or 30000/1001"
        )
    near = Fraction(round(rate * Fraction(1001, 1000)) * 1000, 1001)
    return near if rate.denominator > 1 and abs(rate - near) < Fraction(1, 200) else rate


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default the process's own) and return its exit code.

    Errors that a user or the machine can cause become one line; any other keeps its traceback.
    """
    handler = Warnings(logging.WARNING)
    logger = logging.getLogger("newscaster")
    logger.addHandler(handler)
    SIGNALS.forget()
    try:
        code = cli.main(args=arguments, prog_name="newscaster", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_DONE
    except BaseException as error:
        if SIGNALS.received is not None:
            end_programs()
        # Libraries may make an error of their own of what a signal raises within them.
        return _exit_code(SIGNALS.received or error)
    finally:
        logger.removeHandler(handler)


def _exit_code(error: BaseException) -> int:
    """Say in one line what has ended the work; raises the error again where that is a bug."""
    if isinstance(error, NewscasterError):
        return _told(str(error))
    if isinstance(error, click.Abort | KeyboardInterrupt):
        say("interrupted", err=True)
        return EXIT_INTERRUPTED
    if isinstance(error, Terminated):
        say(word(error.number), err=True)
        return EXIT_TERMINATED if error.number == signal.SIGTERM else EXIT_HUNG_UP
    if isinstance(error, click.ClickException):
        message = io.StringIO()
        error.show(message)
        for line in without_escapes(message.getvalue()).rstrip("\n").split("\n"):
            say(line, err=True)
        return EXIT_ERROR
    if isinstance(error, SystemExit):
        return EXIT_NOT_READ  # all that click makes of a broken pipe; it has silenced standard output
    if isinstance(error, Exception) and (said := fault(error)) is not None:
        return _told(said)
    raise error


def _told(said: str) -> int:
    """Say what is wrong, in one line."""
    say(f"error: {without_escapes(' '.join(said.split()))}", err=True)
    return EXIT_ERROR


def main() -> None:
    """The command `newscaster`."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        write_raw_names(stream)
    SIGNALS.listen()
    try:
        send_library_output_to_log()
        watch_standard_streams()
        code = run()
    except NewscasterError as error:
        code = _told(str(error))
    except Exception:
        traceback.print_exc()
        code = EXIT_BUG
    if not has_written_all() and code == EXIT_DONE:
        code = EXIT_ERROR
    SIGNALS.stop_listening(code)
    sys.exit(code)
