"""Signing credentials: the user's certificate and key, or a local pair that is made at first use.

A local certificate proves that a file has not changed since it was signed. It proves nothing about the
signer: anyone can make one. It stays in the user's data folder and is never replaced.
"""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from newscaster import media
from newscaster.errors import InputError, OutputError
from newscaster.provenance.findings import day
from newscaster.safety.readers import read_option
from newscaster.system.durable import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    make_folder,
    rename_folder_durably,
)
from newscaster.system.folders import HOME_VARIABLE
from newscaster.system.locks import acquire_lock

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

CERTIFICATE_VARIABLE = "NEWSCASTER_SIGN_CERT"
KEY_VARIABLE = "NEWSCASTER_SIGN_KEY"
LOCAL_ORGANISATION = "newscaster local certificate"
"""The organisation in local certificates."""

_CHAIN, _KEY, _AUTHORITY = "certificate.pem", "key.pem", "authority.pem"
_MAX_PEM_BYTES = 1 << 20
"""Maximum size of a certificate chain or a key."""
_YEARS = 30
"""Without a time stamp, a signature is valid only as long as its certificate."""
_GIVE_ANOTHER = "Give --sign CERT KEY: a certificate chain and its unencrypted private key, both as PEM"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A certificate chain and its key."""

    name: str
    """The subject of the certificate."""
    algorithm: str
    """C2PA's name: es256, ps256, ed25519 ..."""
    chain: bytes = field(repr=False)
    """PEM, the signer's certificate first."""
    key: bytes = field(repr=False)
    """PEM, PKCS 8, unencrypted."""
    local: bool
    """Whether newscaster made it."""
    until: datetime | None = None
    """The earliest end among the certificates of the chain, root included; None: not read (local ones)."""


def find_credentials(files: tuple[str | Path, str | Path] | None = None) -> Credentials:
    """Return the credentials to sign with: from `files`, or from the environment, or the local ones.

    Args:
        files: the certificate chain and the key.

    Raises:
        InputError: a file is missing, unreadable or invalid.
        OutputError: the local ones do not exist yet, and cannot be written.
    """
    if files is not None:
        return user_credentials(Path(files[0]), Path(files[1]))
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if certificate and key:
        return user_credentials(Path(certificate), Path(key))
    if certificate or key:
        present, missing = (CERTIFICATE_VARIABLE, KEY_VARIABLE)[:: 1 if certificate else -1]
        raise InputError(f"{present} is set and {missing} is not. Set both, or neither to sign locally")
    return local_credentials(local_folder())


def credential_files(files: tuple[str | Path, str | Path] | None = None) -> tuple[Path | None, Path | None]:
    """Return the paths of certificate and key that :func:`find_credentials` reads; None if unknown."""
    if files is not None:
        return Path(files[0]), Path(files[1])
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if certificate and key:
        return Path(certificate), Path(key)
    try:
        folder = local_folder()
    except OutputError:  # no home folder: `find_credentials` raises the error
        return None, None
    return folder / _CHAIN, folder / _KEY


def local_folder() -> Path:
    """Return the folder of the local certificate and its key."""
    return user_data_folder() / "signing"


def user_data_folder() -> Path:
    """Return the folder of the user's own data; NEWSCASTER_HOME names another one.

    Raises:
        OutputError: the user has no home folder.
    """
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    try:
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
        elif sys.platform == "darwin":
            base = str(Path.home() / "Library" / "Application Support")
        else:
            base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    except RuntimeError as error:
        raise OutputError(
            f"this user has no home folder for a signing certificate ({error}). Set {HOME_VARIABLE} "
            "to a folder, or sign with your own: --sign CERT KEY"
        ) from error
    return Path(base) / "newscaster"


