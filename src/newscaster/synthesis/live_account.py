"""What a live stream has output: frames, speech, and how late they were."""

from __future__ import annotations

from fractions import Fraction

from newscaster.synthesis.clock import Delays
from newscaster.synthesis.live_frame import Interruption, LiveCounts
from newscaster.synthesis.utterance import Utterance


class LiveAccount:
    """The account of one stream, which guards it by its lock.

    Args:
        fps: frames per second.
    """

    def __init__(self, fps: Fraction) -> None:
        self._fps = fps
        self._shown = self._dropped = self._underrun = 0
        self.dropped_in_a_row = 0
        """Frames that were dropped since the last one that was shown."""
        self._spoken = 0  # frames of utterances
        self._started: Utterance | None = None  # whose first frame has been output
        self._speech: int | None = None  # number of the speech that was output last, and how much of it
        self._speech_output_seconds = 0.0
        self._speech_seconds = self._speech_before = 0.0  # of all utterances, and of all but the last
        self._delays, self._late = Delays(), Delays()

    def add_frame(self, *, dropped: bool, late_seconds: float | None) -> None:
        """Count a frame that is output; `late_seconds` is None if frames are not paced."""
        self.dropped_in_a_row = self.dropped_in_a_row + 1 if dropped else 0
        self._dropped, self._shown = self._dropped + dropped, self._shown + (not dropped)
        if late_seconds is not None:
            self._late.add(late_seconds)

    def add_speech(self, utterance: Utterance, now: float) -> None:
        """Count a frame of speech that is output at the time `now`."""
        if utterance is not self._started:
            self._speech_before = self._speech_seconds
            self._started = utterance
            if not utterance.continues:
                self._delays.add(now - utterance.start_seconds)
        self._spoken += 1
        self._speech_seconds = self._speech_before + utterance.speech_seconds
        if utterance.id != self._speech:
            self._speech, self._speech_output_seconds = utterance.id, 0.0
        self._speech_output_seconds += float(1 / self._fps)

    def add_underrun(self) -> None:
        """Count an underrun."""
        self._underrun += 1

    def end(self, speeches: tuple[int, ...]) -> None:
        """Note the numbers of speeches that have ended."""
        if self._speech in speeches:
            self._speech = None

    def interrupt(self) -> Interruption:
        """End the current speech, and return how much of it has been output."""
        speech, self._speech = self._speech, None
        return Interruption(0.0 if speech is None else self._speech_output_seconds, speech)

    def counts(self, *, audio_seconds: float, waiting_seconds: float) -> LiveCounts:
        """Return the statistics so far.

        Args:
            audio_seconds: length of the output audio.
            waiting_seconds: audio that has not been output yet.
        """
        return LiveCounts(
            shown=self._shown,
            dropped=self._dropped,
            underrun=self._underrun,
            audio_seconds=audio_seconds,
            spoken_seconds=float(self._spoken / self._fps),
            speech_seconds=self._speech_seconds,
            waiting_seconds=waiting_seconds,
            delay_seconds=self._delays.last,
            delay_seconds_p95=self._delays.p95,
            late_seconds=self._late.last,
            late_seconds_p95=self._late.p95,
        )
