"""Media: video and audio in and out. The only importer of PyAV.

Both streams of a file share one clock. t0 is the first frame: `read_frames` counts from there, and sample 0
of `read_audio` is the audio at t0.
"""

from __future__ import annotations

from newscaster.media import containers
from newscaster.media.audio import copy_as_wav, decode_wav, read_audio, read_audio_blocks
from newscaster.media.audio_measure import MAX_MAGNITUDE, AudioMeasure, PeakMeter, measure_audio
from newscaster.media.background import computed_ahead, made_ahead
from newscaster.media.camera import is_camera, write_camera
from newscaster.media.captions import CAPTION_SUFFIXES, Cue, Subtitles, write_captions
from newscaster.media.channels import listening_rate, read_channels
from newscaster.media.color import ColourTags, yuv_matrix
from newscaster.media.combing import Scan
from newscaster.media.completeness import missing_bytes
from newscaster.media.encoders import CODECS, Codec, layout_note
from newscaster.media.fragments import cut_to_whole_fragments
from newscaster.media.frame import (
    CHROMA_SHIFT,
    FrameCopier,
    Plane,
    YuvFrame,
    empty_frame,
    small_rgb,
    to_planes,
    to_samples,
)
from newscaster.media.kept_tracks import KINDS, KeptTracks, Kind, open_kept_tracks
from newscaster.media.key_sampling import read_key_frames
from newscaster.media.label import Label, check_label_text
from newscaster.media.loudness import LoudnessMeter, gated_loudness, limited
from newscaster.media.packets import PACKET_SAMPLES, H264Packets, OpusPackets, VideoPackets, Vp8Packets
from newscaster.media.piped import MARK_BYTES, PipedAudio, container_named
from newscaster.media.probe import AudioInfo, MediaInfo, VideoInfo, probe
from newscaster.media.reader import is_text, length_notes
from newscaster.media.resampling import Resampler
from newscaster.media.sampling import SampledPlanes, read_pieces
from newscaster.media.scan import MeasuredScan, measured_scan, remember_scan
from newscaster.media.sequence import check_sequence, is_sequence, sequence_audio, sequence_path
from newscaster.media.sink import (
    check_live_inputs,
    live_container,
    live_file,
    live_pipe,
    redact_url,
    write_live,
)
from newscaster.media.strap import Strap, check_strap_texts
from newscaster.media.stream import (
    FrameMaker,
    LiveItem,
    RecordedVideo,
    has_room,
    record_video,
    write_fragments,
    write_segments,
)
from newscaster.media.target_video import TargetVideo, cut_target, encode_target, join_targets
from newscaster.media.video import read_frames, read_yuv_frames, yuv_notes
from newscaster.media.video_file import write_video
from newscaster.media.wav import write_wav
from newscaster.media.web import plays_in_browsers
from newscaster.media.writer import AAC_LAYOUTS
from newscaster.system.durable import check_inputs_kept, is_same_file, sync_file
from newscaster.system.files import (
    atomic_write,
    check_output,
    no_temporary_room,
    remove_left_over_folders,
    remove_left_overs,
    scratch_folder,
    spooled,
)
from newscaster.system.leases import FolderLease, exclusive_lock
from newscaster.system.output_locks import exclusive_output, locked

__all__ = [
    "AAC_LAYOUTS",
    "CAPTION_SUFFIXES",
    "CHROMA_SHIFT",
    "CODECS",
    "KINDS",
    "MARK_BYTES",
    "MAX_MAGNITUDE",
    "PACKET_SAMPLES",
    "AudioInfo",
    "AudioMeasure",
    "Codec",
    "ColourTags",
    "Cue",
    "FolderLease",
    "FrameCopier",
    "FrameMaker",
    "H264Packets",
    "KeptTracks",
    "Kind",
    "Label",
    "LiveItem",
    "LoudnessMeter",
    "MeasuredScan",
    "MediaInfo",
    "OpusPackets",
    "PeakMeter",
    "PipedAudio",
    "Plane",
    "RecordedVideo",
    "Resampler",
    "SampledPlanes",
    "Scan",
    "Strap",
    "Subtitles",
    "TargetVideo",
    "VideoInfo",
    "VideoPackets",
    "Vp8Packets",
    "YuvFrame",
    "atomic_write",
    "check_inputs_kept",
    "check_label_text",
    "check_live_inputs",
    "check_output",
    "check_sequence",
    "check_strap_texts",
    "computed_ahead",
    "container_named",
    "containers",
    "copy_as_wav",
    "cut_target",
    "cut_to_whole_fragments",
    "decode_wav",
    "empty_frame",
    "encode_target",
    "exclusive_lock",
    "exclusive_output",
    "gated_loudness",
    "has_room",
    "is_camera",
    "is_same_file",
    "is_sequence",
    "is_text",
    "join_targets",
    "layout_note",
    "length_notes",
    "limited",
    "listening_rate",
    "live_container",
    "live_file",
    "live_pipe",
    "locked",
    "made_ahead",
    "measure_audio",
    "measured_scan",
    "missing_bytes",
    "no_temporary_room",
    "open_kept_tracks",
    "plays_in_browsers",
    "probe",
    "read_audio",
    "read_audio_blocks",
    "read_channels",
    "read_frames",
    "read_key_frames",
    "read_pieces",
    "read_yuv_frames",
    "record_video",
    "redact_url",
    "remember_scan",
    "remove_left_over_folders",
    "remove_left_overs",
    "scratch_folder",
    "sequence_audio",
    "sequence_path",
    "small_rgb",
    "spooled",
    "sync_file",
    "to_planes",
    "to_samples",
    "write_camera",
    "write_captions",
    "write_fragments",
    "write_live",
    "write_segments",
    "write_video",
    "write_wav",
    "yuv_matrix",
    "yuv_notes",
]
