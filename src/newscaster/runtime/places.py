"""The files that a performance is written to, checked before any work is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from newscaster import media
from newscaster.errors import OutputError
from newscaster.provenance import sidecar_of
from newscaster.runtime.source import SpeechInput


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where everything goes."""

    video: Path
    motion: Path | None = None
    speech: Path | None = None
    captions: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        video: str | Path,
        motion: str | Path | None,
        speech: str | Path | None,
        captions: str | Path | Sequence[str | Path],
    ) -> Places:
        """Places, however they were written; one caption file need not be in a list."""
        some = [captions] if isinstance(captions, str | Path) else captions
        return cls(
            video=Path(video),
            motion=None if motion is None else Path(motion),
            speech=None if speech is None else Path(speech),
            captions=tuple(Path(path) for path in some),
        )

    def check(self, speech: SpeechInput | None) -> None:
        """Make sure that all can be written, and that none replaces the speech or another.

        Raises:
            OutputError: one cannot be written, is the speech itself, or is named twice.
        """
        media.check_output(self.video)
        for path, suffixes in (
            (self.motion, (".npz",)),
            (self.speech, (".wav",)),
            *((path, media.CAPTION_SUFFIXES) for path in self.captions),
        ):
            if path is not None:
                media.check_output(path, suffixes=suffixes)
        if (sidecar := sidecar_of(self.video)) is not None:
            media.check_output(sidecar, suffixes=None)
        seen: set[Path] = set()
        for path in self._all():
            whole = path.resolve()
            if isinstance(speech, str | Path) and path.exists() and whole == Path(speech).resolve():
                raise OutputError(
                    f"'{path}' is the speech itself, and would be replaced. Write to another file"
                )
            if whole in seen:
                raise OutputError(f"'{path}' is to be written twice. Give each output a name of its own")
            seen.add(whole)

    def _all(self) -> Iterator[Path]:
        yield self.video
        if (sidecar := sidecar_of(self.video)) is not None:
            yield sidecar
        if self.motion is not None:
            yield self.motion
        if self.speech is not None:
            yield self.speech
        yield from self.captions
