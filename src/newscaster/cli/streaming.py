"""The command that has an anchor speak live, to an address: `live`."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from newscaster.cli.signals import StopInOrder
from newscaster.cli.speaking import (
    articulation_options,
    end_if_unstamped,
    engine_options,
    label_options,
    reading_of,
    signature_line,
    signing_options,
    style_of,
    voice_options,
)
from newscaster.cli.suffix_option import SuffixOption
from newscaster.cli.terminal import numpy_on_one_thread, say
from newscaster.errors import InputError, MediaError, SpeechError
from newscaster.system.os_errors import why
from newscaster.texts import check_unicode

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from newscaster.media import LiveItem, PipedAudio
    from newscaster.media.containers import Container
    from newscaster.provenance import Statement
    from newscaster.synthesis.live import Live
    from newscaster.synthesis.live_frame import LiveFrame
    from newscaster.synthesis.live_manifest import LiveAccount
    from newscaster.synthesis.signing import Signing

    Floats = npt.NDArray[np.float32]


_WAITING_SECONDS = 2.0
"""Sound that is read ahead of what is heard."""
_POLL_SECONDS = 0.02
_AFTER_SECONDS = 0.6
"""How long the stage goes on after the last word."""
_CHECKED_SECONDS = 10.0
"""Of audio, after which there is a warning if no speech was found in it."""
_PCM_BYTES = 1920


@click.command()
@click.argument("anchor", default="builtin")
@click.option(
    "--to",
    "address",
    required=True,
    metavar="ADDRESS",
    cls=SuffixOption,
    help="Where to: rtmp://, udp://, tcp://, pipe:1, or a file: {live} (.m3u8 is HLS).",
)
@click.option(
    "--format",
    "format_name",
    metavar="NAME",
    help="FFmpeg's name of the container, such as mpegts; by default as the address says.",
)
@click.option(
    "--speech",
    metavar="FILE",
    help="A sound or video file, a .txt file to be read aloud, or - for standard input as it comes: a sound "
    "file, such as WAV, or raw samples, signed 16 bits, little endian, mono, at --rate.",
)
@voice_options
@click.option("--rate", default=16_000, show_default=True, help="Of raw samples on standard input, in Hz.")
@click.option(
    "--stay", is_flag=True, help="Go on when all is said, with the mouth at rest, until interrupted."
)
@articulation_options
@click.option(
    "--look-ahead",
    "look_ahead_ms",
    default=200,
    show_default=True,
    metavar="MS",
    help="How many milliseconds of later sound the mouth may know of: a multiple of 40 from 80 to 1000.",
)
@click.option(
    "--stage-start", "target_start", default=0, show_default=True, help="Frame of the stage to begin with."
)
@click.option(
    "--crf", default=21, show_default=True, type=click.IntRange(0, 51), help="Quality; lower is better."
)
@label_options
@signing_options
@engine_options
def live(
    anchor: str,
    address: str,
    format_name: str | None,
    speech: str | None,
    text: str | None,
    rate: int,
    stay: bool,
    crf: int,
    sign: tuple[str, str] | None,
    timestamp: str | None,
    **options: Any,
) -> None:
    """Have ANCHOR (a file, or by default the built-in one) speak live, to an address.

    Picture and sound go out as they are made, 200 ms and a little after the speech comes in. Frames that come
    too late are left out, sound never is. Ends when all is said, or when it is interrupted. A file is signed
    then, if C2PA covers its container; a stream never is.
    """
    numpy_on_one_thread()
    import newscaster
    from newscaster import media, provenance
    from newscaster.synthesis.live_manifest import LiveAccount
    from newscaster.synthesis.options import LiveLimits
    from newscaster.synthesis.output_paths import inputs_of
    from newscaster.synthesis.result import tags
    from newscaster.synthesis.signing import Signing
    from newscaster.synthesis.speech_input import check_rate, is_script, read_script

    if (speech is None) == (text is None) and not (stay and text is None):
        given = "both --speech and --text are" if text is not None else "neither --speech nor --text is"
        raise InputError(f"{given} given; give one of them, or --stay to show the stage alone")
    check_unicode(text or "", "the text")  # before anything is opened
    container = media.live_container(address, format_name)
    signed = _signed_file(address, container, must=_first_given(sign=sign, timestamp=timestamp))
    if speech == "-":
        check_rate(rate)
    given_speech = None if speech == "-" else speech
    if is_script(speech):
        text, speech = read_script(Path(speech)), None
    reading = reading_of(
        anchor if text is not None else None,
        voice=options["voice"],
        command=options["voice_command"],
        speed=options["speed"],
    )
    if reading is not None and text is None:
        raise InputError(
            "a voice or its pace is given, and nothing is read aloud. Give --text or a .txt file, or leave "
            "them out"
        )
    ending = None if signed is None else (signed, Signing.begin(sign, timestamp=timestamp))
    performer = newscaster.open(anchor, workers=options["workers"], backend=options["backend"])
    inputs = inputs_of(
        speech=given_speech,
        anchor=performer.path,
        sign=sign,
        voice=None if reading is None else reading.voice,
    )
    media.check_live_inputs(address, container, inputs)
    if signed is not None and (sidecar := provenance.sidecar_of(signed)) is not None:
        media.check_inputs_kept([sidecar], inputs)
    style = style_of(reading, options)
    stream = performer.live(style=style, limits=LiveLimits(max_pending_chars=max(1, len(text or ""))))
    account = LiveAccount(rate=stream.rate, repeats=False)
    file = media.live_file(address)
    is_local = file is not None or media.live_pipe(address) is not None
    # Outside of what stops in order: it may wait for standard input.
    feeding = _source(speech, text, rate, whole=is_local, replaces=file is not None and file.exists())
    check = _SpeechCheck(stream, "the text" if speech is None else _speech_name(speech))
    with stream, StopInOrder(native=not is_local) as stop:
        feed = _Feed(stream, feeding, ahead=text is not None)
        media.write_live(
            address,
            _followed(_items(stream, feed, stop, stay=stay), account, check),
            fps=stream.fps,
            rate=stream.rate,
            format_name=format_name,
            metadata=tags(performer.info, synthetic_voice=text is not None),
            crf=crf,
            inputs=inputs,
        )
    check.finish()
    counts = stream.counts
    say(
        f"{media.redact_url(address)}  {counts.audio_seconds:.1f} s, {counts.shown} frames, "
        f"{counts.dropped} left out",
        err=True,
    )
    if ending is None:
        say(f"not signed: {_unsigned()}", err=True)
    else:
        signed_file, signing = ending
        statement = account.statement(
            performer, signed_file.name, synthetic_voice=text is not None, style=style
        )
        _sign(signed_file, signing, statement)


def _first_given(**options: object) -> str | None:
    return next((f"--{name}" for name, value in options.items() if value is not None), None)


def _signed_file(address: str, container: Container, *, must: str | None) -> Path | None:
    """The file that can be signed when it is finished; None: there is none, and no option `must` have one."""
    from newscaster import media, provenance

    file = media.live_file(address)
    named = None if file is None else media.containers.container_of(file)
    place = None if named is None else named.manifest
    if file is not None and place is not None and place == container.manifest:
        if (sidecar := provenance.sidecar_of(file)) is not None:
            media.check_output(sidecar, suffixes=None)
        return file
    if must is not None:
        raise InputError(
            f"{must} is given, and '{media.redact_url(address)}' cannot be signed as "
            f"{container.muxer}: {_unsigned()}. Write to such a file, or leave it out"
        )
    return None


def _unsigned() -> str:
    from newscaster import media

    endings = media.containers.listed(media.containers.signed_suffixes())
    return f"C2PA signs finished files, and of live video those that end in {endings}"


Feeding = Callable[["Live"], None]
"""Gives a stream all that it is to say, and returns when all has been taken."""


class _Feed(threading.Thread):
    """Feeds a stream in a thread of its own; `error` is what ended it, if anything did.

    `ahead` says that its speech may be made before anybody listens.
    """

    def __init__(self, stream: Live, feeding: Feeding, *, ahead: bool) -> None:
        super().__init__(name="newscaster-feed", daemon=True)  # may wait for standard input for ever
        self.error: BaseException | None = None
        self.ahead = ahead
        self._stream = stream
        self._feeding = feeding

    def run(self) -> None:
        try:
            self._feeding(self._stream)
        except BaseException as error:  # raised where frames are taken
            self.error = error


class _SpeechCheck:
    """Warns once of audio in which no speech is found: early in a long stream, else at its end."""

    def __init__(self, stream: Live, name: str) -> None:
        self._stream, self._name = stream, name
        self._frames = 0
        self._early_frames = round(_CHECKED_SECONDS * stream.fps)
        self._warned = False

    def add(self, frame: LiveFrame) -> None:
        """The next frame."""
        self._frames += frame.speaking
        if self._frames == self._early_frames and frame.speaking:
            self.finish()

    def finish(self) -> None:
        """All has been shown."""
        from newscaster.speech.voice_activity import is_without_speech
        from newscaster.synthesis.speech_found import without_speech

        counts = self._stream.counts
        found, seconds = counts.speech_seconds, counts.spoken_seconds
        if not self._warned and self._frames and is_without_speech(found, seconds):
            say(f"warning: {without_speech(self._name, found, seconds, rests=True)}", err=True)
            self._warned = True


def _sign(file: Path, signing: Signing, statement: Statement) -> None:
    """Sign a finished file, and print who signed it."""
    signing.sign(file, statement)
    who = signing.outcome(file)
    line = signature_line(
        by=who["signed_by"],
        locally=who["signed_locally"],
        why_not=who["unsigned_because"],
        until=who["signed_until"],
        time_stamped=who["time_stamped"],
    )
    say(line, err=True)
    end_if_unstamped(who["unstamped_because"])


def _speech_name(speech: str) -> str:
    return "standard input" if speech == "-" else f"'{speech}'"


def _followed(frames: Iterable[LiveFrame], account: LiveAccount, check: _SpeechCheck) -> Iterator[LiveItem]:
    for frame in frames:
        account.add(frame)
        check.add(frame)
        yield frame.image, frame.audio


def _items(stream: Live, feed: _Feed, stop: StopInOrder, *, stay: bool) -> Iterator[LiveFrame]:
    """Frames to be sent, until all is said and a little longer, or until stopped.

    The second is asked for when there is a connection: speech and pace begin then. A text's first sentence is
    made before, since loading a voice would make the first frames late; if it cannot be, nothing is opened.
    """
    if feed.ahead:
        feed.start()
        while feed.is_alive() and not stream.counts.waiting_seconds:
            time.sleep(_POLL_SECONDS)
        if feed.error is not None:  # before anything is written
            raise feed.error
    stop.waiting()
    yield from itertools.islice(stream.frames(paced=False), 1)
    stop.flowing()
    if not feed.ahead:
        feed.start()
    yield from _flowing(stream, feed, stop.stopped, stay=stay)
    stop.waiting()


def _flowing(stream: Live, feed: _Feed, stopped: threading.Event, *, stay: bool) -> Iterator[LiveFrame]:
    """All frames but the first."""
    after = round(_AFTER_SECONDS * stream.fps)
    for frame in stream:
        yield frame
        if stopped.is_set():
            return
        if feed.error is not None:
            raise feed.error
        if feed.is_alive() or stream.busy:
            after = round(_AFTER_SECONDS * stream.fps)
        elif not stay:
            after -= 1
            if after <= 0:
                return


def _source(speech: str | None, text: str | None, rate: int, *, whole: bool, replaces: bool) -> Feeding:
    """What a stream is given to say.

    Args:
        speech: a sound file, or - for standard input.
        text: in place of it.
        rate: of standard input, in Hz.
        whole: whether all of a sound file is checked now: an older output may be replaced.
        replaces: whether an older output is replaced: then the first bytes of standard input are waited for.

    Raises:
        MediaError: the sound file, or the beginning of standard input, is missing, damaged, empty or a text.
        SpeechError: it holds samples that are not numbers.
    """
    if text is not None:
        words = text
        return lambda stream: stream.say(words).result()
    if speech == "-":
        from newscaster import media

        piped = media.PipedAudio(sys.stdin.buffer)
        if replaces:
            _check_piped(piped)
        return lambda stream: _push_piped(stream, piped, rate)
    if speech is not None:
        from newscaster import media

        path = Path(speech)
        audio = media.probe(path, header_only=True).audio
        if audio is None:
            raise MediaError(f"'{path}' has no sound in it, only video. Give a file that has sound")
        if whole:
            _check_audio(path)
        blocks = media.read_audio_blocks(path, rate=audio.rate, block_samples=audio.rate // 5)
        first = next(blocks, None)  # what cannot be decoded shows before anything is written
        if first is None:
            raise SpeechError(f"'{path}' is empty: 0 samples. Give a sentence at least")
        return lambda stream: _push_all(stream, itertools.chain([first], blocks), audio.rate)
    return lambda stream: None


def _push_piped(stream: Live, piped: PipedAudio, rate: int) -> None:
    """Push what comes in through a pipe: the audio of a file, or else raw samples at `rate`."""
    _check_piped(piped)
    if piped.container is None:
        _push_all(stream, _raw(piped), rate)
        return
    with piped.opened("standard input") as audio:
        _push_all(stream, audio.mono_blocks(), audio.rate)


def _check_piped(piped: PipedAudio) -> None:
    """Wait for the first bytes; MediaError if there are none, or a text."""
    if piped.is_empty:
        raise MediaError(
            "nothing came in on standard input, where raw samples or a sound file are needed. Check the "
            "command before the pipe"
        )
    if piped.is_text:
        raise MediaError(
            "standard input is text, where raw samples or a sound file are needed. Give --text, or a .txt "
            "file as --speech"
        )


def _check_audio(path: Path) -> None:
    """Decode all of a sound file."""
    from newscaster import media

    measure = media.measure_audio(path)
    if not measure.is_audio:
        raise SpeechError(
            f"the sound of '{path}' holds samples that are not numbers (NaN or infinite), or far beyond full "
            "scale. Export it again, as 16-bit WAV for instance"
        )


def _push_all(stream: Live, blocks: Iterator[Floats], rate: int) -> None:
    for block in blocks:
        stream.push(block, rate)
        while stream.counts.waiting_seconds > _WAITING_SECONDS:
            time.sleep(_POLL_SECONDS)
    stream.flush()


def _raw(source: PipedAudio) -> Iterator[Floats]:
    """Blocks of raw sound as it comes: signed 16 bits, little endian, to (n,) float32 in [-1, 1]."""
    import numpy as np

    held = b""
    # As much as there is: a microphone's sound is not held back until a block is full.
    while data := _read(source.read):
        held += data
        whole = len(held) // 2 * 2
        yield np.frombuffer(held[:whole], "<i2").astype(np.float32) / np.float32(32768)
        held = held[whole:]


def _read(read: Callable[[int], bytes]) -> bytes:
    try:
        return read(_PCM_BYTES)
    except OSError as error:
        raise MediaError(f"standard input cannot be read ({why(error)}). Pipe raw sound in") from error
