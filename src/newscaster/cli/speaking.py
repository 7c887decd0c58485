"""The commands that have an anchor say something: `speak` and `demo`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.exits import EXIT_ERROR
from newscaster.cli.suffix_option import SuffixOption
from newscaster.cli.terminal import progress_report, say, value_text

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading
    from newscaster.synthesis.options import Style
    from newscaster.synthesis.result import SpeakResult

_FILE = click.Path(path_type=Path)


Decorated = Callable[..., None]


def with_options(command: Decorated, *options: Callable[[Decorated], Decorated]) -> Decorated:
    """A command with these options, shown in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def voice_options(command: Decorated) -> Decorated:
    """The options that say how a text is read aloud."""
    return with_options(
        command,
        click.option("--text", help="What is to be said; by default the voice needs newscaster[tts]."),
        click.option(
            "--voice",
            help="Who reads a text: hibari (the default; for the built-in anchor joe where installed), "
            "emma, fable, fenrir, kore, joe, or NAME.onnx, a voice of Piper's.",
        ),
        click.option(
            "--voice-command",
            metavar="COMMAND",
            help="A program that reads a text: a sentence on its standard input, WAV on its output.",
        ),
        click.option("--speed", type=float, help="Pace of a text, 0.5 to 2; 1 is the voice's own."),
    )


def _kept_options(command: Decorated) -> Decorated:
    """The options that say what else is kept of a text."""
    return with_options(
        command,
        click.option(
            "--language",
            metavar="CODE",
            help="Language of a text, for --subtitles: three letters; by default eng.",
        ),
        click.option("--keep-speech", type=_FILE, help="Also write the sound: .wav."),
        click.option(
            "--captions",
            multiple=True,
            type=_FILE,
            help="Also write the text, timed by sentence: .srt or .vtt. Can be given twice.",
        ),
        click.option("--subtitles", is_flag=True, help="Also put the captions into the video, as a track."),
    )


def timestamp_option(command: Decorated) -> Decorated:
    """The option that says who stamps a signature with its time."""
    option = click.option(
        "--timestamp",
        metavar="URL",
        help="Have this time-stamp authority (RFC 3161) stamp signatures, so that they can be checked when "
        "the certificate has ended. It is sent a hash, over the network; by default the network is not used.",
    )
    return option(command)


def signing_options(command: Decorated) -> Decorated:
    """The options that say how a video is marked."""
    return with_options(
        command,
        click.option(
            "--sign",
            nargs=2,
            type=_FILE,
            metavar="CERT KEY",
            help="Sign the video with this certificate chain and key (PEM); by default with those that "
            "NEWSCASTER_SIGN_CERT and NEWSCASTER_SIGN_KEY name, or with a local certificate.",
        ),
        timestamp_option,
    )


def label_options(command: Decorated) -> Decorated:
    """The options that say what pictures are marked with."""
    return with_options(
        command,
        click.option(
            "--label",
            metavar="TEXT",
            help="What is written in a corner of the pictures, away from the face; by default 'AI-generated' "
            "on the built-in anchor, and nothing on others.",
        ),
        click.option("--no-label", "label", flag_value="", help="Write nothing on the pictures."),
        click.option(
            "--no-watermark",
            "watermark",
            flag_value=False,
            default=True,
            help="Leave out the mark in the pixels, which is not seen, and which `newscaster verify` finds.",
        ),
    )


def articulation_options(command: Decorated) -> Decorated:
    """The options that say how the mouth moves."""
    return with_options(
        command,
        click.option(
            "--smoothness",
            default=1.0,
            show_default=True,
            help="How softly the mouth moves, 0 (crisp) to 4 (sluggish); 1 is as trained.",
        ),
        click.option(
            "--openness",
            default=1.0,
            show_default=True,
            help="How far the mouth moves, 0 (not at all) to 2; 1 is as trained.",
        ),
    )


def engine_options(command: Decorated) -> Decorated:
    """The options that say what renders."""
    return with_options(
        command,
        click.option(
            "--workers", type=click.IntRange(min=1), help="Threads that render; by default one per core."
        ),
        click.option(
            "--backend",
            type=click.Choice(["auto", "onnxruntime", "openvino", "cuda"]),
            envvar="NEWSCASTER_BACKEND",
            help="What runs the rendering network; by default what is installed and fastest.",
        ),
    )


