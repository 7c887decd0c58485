"""The command group, the commands that make or inspect an anchor, and error handling."""

from __future__ import annotations

import io
import logging
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.batching import batch
from newscaster.cli.clips import clips, person_option
from newscaster.cli.consent_option import CONSENT_HELP, TRAINING, read_consent
from newscaster.cli.doctor import doctor
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
from newscaster.cli.option_names import OptionNamingGroup, named_here
from newscaster.cli.reading import read
from newscaster.cli.renamed import RenamedOption
from newscaster.cli.serving import serve
from newscaster.cli.shared_options import timestamp_option
from newscaster.cli.signals import SIGNALS, Terminated, end_programs, word
from newscaster.cli.speaking import demo, speak
from newscaster.cli.streaming import live
from newscaster.cli.terminal import (
    Warnings,
    handling_records,
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
from newscaster.errors import InputError, NewscasterError
from newscaster.models.registry import DEFAULT_RENDERER, RENDERERS
from newscaster.system.os_errors import fault
from newscaster.texts import quoted, without_escapes, write_raw_names
from newscaster.version import VERSION

if TYPE_CHECKING:
    from newscaster.formats.anchor import AnchorFile

_FILE = click.Path(path_type=Path)
_OUTPUT_NAMES = {"report": "report", "json_file": "metrics", "keep": "videos"}


@click.group(
    cls=OptionNamingGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, prog_name="newscaster")
def cli() -> None:
    """Train on a few minutes of someone reading the news, then make them read anything."""
    need_memory()


@cli.command()
@click.argument("footage", nargs=-1, required=True, type=_FILE)
@person_option
@click.option("--report", type=_FILE, metavar="FILE", help="Also write the report as a web page (.html).")
def check(footage: tuple[Path, ...], face: int | None, report: Path | None) -> None:
    """Check whether FOOTAGE is good enough to train an anchor.

    FOOTAGE: files or folders.
    """
    from newscaster import pipelines

    with progress_report() as progress:
        result = pipelines.check(footage, face=face, report=report, progress=progress)
    say(result.headline)
    for measure in result.measures:
        say(f"  {measure.verdict:<9} {measure.title}: {measure.text}")
        if measure.advice:
            say(f"            {named_here(measure.advice)}")
    for note in result.notes:
        say(f"  note      {named_here(note)}")
    if report is not None:
        say(f"report: {report}")
    if result.verdict == "unusable":
        click.get_current_context().exit(EXIT_UNUSABLE)


@cli.command()
@click.argument("footage", nargs=-1, required=True, type=_FILE)
@click.option(
    "-o", "--output", "out", required=True, type=_FILE, metavar="FILE", help="Anchor to write (.anchor)."
)
@click.option("--name", help="Name of the anchor (default: the file name without .anchor).")
@click.option(
    "--minutes",
    default=12.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="MINUTES",
    help="Training time of the rendering network. 0, with --renderer reference alone: none.",
)
@click.option(
    "--work-dir",
    "work",
    cls=RenamedOption,
    old_name="--work",
    type=_FILE,
    metavar="DIR",
    help="Working directory; reused to resume (default: a temporary one beside the output).",
)
@click.option(
    "--fps", metavar="RATE", help="Frame rate, such as 25 or 30000/1001 (default: the footage's rate)."
)
@person_option
@click.option(
    "--target",
    cls=RenamedOption,
    old_name="--stage",
    metavar="FILE",
    help="Target video, whose mouth is rewritten (default: the calmest segment of the footage). 'synthetic' "
    "renders one instead: the anchor then contains no frame of the footage.",
)
@click.option(
    "--target-minutes",
    cls=RenamedOption,
    old_name="--stage-minutes",
    default=50.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Training time of the full-frame network, which renders a synthetic target.",
)
@click.option(
    "--renderer",
    default=DEFAULT_RENDERER,
    show_default=True,
    type=click.Choice(list(RENDERERS)),
    help="Rendering network.",
)
@click.option(
    "--motion",
    type=click.Choice(["calm", "lively", "still"]),
    help="Motion of the head, for a photograph (default: calm).",
)
@click.option(
    "--clip",
    "clips",
    multiple=True,
    metavar="NAME=START-STOP",
    help="Part of the footage that live streams show on cue, such as nod=00:12-00:14. Repeatable.",
)
@click.option("--no-blink", is_flag=True, help="Do not let the eyes blink, for a photograph.")
@click.option(
    "--devices",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that train here: GPUs, or processes of the CPU. Needs newscaster[distributed].",
)
@click.option(
    "--nodes",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Machines that train together, each of which runs this command.",
)
@click.option("--consent", metavar="TEXT|FILE", help=CONSENT_HELP)
@click.option(
    "--attribution",
    multiple=True,
    help="Credit line for each video, such as the footage's source. Repeatable.",
)
def train(
    footage: tuple[Path, ...],
    out: Path,
    consent: str | None,
    fps: str | None,
    clips: tuple[str, ...],
    no_blink: bool,
    devices: int,
    nodes: int,
    **options: Any,
) -> None:
    """Train an anchor of the person in FOOTAGE.

    FOOTAGE: files or folders; or one photograph, which needs no training and less than a minute.
    """
    statement = read_consent(consent, TRAINING)
    rate = None if fps is None else _frame_rate(fps)
    from newscaster import pipelines
    from newscaster.formats.named_clips import ClipTimes

    named = [ClipTimes.parse(text) for text in clips]
    with progress_report() as progress:
        path = pipelines.train(
            footage,
            out,
            consent=statement,
            fps=rate,
            clips=named,
            blinks=not no_blink,
            devices=devices,
            nodes=nodes,
            progress=progress,
            **options,
        )
    say(f"{path}  {path.stat().st_size / 1e6:.1f} MB")


@cli.command()
@click.argument("anchor")
@click.argument("footage", nargs=-1, required=True, type=_FILE)
@person_option
@click.option(
    "--no-rest",
    cls=RenamedOption,
    old_name="--breath",
    is_flag=True,
    help="Do not close the mouth during silence.",
)
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Also write the metrics as JSON.")
@click.option(
    "--report", type=_FILE, metavar="FILE", help="Also write a web page with frames and plots (.html)."
)
@click.option(
    "--save-videos",
    "keep",
    cls=RenamedOption,
    old_name="--keep",
    type=_FILE,
    metavar="DIR",
    help="Save the reconstructed videos in this folder.",
)
@timestamp_option
def evaluate(anchor: str, footage: tuple[Path, ...], no_rest: bool, **options: Any) -> None:
    """Evaluate ANCHOR on held-out FOOTAGE of the same person.

    ANCHOR: a file, or 'builtin'. FOOTAGE: files or folders.

    Reconstructs the footage twice, from its true mouth shapes and from its audio, and compares both with the
    original. The original, encoded in the same way, gives the upper bound.
    """
    from newscaster import pipelines
    from newscaster.evaluation.page import table, unmeasured
    from newscaster.synthesis.articulation import Articulation

    with progress_report() as progress:
        result = pipelines.evaluate(
            anchor, footage, articulation=Articulation(rests=not no_rest), progress=progress, **options
        )
    for line in [*table(result.figures), *unmeasured(result.figures)]:
        say(line)
    for kind in ("report", "json_file", "keep"):
        if options[kind] is not None:
            say(f"{_OUTPUT_NAMES[kind]}: {options[kind]}")
    if result.unmeasured:
        click.get_current_context().exit(EXIT_UNMEASURED)


cli.add_command(speak)
cli.add_command(dub)
cli.add_command(batch)
cli.add_command(clips)
cli.add_command(live)
cli.add_command(demo)
cli.add_command(read)
cli.add_command(serve)
cli.add_command(verify)
cli.add_command(doctor)


@cli.command()
@click.argument("anchor", default="builtin")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(anchor: str, as_json: bool) -> None:
    """Show the metadata of ANCHOR, and verify its checksums.

    ANCHOR: a file (default: the bundled anchor).
    """
    from newscaster.formats.anchor import AnchorFile
    from newscaster.formats.bundled_anchors import anchor_path

    file = AnchorFile(anchor_path(anchor))
    if as_json:
        metadata = {
            **file.info.to_json(),
            "members": file.members,
            "path": str(file.path),
            "bytes": file.path.stat().st_size,
        }
        click.echo(json_output(metadata))
        return
    for name, value in _metadata(file):
        say(f"{name:<12} {value_text(value)}")


@cli.command()
@click.argument("anchor", type=_FILE)
@click.option("--reason", default="", metavar="TEXT", help="Reason, shown whenever the anchor is refused.")
def withdraw(anchor: Path, reason: str) -> None:
    """Withdraw the consent to ANCHOR.

    newscaster then refuses to use this file. This cannot be undone, and does not affect other copies of it.
    """
    from newscaster.withdrawal import withdraw as mark

    consent = mark(anchor, reason=reason)
    say(f"{anchor}: the consent {consent.ended}. Delete other copies of the file: they are not affected")


def _target_details(file: AnchorFile) -> str:
    """Return the number of segments of the target, and of frames that keep their mouth."""
    face, details = file.face(), ""
    segments = 1 if face.segment is None else int(face.segment.max()) + 1
    if segments > 1:
        details += f" in {segments} segments"
    kept = 0 if face.blend_weight is None else int((face.blend_weight < 1).sum())
    if kept:
        details += f", {kept} of them with their original mouth"
    return details


def _metadata(file: AnchorFile) -> Iterator[tuple[str, str]]:
    """Yield the lines of `info`, as name and value."""
    info = file.info
    width, height = info.size
    yield "name", info.name
    yield "created", f"{info.created} by newscaster {info.newscaster}"
    yield "video", f"{width}x{height} at {_rate_text(info.fps)} frames/s"
    yield "target", f"{info.target_seconds:.1f} s, {info.target_frames} frames{_target_details(file)}"
    yield (
        "face crop",
        f"{info.crop.side}x{info.crop.side} px, landmark maps {info.map_side}x{info.map_side}",
    )
    yield "motion", f"{info.features.kind} -> {info.coefficients} coefficients"
    if info.clips:
        yield (
            "clips",
            ", ".join(f"{clip.name} ({float(clip.frames / info.fps):.1f} s)" for clip in info.clips),
        )
    for section, values in (("training", info.training), ("consent", info.consent)):
        for name, value in values.items():
            yield section, f"{name}: {value}"
    if info.consent_record is not None and info.consent_record.ended:
        yield "consent", f"{info.consent_record.ended}: newscaster refuses to use this anchor"
    for line in info.attribution:
        yield "attribution", line
    size = file.path.stat().st_size
    yield "file", f"{size / 1e6:.1f} MB, {len(file.members)} members, all SHA-256 checksums match"


def _rate_text(fps: Fraction) -> str:
    return str(fps) if fps.denominator == 1 else f"{float(fps):.3f} ({fps})"


def _frame_rate(text: str) -> Fraction:
    """Parse a frame rate; 29.97 and similar decimals become 30000/1001."""
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
    """Run a command line (default: `sys.argv`) and return its exit code.

    An error of the user or the machine is printed in one line; any other exception propagates.
    """
    SIGNALS.forget()
    with handling_records(Warnings(logging.WARNING)):
        try:
            code = cli.main(args=arguments, prog_name="newscaster", standalone_mode=False)
            return code if isinstance(code, int) else EXIT_DONE
        except BaseException as error:
            if SIGNALS.received is not None:
                end_programs()
            # A library may replace the exception of a signal by its own.
            return _exit_code(SIGNALS.received or error)


def _exit_code(error: BaseException) -> int:
    """Print the error in one line and return its exit code; raise it again if it is a bug."""
    if isinstance(error, NewscasterError):
        return _print_error(str(error))
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
        if error.code == 0:  # of a process that has helped with a training
            return EXIT_DONE
        return EXIT_NOT_READ  # click raises it only for a broken pipe, and has silenced standard output
    if isinstance(error, Exception) and (text := fault(error)) is not None:
        return _print_error(text)
    raise error


def _print_error(message: str) -> int:
    """Print an error in one line, and return the exit code."""
    say(f"error: {without_escapes(' '.join(message.split()))}", err=True)
    return EXIT_ERROR


def main() -> None:
    """Run the command `newscaster`, and exit."""
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        write_raw_names(stream)
    SIGNALS.listen()
    try:
        send_library_output_to_log()
        watch_standard_streams()
        code = run()
    except NewscasterError as error:
        code = _print_error(str(error))
    except Exception:
        traceback.print_exc()
        code = EXIT_BUG
    if not has_written_all() and code == EXIT_DONE:
        code = EXIT_ERROR
    SIGNALS.stop_listening(code)
    sys.exit(code)
