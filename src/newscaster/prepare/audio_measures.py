"""Measures of the audio of footage: speech, its quality, and its sync with the mouth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from newscaster.formats.dataset import SPEECH_RATE
from newscaster.prepare.findings import Findings
from newscaster.prepare.inspect_file import AudioLevels
from newscaster.prepare.measure import FILES_NAMED, NO_SPEECH, Measure, good_or_poor, graded, not_measured
from newscaster.prepare.sync import sync_measure
from newscaster.speech.activity import MIN_SPEAKING_SECONDS


def audio_measures(findings: Findings) -> list[Measure]:
    """Return all measures of the audio."""
    audios = findings.audios
    measures = [_has_audio(findings)]
    if findings.all_audios:
        measures += [
            _loudness(audios),
            _noise(audios),
            _clipping(audios or findings.all_audios),
            _silence(audios),
            sync_measure(findings.syncs, has_speech=bool(audios)),
        ]
    return measures


def _has_audio(findings: Findings) -> Measure:
    uses = list(zip(findings.inspections, findings.audio_uses, strict=True))
    without = [i.footage.path.name for i, use in uses if use != "speech"]
    no_audio = [i.footage.path.name for i, use in uses if use == "no sound"]
    no_speech = [name for name in without if name not in no_audio]
    fraction = 1 - len(without) / max(1, len(findings.inspections))
    seconds = sum(audio.speech_seconds for audio in findings.audios)
    text = f"{len(findings.inspections) - len(without)} of {len(findings.inspections)}"
    advice = []
    if no_audio:
        advice.append(f"Add the original audio of: {_named(no_audio)}.")
    if no_speech:
        advice.append(f"No speech was found in: {_named(no_speech)}. If the person speaks, add the audio.")
    if not without and seconds < MIN_SPEAKING_SECONDS:
        text += f", with {seconds:.1f} s of speech"
        advice.append(f"Give footage with {MIN_SPEAKING_SECONDS:g} s of speech or more.")
    # The base network has learnt from many people; it lacks only this person's own mouth movements.
    return graded(
        "files_with_sound",
        "Files with speech",
        fraction,
        "",
        text,
        "poor" if advice else "good",
        "Motion is learnt from files with speech, appearance from all files. With less than "
        f"{MIN_SPEAKING_SECONDS:g} s of speech, the mouth moves as people's mouths usually do.",
        " ".join(advice),
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:FILES_NAMED]) + (" and others" if len(names) > FILES_NAMED else "")


def _db(energy: float, seconds: float) -> float:
    return float(10 * np.log10(energy / max(seconds * SPEECH_RATE, 1) + 1e-10))


def _loudness(audios: Sequence[AudioLevels]) -> Measure:
    speaking = sum(s.speech_seconds for s in audios)
    title, meaning = "Loudness of the speech", "Level during speech; -30 to -15 is usual."
    advice = "Turn up the microphone, or move it closer; check that this is the right audio track."
    if not speaking:
        return not_measured("loudness", title, "dBFS", NO_SPEECH, meaning, "")
    level = _db(sum(s.speech_energy for s in audios), speaking)
    # Broadcast speech lies at -27 to -20 dBFS. Motion hardly depends on the level: for 20 s of 16-bit speech,
    # the packaged network's openings at -63 dBFS agree with those at -23 dBFS (r = 0.99), and still at -73
    # dBFS (0.97). Soft speech is therefore used; audio that never reaches `level.QUIETEST_DBFS` counts as
    # silence.
    verdict = good_or_poor(level >= -38.0)
    return graded("loudness", title, level, "dBFS", f"{level:.0f} dBFS", verdict, meaning, advice)


def _noise(audios: Sequence[AudioLevels]) -> Measure:
    speaking = sum(s.speech_seconds for s in audios)
    silent = sum(s.seconds for s in audios) - speaking
    if silent < 1 or not speaking:
        return not_measured(
            "noise",
            "Background noise",
            "dB",
            "there are no pauses to measure it in" if speaking else NO_SPEECH,
            "Speech over pauses.",
            "Keep a second or two without speech in the footage, and no music under it." if speaking else "",
        )
    ratio = _db(sum(s.speech_energy for s in audios), speaking) - _db(
        sum(s.pause_energy for s in audios), silent
    )
    # Soft consonants lie 20 dB below vowels, and noise masks them first. Pauses also contain breaths.
    verdict = good_or_poor(ratio >= 15.0)
    return graded(
        "noise",
        "Background noise",
        ratio,
        "dB",
        f"speech is {ratio:.0f} dB above it",
        verdict,
        "Level of the speech over that of the pauses; 15 dB or more is good.",
        "Record in a quieter place, without music and without a second voice.",
    )


def _clipping(audios: Sequence[AudioLevels]) -> Measure:
    fraction = sum(s.clipped_samples for s in audios) / max(1.0, sum(s.seconds for s in audios) * SPEECH_RATE)
    # One sample in a thousand is audible as an occasional crackle; one in twenty is constant distortion.
    verdict = good_or_poor(fraction <= 0.001)
    return graded(
        "clipping",
        "Clipped samples",
        fraction,
        "",
        f"{100 * fraction:.2g} %",
        verdict,
        "Samples at full scale, whose peaks are cut off.",
        "Turn the microphone down, or use a copy of the audio from before it was amplified.",
    )


def _silence(audios: Sequence[AudioLevels]) -> Measure:
    meaning = "Fraction of the audio's length. Some silence helps: the mouth at rest is learnt from it."
    seconds = sum(s.seconds for s in audios)
    if not seconds:
        return not_measured("silence", "Silence", "", NO_SPEECH, meaning, "")
    fraction = 1 - sum(s.speech_seconds for s in audios) / seconds
    # Pauses take 15 to 30 % of read news. The closed mouth is learnt from them. Footage that is all silence
    # lacks only the person's own motion.
    verdict = good_or_poor(fraction <= 0.5)
    return graded(
        "silence",
        "Silence",
        fraction,
        "",
        f"{100 * fraction:.0f} %",
        verdict,
        meaning,
        "Cut long silences, or give footage in which the person talks throughout.",
    )
