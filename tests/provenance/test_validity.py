"""One verdict for each cause: what was changed, whose certificate has ended, what cannot be checked."""

from __future__ import annotations

import itertools
import random
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from newscaster.cli.signature import signature_line
from newscaster.errors import InputError
from newscaster.media import redact_url
from newscaster.provenance import (
    Credentials,
    check_credentials,
    find_credentials,
    sign_video,
    verify,
)
from newscaster.provenance.credentials import local_credentials, user_credentials
from newscaster.provenance.findings import KINDS, Validity, findings_of
from newscaster.provenance.signing import check_timestamp_address
from signing import make_certificate, redated, signed, statement, write_certificate
from timestamping import Authority, refusal, time_stamp_authority

ClipMaker = Callable[..., Path]
DAY = timedelta(days=1)


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Authority]:
    with time_stamp_authority(tmp_path / "clock") as authority:
        yield authority


@pytest.fixture
def newsroom(tmp_path: Path) -> tuple[Credentials, Path]:
    chain, key, authority = write_certificate(tmp_path / "newsroom")
    return user_credentials(chain, key), authority


def stamped(video: Path, place: Path, who: Credentials, url: str) -> str | None:
    shutil.copy(video, place)
    return sign_video(place, statement(), who, place=place, timestamp=url)


def joined(place: Path, *lists: Path) -> Path:
    place.write_bytes(b"".join(one.read_bytes() for one in lists))
    return place


@pytest.mark.parametrize(
    ("days", "verdict", "reason"),
    [
        ((-400, -35), "expired", "the signer's certificate ended on "),
        ((2, 367), "not_yet_valid", "is the clock right?"),
    ],
)
@pytest.mark.parametrize("trusted", [False, True])
def test_a_certificate_of_other_days(
    make_clip: ClipMaker, tmp_path: Path, days: tuple[int, int], verdict: str, reason: str, trusted: bool
) -> None:
    path, authority = redated(make_clip(), tmp_path / "news.mp4", days)
    found = verify(path, trust=authority if trusted else None, watermark=False)
    assert (found.verdict, found.holds, found.unchanged) == (verdict, False, True)
    assert len(found.reasons) == 1
    assert reason in found.reasons[0]
    limit = datetime.now(UTC) + DAY * (days[1] if verdict == "expired" else days[0])
    assert f"{limit:%Y-%m-%d}" in found.reasons[0]
    assert found.statement == statement()
    assert found.certificate_start is not None
    assert found.certificate_end is not None
    assert found.certificate_end - found.certificate_start == 365 * DAY


@pytest.mark.parametrize("days", [(-400, -35), (2, 367)])
def test_a_change_outweighs_a_date(make_clip: ClipMaker, tmp_path: Path, days: tuple[int, int]) -> None:
    path, _ = redated(make_clip(), tmp_path / "news.mp4", days)
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    found = verify(path, watermark=False)
    assert (found.verdict, found.unchanged) == ("broken", False)
    first, second = found.reasons
    assert first == "video, audio or tags are not those that were signed"
    assert second.startswith("the signer's certificate ")


def test_a_file_cut_short(make_clip: ClipMaker, tmp_path: Path, newsroom: tuple[Credentials, Path]) -> None:
    path = signed(make_clip(), tmp_path / "news.mp4", newsroom[0])
    data = path.read_bytes()
    for size in (len(data) - 1000, data.find(b"jumb") + 300):
        path.write_bytes(data[:size])
        found = verify(path, watermark=False)
        assert found.verdict == "broken", size
        assert found.reasons[0].startswith("the file is cut short: it lacks ")
    clip = tmp_path / "unsigned.mp4"
    clip.write_bytes(make_clip().read_bytes()[:-1000])
    found = verify(clip, watermark=False)
    assert found.verdict == "unsigned"
    assert any("cut short" in reason for reason in found.reasons)


