"""What a dubbed video keeps of its source beside the frames: other tracks, tags, language, codec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import InputError
from newscaster.media import Codec, KeptTracks
from newscaster.prepare.video_track import VideoTrack
from newscaster.synthesis.dub_options import DubOptions
from newscaster.synthesis.person import LoadedPerson
from newscaster.synthesis.result import tags


@dataclass(frozen=True, kw_only=True)
class DubTracks:
    """The kept tracks of a video, and how its frames are encoded."""

    kept: KeptTracks
    codec: Codec
    notes: tuple[str, ...]
    """Lines for the user."""

    def tags(self, people: Sequence[LoadedPerson], *, synthetic_voice: bool) -> dict[str, str]:
        """Return the tags of the result: the video's, and those that label it as synthetic.

        The title stays the video's. Comments and copyrights are joined, so that both are read.
        """
        anchors = [person.info for person in people if not person.origin.from_video]
        in_video = [person.info for person in people if person.origin.from_video]
        label = tags(*anchors, in_video=in_video, synthetic_voice=synthetic_voice)
        own = {key.lower(): value for key, value in self.kept.tags.items()}
        out = {**label, **self.kept.tags}
        for key, joint in (("comment", "\n"), ("copyright", "; ")):
            texts = filter(None, [label.get(key), own.get(key)])
            if text := joint.join(texts):
                out = {k: v for k, v in out.items() if k.lower() != key} | {key: text}
        return out

    def audio_tags(self, *, language: str | None, keeps_speaker: bool) -> Mapping[str, str]:
        """Return the tags of the new audio track.

        Args:
            language: of the speech, three letters; None: unknown.
            keeps_speaker: whether the video's own audio is kept, so that its tags still fit.
        """
        own = dict(self.kept.audio_tags) if keeps_speaker else {}
        return own if language is None else {**own, "language": language}


@contextmanager
def open_dub_tracks(
    track: VideoTrack,
    out: Path,
    options: DubOptions,
    *,
    frames: int,
    own_audio: bool,
    like: media.YuvFrame,
) -> Iterator[DubTracks]:
    """Open the tracks of a video that the result keeps; close the file when the block ends.

    Args:
        track: the video.
        out: the result, whose suffix names the container.
        options: what is dropped, and the codec.
        frames: of the result.
        own_audio: whether the audio is the video's own, unchanged: then it is copied.
        like: the first frame of the result.

    Raises:
        InputError: a codec was chosen that the container does not take.
    """
    container = media.containers.container_of(out)
    assert container is not None  # the paths were checked
    if options.codec != "auto" and not container.keeps_layout:
        raise InputError(
            f"the codec is {options.codec!r}, and {container.suffix} takes its own alone. Omit the codec, or "
            "write .mp4, .mov or .mkv"
        )
    seconds = frames / track.fps
    single_images = container.is_sequence  # hold no other tracks
    with media.open_kept_tracks(
        track.path,
        container,
        seconds=seconds,
        drop=media.KINDS if single_images else options.drop,
        main_audio=own_audio and not single_images,
    ) as kept:
        codec = _codec(options, like.layout.depth, kept.video_codec)
        note = media.layout_note(codec, like.layout) if container.keeps_layout else None
        yield DubTracks(kept=kept, codec=codec, notes=(*kept.notes, *([] if note is None else [note])))


def _codec(options: DubOptions, depth: int, source: str) -> Codec:
    if options.codec != "auto":
        return options.codec
    return "hevc" if depth > 8 and source == "hevc" else "h264"