def user_credentials(certificate: Path, key: Path) -> Credentials:
    """Read credentials from two PEM files.

    Raises:
        InputError: a file is missing, not PEM, encrypted, of a kind that C2PA does not accept, or out of
            date; or the two do not belong together.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        chain = x509.load_pem_x509_certificates(_read(certificate))
    except ValueError as error:
        raise InputError(f"'{certificate}' holds no PEM certificate ({error}). {_GIVE_ANOTHER}") from error
    try:
        private = serialization.load_pem_private_key(_read(key), password=None)
    except TypeError as error:
        raise InputError(f"'{key}' is encrypted with a password. {_GIVE_ANOTHER}") from error
    except ValueError as error:
        raise InputError(f"'{key}' holds no PEM private key ({error}). {_GIVE_ANOTHER}") from error
    leaf = chain[0]
    if _public(private.public_key()) != _public(leaf.public_key()):
        raise InputError(f"'{key}' is not the key of '{certificate}'. {_GIVE_ANOTHER}")
    for link in chain:
        # C2PA signs under an expired root, and verifiers that trust the root for that time accept it.
        if link is leaf or link.issuer != link.subject:
            check_dates(link, str(certificate))
    return Credentials(
        name=_name(leaf),
        algorithm=_algorithm(private, key),
        chain=b"".join(link.public_bytes(serialization.Encoding.PEM) for link in chain),
        key=private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        local=False,
        until=min(link.not_valid_after_utc for link in chain),
    )


def check_dates(certificate: x509.Certificate, path: str, *, remedy: str | None = None) -> None:
    """Check that a certificate is valid today.

    Args:
        certificate: to check.
        path: the file or folder with the certificate.
        remedy: the next step if the clock is right; default: another certificate.

    Raises:
        InputError: it has ended, or is not valid yet.
    """
    start, end, now = certificate.not_valid_before_utc, certificate.not_valid_after_utc, datetime.now(UTC)
    subject = f"'{path}': the certificate '{_name(certificate)}'"
    clock = f"this machine's clock reads {day(now)}"
    if now > end:
        step = f"Is the clock right? If so, {remedy}" if remedy else "Renew it, or give another"
        raise InputError(f"{subject} ended on {day(end)}, and {clock}. {step}")
    if now < start:
        remedy = remedy or "give another certificate, or wait"
        raise InputError(
            f"{subject} is not valid before {day(start)}, and {clock}. Is the clock right? If so, {remedy}"
        )


def _read(path: Path) -> bytes:
    try:
        return read_option(path, most=_MAX_PEM_BYTES)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}). {_GIVE_ANOTHER}") from error
    except ValueError as error:
        raise InputError(f"'{path}' is neither a certificate nor a key: {error}. {_GIVE_ANOTHER}") from error


def _public(key: PublicKeyTypes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _name(certificate: x509.Certificate) -> str:
    from cryptography.x509.oid import NameOID

    parts = [
        str(attribute.value)
        for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        for attribute in certificate.subject.get_attributes_for_oid(oid)[:1]
    ]
    return ", ".join(parts) or certificate.subject.rfc4514_string()


def _algorithm(key: PrivateKeyTypes, path: Path) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in curves:
        return curves[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise InputError(
        f"'{path}' is a key of a kind that C2PA does not accept. Accepted are keys on the curves P-256, "
        "P-384 and P-521, Ed25519, and RSA of 2048 bits or more"
    )


def local_credentials(folder: Path) -> Credentials:
    """Read the credentials in a folder; make them if the folder does not exist.

    Their content is not checked, which would take six times as long as signing; see `check_credentials`.

    Raises:
        InputError: they exist and cannot be read.
        OutputError: they cannot be written.
    """
    media.remove_left_over_folders(folder, locked=_KEY)
    if not folder.exists():
        _make(folder)
    chain, key = _read(folder / _CHAIN), _read(folder / _KEY)
    return Credentials(name=LOCAL_ORGANISATION, algorithm="es256", chain=chain, key=key, local=True)


def _make(folder: Path) -> None:
    """Write all three files to a temporary folder and rename it, so that the folder is never partial.

    The key is locked until then, so that other processes do not remove the folder as a leftover.
    """
    from cryptography.hazmat.primitives import serialization

    chain, authority, key = _new_pair()
    pem = serialization.Encoding.PEM
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        make_folder(temporary, mode=PRIVATE_FOLDER)
        with _write_locked(temporary / _KEY, secret):
            _write(temporary / _CHAIN, chain.public_bytes(pem) + authority.public_bytes(pem))
            _write(temporary / _AUTHORITY, authority.public_bytes(pem))
            try:
                rename_folder_durably(temporary, folder)
            except OSError:
                if not folder.is_dir():  # otherwise another process was faster, and its pair counts
                    raise
    except OSError as error:
        raise OutputError(
            f"the local signing certificate cannot be written to '{folder}' ({error.strerror or error}). Set "
            f"{HOME_VARIABLE} to a folder that can be written to, or sign with your own: --sign CERT KEY"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with _new_file(path) as file:
        file.write(data)


@contextmanager
def _write_locked(path: Path, data: bytes) -> Iterator[None]:
    """Write a new file, and hold its lock in the block.

    The lock comes before the data: an empty file without a lock may be about to be locked. There is no lock
    on Windows, which cannot rename the folder of an open file.
    """
    with _new_file(path) as file:
        if os.name != "nt":
            acquire_lock(file.fileno())
        file.write(data)
        file.flush()
        if os.name == "nt":
            file.close()
        yield


def _new_file(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb")


def _new_pair() -> tuple[x509.Certificate, x509.Certificate, EllipticCurvePrivateKey]:
    """Return a signer's certificate, that of its authority, and the signer's key.

    The key of the authority is not kept.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    suffix = uuid.uuid4().hex[:8]

    def full_name(name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {suffix}"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, LOCAL_ORGANISATION),
            ]
        )

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def new_builder(
        name: str, public: ec.EllipticCurvePublicKey, *, of: str, lengths: int | None
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(full_name(name))
            .issuer_name(full_name(of))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))  # other machines' clocks may be slow
            .not_valid_after(now + timedelta(days=365 * _YEARS))
            .add_extension(x509.BasicConstraints(ca=lengths is not None, path_length=lengths), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(_usage(signs_certificates=lengths is not None), critical=True)
        )

    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    purposes = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    )  # one of those that C2PA requires
    authority = new_builder("authority", authority_key.public_key(), of="authority", lengths=0)
    leaf = new_builder("signer", key.public_key(), of="authority", lengths=None)
    leaf = leaf.add_extension(purposes, critical=False).add_extension(issuer, critical=False)
    sha256 = hashes.SHA256()
    return leaf.sign(authority_key, sha256), authority.sign(authority_key, sha256), key


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
