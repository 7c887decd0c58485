from __future__ import annotations

import asyncio
import itertools
import shlex
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import newscaster
from fake_voices import FakeVoice, use_voice, voice_command
from newscaster import media
from newscaster.errors import InputError, SpeechError
from newscaster.speech.voices import Reading
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.articulation import Articulation
from newscaster.synthesis.live import Live
from newscaster.synthesis.live_frame import Interruption, LiveFrame
from newscaster.synthesis.look_ahead import LookAhead
from newscaster.synthesis.options import LiveLimits, Style
from newscaster.synthesis.utterance import Utterance
from tiny_anchor import speech_like, write_tiny_anchor
from virtual_clock import VirtualClock

NTSC = Fraction(30000, 1001)
RATE = 48_000


@pytest.fixture
def voice(tmp_path: Path) -> Reading:
    """A program that says 1.3 s of speech for each sentence."""
    media.write_wav(tmp_path / "voice.wav", speech_like(1.3), 16_000)
    return Reading(command=voice_command(tmp_path / "voice.wav"))


def in_pieces(samples: np.ndarray, *, most: int = 3000) -> Iterator[np.ndarray]:
    sizes = np.random.default_rng(0).integers(0, most, 10_000)
    first = 0
    for size in sizes:
        yield samples[first : first + size]
        first += size
        if first >= len(samples):
            return


def all_frames(live: Live) -> list[LiveFrame]:
    """Return the frames until no speech is left."""
    given = []
    for frame in live.frames(paced=False):
        given.append(frame)
        if not live.busy:
            return given
    raise AssertionError("the stream has ended")


def taken(live: Live, seconds: float) -> list[LiveFrame]:
    return list(itertools.islice(live, round(seconds * live.fps)))


def at_rest(anchor: Anchor, frames: list[LiveFrame]) -> list[bool]:
    """Which frames show the mouth at rest."""
    images = anchor.show(np.repeat(anchor._loaded.live_renderer.rest[None], frames[-1].number + 1, axis=0))
    resting = [image.rgb() for image in images]
    return [f.image is not None and bool((f.image.rgb() == resting[f.number]).all()) for f in frames]


def difference(frame: LiveFrame, image: np.ndarray) -> int:
    assert frame.image is not None
    return int(np.abs(frame.image.rgb().astype(int) - image).max())


@pytest.mark.parametrize("look_ahead_ms", [80, 200, 320])
def test_live_frames_are_those_that_rendering_gives(anchor: Anchor, look_ahead_ms: int) -> None:
    speech = speech_like(2.3)
    rendered = list(anchor.render(speech, look_ahead_ms=look_ahead_ms, target_start=3))
    with anchor.live(style=Style(watermark=False, look_ahead_ms=look_ahead_ms, target_start=3)) as live:
        for piece in in_pieces(speech):
            live.push(piece)
        live.flush()
        frames = all_frames(live)
    # Half a frame of audio is left.
    assert len(rendered) == 58
    assert len(frames) in (58, 59)
    assert max(difference(f, image) for f, image in zip(frames, rendered, strict=False)) <= 1
    audio = np.concatenate([frame.audio for frame in frames])
    assert np.abs(audio).max() > 0.05
    assert abs(len(audio) - len(speech) * 3) <= RATE // 25


def test_other_rates_and_frame_rates(tmp_path: Path) -> None:
    anchor = newscaster.open(write_tiny_anchor(tmp_path / "x.anchor", fps=NTSC))
    speech = speech_like(1.7, 22_050)
    wide = Articulation(openness=1.4, smoothness=2)
    rendered = list(anchor.render(speech, 22_050, look_ahead_ms=200, articulation=wide))
    with anchor.live(rate=44_100, style=Style(watermark=False, articulation=wide)) as live:
        for piece in in_pieces(speech):
            live.push(piece, 22_050)
        live.flush()
        frames = all_frames(live)
    for frame, image in zip(frames, rendered, strict=False):  # read from a 16-bit file: an edge may move
        assert frame.image is not None
        assert (np.abs(frame.image.rgb().astype(int) - image) > 1).mean() < 1e-3
    for frame in frames:
        first, stop = (round(k * 44_100 / NTSC) for k in (frame.number, frame.number + 1))
        assert len(frame.audio) == stop - first
        assert frame.seconds == pytest.approx(frame.number * 1001 / 30000)


