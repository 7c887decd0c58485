"""Talk with an anchor: microphone, voice activity, speech recogniser, a program that answers, anchor.

    pip install 'newscaster[tts]' pocketsphinx
    arecord -q -t raw -f S16_LE -r 16000 | python assistant.py --to udp://127.0.0.1:1234
    python assistant.py --microphone question.wav --to conversation.mp4

Speak while the anchor speaks, and it stops. Each part can be replaced: see README.md.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported

import argparse
import shlex
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from parts import RECOGNISERS, Program

import newscaster
from newscaster.media import YuvFrame, read_audio, write_live
from newscaster.speech.level import Leveller
from newscaster.speech.voice_activity import load_voice_activity

RATE = 16_000
STEP = 640
"""Samples of a step: 40 ms."""
START_STEPS, PAUSE_STEPS = 3, 16
"""Steps with speech in a row that start a turn (120 ms), and steps without that end it (640 ms)."""
BEFORE_STEPS = 10
"""Audio before the start of a turn that belongs to it (400 ms)."""
MAX_STEPS = 375
"""Longest turn (15 s): what is longer is recognised in parts."""
AFTER_SECONDS = 0.6
Audio = np.ndarray


def microphone(source: str) -> Iterator[Audio]:
    """Yield steps (640,) float32 as they are recorded: of standard input (-), or of a file in real time."""
    if source == "-":
        while len(data := sys.stdin.buffer.read(2 * STEP)) == 2 * STEP:
            yield np.frombuffer(data, "<i2").astype(np.float32) / 32768
        return
    samples = read_audio(Path(source), rate=RATE)
    start = time.monotonic()
    for number in range(len(samples) // STEP):
        time.sleep(max(0.0, start + (number + 1) * STEP / RATE - time.monotonic()))
        yield samples[number * STEP : (number + 1) * STEP]


def turns(steps: Iterable[Audio]) -> Iterator[Audio | None]:
    """Yield None when the user starts to speak, and the audio (N,) of the turn when it has ended."""
    activity, leveller = load_voice_activity().stream(), Leveller()
    held: deque[Audio] = deque(maxlen=BEFORE_STEPS)
    turn: list[Audio] = []
    loud = quiet = 0
    for step in steps:
        (turn if turn else held).append(step)
        for probability in activity.push(leveller.push(step)):
            speech = probability > (0.35 if turn else 0.5)
            loud, quiet = (loud + 1, 0) if speech else (0, quiet + 1)
            if not turn and loud >= START_STEPS:
                turn = [*held]
                yield None
            elif turn and (quiet >= PAUSE_STEPS or len(turn) >= MAX_STEPS):
                yield np.concatenate(turn)
                held.clear()
                turn, loud, quiet = [], 0, 0
    if turn:
        yield np.concatenate(turn)


class Answers(Protocol):
    """A program that answers."""

    def answer(self, conversation: list[dict[str, str]]) -> Iterator[str]:
        """Yield sentences as they are made. The last message is the user's."""

    def stop(self) -> None:
        """End the current answer, from another thread."""


class Assistant:
    """A conversation between a microphone and an anchor.

    Args:
        live: the anchor.
        recognise: from samples (N,) float32 at 16 kHz to text; "" if it recognises no words.
        answers: the program that answers.
        note: called with each line of the conversation.
    """

    def __init__(
        self,
        live: newscaster.Live,
        recognise: Callable[[Audio], str],
        answers: Answers,
        note: Callable[[str], None] = print,
    ) -> None:
        self.live, self.recognise, self.answers, self.note = live, recognise, answers, note
        self.conversation: list[dict[str, str]] = []
        self._speeches: dict[
            int, dict[str, str]
        ] = {}  # sentences that were not played to their end, by number
        self._turn = 0
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="answers")
        self.done = threading.Event()
        """Set when the microphone has ended, and everything is answered."""

    def listen(self, steps: Iterable[Audio]) -> None:
        """Answer each turn of the user, until the microphone ends."""
        for audio in turns(steps):
            if audio is None:
                self.interrupt()
            else:
                self.live.listen(False)
                self._worker.submit(self._reply, audio, self._turn, time.monotonic()).add_done_callback(_fail)
        self._worker.shutdown(wait=True)
        self.done.set()

    def interrupt(self) -> None:
        """Stop the anchor. Of its answer, the conversation keeps what was played."""
        with self._lock:
            self._turn += 1
            played = self.live.interrupt()
            if self._speeches:
                self.note(f"(interrupted: {played:.1f} s of a sentence were played)")
            for number, message in self._speeches.items():
                if number == played.utterance:
                    message["content"] += " [interrupted]"
                else:
                    self.conversation.remove(message)
            self._speeches.clear()
        self.answers.stop()
        self.live.listen(True)

    def frames(self, listening: threading.Thread) -> Iterator[tuple[YuvFrame | None, Audio]]:
        """Yield frames and their audio until the conversation is over. The first one starts to listen."""
        after = round(AFTER_SECONDS * self.live.fps)
        for frame in self.live:
            yield frame.image, frame.audio
            with self._lock:
                for number in frame.ended:
                    self._speeches.pop(number, None)
            if listening.ident is None:
                listening.start()
            after = (
                after - 1
                if self.done.is_set() and not self.live.busy
                else round(AFTER_SECONDS * self.live.fps)
            )
            if after <= 0:
                return

    def _reply(self, audio: Audio, turn: int, heard: float) -> None:
        question = self.recognise(audio)
        with self._lock:
            if not question or turn != self._turn:
                return
            self.conversation.append({"role": "user", "content": question})
            asked = [dict(message) for message in self.conversation]
        self.note(f"user: {question}  ({time.monotonic() - heard:.2f} s)")
        for sentence in self.answers.answer(asked):
            with self._lock:
                if turn != self._turn:
                    return
                message = {"role": "assistant", "content": sentence}
                self.conversation.append(message)
                self._speeches[self.live.say(sentence).utterance] = message
            self.note(f"anchor: {sentence}  ({time.monotonic() - heard:.2f} s)")


def _fail(answered: object) -> None:
    if (error := answered.exception()) is not None:  # type: ignore[attr-defined]
        print(f"error: {error}", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description="Talk with an anchor.")
    parser.add_argument("--anchor", default="builtin")
    parser.add_argument("--microphone", default="-", help="raw 16-bit mono at 16 kHz (-), or an audio file")
    parser.add_argument("--to", required=True, help="address or file, as of newscaster live")
    parser.add_argument("--recogniser", choices=RECOGNISERS, default="pocketsphinx")
    parser.add_argument(
        "--answer", default=shlex.join([sys.executable, str(Path(__file__).with_name("answer.py"))])
    )
    options = parser.parse_args()
    recognise = RECOGNISERS[options.recogniser]()
    with newscaster.open(options.anchor).live() as live:
        assistant = Assistant(live, recognise, Program(options.answer))
        listening = threading.Thread(
            target=assistant.listen, args=(microphone(options.microphone),), daemon=True
        )
        write_live(options.to, assistant.frames(listening), fps=live.fps, rate=live.rate)


if __name__ == "__main__":
    main()
