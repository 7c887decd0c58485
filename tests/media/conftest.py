"""Files with chosen time stamps, as a fixture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from making_media import KINDS, write_media


@pytest.fixture
def media_file(tmp_path: Path) -> Callable[..., Path]:
    """`write_media` into the test's folder: media_file(kind_name, frames, frame_times, audio, ...)."""

    def make(kind_name: str, *args: object, **options: object) -> Path:
        kind = KINDS[kind_name]
        return write_media(tmp_path / f"made{kind.suffix}", kind, *args, **options)  # type: ignore[arg-type]

    return make
