"""A statement, certificates and signed videos for tests."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from newscaster.provenance import Credentials, Statement, sign_video, toolkit

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def statement(**changed: object) -> Statement:
    values: dict[str, object] = {
        "title": "news.mp4",
        "anchor": "Ada",
        "anchor_id": "a" * 64,
        "anchor_created": "2026-11-02T10:00:00+00:00",
        "consent": {"statement": "Ada agreed", "recorded": "2026-11-02T10:00:00+00:00"},
        "attribution": ("Footage: Ada",),
        "synthetic_target": False,
        "target_sha256": "b" * 64,
        "frames": 25,
        "fps": Fraction(30000, 1001),
        "synthesised": ((0, 10), (12, 25)),
        "speech_sha256": "c" * 64,
        "speech_seconds": 1.0,
        "synthetic_voice": True,
        **changed,
    }
    return Statement(**values)  # type: ignore[arg-type]


def signed(video: Path, place: Path, who: Credentials, **changed: object) -> Path:
    """A copy of a video, signed at its place."""
    shutil.copy(video, place)
    sign_video(place, statement(**changed), who, place=place)
    return place


def redated(video: Path, place: Path, days: tuple[float, float], **changed: object) -> tuple[Path, Path]:
    """A copy of a video, signed with a certificate of other days than those that the toolkit signs in.

    The toolkit is given a certificate that is valid now; what is signed, and what the file holds in the end,
    is one of the same length with other dates.

    Returns:
        The file, and the certificate of its authority.
    """
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = make_certificate("Redated authority", authority_key, of=None, purpose=None, days=(-900, 900))

    def leaf(days: tuple[float, float]) -> x509.Certificate:
        purpose = ExtendedKeyUsageOID.EMAIL_PROTECTION
        return make_certificate("Redated", key, of=authority, purpose=purpose, days=days, by=authority_key)

    def der(certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.DER)

    valid = leaf((-1, 30))
    other = next(one for one in iter(lambda: leaf(days), None) if len(der(one)) == len(der(valid)))
    pem = serialization.Encoding.PEM

    def sign(data: bytes) -> bytes:
        assert der(valid) in data
        r, s = decode_dss_signature(key.sign(data.replace(der(valid), der(other)), ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    chain = (valid.public_bytes(pem) + authority.public_bytes(pem)).decode()
    toolkit_signer = c2pa.Signer.from_callback(sign, c2pa.C2paSigningAlg.ES256, chain)
    builder = c2pa.Builder(
        statement(**changed).definition(mime_type="video/mp4"),
        context=toolkit.context(c2pa, signer=toolkit_signer),
    )
    with video.open("rb") as source, place.open("w+b") as target:
        builder.sign("video/mp4", source, target)
    place.write_bytes(place.read_bytes().replace(der(valid), der(other)))
    root = place.with_suffix(".authority.pem")
    root.write_bytes(authority.public_bytes(pem))
    return place, root


def write_certificate(
    folder: Path,
    *,
    key: PrivateKey | None = None,
    name: str = "Evening News",
    purpose: ObjectIdentifier = ExtendedKeyUsageOID.EMAIL_PROTECTION,
    days: tuple[float, float] = (-1, 30),
    authority_days: tuple[float, float] = (-1, 300),
    password: bytes | None = None,
) -> tuple[Path, Path, Path]:
    """A newsroom's certificate chain, its key, and the authority's certificate: three PEM files."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key, key = (
        ec.generate_private_key(ec.SECP256R1()),
        key or ec.generate_private_key(ec.SECP256R1()),
    )
    authority = make_certificate(
        f"{name} authority", authority_key, of=None, purpose=None, days=authority_days
    )
    leaf = make_certificate(name, key, of=authority, purpose=purpose, days=days, by=authority_key)
    chain, key_file, authority_file = (folder / part for part in ("chain.pem", "key.pem", "authority.pem"))
    pem = serialization.Encoding.PEM
    chain.write_bytes(leaf.public_bytes(pem) + authority.public_bytes(pem))
    authority_file.write_bytes(authority.public_bytes(pem))
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, lock))
    return chain, key_file, authority_file


def make_certificate(
    name: str,
    key: PrivateKey,
    *,
    of: x509.Certificate | None,
    purpose: ObjectIdentifier | None,
    days: tuple[float, float],
    by: ec.EllipticCurvePrivateKey | None = None,
) -> x509.Certificate:
    subject = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]
    )
    now = datetime.now(UTC)
    authority = purpose is None
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if of is None else of.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=not authority, key_cert_sign=authority, crl_sign=authority, **usage
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if of is not None and by is not None:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False
        )
    signer = by or key
    return builder.sign(signer, hashes.SHA256())
