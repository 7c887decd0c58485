"""The exit codes of the command `newscaster`; docs/faults.md describes each."""

from __future__ import annotations

import signal

EXIT_DONE = 0
EXIT_UNUSABLE = 1
"""`check`: the footage is unusable."""
EXIT_UNMEASURED = 1
"""`evaluate`: one condition has no video with a face."""
EXIT_BROKEN_INSTALLATION = 1
"""`doctor`: something that newscaster needs does not work."""
EXIT_DEAD_ROWS = 1
"""`batch`: rows failed; the report names them."""
EXIT_BROKEN = 1
"""`verify`: the file was changed after signing."""
EXIT_ERROR = 2
"""An error of the user or the machine, printed in one line on standard error."""
EXIT_UNSIGNED = 3
"""`verify`: no manifest."""
EXIT_MARKED = 4
"""`verify`: no manifest, but newscaster's watermark in the pixels."""
EXIT_EXPIRED = 5
"""`verify`: unchanged, but the signer's certificate has expired."""
EXIT_NOT_YET_VALID = 6
"""`verify`: unchanged, but the signer's certificate is not valid yet."""
EXIT_UNFIT = 7
"""`verify`: unchanged, but the certificate was revoked, or must not be used for signing."""
EXIT_UNCHECKED = 8
"""`verify`: the manifest cannot be checked, such as a malformed one."""
EXIT_BUG = 70
"""A bug in newscaster, with a traceback: EX_SOFTWARE of sysexits, used for nothing else."""
EXIT_HUNG_UP = 128 + 1
"""SIGHUP (1, which Windows lacks): the terminal was closed."""
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_NOT_READ = 128 + 13
"""The reader of standard output has closed it: other programs die of SIGPIPE (13)."""
EXIT_TERMINATED = 128 + signal.SIGTERM
