"""Who signs: a certificate and key of the user's, or a local pair that is made at first use.

A local certificate tells that a file has not been changed since it was signed, and nothing about who signed
it: anybody can make one. It is kept in the user's data folder and never made anew.
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
from newscaster.system.locks import acquire_lock

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

HOME_VARIABLE = "NEWSCASTER_HOME"
CERTIFICATE_VARIABLE = "NEWSCASTER_SIGN_CERT"
KEY_VARIABLE = "NEWSCASTER_SIGN_KEY"
LOCAL_ORGANISATION = "newscaster local certificate"
"""The organisation that local certificates name."""

_CHAIN, _KEY, _AUTHORITY = "certificate.pem", "key.pem", "authority.pem"
_MAX_PEM_BYTES = 1 << 20
"""Of a certificate chain or a key."""
_YEARS = 30
"""Without a time stamp, a signature can be checked no longer than its certificate is valid."""
_GIVE_ANOTHER = "Give --sign CERT KEY: a certificate chain and its unencrypted private key, both as PEM"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A certificate chain and its key, ready to sign."""

    name: str
    """Whose the certificate is, as it says."""
    algorithm: str
    """As C2PA names it: es256, ps256, ed25519 ..."""
    chain: bytes = field(repr=False)
    """PEM, the signer's certificate first."""
    key: bytes = field(repr=False)
    """PEM, PKCS 8, unencrypted."""
    local: bool
    """Whether newscaster made it."""
    until: datetime | None = None
    """The earliest end of the chain's certificates, root included; None: not read, as of local ones."""


def find_credentials(given: tuple[str | Path, str | Path] | None = None) -> Credentials:
    """Credentials to sign with: those given, or those that the environment names, or the local ones.

    Args:
        given: files of the certificate chain and of the key.

    Raises:
        InputError: a file is missing, unreadable or not what it should be.
        OutputError: there are no local ones yet, and they cannot be written.
    """
    if given is not None:
        return user_credentials(Path(given[0]), Path(given[1]))
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if certificate and key:
        return user_credentials(Path(certificate), Path(key))
    if certificate or key:
        there, missing = (CERTIFICATE_VARIABLE, KEY_VARIABLE)[:: 1 if certificate else -1]
        raise InputError(f"{there} is set and {missing} is not. Set both, or neither to sign locally")
    return local_credentials(local_folder())


def credential_files(given: tuple[str | Path, str | Path] | None = None) -> tuple[Path | None, Path | None]:
    """The files of certificate and key that :func:`find_credentials` reads, if they are known."""
    if given is not None:
        return Path(given[0]), Path(given[1])
    certificate, key = os.environ.get(CERTIFICATE_VARIABLE), os.environ.get(KEY_VARIABLE)
    if certificate and key:
        return Path(certificate), Path(key)
    try:
        folder = local_folder()
    except OutputError:  # no home: an error where they are needed
        return None, None
    return folder / _CHAIN, folder / _KEY


def local_folder() -> Path:
    """Where the local certificate and its key are."""
    return user_data_folder() / "signing"


def user_data_folder() -> Path:
    """Where newscaster keeps what is the user's own; NEWSCASTER_HOME names another.

    Raises:
        OutputError: the user has no home.
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
            f"this user has no home folder to keep a signing certificate in ({error}). Set {HOME_VARIABLE} "
            "to a folder, or sign with your own: --sign CERT KEY"
        ) from error
    return Path(base) / "newscaster"


def user_credentials(certificate: Path, key: Path) -> Credentials:
    """Credentials from two PEM files.

    Raises:
        InputError: one is missing, not PEM, encrypted, of a kind that C2PA does not take, or out of date; or
            the two do not belong together.
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
    for one in chain:
        # C2PA signs under a root that has ended, and those who trust it for the time then accept that.
        if one is leaf or one.issuer != one.subject:
            check_dates(one, str(certificate))
    return Credentials(
        name=_name(leaf),
        algorithm=_algorithm(private, key),
        chain=b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain),
        key=private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        local=False,
        until=min(one.not_valid_after_utc for one in chain),
    )


