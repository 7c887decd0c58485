"""Media: video and sound in and out. The only importer of PyAV.

One clock for both streams of a file: t0 is its first frame, `read_frames` counts from there, and sample 0 of
`read_audio` is the sound at t0.
"""

from __future__ import annotations

from newscaster.media.audio import AudioMeasure, measure_audio, read_audio, read_audio_blocks
from newscaster.media.files import VIDEO_SUFFIXES, check_output, replacing, spooled, write_wav
from newscaster.media.probe import AudioInfo, MediaInfo, VideoInfo, probe
from newscaster.media.stage import StageVideo, encode_stage
from newscaster.media.video import read_frames
from newscaster.media.write import write_video

__all__ = [
    "VIDEO_SUFFIXES",
    "AudioInfo",
    "AudioMeasure",
    "MediaInfo",
    "StageVideo",
    "VideoInfo",
    "check_output",
    "encode_stage",
    "measure_audio",
    "probe",
    "read_audio",
    "read_audio_blocks",
    "read_frames",
    "replacing",
    "spooled",
    "write_video",
    "write_wav",
]
