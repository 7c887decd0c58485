"""`newscaster dub`: rewrite the lips of a given video."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.speaking import (
    anchor_option,
    articulation_options,
    crf_option,
    end_if_unstamped,
    engine_options,
    label_options,
    motion_option,
    output_option,
    reading_of,
    signature_line,
    signing_options,
    style_of,
    voice_options,
)
from newscaster.cli.terminal import progress_report, say, value_text

if TYPE_CHECKING:
    from newscaster.synthesis.dub_options import DubResult

_FILE = click.Path(path_type=Path)
_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):(?=\d{1,2}(?:\.|$)))?(\d+(?:\.\d+)?)")


class _TimeType(click.ParamType[float]):
    """A time: seconds, MM:SS or HH:MM:SS, each with decimals."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the time in seconds."""
        if isinstance(value, float):
            return value
        match = _TIME.fullmatch(str(value).strip())
        if match is None:
            self.fail(
                f"{value!r} is no time; expected seconds, MM:SS or HH:MM:SS, such as 12.5 or 01:30",
                param,
                ctx,
            )
        hours, minutes, seconds = match.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


TIME = _TimeType()
"""Type of options that name a time in a video."""


@click.command()
@click.argument("video", type=_FILE)
@click.argument("speech", required=False)
@anchor_option
@output_option
@voice_options
@click.option(
    "--script", type=_FILE, metavar="FILE", help="Captions to speak, each in its time (.srt or .vtt)."
)
@click.option("--keep-speech", type=_FILE, metavar="FILE", help="Also write the new speech (.wav).")
@click.option(
    "--captions",
    multiple=True,
    type=_FILE,
    metavar="FILE",
    help="Also write captions, timed by sentence (.srt or .vtt). Repeatable.",
)
@click.option("--subtitles", is_flag=True, help="Also add the captions to the video as a subtitle track.")
@click.option(
    "--language",
    metavar="CODE",
    help="Language of the --subtitles track, as a three-letter code (default: eng).",
)
@click.option(
    "--fit",
    type=click.Choice(["video", "speech", "shortest"]),
    default="video",
    show_default=True,
    help="Length of the result: the video's (longer speech extends it), the speech's, or the shorter one's.",
)
@click.option(
    "--extend",
    type=click.Choice(["transitions", "loop", "freeze"]),
    default="transitions",
    show_default=True,
    help="How to extend the video if the speech is longer.",
)
@click.option(
    "--mix", "mix_db", type=float, metavar="DB", help="Keep the video's own audio at this gain, such as -18."
)
@click.option("--from", "start_seconds", type=TIME, metavar="TIME", help="Rewrite only from this time on.")
@click.option("--to", "stop_seconds", type=TIME, metavar="TIME", help="Rewrite only up to this time.")
@click.option(
    "--face",
    type=click.IntRange(min=0),
    metavar="N",
    help="Face to rewrite, counted from the left (default: the anchor's person).",
)
@click.option(
    "--cache",
    type=_FILE,
    metavar="DIR",
    help="Folder for face tracks: a second run on the same video starts at once.",
)
@click.option(
    "--drop",
    multiple=True,
    type=click.Choice(["audio", "subtitles", "video", "attachments", "chapters", "tags"]),
    help="Leave out what VIDEO has beside its main tracks: other audio, subtitles, other video and covers, "
    "attachments, chapters, tags (default: keep all). Repeatable.",
)
@click.option(
    "--codec",
    type=click.Choice(["auto", "h264", "hevc"]),
    default="auto",
    show_default=True,
    help="Compression of the video; auto: HEVC if VIDEO is HEVC of 10 bits, else H.264.",
)
@click.option("--report", type=_FILE, metavar="FILE", help="Also write which frames were rewritten (.json).")
@articulation_options
@motion_option
@crf_option(18)
@label_options
@signing_options
@engine_options
def dub(
    video: Path, speech: str | None, anchor: str, workers: int | None, backend: str | None, **options: Any
) -> None:
    """Rewrite the lips of VIDEO to SPEECH.

    VIDEO shows the person of the anchor. SPEECH is an audio or video file, a .txt file to read aloud, or -
    for an audio file on standard input. Without SPEECH and --text, the lips follow VIDEO's own audio.
    """
    import newscaster
    from newscaster.synthesis.dub_options import DubOptions
    from newscaster.synthesis.options import Outputs, SigningOptions
    from newscaster.synthesis.speech_input import is_script

    text = options["text"]
    reading = reading_of(
        anchor if text is not None or options["script"] is not None or is_script(speech) else None,
        voice=options["voice"],
        command=options["voice_command"],
        speed=options["speed"],
        language=options["language"],
    )
    dub_options = DubOptions(
        fit=options["fit"],
        extend=options["extend"],
        mix_db=options["mix_db"],
        start_seconds=options["start_seconds"],
        stop_seconds=options["stop_seconds"],
        script=options["script"],
        face=options["face"],
        cache=options["cache"],
        drop=options["drop"],
        codec=options["codec"],
        report=options["report"],
    )
    certificate, key = options["sign"] or (None, None)
    performer = newscaster.open(anchor, workers=workers, backend=backend)
    with progress_report() as progress:
        made = performer.dub(
            video,
            sys.stdin.buffer if speech == "-" else speech,
            options["out"],
            text=text,
            options=dub_options,
            outputs=Outputs(
                captions=options["captions"],
                subtitles=options["subtitles"],
                motion=options["motion_out"],
                speech=options["keep_speech"],
                crf=options["crf"],
            ),
            signing=SigningOptions(certificate=certificate, key=key, timestamp=options["timestamp"]),
            style=style_of(reading, options),
            progress=progress,
        )
    _say_result(made)


def _say_result(made: DubResult) -> None:
    """Print what was rewritten, what was kept and why, and who signed it."""
    say(
        f"{made.path}  {made.seconds:.1f} s in {made.wall_seconds:.1f} s, "
        f"{made.frames_per_second:.1f} frames/s ({made.track_seconds:.1f} s to find the face)"
    )
    say(f"{made.rewritten_frames} of {made.frames} frames have a new mouth")
    for kept in made.kept:
        start, stop = float(kept.start / made.fps), float(kept.stop / made.fps)
        say(f"  kept: {start:.2f} to {stop:.2f} s, {kept.reason}")
    for note in made.notes:
        say(f"note: {value_text(note)}")
    say(
        signature_line(
            by=made.signed_by,
            locally=made.signed_locally,
            why_not=made.unsigned_because,
            until=made.signed_until,
            time_stamped=made.time_stamped,
        )
    )
    end_if_unstamped(made.unstamped_because)