def test_the_audio_is_what_was_pushed(anchor: Anchor) -> None:
    speech = speech_like(1.0, 48_000)
    with anchor.live() as live:
        for piece in in_pieces(speech, most=9000):
            live.push(piece.astype(np.float64), 48_000)
        live.flush()
        audio = np.concatenate([frame.audio for frame in all_frames(live)])
        np.testing.assert_array_equal(audio[: len(speech)], speech)
        assert (audio[len(speech) :] == 0).all()
        assert live.counts.audio_seconds == 1.0
        assert live.counts.waiting_seconds == 0


def test_a_pushed_stream_in_real_time(anchor: Anchor) -> None:
    """Audio in pieces of 20 ms starts an integer number of frames after its arrival, without later gaps."""
    clock, speech = VirtualClock(), speech_like(2.7)[11_200:]  # speech from the first sample
    with anchor.live(clock=clock, style=Style(watermark=False)) as live:
        for k in range(100):
            clock.at(0.5 + 0.02 * k, lambda k=k: live.push(speech[320 * k : 320 * (k + 1)]))
        clock.at(2.5, live.flush)
        frames = taken(live, 4.0)
        counts = live.counts
    first = next(frame.number for frame in frames if frame.speaking)
    # The first piece comes at 0.5 s; 0.74 s is not a frame's begin, 0.76 s is.
    assert first == 19
    assert [frame.speaking for frame in frames] == [19 <= k < 69 for k in range(100)]
    # The mouth opens in the three frames before: they have another mouth, and no audio.
    stream = anchor.motion_stream(look_ahead_ms=200)
    stream.start_closed(at_rest=True)
    before = np.repeat(anchor._loaded.live_renderer.rest[None], first - 3, axis=0)
    spoken = np.concatenate([np.zeros(3 * 640, np.float32), speech])
    shown = anchor.show(np.concatenate([before, stream.push(spoken), stream.flush()]))
    assert first - 3 <= at_rest(anchor, frames).index(False) < first
    assert max(difference(f, image.rgb()) for f, image in zip(frames, shown, strict=False)) <= 1
    assert (counts.shown, counts.dropped, counts.underrun) == (100, 0, 0)
    assert counts.delay_seconds == pytest.approx(0.26)
    assert counts.late_seconds_p95 == pytest.approx(0, abs=1e-6)
    audio = np.concatenate([frame.audio for frame in frames])
    assert (audio[: first * 1920] == 0).all()
    assert np.abs(audio[first * 1920 : first * 1920 + 1920]).max() > 0


