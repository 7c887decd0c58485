"""The commands. The only room that prints, asks or exits.

Imports what a command needs when it runs, so that `newscaster --help` and `newscaster info` answer at once.
"""

from __future__ import annotations

from newscaster.cli.commands import main, run
from newscaster.cli.exits import EXIT_BUG, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_UNUSABLE

__all__ = ["EXIT_BUG", "EXIT_ERROR", "EXIT_INTERRUPTED", "EXIT_TERMINATED", "EXIT_UNUSABLE", "main", "run"]
