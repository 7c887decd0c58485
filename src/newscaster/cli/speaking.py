"""The commands `speak` and `demo`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.opened_anchors import open_anchor
from newscaster.cli.shared_options import (
    FILE,
    anchor_option,
    articulation_options,
    background_option,
    crf_option,
    engine_options,
    label_options,
    motion_option,
    output_option,
    pronunciations_of,
    reading_of,
    signing_options,
    speech_output_options,
    strap_options,
    style_of,
    target_start_option,
    voice_options,
)
from newscaster.cli.signature import end_if_unstamped, signature_of
from newscaster.cli.suffix_option import SuffixOption
from newscaster.cli.terminal import progress_report, say

if TYPE_CHECKING:
    from newscaster.synthesis.result import SpeakResult


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
    type=FILE,
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
    text: str | None,
    **options: Any,
) -> SpeakResult:
    from newscaster.synthesis.options import Outputs, SigningOptions
    from newscaster.synthesis.script_file import is_script

    is_read = text is not None or is_script(speech)
    reading = reading_of(
        anchor if is_read else None,
        voice=options["voice"],
        command=options["voice_command"],
        speed=options["speed"],
        language=options["language"],
        pronunciations=pronunciations_of(options["pronunciations"]),
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


def _print_details(result: SpeakResult) -> None:
    """Print the signature, the other outputs and the frames that keep their mouth."""
    if result.passthrough_frames:
        say(
            f"{result.passthrough_frames} of {result.frames} frames keep their original mouth, which is "
            "turned away, cut off or hidden"
        )
    say(signature_of(result))
    for path in (result.sidecar, result.motion, result.kept_speech, *result.captions):
        if path is not None:
            say(str(path))
    end_if_unstamped(result.unstamped_because)
