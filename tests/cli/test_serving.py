"""The command as a process: it serves, and ends cleanly on a signal."""

from __future__ import annotations

import json
import platform
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
from importlib.util import find_spec
from pathlib import Path

import pytest

from fresh_python import environment
from newscaster import cli, media
from studios import TOKEN, ask, serving, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix")


@pytest.mark.slow
def test_sigterm_ends_sessions_and_keeps_jobs(tiny: Path, wav: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with serving(tiny, "--data-dir", keep) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        session = ask(address, "/v1/sessions", b"{}", **{"Content-Type": "application/json"})
        until(lambda: ask(address, f"/v1/sessions/{session['id']}")["state"]["shown"])
        ask(address, f"/v1/sessions/{session['id']}/recording", b"")
        shown = ask(address, f"/v1/sessions/{session['id']}")["state"]["shown"]
        until(lambda: ask(address, f"/v1/sessions/{session['id']}")["state"]["shown"] > shown + 3)
        jobs = [ask(address, "/v1/jobs/audio", wav.read_bytes())["id"] for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    assert len(list((keep / "recordings").glob("*.mp4"))) == 1
    states = {json.loads(path.read_text())["state"] for path in (keep / "jobs").glob("*/job.json")}
    assert "running" not in states
    assert states <= {"queued", "done"}
    with serving(tiny, "--data-dir", keep) as (process, address):
        for job in jobs:
            until(lambda job=job: ask(address, f"/v1/jobs/{job}")["state"] == "done")  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0


@pytest.mark.slow
def test_the_folder_is_the_users_own_and_sighup_ends(tiny: Path, tmp_path: Path) -> None:
    """Also a folder of an earlier version."""
    folder = tmp_path / "newscaster" / "studio"
    for _ in range(2):
        with serving(tiny, XDG_CACHE_HOME=str(tmp_path)) as (process, address):
            assert ask(address, "/v1/jobs") is not None
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            process.send_signal(signal.SIGHUP)
            assert process.wait(timeout=60) == 0
        folder.chmod(0o755)


def test_a_killed_studio_leaves_no_process_behind(tiny: Path, wav: Path, tmp_path: Path) -> None:
    with serving(tiny, "--data-dir", tmp_path, NEWSCASTER_TOKEN=TOKEN) as (process, address):
        assert address.endswith("/#token=TOKEN, with your token")
        assert TOKEN not in address
        ask(address.split("/#")[0], "/v1/jobs/audio", wav.read_bytes(), Authorization=f"Bearer {TOKEN}")
        process.kill()
        process.wait(timeout=60)
        if Path("/proc").is_dir():
            until(lambda: str(tmp_path) not in _command_lines())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits are set on Linux alone")
def test_a_recording_on_a_full_disk_ends_nothing_else(tiny: Path, tmp_path: Path) -> None:
    import resource

    with serving(tiny, "--data-dir", tmp_path / "kept") as (process, address):
        session = ask(address, "/v1/sessions", b"{}", **{"Content-Type": "application/json"})
        path = f"/v1/sessions/{session['id']}"
        until(lambda: ask(address, path)["state"]["shown"])
        ask(address, f"{path}/recording", b"")  # which makes the certificate
        shown = ask(address, path)["state"]["shown"]
        until(lambda: ask(address, path)["state"]["shown"] > shown + 3)
        ask(address, f"{path}/recording/stop", b"")
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
        ask(address, f"{path}/recording", b"")
        until(lambda: ask(address, path)["state"]["recording_ended"])
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, f"{path}/recording/stop", b"")
        refused.value.close()
        assert refused.value.code == 507
        shown = ask(address, path)["state"]["shown"]
        until(lambda: ask(address, path)["state"]["shown"] > shown)
        assert process.poll() is None


@pytest.mark.slow
def test_a_recording_of_a_killed_studio_is_stored(tiny: Path, tmp_path: Path) -> None:
    keep = tmp_path / "kept"
    with serving(tiny, "--data-dir", keep) as (process, address):
        session = ask(address, "/v1/sessions", b"{}", **{"Content-Type": "application/json"})
        path = f"/v1/sessions/{session['id']}"
        recording = ask(address, f"{path}/recording", b"")["id"]
        until(lambda: [file for file in (keep / "recordings").iterdir() if file.stat().st_size > 10_000])
        process.kill()
        process.wait()
    with serving(tiny, "--data-dir", keep, "--take-over") as (process, address):
        assert [stored["id"] for stored in ask(address, "/v1/recordings")] == [recording]
    file = keep / "recordings" / f"{recording}.mp4"
    assert len(list(media.read_frames(file))) >= 20
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.slow
def test_a_studio_makes_a_token_of_its_own(tiny: Path, wav: Path, tmp_path: Path) -> None:
    """It is in the link, and nowhere else: not in the log, in a file, or in command lines."""
    with serving(tiny, "--data-dir", tmp_path, token=True) as (process, link):
        address, token = link.split("/#token=")
        assert len(token) >= 20
        assert ask(address, "/v1/health")["status"] == "ok"
        for headers in ({}, {"Authorization": f"Bearer {token[:-1]}"}):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                ask(address, "/v1/jobs", **headers)
        headers = {"Authorization": f"Bearer {token}"}
        job = ask(address, "/v1/jobs/audio", wav.read_bytes(), **headers)["id"]
        until(lambda: ask(address, f"/v1/jobs/{job}", **headers)["state"] != "queued")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(address, f"/v1/jobs/none?token={token}")
        if Path("/proc").is_dir():
            assert token not in _command_lines()
        until(lambda: ask(address, f"/v1/jobs/{job}", **headers)["state"] == "done")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    texts = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert texts
    assert not [text for text in texts if token.encode() in text]
    with serving(tiny, "--data-dir", tmp_path, token=True) as (_, link):
        assert link.split("/#token=")[1] != token


def test_no_token_wins_over_the_environment_alone(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tiny, "--data-dir", tmp_path, "--no-token", NEWSCASTER_TOKEN=TOKEN) as (_, address):
        assert "#" not in address
        assert ask(address, "/v1/jobs") == []
    assert cli.run(["serve", str(tiny), "--no-token", "--token", TOKEN]) == 2
    assert capsys.readouterr().err.startswith("error: --token and --no-token exclude each other")
    assert cli.run(["serve", str(tiny), "--no-token", "--host", "0.0.0.0"]) == 2
    assert "which other machines can reach, but there is no token" in capsys.readouterr().err


@pytest.mark.slow
def test_a_second_studio_in_one_folder(tiny: Path, wav: Path, tmp_path: Path) -> None:
    """It ends at once, with a line that names the first; a killed one frees the folder at once."""
    keep = tmp_path / "kept"
    command = [sys.executable, "-m", "newscaster.cli", "serve", tiny, "--data-dir", keep, "--port", "0"]
    with serving(tiny, "--data-dir", keep) as (process, address):
        jobs = [ask(address, "/v1/jobs/audio", wav.read_bytes())["id"] for _ in range(2)]
        for options in ([], ["--take-over"]):
            second = subprocess.run(
                [*map(str, command), *options], capture_output=True, text=True, env=environment(), timeout=100
            )
            assert (second.returncode, second.stdout) == (2, "")
            assert second.stderr == (
                f"error: another studio is at work in '{keep}' ({address}, process {process.pid} on "
                f"{platform.node()!r}). Wait until it has ended, or give this one another folder with "
                "--data-dir\n"
            )
        process.kill()
        process.wait(timeout=60)
    with serving(tiny, "--data-dir", keep) as (process, address):
        for job in jobs:
            until(lambda job=job: ask(address, f"/v1/jobs/{job}")["state"] == "done")  # type: ignore[misc]


@pytest.mark.slow
def test_a_studio_ends_if_another_machine_took_its_folder_over(tiny: Path, tmp_path: Path) -> None:
    with serving(tiny, "--data-dir", tmp_path) as (process, _):
        owner = tmp_path / ".owner.json"
        other = {**json.loads(owner.read_text()), "token": "other", "host": "elsewhere", "pid": 7}
        owner.write_bytes(json.dumps(other).encode().ljust(1023) + b"\n")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, "")
        assert err.startswith("error: another studio has taken over")
        assert "process 7 on 'elsewhere'), because this one sent no heartbeat for 30 s" in err
        assert err.count("\n") == 1


