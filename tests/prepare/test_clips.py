from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from making_media import tone
from newscaster.errors import FootageError, MediaError
from newscaster.media import write_wav
from newscaster.prepare.clips import choose_fps, cut, find_footage, need_footage, read_footage

NTSC = Fraction(30_000, 1001)


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        ([Fraction(25)], 25),
        ([Fraction(24)], 25),
        ([Fraction(24_000, 1001)], 25),
        ([NTSC], NTSC),
        ([Fraction(30)], 30),
        ([Fraction(50)], 25),
        ([Fraction(60)], 30),
        ([2 * NTSC], NTSC),
        ([Fraction(120)], 30),
        ([Fraction(15)], 25),
        ([Fraction(25), Fraction(25), Fraction(30)], 25),
        ([Fraction(30), Fraction(60), Fraction(25)], 30),
    ],
)
def test_rate_is_of_the_footages_own_kind(rates: list[Fraction], wanted: Fraction | int) -> None:
    assert choose_fps(rates) == wanted


def test_folders_are_searched_and_other_files_passed_over(
    tmp_path: Path, make_clip: Callable[..., Path]
) -> None:
    folder = tmp_path / "footage"
    (folder / "day 2").mkdir(parents=True)
    make_clip(name="footage/b.mp4")
    make_clip(name="footage/day 2/a.MP4".replace("MP4", "mp4"))
    (folder / "notes.txt").write_text("sil")
    (folder / ".hidden.mp4").write_bytes(b"x")
    (folder / "broken.mp4").write_bytes(b"no video")
    found, left_out = find_footage(folder)
    assert [f.path.name for f in found] == ["b.mp4", "a.mp4"]
    assert len(left_out) == 1
    assert "broken.mp4" in left_out[0]


def test_a_file_given_twice_is_taken_once(make_clip: Callable[..., Path]) -> None:
    path = make_clip()
    found, _ = find_footage([path, path.parent])
    assert len(found) == 1
    assert found[0].has_audio


def test_no_such_file(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    with pytest.raises(MediaError, match=r"no such file or folder: '.*gone\.mp4'"):
        find_footage([make_clip(), tmp_path / "gone.mp4"])


def test_not_a_video(tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("this is no video, however it is named")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        find_footage([path])


def test_audio_alone_is_no_footage(tmp_path: Path) -> None:
    path = tmp_path / "speech.wav"
    write_wav(path, tone(1.0), 16_000)
    with pytest.raises(FootageError, match="no video"):
        find_footage(path)


def test_folders_of_footage_are_taken_before_they_are_searched(tmp_path: Path) -> None:
    assert need_footage([tmp_path, str(tmp_path)]) == [tmp_path, tmp_path]


def test_a_folder_without_video(tmp_path: Path) -> None:
    with pytest.raises(FootageError, match=r"there is no video in .*\.mp4"):
        find_footage(tmp_path)
    with pytest.raises(FootageError, match="nothing"):
        find_footage([])


def test_long_files_are_cut_into_clips_that_join_without_a_gap(make_clip: Callable[..., Path]) -> None:
    short = read_footage(make_clip())
    long = replace(short, video=replace(short.video, duration_seconds=125.0))
    segments = cut([short, long], Fraction(25))
    assert len({s.name for s in segments}) == len(segments) == 7
    first, *rest = segments
    assert (first.start_frame, first.stop_frame) == (0, None)
    assert rest[0].start_frame == 0
    assert rest[-1].stop_frame is None
    assert [s.stop_frame for s in rest[:-1]] == [s.start_frame for s in rest[1:]]
    assert all(15 * 25 <= s.expected_frames <= 25 * 25 for s in rest)
    assert sum(s.expected_frames for s in rest) == 125 * 25


def test_names_fit_into_folders_and_are_unique(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    file = read_footage(make_clip())
    paths = ["/a/News at 8.mp4", "/b/News at 8.mp4", "/c/NEWS AT 8.mov", "/d/../.mp4", "/e/ニュース.mp4"]
    names = [
        s.name for s in cut([replace(file, path=Path(p)) for p in paths], Fraction(25), taken=["ニュース"])
    ]
    assert len({name.casefold() for name in names}) == 5
    assert names[0] == "News_at_8"
    assert not any(set(name) & set("/\\: ") or name.startswith(".") for name in names)
