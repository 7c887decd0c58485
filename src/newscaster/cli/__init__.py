"""The commands. The only package that prints, prompts or exits.

Each command imports its modules when it runs, so that `newscaster --help` and `newscaster info` start fast.
"""

from __future__ import annotations

from newscaster.cli.commands import main, run
from newscaster.cli.exits import EXIT_BUG, EXIT_ERROR, EXIT_INTERRUPTED, EXIT_TERMINATED, EXIT_UNUSABLE

__all__ = ["EXIT_BUG", "EXIT_ERROR", "EXIT_INTERRUPTED", "EXIT_TERMINATED", "EXIT_UNUSABLE", "main", "run"]