def _command_lines() -> str:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return "\n".join(found)


def test_settings_that_cannot_be_served(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEWSCASTER_TOKEN", raising=False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, here = str(taken.getsockname()[1]), [str(tiny), "--data-dir", str(tmp_path)]
        for arguments, expected in (
            (
                ["--host", "0.0.0.0"],
                "--host is '0.0.0.0', which other machines can reach, but there is no token",
            ),
            (["--token", "short"], "the token has 5 characters"),
            ([str(tmp_path / "x.anchor")], "no such file"),
            (
                [*here, "--port", port],
                f"cannot listen on 127.0.0.1, port {port}",
            ),
            ([str(tiny), "--data-dir", str(tiny)], f"cannot write to the folder '{tiny}'"),
        ):
            assert cli.run(["serve", *arguments]) == 2
            assert capsys.readouterr().err.startswith(f"error: {expected}")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(
        "newscaster.cli.serving.find_spec", lambda name: None if name == "aiortc" else find_spec(name)
    )
    assert cli.run(["serve"]) == 2
    assert "pip install 'newscaster[serve]'" in capsys.readouterr().err
    for arguments, expected in (
        (["--port", "99999"], "error: --port is 99999"),
        (["--token", "short"], "error: the token has 5 characters"),
        (["none.anchor"], "error: no such file: 'none.anchor'"),
    ):
        assert cli.run(["serve", *arguments]) == 2
        assert capsys.readouterr().err.startswith(expected), "arguments are checked before packages"


def test_settings_need_no_web_stack() -> None:
    """Arguments are checked on machines without it."""
    code = "import sys, newscaster.server.settings as s; print({'fastapi', 'uvicorn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")
