"""What the FFmpeg libraries here can do, for bug reports."""

from __future__ import annotations

import av
from av.codec import Codec

_ENCODERS = ("libx264", "libx265", "libvpx-vp9", "prores_ks", "png", "aac", "libopus")
_DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg1video", "aac", "mp3", "opus", "flac")


def ffmpeg_libraries() -> dict[str, str]:
    """Return the versions of the FFmpeg libraries, by name."""
    return {name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())}


def codec_support() -> dict[str, bool]:
    """Return which encoders and decoders that newscaster can use are there, by name."""
    encoders = {f"encoder {name}": _has(name, "w") for name in _ENCODERS}
    return encoders | {f"decoder {name}": _has(name, "r") for name in _DECODERS}


def _has(name: str, mode: str) -> bool:
    try:
        Codec(name, mode)  # type: ignore[arg-type]
    except ValueError:  # UnknownCodecError
        return False
    return True
