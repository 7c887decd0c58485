"""Whether browsers play a video file as it is, from the same time as this package counts its frames."""

from __future__ import annotations

from pathlib import Path

from newscaster.media.probe import probe
from newscaster.media.reader import find_audio, find_video, open_media

_VIDEO = {"mp4": {"h264", "vp9", "av1"}, "webm": {"vp8", "vp9", "av1"}}
_AUDIO = {"mp4": {"aac", "mp3", "opus", "flac"}, "webm": {"vorbis", "opus"}}
_PIXELS = frozenset({"yuv420p", "yuvj420p"})
_MAX_OFFSET_FRAMES = 0.5


def plays_in_browsers(path: Path) -> bool:
    """Return whether all current browsers play a video: its container, codecs, pixels and start.

    A video that starts after its audio does not count: browsers show it later than frame i at i/fps.

    Raises:
        MediaError: the file is missing, or cannot be read.
    """
    with open_media(path) as container:
        names = set(container.format.name.split(","))
        kind = "mp4" if "mp4" in names else "webm" if "webm" in names else None
        video, audio = find_video(container), find_audio(container)
        if kind is None or video is None:
            return False
        codec = video.codec_context
        if codec.codec.canonical_name not in _VIDEO[kind] or codec.pix_fmt not in _PIXELS:
            return False
        if audio is not None and audio.codec_context.codec.canonical_name not in _AUDIO[kind]:
            return False
    info = probe(path)
    if info.video is None:
        return False
    start = min(
        info.video.start_seconds, info.audio.start_seconds if info.audio else info.video.start_seconds
    )
    return (info.video.start_seconds - start) * info.video.fps < _MAX_OFFSET_FRAMES
