"""What is most often replaced in the assistant: the speech recogniser, and the program that answers."""

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np

_RATE = 16_000


class PocketSphinx:
    """CMU PocketSphinx with the model `en-us` of its package: nothing is downloaded. English."""

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError:
            sys.exit("the recogniser needs the package pocketsphinx. Install it: pip install pocketsphinx")
        self._decoder = Decoder(loglevel="FATAL")

    def __call__(self, samples: np.ndarray) -> str:
        """Return the words in (N,) float32 at 16 kHz; "" for none."""
        self._decoder.start_utt()
        self._decoder.process_raw((samples * 32767).astype("<i2").tobytes(), full_utt=True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return "" if hypothesis is None else hypothesis.hypstr


class Moonshine:
    """Moonshine Voice with its English model, `medium-streaming-en` in version 0.1.5.

    The package downloads the weights at first use, to its cache folder.
    """

    def __init__(self) -> None:
        try:
            from moonshine_voice import Transcriber, get_model_for_language
        except ImportError:
            sys.exit(
                "the recogniser needs the package moonshine-voice. Install it: pip install moonshine-voice"
            )
        try:
            path, kind = get_model_for_language("en")
        except Exception as error:
            sys.exit(
                "the weights of Moonshine are not on this machine and cannot be downloaded "
                f"({type(error).__name__}). Connect to the internet once, or take --recogniser pocketsphinx, "
                "whose package has weights"
            )
        self._transcriber = Transcriber(path, kind)

    def __call__(self, samples: np.ndarray) -> str:
        """Return the words in (N,) float32 at 16 kHz; "" for none."""
        transcript = self._transcriber.transcribe_without_streaming(samples.tolist(), _RATE)
        return " ".join(line.text for line in transcript.lines).strip()


RECOGNISERS: dict[str, Callable[[], Callable[[np.ndarray], str]]] = {
    "pocketsphinx": PocketSphinx,
    "moonshine": Moonshine,
}
"""Loads a recogniser by its name."""


class Program:
    """A command that answers: the conversation on standard input, as JSON; a sentence per line of its output.

    Args:
        command: such as `python answer.py`, in the quotes of a shell.
    """

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def answer(self, conversation: list[dict[str, str]]) -> Iterator[str]:
        """Yield sentences as they are printed."""
        with self._lock:
            process = self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
            )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with process.stdin as question:
                json.dump(conversation, question)
            for line in process.stdout:
                if line.strip():
                    yield line.strip()
        except BrokenPipeError:  # it was stopped, or does not read the conversation
            pass
        finally:
            process.kill()
            process.stdout.close()
            process.wait()

    def stop(self) -> None:
        """End the current answer, from another thread."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
