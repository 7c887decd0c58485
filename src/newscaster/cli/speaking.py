"""The commands `speak` and `demo`, and the options that other commands share with them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.exits import EXIT_ERROR
from newscaster.cli.opened_anchors import open_anchor
from newscaster.cli.renamed import RenamedOption
from newscaster.cli.suffix_option import SuffixOption
from newscaster.cli.terminal import progress_report, say, value_text

if TYPE_CHECKING:
    from newscaster.speech.spoken import Pronunciations
    from newscaster.speech.voices import Reading
    from newscaster.synthesis.options import Style
    from newscaster.synthesis.result import SpeakResult

_FILE = click.Path(path_type=Path)


Decorated = Callable[..., None]

anchor_option = click.option(
    "-a",
    "--anchor",
    default="builtin",
    show_default=True,
    metavar="ANCHOR",
    help="Anchor file, or a bundled anchor: 'builtin' (which is 'grid-s4') or 'grid-s1'.",
)
output_option = click.option(
    "-o",
    "--output",
    "out",
    required=True,
    type=_FILE,
    cls=SuffixOption,
    metavar="FILE",
    help="Video to write ({video}).",
)
motion_option = click.option(
    "--motion", "motion_out", type=_FILE, metavar="FILE", help="Also write the mouth motion (.npz)."
)


def crf_option(default: int) -> Callable[[Decorated], Decorated]:
    """Return the option of the x264 quality."""
    return click.option(
        "--crf",
        default=default,
        show_default=True,
        type=click.IntRange(0, 51),
        metavar="N",
        help="x264 quality; lower is better.",
    )


def with_options(command: Decorated, *options: Callable[[Decorated], Decorated]) -> Decorated:
    """Add options to a command; its help shows them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


pronunciations_option = click.option(
    "--pronunciations",
    type=_FILE,
    metavar="FILE",
    help="How words of a text are read: lines such as WHO = W.H.O (default: pronunciations.txt in the "
    "folder of your configuration).",
)


def voice_options(command: Decorated) -> Decorated:
    """Add the options of text and voice."""
    return with_options(
        command,
        click.option("--text", help="Text to speak. The default voice needs newscaster[tts]."),
        click.option(
            "--voice",
            help="Voice of a text: hibari, emma, fable, fenrir, kore, joe, a Japanese voice, or a Piper "
            "voice NAME.onnx (default: hibari; for grid-s1 joe, if installed).",
        ),
        click.option(
            "--voice-command",
            metavar="COMMAND",
            help="External speech synthesis: reads a sentence on standard input, writes WAV to its output.",
        ),
        click.option(
            "--speed",
            type=float,
            metavar="FACTOR",
            help="Speaking rate of a text, 0.5 to 2 (default: 1, the voice's own).",
        ),
        pronunciations_option,
    )


def speech_output_options(command: Decorated) -> Decorated:
    """Add the options of speech and captions as outputs."""
    return with_options(
        command,
        click.option(
            "--language",
            metavar="CODE",
            help="Language of the --subtitles track, as a three-letter code (default: eng).",
        ),
        click.option("--keep-speech", type=_FILE, metavar="FILE", help="Also write the speech (.wav)."),
        click.option(
            "--captions",
            multiple=True,
            type=_FILE,
            metavar="FILE",
            help="Also write captions, timed by sentence (.srt or .vtt). Repeatable.",
        ),
        click.option(
            "--subtitles", is_flag=True, help="Also add the captions to the video as a subtitle track."
        ),
    )


timestamp_option = click.option(
    "--timestamp",
    metavar="URL",
    help="Time-stamp signatures with this authority (RFC 3161), so that they stay verifiable after the "
    "certificate expires. Sends a hash over the network (default: no network use).",
)


def signing_options(command: Decorated) -> Decorated:
    """Add the options of the signature."""
    return with_options(
        command,
        click.option(
            "--sign",
            nargs=2,
            type=_FILE,
            metavar="CERT KEY",
            help="Sign with this certificate chain and key, in PEM (default: NEWSCASTER_SIGN_CERT and "
            "NEWSCASTER_SIGN_KEY, or else a local certificate).",
        ),
        timestamp_option,
    )


background_option = click.option(
    "--background",
    metavar="WHAT",
    help="Background behind the person: an image, a video (looped), a colour (a CSS name or #rrggbb; "
    "'green' is #00ff00), 'blur', or 'alpha' for a transparent one (default: the footage's own).",
)


