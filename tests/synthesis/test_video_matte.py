"""The matte of a given video: cached by content; shots without the person stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from newscaster import media
from newscaster.errors import MediaError
from newscaster.matting.planes import OPAQUE, FrameMatte
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis import video_matte
from newscaster.synthesis.background import Background
from newscaster.synthesis.video_matte import shots_with_person, video_compositor

FRAMES, CUTS = 12, (4, 8)


def track_of(path: Path, *, frames: int = FRAMES) -> VideoTrack:
    """The person is in the first shot and in one frame of the last."""
    present = np.zeros(frames, np.bool_)
    present[:4] = present[-1] = True
    return VideoTrack(
        path=path,
        sha256="ab",
        fps=Fraction(25),
        size=(96, 64),
        landmarks=np.zeros((frames, 478, 3), np.float32),
        present=present,
        covered=np.zeros(frames, np.bool_),
        cuts=CUTS,
        face=0,
    )


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[list[bool]]:
    """Of each computed matte, which frames keep their background."""
    calls: list[list[bool]] = []

    def matte_clip(
        frames: Iterable[media.YuvFrame],
        faces: list[object],
        *,
        starts: frozenset[int],
        keep: Callable[..., bool],
    ) -> Iterator[FrameMatte]:
        assert starts == set(CUTS)
        calls.append([])
        for index, _ in enumerate(frames):
            calls[-1].append(keep(index))
            yield OPAQUE

    monkeypatch.setattr(video_matte, "matte_clip", matte_clip)
    return calls


def compose(track: VideoTrack, cache: Path | None, **options: Any) -> None:
    green = Background.of("green")
    with ExitStack() as stack:
        assert (
            video_compositor(green, [track], stack, like=first_of(track), cache=cache, **options) is not None
        )


def first_of(track: VideoTrack) -> media.YuvFrame:
    return next(media.read_yuv_frames(track.path, stop_frame=1))


def test_shots_without_the_person_stay(make_clip: Callable[..., Path], kept: list[list[bool]]) -> None:
    track = track_of(make_clip(frames=FRAMES))
    seen: list[tuple[str, float, float]] = []
    compose(track, None, progress=lambda *values: seen.append(values))
    assert kept == [[False] * 4 + [True] * 4 + [False] * 4]
    assert seen[-1] == ("matte", FRAMES, FRAMES)
    assert (~shots_with_person(track)).tolist() == kept[0]


def test_a_cached_matte_is_read(
    make_clip: Callable[..., Path], kept: list[list[bool]], tmp_path: Path
) -> None:
    track, cache = track_of(make_clip(frames=FRAMES)), tmp_path / "cache"
    compose(track, cache)
    compose(track, cache)
    assert len(kept) == 1
    (file,) = cache.iterdir()
    file.write_bytes(b"torn")
    compose(track, cache)
    assert len(kept) == 2
    with ExitStack() as stack:
        assert video_compositor(None, [track], stack, like=first_of(track)) is None


def test_a_video_that_has_changed(
    make_clip: Callable[..., Path], kept: list[list[bool]], tmp_path: Path
) -> None:
    track = track_of(make_clip(frames=FRAMES), frames=FRAMES + 3)
    with pytest.raises(MediaError, match="has 12 frames, and had 15"):
        compose(track, tmp_path)
    assert not list(tmp_path.glob("*.matte"))
