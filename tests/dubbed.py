"""What a dub hands to the encoder, for tests: the planes of each frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from newscaster import media


class Written:
    """What the encoder is given in place of a file's frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.planes: list[npt.NDArray[np.uint8]] = []
        self.luma: list[npt.NDArray[np.uint8]] = []
        self.options: dict[str, Any] = {}
        real = media.write_video

        def write(path: Path, frames: Iterable[media.YuvFrame], **options: Any) -> int:
            self.options = options
            self.planes, self.luma = [], []
            return real(path, self._noted(frames), **options)

        monkeypatch.setattr(media, "write_video", write)

    def _noted(self, frames: Iterable[media.YuvFrame]) -> Iterator[media.YuvFrame]:
        for frame in frames:
            self.planes.append(flat(frame))
            self.luma.append(frame.planes[0].copy())
            yield frame


def flat(frame: media.YuvFrame) -> npt.NDArray[np.uint8]:
    return np.concatenate([plane.reshape(-1) for plane in frame.planes])


def own_planes(video: Path) -> list[npt.NDArray[np.uint8]]:
    return [flat(frame) for frame in media.read_yuv_frames(video)]
