"""Tracks that are copied into another video: they keep content, times and tags, or are noted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from making_media import moving_pattern
from newscaster.media import open_kept_tracks, write_video
from newscaster.media.containers import container_of
from rich_media import FONT, FPS, write_rich


def remade(source: Path, path: Path, *, frames: int = 50, drop: tuple = ()) -> tuple[str, ...]:
    """Write other frames with the tracks of `source`; return the notes."""
    container = container_of(path)
    assert container is not None
    with open_kept_tracks(source, container, seconds=Fraction(frames, FPS), drop=drop) as kept:
        write_video(
            path, moving_pattern(frames), fps=Fraction(FPS), audio=None, kept=kept, metadata={**kept.tags}
        )
        return kept.notes


def packets(path: Path, kind: str, number: int = 0) -> list[tuple[float, float, bytes]]:
    """Time, duration and data of a stream's packets."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][number]
        return [
            (float(p.pts * p.time_base), float((p.duration or 0) * p.time_base), bytes(p))
            for p in container.demux(stream)
            if p.size and p.pts is not None
        ]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("start", [Fraction(0), Fraction(6, 5)])
def test_all_is_kept_at_its_time(tmp_path: Path, suffix: str, start: Fraction) -> None:
    source = write_rich(tmp_path / f"a{'.mkv' if suffix == '.mkv' else '.mp4'}", start=start)
    out = tmp_path / f"b{suffix}"
    assert remade(source, out) == ()
    before, after = packets(source, "audio", 1), packets(out, "audio", 0)
    same = [(a, b) for a, b in zip(before[-len(after) :], after, strict=True)]
    assert len(after) >= len(before) - 1
    assert all(a[2] == b[2] for a, b in same)  # bit for bit
    assert max(abs(a[0] - float(start) - b[0]) for a, b in same) < 0.002
    old, new = (packets(path, "subtitle") for path in (source, out))
    texts = [(time - float(start), data) for time, _, data in old if len(data) > 2]
    shown = [(time, data) for time, _, data in new if len(data) > 2]
    assert [data for _, data in texts] == [data for _, data in shown]
    np.testing.assert_allclose([t for t, _ in texts], [t for t, _ in shown], atol=0.002)
    with av.open(str(out)) as container:
        audio = container.streams.audio[0]
        assert audio.metadata["language"] in ("deu", "ger")
        if suffix != ".mov":  # QuickTime has no such flag
            assert audio.disposition & Disposition.comment
        assert container.streams.subtitles[0].metadata["language"] in ("fra", "fre")
        assert container.metadata["title"] == "The late news"
        stamp = container.metadata.get("creation_time") or container.metadata["CREATION_TIME"]
        assert stamp.startswith("2024-05-06T07:08:09")
        chapters = [
            (c["metadata"]["title"], float(c["start"] * c["time_base"])) for c in container.chapters()
        ]
        assert chapters == [("One", 0.0), ("Two", pytest.approx(1.0, abs=0.002))]
        fonts = [bytes(s.data) for s in container.streams if s.type == "attachment"]
        assert fonts == ([FONT] if suffix == ".mkv" else [])


def test_a_shorter_result_ends_all_tracks(tmp_path: Path) -> None:
    source, out = write_rich(tmp_path / "a.mkv"), tmp_path / "b.mkv"
    remade(source, out, frames=35)
    assert packets(out, "audio")[-1][0] < 1.4
    cues = packets(out, "subtitle")
    assert [time for time, _, _ in cues] == [0.5, 1.3]
    assert cues[-1][1] == pytest.approx(0.1, abs=0.002)  # cut at the end
    with av.open(str(out)) as container:
        assert [float(c["end"] * c["time_base"]) for c in container.chapters()] == [1.0, 1.4]


def test_what_a_container_cannot_hold_is_noted_or_converted(tmp_path: Path) -> None:
    source, out = write_rich(tmp_path / "a.mkv"), tmp_path / "b.mp4"
    notes = "\n".join(remade(source, out))
    assert "plain text" in notes
    assert "font.ttf" in notes
    assert "dropped" in notes
    cues = [(time, data[2:].decode()) for time, _, data in packets(out, "subtitle") if len(data) > 2]
    assert [text for _, text in cues] == ["Good evening.", "The news."]
    np.testing.assert_allclose([time for time, _ in cues], [0.5, 1.3], atol=0.002)
    back = tmp_path / "c.mkv"
    remade(out, back)
    assert [data for _, _, data in packets(back, "subtitle")] == [b"Good evening.", b"The news."]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_what_is_named_is_dropped_without_a_note(tmp_path: Path, suffix: str) -> None:
    source, out = write_rich(tmp_path / f"a{suffix}"), tmp_path / f"b{suffix}"
    drop = ("audio", "subtitles", "chapters", "attachments", "tags", "video")
    assert remade(source, out, drop=drop) == ()
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video"]
        assert container.chapters() == []
        assert "title" not in container.metadata


def test_a_cover_image_is_kept(tmp_path: Path) -> None:
    plain, covered = write_rich(tmp_path / "a.mp4"), tmp_path / "covered.mp4"
    image = av.VideoFrame.from_ndarray(next(moving_pattern(1)), format="rgb24").reformat(format="yuvj420p")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 96, 64, "yuvj420p", Fraction(1, 25)
    jpeg = bytes(encoder.encode(image)[0])
    with av.open(str(plain)) as source, av.open(str(covered), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        packet = av.Packet(jpeg)
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 1000)
        out.mux(packet)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
    for suffix in (".mp4", ".mkv"):
        out_path = tmp_path / f"b{suffix}"
        assert remade(covered, out_path) == ()
        with av.open(str(out_path)) as container:
            (found,) = [s for s in container.streams.video if s.disposition & Disposition.attached_pic]
            assert next(bytes(p) for p in container.demux(found) if p.size) == jpeg
