"""Renamed options: the old name is accepted for one release, hidden from the help, with a warning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from newscaster.cli.terminal import say


class RenamedOption(click.Option):
    """An option that also accepts its old name.

    Args:
        declarations: as for `click.Option`, the new name first.
        old_name: such as `--stay`. Help and error messages do not show it.
        attributes: as for `click.Option`.
    """

    def __init__(self, declarations: Sequence[str], *, old_name: str, **attributes: Any) -> None:
        super().__init__(declarations, **attributes)
        self.old_name = old_name
        # Only for the parser: it stores the value apart, to show which name was given.
        # `is_flag=False` would make the value optional; None does not.
        is_flag = self.is_flag or None
        self._old = click.Option(
            [old_name, f"old_{self.name}"], is_flag=is_flag, type=None if is_flag else self.type
        )

    # The classes of click's parser are private.
    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Have the parser accept both names."""
        super().add_to_parser(parser, ctx)
        self._old.add_to_parser(parser, ctx)

    def consume_value(self, ctx: click.Context, opts: Mapping[str, Any]) -> tuple[Any, Any]:
        """Return the value of either name; warn of the old one.

        Raises:
            click.UsageError: both names are given.
        """
        new_name, old_key = self.opts[0], str(self._old.name)
        if old_key in opts:
            if self.name in opts and not ctx.resilient_parsing:
                raise click.UsageError(
                    f"{self.old_name} is the old name of {new_name}. Give {new_name} alone.", ctx
                )
            if not ctx.resilient_parsing:
                say(
                    f"warning: {self.old_name} is now {new_name}; the old name will be removed in the next "
                    "release",
                    err=True,
                )
            opts = {**opts, str(self.name): opts[old_key]}
        return super().consume_value(ctx, opts)
