"""Media: video and sound in and out. The only importer of PyAV.

One clock for both streams of a file: t0 is its first frame, `read_frames` counts from there, and sample 0 of
`read_audio` is the sound at t0.
"""

from __future__ import annotations

from newscaster.media.audio import (
    Resampler,
    copy_as_wav,
    decode_wav,
    read_audio,
    read_audio_blocks,
)
from newscaster.media.audio_measure import MAX_MAGNITUDE, AudioMeasure, PeakMeter, measure_audio
from newscaster.media.background import made_ahead
from newscaster.media.captions import CAPTION_SUFFIXES, Cue, Subtitles, write_captions
from newscaster.media.container import length_notes
from newscaster.media.downmix import Samples
from newscaster.media.durable import check_inputs_kept, is_same_file, sync_file
from newscaster.media.files import (
    VIDEO_SUFFIXES,
    check_output,
    no_temporary_room,
    remove_left_over_folders,
    remove_left_overs,
    replacing,
    scratch_folder,
    spooled,
    write_wav,
)
from newscaster.media.fragments import cut_to_whole_fragments
from newscaster.media.label import Label
from newscaster.media.leases import FolderLease, sole_user
from newscaster.media.output_locks import locked, sole_writer
from newscaster.media.picture import CHROMA_SHIFT, Picture, to_planes
from newscaster.media.pieces import read_luma_pieces
from newscaster.media.piped import MARK_BYTES, PipedAudio, container_named
from newscaster.media.probe import AudioInfo, MediaInfo, VideoInfo, probe
from newscaster.media.scan import MeasuredScan, measured_scan
from newscaster.media.sink import (
    LiveItem,
    check_live_inputs,
    live_file,
    live_format,
    live_pipe,
    without_key,
    write_live,
)
from newscaster.media.stage import StageVideo, encode_stage
from newscaster.media.stream import FragmentWriter, FrameMaker, RecordedVideo, has_room, record_video
from newscaster.media.video import read_frames
from newscaster.media.whole import missing_bytes
from newscaster.media.write import write_video

__all__ = [
    "CAPTION_SUFFIXES",
    "CHROMA_SHIFT",
    "MARK_BYTES",
    "MAX_MAGNITUDE",
    "VIDEO_SUFFIXES",
    "AudioInfo",
    "AudioMeasure",
    "Cue",
    "FolderLease",
    "FragmentWriter",
    "FrameMaker",
    "Label",
    "LiveItem",
    "MeasuredScan",
    "MediaInfo",
    "PeakMeter",
    "Picture",
    "PipedAudio",
    "RecordedVideo",
    "Resampler",
    "Samples",
    "StageVideo",
    "Subtitles",
    "VideoInfo",
    "check_inputs_kept",
    "check_live_inputs",
    "check_output",
    "container_named",
    "copy_as_wav",
    "cut_to_whole_fragments",
    "decode_wav",
    "encode_stage",
    "has_room",
    "is_same_file",
    "length_notes",
    "live_file",
    "live_format",
    "live_pipe",
    "locked",
    "made_ahead",
    "measure_audio",
    "measured_scan",
    "missing_bytes",
    "no_temporary_room",
    "probe",
    "read_audio",
    "read_audio_blocks",
    "read_frames",
    "read_luma_pieces",
    "record_video",
    "remove_left_over_folders",
    "remove_left_overs",
    "replacing",
    "scratch_folder",
    "sole_user",
    "sole_writer",
    "spooled",
    "sync_file",
    "to_planes",
    "without_key",
    "write_captions",
    "write_live",
    "write_video",
    "write_wav",
]
