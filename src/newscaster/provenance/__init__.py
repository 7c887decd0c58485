"""Provenance of a video: a statement, signed into the file as a C2PA manifest, and its verification.

Handles the statement, the certificates and the signature. The content of the statement comes from
`synthesis`. The only importer of c2pa and of cryptography, which are loaded on demand. The network is used
only if a time-stamp authority is named.
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
from newscaster.provenance.statement import FurtherPerson, Statement
from newscaster.provenance.verifying import Verified, verify

__all__ = [
    "SIDECAR_SUFFIX",
    "Credentials",
    "FurtherPerson",
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
