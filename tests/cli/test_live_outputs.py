"""`live` to a virtual camera and to a media server: by the address."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from newscaster import cli, media
from newscaster.cli import live_outputs
from newscaster.errors import InputError
from tiny_anchor import speech_like, write_tiny_anchor


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    write_tiny_anchor(tmp_path / "tiny.anchor")
    media.write_wav(tmp_path / "speech.wav", speech_like(0.6), 16_000)
    return lambda *more: cli.run(["live", "tiny.anchor", "--speech", "speech.wav", *more])


def test_addresses_without_a_container() -> None:
    for address in ("camera", "camera:/dev/video2", "whip+https://host/key", "WHIP+HTTP://host"):
        assert live_outputs.container_for(address, None) is None
        with pytest.raises(InputError, match=r"--format is given"):
            live_outputs.container_for(address, "mpegts")
    assert live_outputs.file_of("camera") is None
    assert live_outputs.file_of("whip+https://host/key") is None
    assert live_outputs.file_of("camera.mp4") == Path("camera.mp4")
    container = live_outputs.container_for("out.ts", None)
    assert container is not None
    assert container.muxer == "mpegts"


def test_live_to_a_camera(live: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(media, "write_camera", lambda address, items, fps: shown.extend([address, *items]))
    assert live("--to", "camera:/dev/video2") == 0
    assert shown[0] == "camera:/dev/video2"
    assert len(shown) > 15
    image, audio = shown[1]
    assert image.size == media.YuvFrame(image.frame).size
    assert audio.shape == (1920,)
    assert "not signed" in capsys.readouterr().err
    assert not Path("camera").exists()


def test_live_to_a_media_server(live: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    whip = pytest.importorskip("newscaster.server.whip", reason="the extra serve is not installed")
    calls: list[Any] = []

    def send(address: str, items: Any, **options: Any) -> int:
        calls.append((address, len([*items]), options))
        return 1

    monkeypatch.setattr(whip, "send_whip", send)
    monkeypatch.setenv("NEWSCASTER_WHIP_TOKEN", "secret")
    assert live("--to", "whip+https://host/key") == 0
    ((address, count, options),) = calls
    assert address == "whip+https://host/key"
    assert count > 15
    assert options == {"fps": 25, "rate": 48_000, "token": "secret"}
    assert "key" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "more", [("--background", "alpha"), ("--format", "mpegts"), ("--sign", "a.pem", "b.pem")]
)
def test_what_such_an_address_cannot_carry(live: Any, capsys: Any, more: tuple[str, ...]) -> None:
    assert live("--to", "camera", *more) != 0
    message = capsys.readouterr().err
    assert {"--background": "alpha", "--format": "--format", "--sign": "cannot be signed"}[more[0]] in message


def test_packages_that_are_missing(live: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)  # type: ignore[arg-type]
    assert live("--to", "camera") != 0
    assert "newscaster[camera]" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "newscaster.server.whip", raising=False)
    monkeypatch.setitem(sys.modules, "aiortc", None)  # type: ignore[arg-type]
    monkeypatch.delitem(sys.modules, "newscaster.server.webrtc", raising=False)
    assert live("--to", "whip+https://127.0.0.1:9/key") != 0
    assert "newscaster[serve]" in capsys.readouterr().err


def test_the_anchor_is_an_argument_or_an_option(live: Any, capsys: Any) -> None:
    assert cli.run(["live", "-a", "tiny.anchor", "--speech", "speech.wav", "--to", "out.mp4"]) == 0
    assert Path("out.mp4").stat().st_size
    assert live("-a", "other.anchor", "--to", "out.mp4") == cli.EXIT_ERROR
    assert "ANCHOR is 'tiny.anchor' and --anchor is 'other.anchor'; expected one" in capsys.readouterr().err
