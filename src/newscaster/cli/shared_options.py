"""The options that several commands share, and what they mean: style, reading, pronunciations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.renamed import RenamedOption
from newscaster.cli.suffix_option import SuffixOption

if TYPE_CHECKING:
    from newscaster.speech.spoken import Pronunciations
    from newscaster.speech.voices import Reading
    from newscaster.synthesis.options import Style


FILE = click.Path(path_type=Path)

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
    type=FILE,
    cls=SuffixOption,
    metavar="FILE",
    help="Video to write ({video}).",
)

motion_option = click.option(
    "--motion", "motion_out", type=FILE, metavar="FILE", help="Also write the mouth motion (.npz)."
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
    type=FILE,
    metavar="FILE",
    help="How words of a text are read: lines such as WHO = W.H.O (default: pronunciations.txt in the "
    "folder of your configuration).",
)


voice_option = click.option(
    "--voice",
    help="Voice of a text: hibari, emma, fable, fenrir, kore, joe, a Japanese voice, or a Piper "
    "voice NAME.onnx (default: hibari; for grid-s1 joe, if installed).",
)

voice_command_option = click.option(
    "--voice-command",
    metavar="COMMAND",
    help="External speech synthesis: reads a sentence on standard input, writes WAV to its output.",
)


def voice_options(command: Decorated) -> Decorated:
    """Add the options of text and voice."""
    return with_options(
        command,
        click.option("--text", help="Text to speak. The default voice needs newscaster[tts]."),
        voice_option,
        voice_command_option,
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
        click.option("--keep-speech", type=FILE, metavar="FILE", help="Also write the speech (.wav)."),
        click.option(
            "--captions",
            multiple=True,
            type=FILE,
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
            type=FILE,
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