def test_a_time_stamp_outlives_the_certificate(
    make_clip: ClipMaker, tmp_path: Path, clock: Authority
) -> None:
    clip = make_clip()
    for seconds in (2, 4, 8, 16):  # a busy machine may be too slow for the first
        end = time.monotonic() + seconds
        days = (-20, seconds / 86_400)
        chain, key, authority = write_certificate(tmp_path / f"short{seconds}", days=days)
        try:
            who = user_credentials(chain, key)
            signed(clip, tmp_path / "plain.mp4", who)
            assert stamped(clip, tmp_path / "stamped.mp4", who, clock.url) is None
        except Exception:
            if time.monotonic() < end:
                raise
            continue
        break
    lists = joined(tmp_path / "lists.pem", authority, clock.certificate)
    before = verify(tmp_path / "stamped.mp4", trust=lists, watermark=False)
    time.sleep(max(0.0, end - time.monotonic()) + 1)

    plain = verify(tmp_path / "plain.mp4", trust=lists, watermark=False)
    assert (plain.verdict, plain.unchanged, plain.signed_at) == ("expired", True, None)
    found = verify(tmp_path / "stamped.mp4", trust=lists, watermark=False)
    assert (before.verdict, found.verdict, found.reasons, found.notes) == ("trusted", "trusted", (), ())
    assert found.signed_at == clock.time.replace(microsecond=0)
    found = verify(tmp_path / "stamped.mp4", trust=clock.certificate, watermark=False)
    assert (found.verdict, found.reasons) == ("untrusted", ())

    # A time stamp of an authority that is not trusted proves nothing: anybody can make one.
    found = verify(tmp_path / "stamped.mp4", trust=authority, watermark=False)
    assert (found.verdict, found.signed_at) == ("expired", None)
    assert "by Clock does not count" in found.notes[0]

    data = bytearray((tmp_path / "stamped.mp4").read_bytes())
    data[-100] ^= 1
    (tmp_path / "stamped.mp4").write_bytes(data)
    assert verify(tmp_path / "stamped.mp4", trust=lists, watermark=False).verdict == "broken"


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_a_time_stamp_is_read_again(
    make_clip: ClipMaker, tmp_path: Path, clock: Authority, newsroom: tuple[Credentials, Path], ending: str
) -> None:
    who, authority = newsroom
    path = tmp_path / f"news.{ending}"
    assert stamped(make_clip(name=f"clip.{ending}"), path, who, clock.url) is None
    lists = joined(tmp_path / "lists.pem", authority, clock.certificate)
    found = verify(path, trust=lists, watermark=False)
    assert (found.verdict, found.reasons, found.notes) == ("trusted", (), ())
    assert found.signed_at == clock.time.replace(microsecond=0)
    assert found.statement == statement()


@pytest.mark.parametrize(("days", "verdict"), [(-9, "not_yet_valid"), (90, "expired")])
def test_a_time_stamp_from_other_days(
    make_clip: ClipMaker,
    tmp_path: Path,
    clock: Authority,
    newsroom: tuple[Credentials, Path],
    days: int,
    verdict: str,
) -> None:
    who, authority = newsroom
    clock.time += days * DAY
    assert stamped(make_clip(), tmp_path / "news.mp4", who, clock.url) is None
    lists = joined(tmp_path / "lists.pem", authority, clock.certificate)
    found = verify(tmp_path / "news.mp4", trust=lists, watermark=False)
    assert found.verdict == verdict
    assert f"the time stamp is of {clock.time:%Y-%m-%d}" in found.reasons[0]
    with pytest.raises(InputError, match="and the certificate is valid from"):
        check_credentials(who, timestamp=clock.url)


@pytest.mark.slow
def test_bits_of_a_time_stamp(
    make_clip: ClipMaker, tmp_path: Path, clock: Authority, newsroom: tuple[Credentials, Path]
) -> None:
    path = tmp_path / "news.mp4"
    assert stamped(make_clip(), path, newsroom[0], clock.url) is None
    data = path.read_bytes()
    start = data.find(b"sigTst2") - 2
    chance = random.Random(3)
    token, end = data.find(b"\x63val", start) + 7, data.find(b"\x63pad", start)
    for place in (*range(start, token), *range(token, end, 7), *range(end, end + 8)):
        bit = 1 << chance.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
        found = verify(path, trust=clock.certificate, watermark=False)
        if not token <= place < end:
            assert not found.holds, place - start
        # Not all of what an authority answers is signed; what says the time is.
        assert found.signed_at in (None, clock.time.replace(microsecond=0))


