"""`newscaster dub`: rewrite the lips of a given video."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from newscaster.cli.consent_option import CONSENT_HELP
from newscaster.cli.face_option import FACE, FaceChoice, check_faces
from newscaster.cli.opened_anchors import open_anchor
from newscaster.cli.option_names import named_here
from newscaster.cli.shared_options import (
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
    voice_options,
)
from newscaster.cli.signature import end_if_unstamped, signature_of
from newscaster.cli.terminal import json_output, progress_report, say, value_text
from newscaster.cli.video_people import VideoPerson, video_people

if TYPE_CHECKING:
    from newscaster.speech.voices import Reading
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
@click.option(
    "-a",
    "--anchor",
    metavar="ANCHOR",
    help="Anchor of the person, or 'builtin' (default: none; the person is known from VIDEO alone, and "
    "--consent is needed).",
)
@click.option(
    "--consent",
    "consents",
    metavar="TEXT|FILE",
    multiple=True,
    help=f"Without an anchor: {CONSENT_HELP[0].lower()}{CONSENT_HELP[1:]} For several people: N=TEXT|FILE, "
    "repeatable.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Without an anchor: name of the person (default: the name of VIDEO). For several people: N=NAME, "
    "repeatable.",
)
@output_option
@voice_options
@click.option(
    "--script", type=_FILE, metavar="FILE", help="Captions to speak, each in its time (.srt or .vtt)."
)
@speech_output_options
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
    "faces",
    type=FACE,
    multiple=True,
    metavar="N[=[ANCHOR][:SPEECH]]",
    help="Face to rewrite, counted from the left (default: the anchor's person; without an anchor, whoever "
    "is visible and speaks most). Repeatable, with an anchor and a speech for each of several people: "
    "0=left.anchor:left.wav, or without an anchor: 1=:right.wav. The speech is audio, a .txt file or "
    "captions.",
)
@click.option(
    "--others",
    type=click.Choice(["keep", "rest"]),
    default="keep",
    show_default=True,
    help="Mouths of people who are named without a speech: keep them, or rewrite them at rest.",
)
@click.option(
    "--cache",
    type=_FILE,
    metavar="DIR",
    help="Folder for face tracks and mattes: a second run on the same video starts at once.",
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
@click.option(
    "--report",
    type=_FILE,
    metavar="FILE",
    help="Also write which frames were rewritten: a web page with frames before and after (.html), or .json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@articulation_options
@motion_option
@crf_option(18)
@background_option
@strap_options
@label_options
@signing_options
@engine_options
def dub(video: Path, speech: str | None, anchor: str | None, as_json: bool, **options: Any) -> None:
    """Rewrite the lips of VIDEO to SPEECH.

    VIDEO shows the person of the anchor, or anyone who agrees. SPEECH is an audio or video file, a .txt file
    to read aloud, or - for an audio file on standard input. Without SPEECH and --text, the lips follow
    VIDEO's own audio.

    For several people, name each one's face, anchor and speech with --face.
    """
    from newscaster.synthesis.dub_options import DubOptions
    from newscaster.synthesis.options import Outputs, SigningOptions

    faces: tuple[FaceChoice, ...] = options["faces"]
    check_faces(faces)
    if len(faces) > 1 or any(face.anchor is not None or face.speech is not None for face in faces):
        _check_alone(speech, anchor, options, faces)
    certificate, key = options["sign"] or (None, None)
    chosen = _chosen(faces, anchor, speech, options)
    in_video = [face for face in chosen if face.anchor is None]
    people = video_people(
        [face.number for face in in_video],
        several=len(chosen) > 1,
        names=options["names"],
        consents=options["consents"],
    )
    common: dict[str, Any] = {
        "options": DubOptions(
            fit=options["fit"],
            extend=options["extend"],
            mix_db=options["mix_db"],
            start_seconds=options["start_seconds"],
            stop_seconds=options["stop_seconds"],
            others=options["others"],
            cache=options["cache"],
            drop=options["drop"],
            codec=options["codec"],
            report=options["report"],
        ),
        "outputs": Outputs(
            captions=options["captions"],
            subtitles=options["subtitles"],
            motion=options["motion_out"],
            speech=options["keep_speech"],
            crf=options["crf"],
        ),
        "signing": SigningOptions(certificate=certificate, key=key, timestamp=options["timestamp"]),
    }
    if len(chosen) == 1 and not people:
        result = _dub_one(video, chosen[0], common, options)
    else:
        result = _dub_speakers(video, chosen, dict(zip(in_video, people, strict=True)), common, options)
    if as_json:
        click.echo(json_output(result.to_json()))
        end_if_unstamped(result.unstamped_because)
    else:
        _say_result(result)


@dataclass(frozen=True)
class _Chosen:
    """One of the people whose lips are rewritten."""

    number: int | None
    """Of the face; None: the anchor's person, or who is visible and speaks most."""
    anchor: str | None
    """None: the person is known from the video alone."""
    speech: str | None
    text: str | None
    script: Path | None


