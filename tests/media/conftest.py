"""Files with chosen time stamps, and a target video."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from making_media import KINDS, moving_pattern, write_media
from newscaster.media import TargetVideo, encode_target


@pytest.fixture
def media_file(tmp_path: Path) -> Callable[..., Path]:
    """`write_media` into the test's folder: media_file(kind_name, frames, frame_times, audio, ...)."""

    def make(kind_name: str, *args: object, **options: object) -> Path:
        kind = KINDS[kind_name]
        return write_media(tmp_path / f"made{kind.suffix}", kind, *args, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def target() -> TargetVideo:
    """60 frames of a moving pattern, 96 x 64."""
    return TargetVideo(encode_target(moving_pattern(60), Fraction(25)))
