"""The command `live`: an anchor speaks live, to an address or a file."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli import live_outputs
from newscaster.cli.live_speech import POLL_SECONDS, Feed, feeding_of
from newscaster.cli.renamed import RenamedOption
from newscaster.cli.shared_options import (
    articulation_options,
    background_option,
    crf_option,
    engine_options,
    label_options,
    pronunciations_of,
    reading_of,
    signing_options,
    strap_options,
    style_of,
    target_start_option,
    voice_options,
)
from newscaster.cli.signals import StopInOrder
from newscaster.cli.signature import end_if_unstamped, signature_line
from newscaster.cli.suffix_option import SuffixOption
from newscaster.cli.terminal import numpy_on_one_thread, say
from newscaster.errors import InputError
from newscaster.texts import check_unicode

if TYPE_CHECKING:
    from newscaster.media import LiveItem
    from newscaster.media.containers import Container
    from newscaster.provenance import Statement
    from newscaster.speech.voices import Reading
    from newscaster.synthesis.live import Live
    from newscaster.synthesis.live_frame import LiveCounts, LiveFrame
    from newscaster.synthesis.live_manifest import LiveManifestBuilder
    from newscaster.synthesis.signing import Signing


_AFTER_SECONDS = 0.6
"""Time for which the target goes on after the last word."""
_SPEECH_CHECK_SECONDS = 10.0
"""Amount of audio after which a warning follows if it contains no speech."""


@click.command()
@click.argument("anchor", required=False)
@click.option("-a", "--anchor", "named", metavar="ANCHOR", help="The same as ANCHOR.")
@click.option(
    "--to",
    "address",
    required=True,
    metavar="ADDRESS",
    cls=SuffixOption,
    help="Output: rtmp://, udp://, tcp://, pipe:1, whip+https://, camera, or a file ({live}; .m3u8 is HLS).",
)
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    help="FFmpeg name of the container, such as mpegts (default: from the address).",
)
@click.option(
    "--speech",
    metavar="FILE",
    help="Audio or video file, .txt file to read aloud, or - for standard input as it arrives: an audio "
    "file, such as WAV, or raw samples (signed 16-bit little-endian mono at --rate).",
)
@voice_options
@click.option(
    "--rate",
    default=16_000,
    show_default=True,
    metavar="HZ",
    help="Sample rate of raw samples on standard input.",
)
@click.option(
    "--idle",
    cls=RenamedOption,
    old_name="--stay",
    is_flag=True,
    help="Keep streaming the idle loop after the last utterance.",
)
@articulation_options
@click.option(
    "--look-ahead",
    "look_ahead_ms",
    default=200,
    show_default=True,
    metavar="MS",
    help="Audio look-ahead in ms (80-1000, multiple of 40).",
)
@target_start_option
@crf_option(21)
@background_option
@strap_options
@label_options
@signing_options
@engine_options
def live(
    anchor: str | None,
    named: str | None,
    address: str,
    format_name: str | None,
    speech: str | None,
    text: str | None,
    rate: int,
    idle: bool,
    crf: int,
    sign: tuple[str, str] | None,
    timestamp: str | None,
    **options: Any,
) -> None:
    """Stream ANCHOR live to an address or a file.

    ANCHOR: a file (default: the bundled anchor).

    Video and audio follow the speech after the look-ahead and a little more. Late frames are dropped, audio
    never is. The stream ends after the last utterance, or on an interrupt. A file is signed then, if C2PA
    covers its container; other outputs are not.
    """
    numpy_on_one_thread()
    anchor = _anchor_of(anchor, named)
    import newscaster
    from newscaster import media
    from newscaster.synthesis.background import Background
    from newscaster.synthesis.live_manifest import LiveManifestBuilder
    from newscaster.synthesis.options import LiveLimits
    from newscaster.synthesis.output_paths import inputs_of
    from newscaster.synthesis.result import tags
    from newscaster.synthesis.signing import Signing
    from newscaster.synthesis.speech_input import check_rate

    _check_speech_or_text(speech, text, idle=idle)
    container = live_outputs.container_for(address, format_name)
    background = Background.of(options["background"])
    if background is not None:
        background.check_container(container, live=True)
    signed = _signed_file(address, container, required_by=_first_given(sign=sign, timestamp=timestamp))
    if speech == "-":
        check_rate(rate)
    speech_file = None if speech == "-" else speech
    speech, text, reading = _reading(anchor, speech, text, options)
    signing = None if signed is None else Signing.begin(sign, timestamp=timestamp)
    performer = newscaster.open(anchor, workers=options["workers"], backend=options["backend"])
    inputs = inputs_of(
        speech=speech_file,
        anchor=performer.path,
        sign=sign,
        voice=None if reading is None else reading.voice,
        background=None if background is None else background.path,
    )
    _check_inputs(address, container, signed, inputs)
    style = style_of(reading, options)
    stream = performer.live(style=style, limits=LiveLimits(max_pending_chars=max(1, len(text or ""))))
    account = LiveManifestBuilder(rate=stream.rate, repeats=False)
    file = live_outputs.file_of(address)
    is_local = file is not None or media.live_pipe(address) is not None
    # Outside of StopInOrder: it may wait for standard input.
    feeding = feeding_of(speech, text, rate, checks_all=is_local, replaces=file is not None and file.exists())
    check = _SpeechCheck(stream, "the text" if speech is None else _speech_name(speech))
    with stream, StopInOrder(native=not is_local) as stop:
        feed = Feed(stream, feeding, ahead=text is not None)
        live_outputs.write(
            address,
            _observed(_items(stream, feed, stop, idle=idle), account, check),
            fps=stream.fps,
            rate=stream.rate,
            format_name=format_name,
            metadata=tags(performer.info, synthetic_voice=text is not None),
            crf=crf,
            inputs=inputs,
        )
    check.finish()
    _say_counts(address, stream.counts)
    if signed is None or signing is None:
        say(f"not signed: {_unsigned()}", err=True)
    else:
        statement = account.statement(performer, signed.name, synthetic_voice=text is not None, style=style)
        _sign(signed, signing, statement)


def _check_speech_or_text(speech: str | None, text: str | None, *, idle: bool) -> None:
    """Raise InputError unless there is one speech, or none with --idle, before anything is opened."""
    if (speech is None) == (text is None) and not (idle and text is None):
        state = "both --speech and --text are" if text is not None else "neither --speech nor --text is"
        raise InputError(f"{state} given; give one of them, or only --idle to stream the idle loop")
    check_unicode(text or "", "the text")


def _anchor_of(anchor: str | None, named: str | None) -> str:
    if anchor is not None and named is not None:
        raise InputError(f"ANCHOR is '{anchor}' and --anchor is '{named}'; expected one of them")
    return anchor or named or "builtin"


def _reading(
    anchor: str, speech: str | None, text: str | None, options: Mapping[str, Any]
) -> tuple[str | None, str | None, Reading | None]:
    """Return speech, text, and how the text is read; a script that is given as speech becomes the text."""
    from newscaster.synthesis.script_file import is_script, read_script

    if is_script(speech):
        text, speech = read_script(Path(speech)), None
    reading = reading_of(
        anchor if text is not None else None,
        voice=options["voice"],
        command=options["voice_command"],
        speed=options["speed"],
        pronunciations=pronunciations_of(options["pronunciations"]),
    )
    if reading is not None and text is None:
        raise InputError(
            "--voice, --voice-command, --speed or --pronunciations is given, but there is no text to read. "
            "Give --text or a .txt file, or remove the option"
        )
    return speech, text, reading


def _first_given(**options: object) -> str | None:
    return next((f"--{name}" for name, value in options.items() if value is not None), None)


def _signed_file(address: str, container: Container | None, *, required_by: str | None) -> Path | None:
    """Return the output file if it can be signed at the end, else None.

    Raises:
        InputError: it cannot be signed, and the option `required_by` asks for a signature.
    """
    from newscaster import media, provenance

    file = live_outputs.file_of(address)
    named = None if file is None else media.containers.container_of(file)
    place = None if named is None else named.manifest
    if file is not None and place is not None and container is not None and place == container.manifest:
        if (sidecar := provenance.sidecar_of(file)) is not None:
            media.check_output(sidecar, suffixes=None)
        return file
    if required_by is not None:
        form = "" if container is None else f" as {container.muxer}"
        raise InputError(
            f"{required_by} is given, but '{media.redact_url(address)}' cannot be signed{form}. "
            f"{_unsigned()}. Write to such a file, or remove the option"
        )
    return None


def _check_inputs(
    address: str, container: Container | None, signed: Path | None, inputs: Iterable[tuple[object, str]]
) -> None:
    """Check that no file that is read would be replaced.

    Raises:
        OutputError: one would be.
    """
    from newscaster import media, provenance

    inputs = tuple(inputs)
    if container is not None:
        media.check_live_inputs(address, container, inputs)
    if signed is not None and (sidecar := provenance.sidecar_of(signed)) is not None:
        media.check_inputs_kept([sidecar], inputs)


def _unsigned() -> str:
    """Return why an output is not signed."""
    from newscaster import media

    suffixes = media.containers.listed(media.containers.signed_suffixes())
    return f"C2PA signs only finished files: here {suffixes}"


class _SpeechCheck:
    """Warns once of audio without speech: early in a long stream, otherwise at its end."""

    def __init__(self, stream: Live, name: str) -> None:
        self._stream, self._name = stream, name
        self._frames = 0
        self._early_frames = round(_SPEECH_CHECK_SECONDS * stream.fps)
        self._warned = False

    def add(self, frame: LiveFrame) -> None:
        """Count the next frame."""
        self._frames += frame.speaking
        if self._frames == self._early_frames and frame.speaking:
            self.finish()

    def finish(self) -> None:
        """Warn if the audio so far contains no speech."""
        from newscaster.speech.voice_activity import is_without_speech
        from newscaster.synthesis.speech_found import without_speech

        counts = self._stream.counts
        speech_seconds, seconds = counts.speech_seconds, counts.spoken_seconds
        if not self._warned and self._frames and is_without_speech(speech_seconds, seconds):
            say(f"warning: {without_speech(self._name, speech_seconds, seconds, rests=True)}", err=True)
            self._warned = True


def _say_counts(address: str, counts: LiveCounts) -> None:
    """Print the totals of a stream."""
    from newscaster import media

    say(
        f"{media.redact_url(address)}  {counts.audio_seconds:.1f} s, {counts.shown} frames, "
        f"{counts.dropped} dropped",
        err=True,
    )


def _sign(file: Path, signing: Signing, statement: Statement) -> None:
    """Sign a finished file, and print who signed it."""
    signing.sign(file, statement)
    outcome = signing.outcome(file)
    line = signature_line(
        by=outcome["signed_by"],
        locally=outcome["signed_locally"],
        why_not=outcome["unsigned_because"],
        until=outcome["signed_until"],
        time_stamped=outcome["time_stamped"],
    )
    say(line, err=True)
    end_if_unstamped(outcome["unstamped_because"])


def _speech_name(speech: str) -> str:
    return "standard input" if speech == "-" else f"'{speech}'"


def _observed(
    frames: Iterable[LiveFrame], account: LiveManifestBuilder, check: _SpeechCheck
) -> Iterator[LiveItem]:
    for frame in frames:
        account.add(frame)
        check.add(frame)
        yield frame.image, frame.audio


def _items(stream: Live, feed: Feed, stop: StopInOrder, *, idle: bool) -> Iterator[LiveFrame]:
    """Yield frames until shortly after the last utterance, or until stopped.

    The caller asks for the second frame once it is connected: speech and real-time output start then. The
    first sentence of a text is synthesised before, since loading a voice would delay the first frames. If
    that fails, no output is opened.
    """
    if feed.ahead:
        feed.start()
        while feed.is_alive() and not stream.counts.waiting_seconds:
            time.sleep(POLL_SECONDS)
        if feed.error is not None:  # before any output
            raise feed.error
    stop.waiting()
    yield from itertools.islice(stream.frames(paced=False), 1)
    stop.flowing()
    if not feed.ahead:
        feed.start()
    yield from _flowing(stream, feed, stop.stopped, idle=idle)
    stop.waiting()


def _flowing(stream: Live, feed: Feed, stopped: threading.Event, *, idle: bool) -> Iterator[LiveFrame]:
    """Yield all frames but the first."""
    after = round(_AFTER_SECONDS * stream.fps)
    for frame in stream:
        yield frame
        if stopped.is_set():
            return
        if feed.error is not None:
            raise feed.error
        if feed.is_alive() or stream.busy:
            after = round(_AFTER_SECONDS * stream.fps)
        elif not idle:
            after -= 1
            if after <= 0:
                return
