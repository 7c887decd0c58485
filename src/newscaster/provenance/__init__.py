"""Where a video comes from: what is said of it, signed into the file as C2PA has it, and read from it again.

Knows the statement, the certificates and how a signature is checked. What happened while a video was made is
told by `runtime`. The only importer of c2pa and of cryptography, which are loaded when they are needed. The
network is used only if a time-stamp authority is named.
"""

from __future__ import annotations

from newscaster.provenance.credentials import (
    Credentials,
    credential_files,
    find_credentials,
    user_data_folder,
)
from newscaster.provenance.signing import (
    SIDECAR_SUFFIX,
    can_sign,
    check_credentials,
    sidecar_of,
    sign_video,
)
from newscaster.provenance.statement import Statement
from newscaster.provenance.verifying import Verified, verify

__all__ = [
    "SIDECAR_SUFFIX",
    "Credentials",
    "Statement",
    "Verified",
    "can_sign",
    "check_credentials",
    "credential_files",
    "find_credentials",
    "sidecar_of",
    "sign_video",
    "user_data_folder",
    "verify",
]
