"""Options for video to write, whose help lists the suffixes that are accepted."""

from __future__ import annotations

import click


class SuffixOption(click.Option):
    """An option whose help has {video} or {live} in place of suffixes: those of files, or of live video.

    `media` is loaded when the help is shown, and not before: see `cli`.
    """

    @property
    def help(self) -> str | None:
        """The help, with the suffixes."""
        from newscaster.media.containers import file_suffixes, listed, live_suffixes

        suffixes = {"video": listed(file_suffixes()), "live": listed(live_suffixes())}
        return None if self._template is None else self._template.format_map(suffixes)

    @help.setter
    def help(self, template: str | None) -> None:
        self._template = template