@click.command()
@click.argument("speech", required=False)
@click.option(
    "-a", "--anchor", default="builtin", show_default=True, metavar="ANCHOR", help="NAME.anchor, or builtin."
)
@click.option(
    "-o", "--output", "out", required=True, type=_FILE, cls=SuffixOption, help="Video to write: {video}."
)
@voice_options
@_kept_options
@articulation_options
@click.option(
    "--look-ahead",
    "look_ahead_ms",
    type=int,
    metavar="MS",
    help="How many milliseconds of later sound the mouth may know of, as in live speech: a multiple of 40 "
    "from 80 to 1000, such as 120, 200 or 320; by default all.",
)
@click.option("--motion", "motion_out", type=_FILE, help="Also write the mouth's motion: .npz.")
@click.option(
    "--crf", default=18, show_default=True, type=click.IntRange(0, 51), help="Quality; lower is better."
)
@click.option(
    "--stage-start", "target_start", default=0, show_default=True, help="Frame of the stage to begin with."
)
@label_options
@signing_options
@engine_options
def speak(speech: str | None, anchor: str, workers: int | None, backend: str | None, **options: Any) -> None:
    """Make a video of an anchor saying SPEECH.

    SPEECH is a sound or video file, a .txt file to be read aloud, or - for a sound file on standard input.
    """
    made = _speak(speech, anchor, workers, backend, **options)
    say(
        f"{made.path}  {made.seconds:.1f} s in {made.wall_seconds:.1f} s: {made.speed:.2f} x real time, "
        f"{made.frames_per_second:.1f} frames/s"
    )
    _say_what_else(made)


@click.command()
@click.option(
    "-o",
    "--output",
    "out",
    default="newscaster-demo.mp4",
    show_default=True,
    type=_FILE,
    cls=SuffixOption,
    help="Video to write: {video}.",
)
@click.option("--speech", help="A sound or .txt file to be said in place of the bulletin.")
@voice_options
@_kept_options
@articulation_options
@label_options
@signing_options
def demo(speech: str | None, text: str | None, **options: Any) -> None:
    """Have the built-in anchor read a short bulletin, or what you give it."""
    began = time.perf_counter()
    if speech is None and text is None:
        text = (Path(__file__).parents[1] / "data" / "bulletin.txt").read_text(encoding="utf-8")
    made = _speak(speech, "builtin", None, None, text=text, **options)
    took = time.perf_counter() - began
    say(
        f"{made.path}  {made.seconds:.1f} s of video, made in {took:.1f} s: "
        f"{made.seconds / took:.1f} x real time"
    )
    _say_what_else(made)


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
    text: str | None,
    **options: Any,
) -> SpeakResult:
    import newscaster
    from newscaster.synthesis.options import Outputs, SigningOptions
    from newscaster.synthesis.speech_input import is_script

    is_read = text is not None or is_script(speech)
    reading = reading_of(
        anchor if is_read else None, voice=voice, command=voice_command, speed=speed, language=language
    )
    style = style_of(reading, options)
    performer = newscaster.open(anchor, workers=workers, backend=backend)
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
    """Return the style that options ask for; `demo` has fewer of them."""
    from newscaster.synthesis.articulation import Articulation
    from newscaster.synthesis.options import Style

    return Style(
        reading=reading,
        articulation=Articulation(openness=options["openness"], smoothness=options["smoothness"]),
        look_ahead_ms=options.get("look_ahead_ms"),
        target_start=options.get("target_start", 0),
        label=options["label"],
        watermark=options["watermark"],
    )


def reading_of(anchor: str | None, **given: Any) -> Reading | None:
    """How a text is to be read by an anchor; None where nothing is said about it, or nothing is read."""
    from newscaster.formats.anchor import BUNDLED
    from newscaster.speech.voices import Reading, voice_of_a_man

    if anchor == BUNDLED and given["voice"] is None and given["command"] is None:
        given["voice"] = voice_of_a_man()
    values = {name: value for name, value in given.items() if value is not None}
    return Reading(**values) if values else None


def signature_line(
    *, by: str | None, locally: bool, why_not: str | None, until: datetime | None, time_stamped: bool
) -> str:
    """Who signed a video and until when that can be checked, in a line."""
    if why_not is not None:
        return f"not signed: {why_not}"
    line = f"signed by {value_text(by or '')}"
    if locally:
        line = "signed with a local certificate, which shows changes and vouches for nobody (--sign)"
    if time_stamped:
        return f"{line}, with a time stamp"
    if until is None:
        return line
    when = f"{until:%Y-%m-%d %H:%M} UTC"
    if until < datetime.now(UTC):
        return f"{line}, whom nobody can trust any more: a certificate of the chain ended on {when} (--sign)"
    return f"{line}, to be checked until {when}, when the first certificate of the chain ends (--timestamp)"


def end_if_unstamped(unstamped_because: str | None) -> None:
    """End with an error's code if a time stamp was to be had and is missing; the log has said why."""
    if unstamped_because is not None:
        click.get_current_context().exit(EXIT_ERROR)


def _say_what_else(made: SpeakResult) -> None:
    if made.passed_through:
        say(
            f"{made.passed_through} of {made.frames} frames keep the footage's own mouth, which is turned "
            "away, cut off or hidden in them"
        )
    say(
        signature_line(
            by=made.signed_by,
            locally=made.signed_locally,
            why_not=made.unsigned_because,
            until=made.signed_until,
            time_stamped=made.time_stamped,
        )
    )
    for path in (made.sidecar, made.motion, made.kept_speech, *made.captions):
        if path is not None:
            say(str(path))
    end_if_unstamped(made.unstamped_because)
