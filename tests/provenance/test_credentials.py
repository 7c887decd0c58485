from __future__ import annotations

import os
import platform
import shutil
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from newscaster.errors import InputError, OutputError
from newscaster.provenance import check_credentials, find_credentials, user_data_folder
from newscaster.provenance.credentials import LOCAL_ORGANISATION, local_credentials, user_credentials
from newscaster.system.locks import acquire_lock
from signing import write_certificate


def test_local_credentials_are_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "signing"
    made = local_credentials(folder)
    assert made.local
    assert made.algorithm == "es256"
    assert LOCAL_ORGANISATION in made.name
    assert "PRIVATE" not in repr(made)
    assert sorted(path.name for path in folder.iterdir()) == ["authority.pem", "certificate.pem", "key.pem"]
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    assert [path.name for path in folder.parent.iterdir()] == ["signing"]
    before = (folder / "key.pem").read_bytes()
    assert local_credentials(folder) == made
    assert (folder / "key.pem").read_bytes() == before
    check_credentials(made)


def test_many_at_first_use_get_one_certificate(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: local_credentials(tmp_path / "signing"), range(8)))
    assert len({one.chain for one in made}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["signing"]


_KILLED = """
import os, pathlib, sys
from newscaster.provenance import credentials
kill = lambda *_: os.kill(os.getpid(), 9)
if sys.argv[2] == "rename":
    pathlib.Path.rename = kill
else:
    write = credentials._write
    credentials._write = lambda path, data: kill() if path.name == sys.argv[2] else write(path, data)
credentials.local_credentials(pathlib.Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name == "nt", reason="no process is killed there in this way")
@pytest.mark.parametrize("at", ["certificate.pem", "authority.pem", "rename"])
def test_what_a_killed_process_leaves_is_removed(tmp_path: Path, at: str) -> None:
    folder = tmp_path / "signing"
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(folder), at], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert b"PRIVATE" in (left / "key.pem").read_bytes()
    local_credentials(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["signing"]
    # Also beside a certificate that is there.
    shutil.copytree(folder, tmp_path / ".signing.0123abcd")
    made = local_credentials(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["signing"]
    assert local_credentials(folder) == made


@pytest.mark.skipif(os.name == "nt", reason="the key is not locked there")
def test_what_another_process_is_making_stays(tmp_path: Path) -> None:
    folder, other = tmp_path / "signing", tmp_path / ".signing.0123abcd"
    other.mkdir()
    local_credentials(folder)
    (other / "key.pem").touch()  # about to be locked and written
    local_credentials(folder)
    with (other / "key.pem").open("wb") as key:
        assert acquire_lock(key.fileno())
        key.write(b"PRIVATE")
        key.flush()
        local_credentials(folder)
        assert (other / "key.pem").read_bytes() == b"PRIVATE"
    (tmp_path / ".signing.mine").mkdir()
    (other / "key.pem").write_bytes(b"")
    os.utime(other, (0, 0))
    local_credentials(folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".signing.mine", "signing"]


def test_the_local_certificate(tmp_path: Path) -> None:
    leaf, authority = x509.load_pem_x509_certificates(local_credentials(tmp_path / "signing").chain)
    assert leaf.version is x509.Version.v3
    leaf.verify_directly_issued_by(authority)
    assert (
        ExtendedKeyUsageOID.EMAIL_PROTECTION
        in leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    )
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert platform.node() not in leaf.subject.rfc4514_string()


def test_damaged_local_credentials_are_reported_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))
    find_credentials()
    key, chain = tmp_path / "signing" / "key.pem", tmp_path / "signing" / "certificate.pem"
    other = local_credentials(tmp_path / "other")
    for damaged, content in ((key, b""), (key, other.key), (chain, b"no certificate"), (chain, other.chain)):
        whole = damaged.read_bytes()
        damaged.write_bytes(content)
        with pytest.raises(InputError, match=r"the local signing certificate in '.*signing' cannot be used"):
            check_credentials(find_credentials())
        assert damaged.read_bytes() == content
        damaged.write_bytes(whole)
    key.unlink()
    with pytest.raises(InputError, match=r"key.pem' cannot be read"):
        find_credentials()


def test_a_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"")
    with pytest.raises(OutputError, match="Set NEWSCASTER_HOME to a folder that can be written to"):
        local_credentials(tmp_path / "home" / "signing")


def test_where_the_users_data_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSCASTER_HOME", str(tmp_path))
    assert user_data_folder() == tmp_path
    monkeypatch.delenv("NEWSCASTER_HOME")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert user_data_folder() == tmp_path / "newscaster"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP384R1()), "es384"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (rsa.generate_private_key(65537, 2048), "ps256"),
    ],
)
def test_keys_of_a_users_own(tmp_path: Path, key: object, algorithm: str) -> None:
    chain, key_file, _ = write_certificate(tmp_path, key=key)  # type: ignore[arg-type]
    found = find_credentials((chain, key_file))
    assert (found.algorithm, found.name, found.local) == (algorithm, "Evening News, Evening News", False)
    check_credentials(found)


def test_credentials_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain, key, _ = write_certificate(tmp_path)
    monkeypatch.setenv("NEWSCASTER_SIGN_CERT", str(chain))
    with pytest.raises(InputError, match="NEWSCASTER_SIGN_CERT is set and NEWSCASTER_SIGN_KEY is not"):
        find_credentials()
    monkeypatch.setenv("NEWSCASTER_SIGN_KEY", str(key))
    assert find_credentials().name == "Evening News, Evening News"
    monkeypatch.delenv("NEWSCASTER_SIGN_CERT")
    with pytest.raises(InputError, match="NEWSCASTER_SIGN_KEY is set and NEWSCASTER_SIGN_CERT is not"):
        find_credentials()


def test_credentials_that_cannot_be_used(tmp_path: Path) -> None:
    chain, key, _ = write_certificate(tmp_path / "one")
    other, locked, _ = write_certificate(tmp_path / "two", password=b"secret")
    old, old_key, _ = write_certificate(tmp_path / "old", days=(-30, -2))
    wrong = write_certificate(tmp_path / "wrong", key=ec.generate_private_key(ec.SECP256K1()))
    for given, message in (
        ((tmp_path / "no.pem", key), "no.pem' cannot be read"),
        ((key, key), "holds no PEM certificate"),
        ((chain, chain), "holds no PEM private key"),
        ((other, locked), "is encrypted with a password"),
        ((other, key), "is not the key of"),
        ((old, old_key), "ended on .* Renew it"),
        (wrong[:2], "of a kind that C2PA does not accept"),
    ):
        with pytest.raises(InputError, match=message):
            user_credentials(*given)


def test_a_certificate_for_something_else_is_found_before_any_work(tmp_path: Path) -> None:
    chain, key, _ = write_certificate(tmp_path, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    with pytest.raises(InputError, match="C2PA does not accept the certificate 'Evening News"):
        check_credentials(user_credentials(chain, key))
