"""The exit codes of the command `newscaster`; docs/faults.md says what each means."""

from __future__ import annotations

import signal

EXIT_DONE = 0
EXIT_UNUSABLE = 1
"""What `check` returns for footage that no anchor can be made of."""
EXIT_UNMEASURED = 1
"""What `evaluate` returns if no face is found in one kind of its videos."""
EXIT_BROKEN = 1
"""What `verify` returns for a file that was changed since it was signed."""
EXIT_ERROR = 2
"""An error that the user or the machine has caused: one line on standard error says which."""
EXIT_UNSIGNED = 3
"""What `verify` returns for a file without a manifest."""
EXIT_MARKED = 4
"""What `verify` returns for a file without a manifest whose pixels carry newscaster's mark."""
EXIT_EXPIRED = 5
"""What `verify` returns for an unchanged file whose signer's certificate has ended."""
EXIT_NOT_YET_VALID = 6
"""What `verify` returns for an unchanged file whose signer's certificate is not valid yet."""
EXIT_UNFIT = 7
"""What `verify` returns for an unchanged file whose certificate was revoked, or is not one to sign with."""
EXIT_UNCHECKED = 8
"""What `verify` returns for a manifest that cannot be checked, such as a malformed one."""
EXIT_BUG = 70
"""An error that is newscaster's own, with a traceback: sysexits' EX_SOFTWARE, which no answer shares."""
EXIT_HUNG_UP = 128 + 1
"""SIGHUP (1, which Windows lacks): the terminal was closed."""
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_NOT_READ = 128 + 13
"""Whoever read standard output has gone: as SIGPIPE (13) ends other programs."""
EXIT_TERMINATED = 128 + signal.SIGTERM