def label_options(command: Decorated) -> Decorated:
    """Add the options of label and watermark."""
    return with_options(
        command,
        click.option(
            "--label",
            metavar="TEXT",
            help="Text in a corner of the video, away from the face (default: 'AI-generated' for the bundled "
            "anchor, none for others).",
        ),
        click.option("--no-label", "label", flag_value="", help="Draw no label."),
        click.option(
            "--no-watermark",
            "watermark",
            flag_value=False,
            default=True,
            help="Do not embed the invisible watermark, which `newscaster verify` detects.",
        ),
    )


def strap_options(command: Decorated) -> Decorated:
    """Add the options of the name strap."""
    return with_options(
        command,
        click.option(
            "--title",
            metavar="TEXT",
            help="Name strap in the lower third, such as a name: shown from 0.5 to 7 s (default: none).",
        ),
        click.option("--subtitle", metavar="TEXT", help="Second line of the name strap, such as an office."),
    )


def articulation_options(command: Decorated) -> Decorated:
    """Add the options of the articulation."""
    return with_options(
        command,
        click.option(
            "--smoothness",
            default=1.0,
            show_default=True,
            metavar="FACTOR",
            help="Smoothing of the mouth motion, 0 (crisp) to 4 (sluggish); 1 is as trained.",
        ),
        click.option(
            "--openness",
            default=1.0,
            show_default=True,
            metavar="FACTOR",
            help="Amplitude of the mouth motion, 0 (closed) to 2; 1 is as trained.",
        ),
    )


backend_option = click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "openvino", "cuda"]),
    envvar="NEWSCASTER_BACKEND",
    help="Inference backend (default: the fastest installed).",
)


target_start_option = click.option(
    "--target-start",
    cls=RenamedOption,
    old_name="--stage-start",
    default=0,
    show_default=True,
    metavar="FRAME",
    help="First frame of the target video to use.",
)


def engine_options(command: Decorated) -> Decorated:
    """Add the options of the inference."""
    return with_options(
        command,
        click.option(
            "--workers",
            type=click.IntRange(min=1),
            metavar="N",
            help="Number of rendering threads (default: one per core).",
        ),
        backend_option,
    )


@click.command()
@click.argument("speech", required=False)
@anchor_option
@output_option
@voice_options
@speech_output_options
@articulation_options
@click.option(
    "--look-ahead",
    "look_ahead_ms",
    type=int,
    metavar="MS",
    help="Audio look-ahead in ms (80-1000, multiple of 40; default: full context).",
)
@motion_option
@crf_option(18)
@target_start_option
@background_option
@strap_options
@label_options
@signing_options
@engine_options
def speak(speech: str | None, anchor: str, workers: int | None, backend: str | None, **options: Any) -> None:
    """Render a video of an anchor that speaks SPEECH.

    SPEECH is an audio or video file, a .txt file to read aloud, or - for an audio file on standard input.
    """
    result = _speak(speech, anchor, workers, backend, **options)
    say(
        f"{result.path}  {result.seconds:.1f} s in {result.wall_seconds:.1f} s: {result.speed:.2f} x real "
        f"time, {result.frames_per_second:.1f} frames/s"
    )
    _print_details(result)


@click.command()
@click.option(
    "-o",
    "--output",
    "out",
    default="newscaster-demo.mp4",
    show_default=True,
    type=_FILE,
    cls=SuffixOption,
    metavar="FILE",
    help="Video to write ({video}).",
)
@anchor_option
@click.option("--speech", metavar="FILE", help="Audio or .txt file to speak instead of the bulletin.")
@voice_options
@speech_output_options
@articulation_options
@background_option
@strap_options
@label_options
@signing_options
def demo(anchor: str, speech: str | None, text: str | None, **options: Any) -> None:
    """Render a video of a bundled anchor reading a short bulletin.

    --text and --speech replace the bulletin.
    """
    start = time.perf_counter()
    if speech is None and text is None:
        text = (Path(__file__).parents[1] / "data" / "bulletin.txt").read_text(encoding="utf-8")
    result = _speak(speech, anchor, None, None, text=text, **options)
    wall_seconds = time.perf_counter() - start
    say(
        f"{result.path}  {result.seconds:.1f} s of video, rendered in {wall_seconds:.1f} s: "
        f"{result.seconds / wall_seconds:.1f} x real time"
    )
    _print_details(result)


