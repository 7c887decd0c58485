"""Messages in the words of the command line: names of Python arguments become those of its options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from newscaster.errors import NewscasterError

_QUOTED = re.compile(r"((?<!\w)'[^']*'(?!\w))")
_VALUE = re.compile(r"\b([a-z_]+)=(?=\w)")
_SUBJECTS = re.compile(r"[a-z_]+(?:(?:, | or | and )[a-z_]+)*(?= (?:is|are) )")
"""One or more names at the start of a message, such as "minutes, clips are given"."""


class OptionNamingGroup(click.Group):
    """A group whose commands raise errors that name options."""

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command."""
        try:
            return super().invoke(ctx)
        except NewscasterError as error:
            command = self.commands.get(ctx.invoked_subcommand or "")
            if command is not None:
                error.args = (with_option_names(str(error), command),)
            raise


def named_here(text: str) -> str:
    """Return a message of the library with the options of the command that is running."""
    context = click.get_current_context(silent=True)
    return text if context is None else with_option_names(text, context.command)


def with_option_names(text: str, command: click.Command) -> str:
    """Return a message of the library with the options of a command.

    ``face=3`` becomes ``--face 3``; ``target_start is 9`` at the start, ``--target-start is 9``. Other words
    are left alone, and so is all that is quoted, such as names of files.
    """
    options = _options(command)
    parts = _QUOTED.split(text)
    for index in range(0, len(parts), 2):
        parts[index] = _VALUE.sub(
            lambda match: f"{options[match[1]]} " if match[1] in options else match[0], parts[index]
        )
    subjects = _SUBJECTS.match(parts[0])
    if subjects is not None:
        named = re.sub(r"\w+", lambda match: options.get(match[0], match[0]), subjects[0])
        parts[0] = named + parts[0][subjects.end() :]
    return "".join(parts)


def _options(command: click.Command) -> Mapping[str, str]:
    """Return the options by their arguments in Python; a repeatable one also by a single value's name."""
    options: dict[str, str] = {}
    for option in command.params:
        if isinstance(option, click.Option) and option.name is not None:
            name = max(option.opts, key=len)
            options[option.name] = name
            if option.multiple:
                options.setdefault(option.name.removesuffix("s"), name)
    return options