@pytest.mark.parametrize(
    ("piece_ms", "late_ms", "expected"), [(20, 0, [3]), (100, 0, [3]), (20, 30, [3]), (20, 45, [])]
)
def test_the_mouth_opens_only_before_audio_that_has_arrived(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch, piece_ms: int, late_ms: int, expected: list[int]
) -> None:
    """All pieces but the first are late by the same time; the audio starts when it always does."""
    leads: list[int] = []
    start_before = Utterance.start_before

    def noted(utterance: Utterance, frames: int) -> bool:
        starts = start_before(utterance, frames)
        leads.extend([frames] * starts)
        return starts

    monkeypatch.setattr(Utterance, "start_before", noted)
    clock, speech, size = VirtualClock(), speech_like(2.7)[11_200:], 16 * piece_ms
    with anchor.live(clock=clock, style=Style(watermark=False)) as live:
        for k in range(len(speech) // size):
            late = 0.001 * late_ms if k else 0.0
            clock.at(0.001 + 0.001 * piece_ms * k + late, partial(live.push, speech[k * size :][:size]))
        frames = taken(live, 1.6)
        counts = live.counts
    assert leads == expected
    assert [frame.speaking for frame in frames] == [number >= 7 for number in range(40)]
    assert counts.underrun == 0
    assert counts.spoken_seconds == pytest.approx(1.6 - 7 / 25)
    audio = np.concatenate([frame.audio for frame in frames])
    assert not audio[: 7 * 1920].any()
    assert audio[7 * 1920 : 8 * 1920].any()


def test_an_interruption_while_the_mouth_opens_lets_no_audio_out(anchor: Anchor) -> None:
    clock, speech = VirtualClock(), speech_like(2.7)[11_200:]
    with anchor.live(clock=clock, style=Style(watermark=False)) as live:
        for k in range(10):
            clock.at(0.001 + 0.02 * k, partial(live.push, speech[320 * k : 320 * (k + 1)]))
        clock.at(0.21, lambda: stopped.append(live.interrupt()))
        stopped: list[Interruption] = []
        frames = taken(live, 1.0)
    assert (float(stopped[0]), stopped[0].utterance) == (0.0, None)
    assert not any(frame.audio.any() or frame.speaking for frame in frames)
    rest = at_rest(anchor, frames)
    assert not all(rest)
    assert all(rest[8:])


def test_silence_shows_the_target_with_its_mouth_at_rest(anchor: Anchor) -> None:
    with anchor.live(clock=VirtualClock(), style=Style(watermark=False)) as live:
        frames = taken(live, 1.0)
        assert [frame.number for frame in frames] == list(range(25))
        assert all(at_rest(anchor, frames))
        assert not any(frame.audio.any() or frame.speaking for frame in frames)
        assert not live.busy


def test_speech_that_breaks_off_closes_the_mouth(anchor: Anchor) -> None:
    with anchor.live(clock=VirtualClock(), style=Style(watermark=False)) as live:
        live.push(speech_like(1.0))
        live.flush()
        frames = taken(live, 2.0)
    last = max(frame.number for frame in frames if frame.speaking)
    rest = at_rest(anchor, frames)
    assert not rest[last]
    assert rest[last + 3 :] == [True] * (len(frames) - last - 3)


def test_an_underrun_ends_the_utterance(anchor: Anchor) -> None:
    clock, speech = VirtualClock(), speech_like(3.0)
    with anchor.live(clock=clock, style=Style(watermark=False)) as live:
        for k in range(50):
            clock.at(0.02 * k, lambda k=k: live.push(speech[320 * k : 320 * (k + 1)]))
        for k in range(50):
            clock.at(3 + 0.02 * k, lambda k=k: live.push(speech[16_000 + 320 * k : 16_000 + 320 * (k + 1)]))
        clock.at(4, live.flush)
        frames = taken(live, 6.0)
        counts = live.counts
    assert (counts.underrun, counts.dropped, counts.shown) == (1, 0, 150)
    assert counts.delay_seconds is not None
    assert 0.24 <= counts.delay_seconds <= 0.28 + 1e-6
    spoken = [frame.number for frame in frames if frame.speaking]
    gaps = np.flatnonzero(np.diff(spoken) > 1)
    assert len(gaps) == 1
    assert len(spoken) == 50
    assert counts.late_seconds_p95 is not None
    assert counts.late_seconds_p95 < 0.04 + 1e-6
    rest = at_rest(anchor, frames)
    assert all(rest[spoken[gaps[0]] + 3 : spoken[gaps[0] + 1]])
    audio = np.concatenate([frame.audio for frame in frames])
    assert np.abs(audio[1920 * spoken[0] :][:48_000]).max() > 0.05


@pytest.mark.parametrize("speak", ["push", "say"])
def test_interrupt(anchor: Anchor, voice: Reading, speak: str) -> None:
    clock = VirtualClock()
    with anchor.live(clock=clock, style=Style(watermark=False, reading=voice)) as live:
        if speak == "push":
            live.push(speech_like(5.0))
        else:
            live.say("Good evening. This is the news. It goes on.").result()
        before = taken(live, 0.6)
        assert before[-1].speaking
        interrupted_at = clock.now
        clock.at(0.013, live.interrupt)  # while the next frame waits to be shown
        after = taken(live, 1.0)
        assert not any(frame.speaking for frame in after)
        rest = at_rest(anchor, after)
        assert all(rest[2:])  # shown 120 ms after `interrupted_at`
        assert live.counts.late_seconds is not None
        assert clock.now == pytest.approx(interrupted_at + 1.0, abs=0.041)
        # The audio continues, and fades out.
        assert np.abs(after[0].audio[:480]).max() > 0
        assert (after[0].audio[960:] == 0).all()
        assert not any(frame.audio.any() for frame in after[1:])
        assert not live.busy
        assert live.counts.waiting_seconds == 0
        live.push(speech_like(0.4))
        live.flush()
        assert any(frame.speaking for frame in taken(live, 1.0))


def test_interrupt_before_the_next_frame_is_asked_for(anchor: Anchor) -> None:
    with anchor.live(style=Style(watermark=False)) as live:
        live.push(speech_like(2.0))
        frames = live.frames(paced=False)
        spoken = list(itertools.islice(frames, 20))
        live.interrupt()
        live.interrupt()
        after = list(itertools.islice(frames, 10))
    assert spoken[-1].speaking
    assert not any(frame.speaking for frame in after)
    assert all(at_rest(anchor, after)[2:])


def test_a_slow_machine_drops_frames_and_no_audio(anchor: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, speech = VirtualClock(), speech_like(3.0, 48_000)
    render_frames = type(anchor._loaded.live_renderer).image

    def slowly(self: object, index: int, shape: np.ndarray, *, number: int) -> media.YuvFrame:
        clock.now += 0.06
        return render_frames(anchor._loaded.live_renderer, index, shape, number=number)

    monkeypatch.setattr(type(anchor._loaded.live_renderer), "image", slowly)
    with anchor.live(clock=clock) as live:
        live.push(speech, 48_000)
        live.flush()
        frames = taken(live, 4.0)
        counts = live.counts
    assert counts.dropped == sum(frame.image is None for frame in frames) > 20
    assert counts.shown == 100 - counts.dropped > 50
    assert [frame.number for frame in frames] == list(range(100))
    assert counts.late_seconds_p95 is not None
    assert counts.late_seconds_p95 <= 0.08 + 0.06 + 1e-6
    audio = np.concatenate([frame.audio for frame in frames])
    first = next(frame.number for frame in frames if frame.speaking) * 1920
    np.testing.assert_array_equal(audio[first : first + len(speech)], speech)


def test_a_machine_that_is_far_too_slow_still_shows_something(anchor: Anchor) -> None:
    clock = VirtualClock()
    with anchor.live(clock=clock) as live:
        taken(live, 0.4)
        clock.now += 10
        frames = taken(live, 4.0)
    assert [f.number for f in frames if f.image is not None] == list(range(22, 110, 13))


def test_texts_are_read_in_their_order(anchor: Anchor, voice: Reading) -> None:
    with anchor.live(style=Style(reading=voice)) as live:
        readings = [live.say("Good evening. This is the news."), live.say("Good night.")]
        live.push(speech_like(0.5))
        live.flush()
        for text in readings:
            text.result()
        frames = all_frames(live)
        spoken = sum(frame.speaking for frame in frames) / 25
    # Lead, sentences of 1.3 s and their pauses, twice; then what was pushed.
    assert spoken == pytest.approx(2 * 0.12 + 3 * (1.3 + 0.35) + 0.5, abs=0.6)


def test_the_mouth_opens_before_the_audio_of_a_text(anchor: Anchor, voice: Reading) -> None:
    with anchor.live(style=Style(reading=voice)) as live:
        live.say("Good evening.").result()
        frames = all_frames(live)
    audible = next(frame.number for frame in frames if np.abs(frame.audio).max() > 1e-3)
    moved = at_rest(anchor, frames).index(False)
    assert 1 <= audible - moved <= 4


def test_a_text_that_is_made_too_slowly_goes_on_in_its_place(anchor: Anchor) -> None:
    live = anchor.live()
    place = live._queue.read(10, 0.0)
    live.push(speech_like(0.3))
    live.flush()
    place.utterance.add(speech_like(0.5, 24_000))
    clock = VirtualClock()
    live._clock = clock

    def more() -> None:
        place.utterance.add(speech_like(0.6, 24_000))
        live._queue.made(place)

    clock.at(1.5, more)
    spoken = [frame.speaking for frame in taken(live, 4.0)]
    live.close()
    # The text until it starves, nothing, the rest of the text, and then what was pushed.
    assert sum(spoken) == pytest.approx(12 + 15 + 8, abs=2)
    assert live.counts.underrun == 1
    resumed = spoken.index(True, spoken.index(False, 3))
    assert resumed >= 37
    assert all(spoken[resumed : resumed + 22])


def test_a_voice_that_fails_does_not_end_the_stream(anchor: Anchor, caplog: pytest.LogCaptureFixture) -> None:
    failing = Reading(command=shlex.join([sys.executable, "-c", "raise SystemExit(3)"]))
    with anchor.live(style=Style(reading=failing)) as live:
        with pytest.raises(SpeechError, match="exit code 3"):
            live.say("Good evening.").result()
        assert "a text was not read" in caplog.text
        live.push(speech_like(0.4))
        live.flush()
        assert any(frame.speaking for frame in all_frames(live))


def test_invalid_speech_is_refused(anchor: Anchor) -> None:
    with anchor.live(limits=LiveLimits(max_pending_audio_seconds=2.0, max_pending_chars=20)) as live:
        for wrong in (np.zeros(10, np.int32), np.zeros((10, 2), np.int16)):
            with pytest.raises(SpeechError, match="int16"):
                live.push(wrong)  # type: ignore[arg-type]
        with pytest.raises(SpeechError, match="sample 1 of 2 is nan"):
            live.push(np.array([0, np.nan], np.float32))
        with pytest.raises(InputError, match="rate is 100 Hz"):
            live.push(np.zeros(10, np.float32), 100)
        with pytest.raises(SpeechError, match="holds no word"):
            live.say("...")
        with pytest.raises(InputError, match="max_pending_chars"):
            live.say("Good evening. This is the news.")
        live.push(speech_like(1.5))
        with pytest.raises(InputError, match="max_pending_audio_seconds"):
            live.push(speech_like(0.6))
        live.push(speech_like(0.5))
        live.flush()
        assert sum(frame.speaking for frame in all_frames(live)) == 50
        live.push(speech_like(1.9))
    with pytest.raises(InputError, match="the stream is closed"):
        live.push(speech_like(0.5))
    with pytest.raises(InputError, match="rate"):
        anchor.live(rate=100)
    for field, bad in (("look_ahead_ms", Style(look_ahead_ms=50)), ("target_start", Style(target_start=10))):
        with pytest.raises(InputError, match=field):
            anchor.live(style=bad)


def test_pushed_samples_are_copied(anchor: Anchor) -> None:
    with anchor.live() as live:
        buffer = speech_like(0.5)
        live.push(buffer)
        buffer[:] = 0
        live.flush()
        assert max(np.abs(frame.audio).max() for frame in all_frames(live)) > 0.05


def test_closing_ends_iteration(anchor: Anchor) -> None:
    live = anchor.live(clock=VirtualClock())
    frames = iter(live)
    next(frames)
    live.close()
    live.close()
    assert list(frames) == []
    assert list(live) == []


def test_closing_from_another_thread_ends_the_wait_for_audio(anchor: Anchor) -> None:
    live = anchor.live()
    live.push(speech_like(0.1))
    threading.Timer(0.05, live.close).start()
    assert list(live.frames(paced=False)) == []


def test_async(anchor: Anchor) -> None:
    async def listen() -> list[LiveFrame]:
        given = []
        async with anchor.live(clock=VirtualClock()) as live:
            live.push(speech_like(1.0))
            live.flush()
            async for frame in live:
                given.append(frame)
                if len(given) == 40:
                    live.close()
        return given

    frames = asyncio.run(listen())
    assert [frame.number for frame in frames] == list(range(40))
    assert sum(frame.speaking for frame in frames) == 25


def test_clients_do_not_disturb_each_other(anchor: Anchor) -> None:
    speeches = [speech_like(1.5, seed=seed) for seed in range(3)]
    found: dict[int, list[LiveFrame]] = {}

    def listen(k: int) -> None:
        with anchor.live(style=Style(watermark=False, target_start=k)) as live:
            live.push(speeches[k])
            live.flush()
            found[k] = all_frames(live)

    threads = [threading.Thread(target=listen, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, speech in enumerate(speeches):
        rendered = anchor.render(speech, look_ahead_ms=200, target_start=k)
        assert max(difference(f, image) for f, image in zip(found[k], rendered, strict=False)) <= 1


@pytest.mark.slow
def test_memory_does_not_grow(anchor: Anchor) -> None:
    with anchor.live(clock=VirtualClock()) as live:
        for second in range(20):
            live.push(speech_like(1.0, seed=second))
            taken(live, 1.0)
        utterance = live._queue.current
        assert utterance is not None
        assert len(utterance._pieces) <= 14
        assert len(utterance._shapes) <= 2
        assert len(utterance._audio) <= RATE // 2


def test_skipped_sentences_are_noted(anchor: Anchor, caplog: pytest.LogCaptureFixture) -> None:
    reading = Reading()
    notes: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        use_voice(patch, FakeVoice(lambda sentence, speed: speech_like(0.3, 24_000)))
        with anchor.live(style=Style(reading=reading)) as live:
            live.say("Good evening. Добрый вечер.", on_note=notes.append).result()
            assert notes == [record.getMessage() for record in caplog.records]
            assert [note[:32] for note in notes] == ["sentence 2, line 1, is skipped: t"[:32]]
            with pytest.raises(SpeechError, match="does not read Cyrillic"):
                live.say("Добрый вечер.").result()
            with pytest.raises(SpeechError, match="holds no word"):
                live.say("<break/>")


def test_no_motion_is_computed_for_frames_that_are_dropped(
    anchor: Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Late by a second in the middle of speech: the audio goes on, and so does the mouth afterwards."""
    windows: list[int] = []
    run = LookAhead._run

    def counted(source: LookAhead, batch: np.ndarray) -> np.ndarray:
        windows.append(len(batch))
        return run(source, batch)

    monkeypatch.setattr(LookAhead, "_run", counted)

    def spoken(*, stall_seconds: float) -> tuple[list[LiveFrame], list[np.ndarray], int]:
        clock, shapes = VirtualClock(), []
        windows.clear()
        with anchor.live(clock=clock, style=Style(watermark=False, label="")) as live:
            plan = live._plan

            def noted(*arguments: Any) -> Any:
                shapes.append(plan(*arguments))
                return shapes[-1]

            live._plan = noted  # type: ignore[method-assign]
            live.push(speech_like(4.0, 48_000), 48_000)
            live.flush()
            frames = taken(live, 1.2)
            clock.now += stall_seconds
            frames += taken(live, 3.4)
        return frames, [made.shape for made in shapes], sum(windows)

    plain, shapes, all_windows = spoken(stall_seconds=0.0)
    late, late_shapes, some_windows = spoken(stall_seconds=1.0)
    dropped = [frame.number for frame in late if frame.image is None]
    assert dropped[0] == 30
    assert len(dropped) > 15
    # A window has three frames; those at either end are shown, in part.
    assert some_windows <= all_windows - (len(dropped) // 3 - 2)
    for ours, theirs in zip(late, plain, strict=True):
        np.testing.assert_array_equal(ours.audio, theirs.audio)
    shown = [number for number, frame in enumerate(late) if frame.image is not None]
    for number in shown:  # what is shown was computed
        np.testing.assert_allclose(late_shapes[number], shapes[number], atol=1e-6)