def test_authorities_that_give_no_time_stamp(
    make_clip: ClipMaker,
    tmp_path: Path,
    clock: Authority,
    newsroom: tuple[Credentials, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    who, _ = newsroom
    check_credentials(who, timestamp=clock.url)
    assert clock.requests == 1
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/key"
    secure = clock.url.replace("http:", "https:")
    for answer, status, url, cause in (
        (refusal(), 200, clock.url, "it refused, or its answer is not a time stamp"),
        (b"no time stamp", 200, clock.url, "it refused, or its answer is not a time stamp"),
        (b"", 200, clock.url, "it refused, or its answer is not a time stamp"),
        (None, 500, clock.url, "it failed (HTTP status 500)"),
        (None, 404, clock.url, "there is nothing at this address (HTTP status 404)"),
        (None, 302, clock.url, "it redirects to another address (HTTP status 302)"),
        (None, 200, closed, "the connection was refused"),
        (None, 200, secure, "it does not answer to https"),
    ):
        clock.answer, clock.status = answer, status
        caplog.clear()
        with pytest.raises(InputError) as error:
            check_credentials(who, timestamp=url)
        shown = redact_url(url)
        expected = f"{shown} gave no time stamp: {cause}"
        assert str(error.value).startswith(f"--timestamp: {expected}")
        assert ". Nothing was made. Try again, give another address, or leave" in str(error.value)
        assert "internal error" not in str(error.value)
        assert "internal error" in caplog.text  # the log has the toolkit's own words
        assert "/key" not in str(error.value) + caplog.text
        place = tmp_path / "news.mp4"
        why = stamped(make_clip(), place, who, url)
        assert why is not None
        assert why.startswith(expected)
        assert "internal error" not in why
        assert verify(place, watermark=False).verdict == "untrusted"  # signed, and nothing lost
        assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "nonsense",
            "file:///etc/hosts",
            "ftp://clock",
            "http://",
            "http://clock:port/",
            "http://[::1/",
        ),
        *("http://a b/", "http://clöck/", "http://clock/\udce9", "http://clock/\n"),
    ],
)
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(
        InputError, match=r"--timestamp is .*; expected the address of a time-stamp authority"
    ):
        check_timestamp_address(address)


def test_a_trust_list_that_has_ended(make_clip: ClipMaker, tmp_path: Path, clock: Authority) -> None:
    for number, (days, error) in enumerate([((-300, -2), "ended on"), ((3, 300), "is not valid before")]):
        chain, key, authority = write_certificate(tmp_path / str(number), authority_days=days)
        path = signed(make_clip(), tmp_path / "news.mp4", user_credentials(chain, key))
        found = verify(path, trust=authority, watermark=False)
        assert (found.verdict, found.holds) == ("untrusted", True)
        assert error in found.notes[0]
    # Signed while its authority was valid, as a time stamp shows.
    chain, key, authority = write_certificate(tmp_path / "then", days=(-50, 30), authority_days=(-300, -2))
    clock.time -= 10 * DAY
    assert stamped(make_clip(), tmp_path / "news.mp4", user_credentials(chain, key), clock.url) is None
    lists = joined(tmp_path / "lists.pem", authority, clock.certificate)
    assert verify(tmp_path / "news.mp4", trust=lists, watermark=False).verdict == "trusted"


def test_certificates_that_cannot_be_used_today(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key, _ = write_certificate(tmp_path / "early", days=(2, 30))
    with pytest.raises(InputError, match=r"is not valid before .* Is the clock right"):
        user_credentials(chain, key)
    chain, key, _ = write_certificate(tmp_path / "late", days=(-30, -2))
    with pytest.raises(InputError, match=r"ended on .* Renew it"):
        user_credentials(chain, key)
    # The local certificate under a clock that is two days behind, and under one that is far ahead.
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path / "home"))
    find_credentials()
    folder = tmp_path / "home" / "signing"
    for days, error in (((2, 30), "is not valid before"), ((-30, -2), "ended on")):
        chain, key, _ = write_certificate(folder, days=days)
        chain.replace(chain.with_name("certificate.pem"))
        with pytest.raises(
            InputError, match=rf"{error} .* Is the clock right\? If so, move the folder '{folder}' away"
        ):
            check_credentials(local_credentials(folder))
        before = (folder / "key.pem").read_bytes()
        folder.rename(tmp_path / f"aside {error}")  # as the message has it
        check_credentials(find_credentials())
        assert (folder / "key.pem").read_bytes() != before


