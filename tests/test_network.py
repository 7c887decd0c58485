"""Nothing leaves this machine: not in tests, nor in what newscaster does where nobody asks for a server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fresh_python import environment
from newscaster.media import write_wav
from no_network import NetworkUsedError, write_sitecustomize
from tiny_anchor import speech_like, write_tiny_anchor


def test_tests_do_not_leave_this_machine() -> None:
    with pytest.raises(NetworkUsedError, match=r"asked for the address of 'newscaster\.invalid'"):
        socket.getaddrinfo("newscaster.invalid", 443)
    with socket.socket() as tcp, pytest.raises(NetworkUsedError, match="reached for"):
        tcp.connect(("192.0.2.1", 443))
    with socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(NetworkUsedError):
        udp.sendto(b"x", ("192.0.2.1", 9))
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, in a Python in which every socket is refused and written down."""
    told = folder / "sockets.txt"
    place = folder / "site"
    place.mkdir(exist_ok=True)
    write_sitecustomize(place, told)
    path = f"{place}{os.pathsep}{environment()['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "newscaster.cli", *arguments],
        capture_output=True,
        text=True,
        env={**environment(), "PYTHONPATH": path},
    )
    assert not told.exists(), told.read_text()
    return done


def test_the_watch_sees_what_is_done(tmp_path: Path) -> None:
    told = tmp_path / "sockets.txt"
    write_sitecustomize(tmp_path, told)
    code = "import socket; socket.socket()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode != 0
    assert "socket.__new__" in told.read_text()


def test_speaking_and_verifying_use_no_socket(tmp_path: Path) -> None:
    anchor = write_tiny_anchor(tmp_path / "x.anchor", features="whisper")
    write_wav(tmp_path / "x.wav", speech_like(1.0), 16_000)
    video = tmp_path / "x.mp4"
    done = run(tmp_path, "speak", str(tmp_path / "x.wav"), "--anchor", str(anchor), "-o", str(video))
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, "verify", str(video))
    assert done.returncode == 0, done.stderr + done.stdout
    assert run(tmp_path, "info", str(anchor)).returncode == 0


def test_checking_footage_uses_no_socket(tmp_path: Path, make_clip) -> None:  # type: ignore[no-untyped-def]
    done = run(tmp_path, "check", str(make_clip(frames=30)))
    assert done.returncode in (0, 1), done.stderr  # there is no face in it
    assert "Traceback" not in done.stderr


def test_a_manifest_that_lies_elsewhere_is_not_fetched(tmp_path: Path) -> None:
    """A file that only names the address of its manifest: neither Python nor the toolkit asks for it."""
    server = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{server.getsockname()[1]}/manifest.c2pa"
    image = tmp_path / "x.png"
    _picture_with_remote_manifest(image, address)
    assert address.encode() in image.read_bytes()
    done = run(tmp_path, "verify", str(image))
    assert done.returncode == 3, done.stdout + done.stderr
    assert "nothing is fetched" in done.stdout + done.stderr
    server.settimeout(0.2)
    with server, pytest.raises(TimeoutError):
        server.accept()


def _picture_with_remote_manifest(path: Path, address: str) -> None:
    import c2pa
    from PIL import Image

    from newscaster.provenance import find_credentials, toolkit

    who = find_credentials()
    Image.new("RGB", (32, 32), (9, 90, 200)).save(path.with_suffix(".plain.png"))
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(who.algorithm, who.chain, who.key, None))
    definition = {"claim_generator_info": [{"name": "somebody"}], "format": "image/png"}
    builder = c2pa.Builder(definition, context=toolkit.context(c2pa, signer=signer))
    builder.set_intent(c2pa.C2paBuilderIntent.CREATE, c2pa.C2paDigitalSourceType.ALGORITHMIC_MEDIA)
    builder.set_no_embed()
    builder.set_remote_url(address)
    with path.with_suffix(".plain.png").open("rb") as source, path.open("w+b") as target:
        builder.sign("image/png", source, target)
