"""A video file with everything that a container can hold: tracks, subtitles, chapters, attachments, tags."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.packet import Packet
from av.stream import Disposition

from making_media import moving_pattern, tone

FPS = 25
RATE = 48_000
CUES = ((500, 900, "Good evening."), (1300, 1900, "<i>The news.</i>"))
FONT = b"\x00\x01\x00\x00 not a font"


def write_rich(
    path: Path,
    *,
    frames: int = 50,
    start: Fraction = Fraction(0),
    layout: str = "stereo",
    images: list[npt.NDArray[np.uint8]] | None = None,
) -> Path:
    """Write H.264 with a second audio track, subtitles, two chapters and tags; in .mkv also a font.

    Args:
        path: .mkv or .mp4.
        frames: number of frames.
        start: time stamp of the first frame; all else is relative to it.
        layout: of the main audio.
        images: RGB frames in place of a moving pattern.
    """
    is_mkv = path.suffix == ".mkv"
    images = list(moving_pattern(frames)) if images is None else images
    seconds = len(images) / FPS
    with av.open(str(path), "w", options={} if is_mkv else {"movflags": "use_metadata_tags"}) as out:
        out.metadata.update(title="The late news", creation_time="2024-05-06T07:08:09.000000Z", studio="B")
        video = out.add_stream("libx264", rate=FPS, options={"bf": "2", "g": "12"})
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt = "yuv420p"
        video.metadata["language"] = "eng"
        main = out.add_stream("aac", rate=RATE, layout=layout)
        main.metadata.update(language="eng", title="Programme")
        other = out.add_stream("ac3", rate=RATE, layout="mono")
        other.metadata.update(language="deu", title="Kommentar")
        other.disposition = Disposition.comment
        cues = out.add_stream("subrip" if is_mkv else "mov_text")
        cues.codec_context.subtitle_header = b"[Script Info]\n"
        cues.time_base = Fraction(1, 1000)
        cues.metadata["language"] = "fra"
        if is_mkv:
            out.add_attachment("font.ttf", "application/x-truetype-font", FONT)
        out.set_chapters(
            [_chapter(1, start, start + 1, "One"), _chapter(2, start + 1, start + seconds, "Two")]
        )
        out.start_encoding()
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index + round(start * FPS), Fraction(1, FPS)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for stream, hertz in ((main, 330.0), (other, 550.0)):
            samples = tone(seconds, rate=RATE, hz=hertz)
            channels = len(stream.layout.channels)
            for first in range(0, len(samples), 1024):
                block = np.repeat(samples[None, first : first + 1024], channels, axis=0)
                sound = av.AudioFrame.from_ndarray(block, format="fltp", layout=stream.layout.name)
                sound.sample_rate, sound.time_base = RATE, Fraction(1, RATE)
                sound.pts = first + round(start * RATE)
                out.mux(stream.encode(sound))
            out.mux(stream.encode(None))
        for begin, end, text in CUES:
            data = text.encode()
            packet = Packet(data if is_mkv else len(data).to_bytes(2, "big") + data)
            packet.stream, packet.time_base = cues, Fraction(1, 1000)
            packet.pts = packet.dts = begin + round(start * 1000)
            packet.duration = end - begin
            out.mux(packet)
    return path


def _chapter(number: int, start: Fraction | float, end: Fraction | float, title: str) -> dict[str, object]:
    base = Fraction(1, 1000)
    times = {"start": round(start * 1000), "end": round(end * 1000), "time_base": base}
    return {"id": number, **times, "metadata": {"title": title}}
