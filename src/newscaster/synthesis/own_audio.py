"""The video's own audio as the speech of a dub, and its lag against the mouth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from newscaster import media
from newscaster.prepare.lag import SpokenSegment
from newscaster.prepare.predicted_opening import predicted_openings
from newscaster.prepare.speaking import raw_openings
from newscaster.prepare.sync import AudioSync, audio_syncs
from newscaster.prepare.video_track import VideoTrack
from newscaster.speech.activity import speech_activity
from newscaster.speech.spectral import SAMPLE_RATE
from newscaster.synthesis.dub_audio import AudioPlan, like, write_dub_audio
from newscaster.synthesis.dub_options import DubOptions, OwnAudioLag, check_part_start
from newscaster.synthesis.speech_input import Speech


@contextmanager
def own_audio(video: Path, options: DubOptions) -> Iterator[Path]:
    """Yield a file with the video's own audio, from the time at which the new mouth starts."""
    info = media.probe(video)
    if info.video is None or info.audio is None:
        yield video  # refused as speech, in the usual words
        return
    offset = info.audio.start_seconds - info.video.start_seconds
    if not options.is_part and abs(offset) < 0.5 / info.video.fps:
        yield video
        return
    end = info.video.end_seconds or info.audio.duration_seconds or 0.0
    start = options.start_seconds or 0.0
    stop = end if options.stop_seconds is None else min(options.stop_seconds, end)
    check_part_start(start, video, end)
    with media.scratch_folder() as folder:
        path = folder / f"{video.stem}.wav"
        rate, channels = like(video)
        plan = AudioPlan(
            speech=None,
            own=video,
            seconds=stop - start,
            own_gain=1.0,
            own_from_seconds=start,
            rate=rate,
            channels=channels,
        )
        write_dub_audio(plan, path)
        yield path


def measure_own_lag(track: VideoTrack, speech: Speech, *, start_seconds: float) -> OwnAudioLag:
    """Measure the lag of a video's own audio against the mouth, as `check` measures that of footage.

    Args:
        track: the person who speaks.
        speech: the audio, from `start_seconds` of the video on.
        start_seconds: start of the part that is rewritten.
    """
    fps = float(track.fps)
    samples = np.concatenate(list(speech.blocks()))
    first = round(start_seconds * fps)
    frames = min(len(track) - first, round(len(samples) / SAMPLE_RATE * fps))
    seen = slice(first, first + max(0, frames))
    opening = raw_openings(track.landmarks[seen])
    opening[track.covered[seen]] = np.nan
    samples = samples[: round(len(opening) / fps * SAMPLE_RATE)]
    segment = SpokenSegment(
        opening, fps, predicted_openings(samples), speech_activity(samples), start_seconds
    )
    (sync,) = audio_syncs({track.path: [segment]})
    return _lag_of(sync)


def _lag_of(sync: AudioSync) -> OwnAudioLag:
    lag = sync.lag
    if lag is None or not lag.is_clear:
        return OwnAudioLag(
            seconds=None,
            text=f"the lag of the video's own audio could not be measured: {sync.described}",
        )
    direction = "late" if lag.seconds > 0 else "early"
    text = (
        f"the video's own audio is {abs(1000 * lag.seconds):.0f} ms {direction} "
        f"(± {1000 * lag.uncertainty_seconds:.0f} ms, r {lag.correlation:.2f})"
    )
    if sync.state in ("drifts", "partly"):
        text += f"; {sync.described}"
    return OwnAudioLag(
        seconds=lag.seconds,
        uncertainty_seconds=lag.uncertainty_seconds,
        correlation=lag.correlation,
        drift=lag.drift,
        text=text,
    )