def test_a_chain_ends_with_the_first_of_its_certificates(tmp_path: Path) -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    names = ("Root", "Intermediate", "Evening News")
    purpose = ExtendedKeyUsageOID.EMAIL_PROTECTION
    key_file, chain_file = tmp_path / "key.pem", tmp_path / "chain.pem"
    pem = serialization.Encoding.PEM
    key_file.write_bytes(
        keys[2].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    for ends in itertools.permutations((20, 40, 60)):
        chain: list[x509.Certificate] = []
        for level, (name, key, end) in enumerate(zip(names, keys, ends, strict=True)):
            above = {"of": chain[0], "by": keys[level - 1]} if chain else {"of": None}
            kind = purpose if level == 2 else None
            chain.insert(0, make_certificate(name, key, purpose=kind, days=(-1, end), **above))  # type: ignore[arg-type]
        for count in (1, 2, 3):  # some leave the root out
            chain_file.write_bytes(b"".join(one.public_bytes(pem) for one in chain[:count]))
            until = user_credentials(chain_file, key_file).until
            assert until == chain[ends[::-1].index(min(ends[::-1][:count]))].not_valid_after_utc


def test_the_validity_of_a_signature_is_that_of_the_chain(tmp_path: Path) -> None:
    for authority_days, expected in (
        ((-300, 10), f", verifiable until {datetime.now(UTC) + 10 * DAY:%Y-%m-%d} "),
        ((-300, -2), f"but a certificate of the chain expired on {datetime.now(UTC) - 2 * DAY:%Y-%m-%d} "),
    ):
        chain, key, _ = write_certificate(tmp_path, authority_days=authority_days)
        who = user_credentials(chain, key)
        line = signature_line(by=who.name, locally=False, why_not=None, until=who.until, time_stamped=False)
        assert expected in line


NOW = datetime(2026, 11, 2, tzinfo=UTC)
ENDED = Validity(start=NOW - 400 * DAY, end=NOW - 35 * DAY, signed_at=None, now=NOW)


@pytest.mark.parametrize(
    ("codes", "kinds"),
    [
        (["assertion.bmffHash.mismatch"], ["broken"]),
        (["assertion.dataHash.mismatch"], ["broken"]),
        (["assertion.hashedURI.mismatch"], ["broken"]),
        (["claimSignature.mismatch"], ["broken"]),
        (["assertion.missing"], ["broken"]),
        (["signingCredential.expired"], ["expired"]),
        (["claimSignature.outsideValidity"], ["expired"]),
        (["signingCredential.revoked"], ["revoked"]),
        (["signingCredential.ocsp.revoked"], ["revoked"]),
        (["signingCredential.untrusted"], []),
        (["signingCredential.invalid"], ["unfit"]),
        (["algorithm.unsupported"], ["unsupported"]),
        (["claim.malformed"], ["malformed"]),
        (["assertion.cbor.invalid"], ["malformed"]),
        (["manifest.multipleParents"], ["malformed"]),
        (["general.error"], ["unknown"]),
        (["org.example.new"], ["unknown"]),
        (["signingCredential.new"], ["unknown"]),
        (["signingCredential.expired", "claimSignature.mismatch"], ["expired", "broken"]),
    ],
)
def test_each_code_proves_one_thing(codes: list[str], kinds: list[str]) -> None:
    failures = [{"code": code, "explanation": "why", "url": "self#jumbf=/c2pa/part"} for code in codes]
    found = [one.kind for one in findings_of({"activeManifest": {"failure": failures}}, ENDED)]
    assert found == kinds
    assert set(found) <= set(KINDS)


def test_ingredients_are_distinguished() -> None:
    failure = {"code": "signingCredential.expired", "explanation": "certificate expired", "url": ""}
    results: dict[str, Any] = {"ingredientDeltas": [{"validationDeltas": {"failure": [failure]}}]}
    (found,) = findings_of(results, ENDED)
    assert found.kind == "expired"
    assert found.text.startswith("of an ingredient: ")