def _chosen(
    faces: Sequence[FaceChoice], anchor: str | None, speech: str | None, options: Mapping[str, Any]
) -> list[_Chosen]:
    """Return the people that the options name; one of them takes what stands outside --face."""
    if len(faces) > 1:
        return [_Chosen(f.number, f.anchor, None if f.script else f.speech, None, f.script) for f in faces]
    (face,) = faces or (FaceChoice(None),)
    return [
        _Chosen(
            face.number,
            face.anchor or anchor,
            speech if face.speech is None or face.script else face.speech,
            options["text"],
            options["script"] or face.script,
        )
    ]


def _check_alone(
    speech: str | None, anchor: str | None, options: Mapping[str, Any], faces: Sequence[FaceChoice]
) -> None:
    """Raise InputError if an anchor or a speech is given twice: in --face, and beside it."""
    from newscaster.errors import InputError

    if anchor is not None and any(face.anchor is not None for face in faces):
        raise InputError("--anchor and an anchor in --face are given; expected one of them")
    if anchor is not None and len(faces) > 1:
        raise InputError(
            "--anchor is given, and --face names several people. Put it into --face: N=ANCHOR:SPEECH"
        )
    name = "SPEECH" if speech is not None else "--text" if options["text"] is not None else "--script"
    if speech is None and options["text"] is None and options["script"] is None:
        return
    if len(faces) > 1:
        raise InputError(
            f"{name} is given, and --face names several people. Put it into --face: N=ANCHOR:SPEECH, or "
            "N=:SPEECH without an anchor"
        )
    if faces[0].speech is not None:
        raise InputError(f"{name} and a speech in --face are given; expected one of them")


def _dub_one(video: Path, face: _Chosen, common: Mapping[str, Any], options: Mapping[str, Any]) -> DubResult:
    """Dub the person of an anchor."""
    assert face.anchor is not None
    reading = _reading(face.anchor if _is_read(face) else None, options)
    performer = open_anchor(face.anchor, workers=options["workers"], backend=options["backend"])
    common = {**common, "options": replace(common["options"], face=face.number, script=face.script)}
    with progress_report() as progress:
        return performer.dub(
            video,
            _source(face.speech),
            options["out"],
            text=face.text,
            style=style_of(reading, options),
            progress=progress,
            **common,
        )


def _dub_speakers(
    video: Path,
    chosen: Sequence[_Chosen],
    in_video: Mapping[_Chosen, VideoPerson],
    common: Mapping[str, Any],
    options: Mapping[str, Any],
) -> DubResult:
    """Dub several people, or one without an anchor."""
    import newscaster

    engine = {"workers": options["workers"], "backend": options["backend"]}
    speakers = []
    for face in chosen:
        person = in_video.get(face)
        speakers.append(
            newscaster.Speaker(
                anchor=None if face.anchor is None else open_anchor(face.anchor, **engine),
                consent=None if person is None else person.consent,
                name=None if person is None else person.name,
                speech=_source(face.speech),
                text=face.text,
                script=face.script,
                face=face.number,
                reading=_reading(face.anchor, options) if _is_read(face) else None,
            )
        )
    style = style_of(_reading(None, options), options)
    with progress_report() as progress:
        return newscaster.dub(
            video, speakers, options["out"], style=style, progress=progress, **engine, **common
        )


def _is_read(face: _Chosen) -> bool:
    from newscaster.synthesis.script_file import is_script

    return face.text is not None or face.script is not None or is_script(face.speech)


def _reading(anchor: str | None, options: Mapping[str, Any]) -> Reading | None:
    return reading_of(
        anchor,
        voice=options["voice"],
        command=options["voice_command"],
        speed=options["speed"],
        language=options["language"],
        pronunciations=pronunciations_of(options["pronunciations"]),
    )


def _source(speech: str | None) -> BinaryIO | str | None:
    return sys.stdin.buffer if speech == "-" else speech


def _say_result(result: DubResult) -> None:
    """Print what was rewritten, what was kept and why, and who signed it."""
    say(
        f"{result.path}  {result.seconds:.1f} s in {result.wall_seconds:.1f} s, "
        f"{result.frames_per_second:.1f} frames/s ({result.track_seconds:.1f} s to find the face)"
    )
    say(f"{result.rewritten_frames} of {result.frames} frames have a new mouth")
    several = len(result.faces) > 1
    for face in result.faces if several else ():
        mouth = "speaks" if face.speaks else "at rest"
        say(f"  face {face.face}, {value_text(face.anchor)}, {mouth}: {face.rewritten_frames} frames")
    for kept in result.kept:
        start, stop = float(kept.start / result.fps), float(kept.stop / result.fps)
        say(f"  kept: {start:.2f} to {stop:.2f} s, {kept.reason}")
    if result.own_audio is not None:
        say(result.own_audio.text)
    if result.speech_gain is not None:
        say(result.speech_gain.text)
    for note in result.notes:
        say(f"note: {named_here(value_text(note))}")
    say(signature_of(result))
    end_if_unstamped(result.unstamped_because)