def check_dates(certificate: x509.Certificate, path: str, *, remedy: str | None = None) -> None:
    """Make sure that a certificate is valid today.

    Args:
        certificate: to check.
        path: the file or folder that it is from.
        remedy: the next step if the clock is right; by default another certificate.

    Raises:
        InputError: it has ended, or is not valid yet.
    """
    start, end, now = certificate.not_valid_before_utc, certificate.not_valid_after_utc, datetime.now(UTC)
    which = f"'{path}': the certificate '{_name(certificate)}'"
    clock = f"this machine's clock reads {day(now)}"
    if now > end:
        todo = f"Is the clock right? If so, {remedy}" if remedy else "Renew it, or give another"
        raise InputError(f"{which} ended on {day(end)}, and {clock}. {todo}")
    if now < start:
        remedy = remedy or "give another certificate, or wait"
        raise InputError(
            f"{which} is not valid before {day(start)}, and {clock}. Is the clock right? If so, {remedy}"
        )


def _read(path: Path) -> bytes:
    try:
        return read_option(path, most=_MAX_PEM_BYTES)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}). {_GIVE_ANOTHER}") from error
    except ValueError as error:
        raise InputError(f"'{path}' is no certificate and no key: {error}. {_GIVE_ANOTHER}") from error


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
        f"'{path}' is a key of a kind that C2PA does not take. Accepted are keys on the curves P-256, P-384 "
        "and P-521, Ed25519, and RSA of 2048 bits or more"
    )


def local_credentials(folder: Path) -> Credentials:
    """The credentials in a folder, made there if the folder does not exist.

    They are read and not looked into, which would take six times as long as signing; see `check_credentials`.

    Raises:
        InputError: they are there and cannot be read.
        OutputError: they cannot be written.
    """
    media.remove_left_over_folders(folder, locked=_KEY)
    if not folder.exists():
        _make(folder)
    chain, key = _read(folder / _CHAIN), _read(folder / _KEY)
    return Credentials(name=LOCAL_ORGANISATION, algorithm="es256", chain=chain, key=key, local=True)


def _make(folder: Path) -> None:
    """Write all three files into a folder beside it, and rename that: there is no half of it at any time.

    The key is locked until then, so that others can tell that the folder is not left over.
    """
    from cryptography.hazmat.primitives import serialization

    chain, authority, key = _new_pair()
    pem = serialization.Encoding.PEM
    own = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        make_folder(own, mode=PRIVATE_FOLDER)
        with _written_and_locked(own / _KEY, secret):
            _write(own / _CHAIN, chain.public_bytes(pem) + authority.public_bytes(pem))
            _write(own / _AUTHORITY, authority.public_bytes(pem))
            try:
                rename_folder_durably(own, folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster, and its pair is the one
                    raise
    except OSError as error:
        raise OutputError(
            f"the local signing certificate cannot be written to '{folder}' ({error.strerror or error}). Set "
            f"{HOME_VARIABLE} to a folder that can be written to, or sign with your own: --sign CERT KEY"
        ) from error
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _write(path: Path, data: bytes) -> None:
    with _new_file(path) as file:
        file.write(data)


@contextmanager
def _written_and_locked(path: Path, data: bytes) -> Iterator[None]:
    """Write a new file, and hold its lock in the block.

    It is locked before it is written: an empty file without a lock may be about to be locked. Windows has no
    lock here, since the folder of an open file cannot be renamed there.
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
    """A signer's certificate, that of its authority, whose key is thrown away, and the signer's key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    mark = uuid.uuid4().hex[:8]

    def named(name: str) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {mark}"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, LOCAL_ORGANISATION),
            ]
        )

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)

    def begun(
        name: str, public: ec.EllipticCurvePublicKey, *, of: str, lengths: int | None
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(of))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))  # clocks of others may be slow
            .not_valid_after(now + timedelta(days=365 * _YEARS))
            .add_extension(x509.BasicConstraints(ca=lengths is not None, path_length=lengths), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(_usage(signs_certificates=lengths is not None), critical=True)
        )

    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])  # of those that C2PA asks for
    authority = begun("authority", authority_key.public_key(), of="authority", lengths=0)
    leaf = begun("signer", key.public_key(), of="authority", lengths=None)
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
