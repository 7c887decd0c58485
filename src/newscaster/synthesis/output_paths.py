"""The files that a performance is written to, checked before any work is done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import OutputError
from newscaster.provenance import credential_files, sidecar_of
from newscaster.synthesis.options import Outputs, SignWith
from newscaster.synthesis.speech_input import SpeechInput


def inputs_of(
    *,
    speech: SpeechInput | None,
    anchor: Path | None,
    sign: SignWith | None,
    voice: str | None = None,
) -> list[tuple[object, str]]:
    """The files that a performance reads, and their names in a message.

    Args:
        speech: as it was given.
        anchor: its file; None: it has none.
        sign: certificate and key, if they are given; otherwise those of the environment, or the local ones.
        voice: who reads a text, which may be a file.
    """
    return [
        (speech, "the speech"),
        (anchor, "the anchor"),
        *zip(credential_files(sign), ("the certificate", "the key"), strict=True),
        (voice, "the voice"),
    ]


@dataclass(frozen=True, kw_only=True)
class OutputPaths:
    """Where everything goes."""

    video: Path
    motion: Path | None = None
    speech: Path | None = None
    captions: tuple[Path, ...] = ()

    @classmethod
    def of(cls, video: str | Path, outputs: Outputs) -> OutputPaths:
        """Return the places of a video and what is written beside it."""
        captions = outputs.captions
        some = [captions] if isinstance(captions, str | Path) else captions
        return cls(
            video=Path(video),
            motion=None if outputs.motion is None else Path(outputs.motion),
            speech=None if outputs.speech is None else Path(outputs.speech),
            captions=tuple(Path(path) for path in some),
        )

    def check(self, inputs: Iterable[tuple[object, str]]) -> None:
        """Make sure that all can be written, and that none replaces an input or another.

        Args:
            inputs: what is read, and its name in a message: see :func:`inputs_of`.

        Raises:
            OutputError: one cannot be written, is an input itself, or is named twice.
        """
        media.check_output(self.video, suffixes=media.containers.file_suffixes())
        for path, suffixes in (
            (self.motion, (".npz",)),
            (self.speech, media.containers.AUDIO_SUFFIXES),
            *((path, media.CAPTION_SUFFIXES) for path in self.captions),
        ):
            if path is not None:
                media.check_output(path, suffixes=suffixes)
        if (sidecar := sidecar_of(self.video)) is not None:
            media.check_output(sidecar, suffixes=None)
        media.check_inputs_kept(self._all(), inputs)
        seen: list[Path] = []
        for path in self._all():
            whole = path.resolve()
            if any(whole == other or media.is_same_file(whole, other) for other in seen):
                raise OutputError(f"'{path}' is to be written twice. Give each output a name of its own")
            seen.append(whole)

    def _all(self) -> Iterator[Path]:
        yield self.video
        if (sidecar := sidecar_of(self.video)) is not None:
            yield sidecar
        if self.motion is not None:
            yield self.motion
        if self.speech is not None:
            yield self.speech
        yield from self.captions