def _speak(
    speech: str | None,
    anchor: str,
    workers: int | None,
    backend: str | None,
    *,
    out: Path,
    voice: str | None,
    voice_command: str | None,
    speed: float | None,
    language: str | None,
    pronunciations: Path | None,
    text: str | None,
    **options: Any,
) -> SpeakResult:
    from newscaster.synthesis.options import Outputs, SigningOptions
    from newscaster.synthesis.speech_input import is_script

    is_read = text is not None or is_script(speech)
    reading = reading_of(
        anchor if is_read else None,
        voice=voice,
        command=voice_command,
        speed=speed,
        language=language,
        pronunciations=pronunciations_of(pronunciations),
    )
    style = style_of(reading, options)
    performer = open_anchor(anchor, workers=workers, backend=backend)
    certificate, key = options["sign"] or (None, None)
    with progress_report(announced=False) as progress:
        return performer.speak(
            sys.stdin.buffer if speech == "-" else speech,
            out,
            text=text,
            outputs=Outputs(
                captions=options["captions"],
                subtitles=options["subtitles"],
                motion=options.get("motion_out"),
                speech=options["keep_speech"],
                crf=options.get("crf", Outputs.crf),
            ),
            signing=SigningOptions(certificate=certificate, key=key, timestamp=options["timestamp"]),
            style=style,
            progress=lambda done, total: progress("speaking", done, total),
        )


def style_of(reading: Reading | None, options: Mapping[str, Any]) -> Style:
    """Return the style of the given options; `demo` has fewer of them."""
    from newscaster.synthesis.articulation import Articulation
    from newscaster.synthesis.options import Style

    return Style(
        reading=reading,
        articulation=Articulation(openness=options["openness"], smoothness=options["smoothness"]),
        look_ahead_ms=options.get("look_ahead_ms"),
        target_start=options.get("target_start", 0),
        background=options.get("background"),
        label=options["label"],
        title=options.get("title"),
        subtitle=options.get("subtitle"),
        watermark=options["watermark"],
    )


def reading_of(anchor: str | None, **options: Any) -> Reading | None:
    """Return how a text is read aloud; None if no option is given.

    Args:
        anchor: the anchor that reads a text; None: there is no text.
        options: fields of `Reading`; None: not given.
    """
    from newscaster.formats.bundled_anchors import bundled_name
    from newscaster.speech.voices import Reading, voice_of_a_man

    if bundled_name(anchor) == "grid-s1" and options["voice"] is None and options["command"] is None:
        options["voice"] = voice_of_a_man()
    values = {name: value for name, value in options.items() if value is not None}
    return Reading(**values) if values else None


def pronunciations_of(path: Path | None) -> Pronunciations | None:
    """Return the exceptions of the option's file; None if it is not given."""
    from newscaster.speech.spoken import Pronunciations

    return None if path is None else Pronunciations.read(path)


def signature_line(
    *, by: str | None, locally: bool, why_not: str | None, until: datetime | None, time_stamped: bool
) -> str:
    """Return one line: who signed a video, and until when that can be verified."""
    if why_not is not None:
        return f"not signed: {why_not}"
    line = f"signed by {value_text(by or '')}"
    if locally:
        line = "signed with a local certificate, which reveals changes but proves no identity (--sign)"
    if time_stamped:
        return f"{line}, with a time stamp"
    if until is None:
        return line
    when = f"{until:%Y-%m-%d %H:%M} UTC"
    if until < datetime.now(UTC):
        return (
            f"{line}, but a certificate of the chain expired on {when}: no one can trust it any more (--sign)"
        )
    return f"{line}, verifiable until {when}, when the first certificate of the chain expires (--timestamp)"


def end_if_unstamped(unstamped_because: str | None) -> None:
    """Exit with an error if a requested time stamp is missing; a log record gave the reason."""
    if unstamped_because is not None:
        click.get_current_context().exit(EXIT_ERROR)


def _print_details(result: SpeakResult) -> None:
    """Print the signature, the other outputs and the frames that keep their mouth."""
    if result.passthrough_frames:
        say(
            f"{result.passthrough_frames} of {result.frames} frames keep their original mouth, which is "
            "turned away, cut off or hidden"
        )
    say(
        signature_line(
            by=result.signed_by,
            locally=result.signed_locally,
            why_not=result.unsigned_because,
            until=result.signed_until,
            time_stamped=result.time_stamped,
        )
    )
    for path in (result.sidecar, result.motion, result.kept_speech, *result.captions):
        if path is not None:
            say(str(path))
    end_if_unstamped(result.unstamped_because)
