"""The output files of a video, checked before any work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import OutputError
from newscaster.provenance import credential_files, sidecar_of
from newscaster.reports.page import PAGE_SUFFIXES
from newscaster.synthesis.background import Background
from newscaster.synthesis.options import Outputs, SignWith
from newscaster.synthesis.speech_input import SpeechInput


def inputs_of(
    *,
    speech: SpeechInput | None,
    anchor: Path | None,
    sign: SignWith | None,
    voice: str | None = None,
    background: Path | None = None,
) -> list[tuple[object, str]]:
    """Return the input files of a video, and their names for messages.

    Args:
        speech: argument of `Anchor.speak`.
        anchor: path of the anchor; None: it has none.
        sign: certificate and key; None: those of the environment, or the local ones.
        voice: name or file of the voice.
        background: image or video behind the person.
    """
    return [
        (speech, "the speech"),
        (anchor, "the anchor"),
        *zip(credential_files(sign), ("the certificate", "the key"), strict=True),
        (voice, "the voice"),
        (background, "the background"),
    ]


@dataclass(frozen=True, kw_only=True)
class OutputPaths:
    """Paths of all output files."""

    video: Path
    motion: Path | None = None
    speech: Path | None = None
    captions: tuple[Path, ...] = ()
    report: Path | None = None

    @classmethod
    def of(cls, video: str | Path, outputs: Outputs, *, report: Path | None = None) -> OutputPaths:
        """Return the paths of a video and its further outputs."""
        captions = outputs.captions
        caption_paths = [captions] if isinstance(captions, str | Path) else captions
        return cls(
            video=media.sequence_path(Path(video)),
            motion=None if outputs.motion is None else Path(outputs.motion),
            speech=None if outputs.speech is None else Path(outputs.speech),
            captions=tuple(Path(path) for path in caption_paths),
            report=None if report is None else Path(report),
        )

    @property
    def audio(self) -> Path | None:
        """The WAV file beside a sequence of images; None: the video has its audio itself."""
        return media.sequence_audio(self.video) if media.is_sequence(self.video) else None

    def check_subtitles(self, wanted: bool) -> None:
        """Raise OutputError if a subtitle track is wanted, and the video has no place for one."""
        container = media.containers.container_of(self.video)
        if wanted and container is not None and container.subtitle_codec is None:
            raise OutputError(
                f"'{self.video}' has no place for a subtitle track; accepted are "
                f"{media.containers.listed(media.containers.subtitle_suffixes())}. Write to such a file, or "
                "write captions to a file of their own"
            )

    def check(self, inputs: Iterable[tuple[object, str]], *, background: Background | None = None) -> None:
        """Check that all files can be written, and that none replaces an input or another output.

        Args:
            inputs: input files and their names for messages, see :func:`inputs_of`.
            background: what is shown behind the person; alpha needs a container that can carry it.

        Raises:
            OutputError: a file cannot be written, is an input, or is named twice.
        """
        container = media.containers.container_of(self.video)
        if background is not None:
            background.check_container(container)
        media.check_output(self.video, suffixes=media.containers.file_suffixes())
        if self.audio is not None:
            media.check_sequence(self.video)
            media.check_output(self.audio, suffixes=None)
        for path, suffixes in (
            (self.motion, (".npz",)),
            (self.speech, media.containers.AUDIO_SUFFIXES),
            (self.report, (".json", *PAGE_SUFFIXES)),
            *((path, media.CAPTION_SUFFIXES) for path in self.captions),
        ):
            if path is not None:
                media.check_output(path, suffixes=suffixes)
        if (sidecar := sidecar_of(self.video)) is not None:
            media.check_output(sidecar, suffixes=None)
        media.check_inputs_kept(self._all(), inputs)
        seen: list[Path] = []
        for path in self._all():
            resolved = path.resolve()
            if any(resolved == other or media.is_same_file(resolved, other) for other in seen):
                raise OutputError(f"'{path}' is named twice as an output. Give each output its own name")
            seen.append(resolved)

    def _all(self) -> Iterator[Path]:
        yield self.video
        if self.audio is not None:
            yield self.audio
        if (sidecar := sidecar_of(self.video)) is not None:
            yield sidecar
        if self.motion is not None:
            yield self.motion
        if self.speech is not None:
            yield self.speech
        if self.report is not None:
            yield self.report
        yield from self.captions
