from __future__ import annotations

from pathlib import Path

import pytest

from newscaster.errors import InputError
from newscaster.server.settings import Limits, Settings, default_folder

TOKEN = "a-token-of-the-tests"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.9.9.9"])
def test_loopback_needs_no_token(host: str) -> None:
    assert Settings(host=host).is_loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "studio.example"])
def test_any_other_address_does(host: str) -> None:
    with pytest.raises(InputError, match="which other machines can reach, but there is no token"):
        Settings(host=host)
    assert not Settings(host=host, token=TOKEN).is_loopback


def test_settings_out_of_range() -> None:
    with pytest.raises(InputError, match="no anchor is given"):
        Settings(anchors=())
    with pytest.raises(InputError, match="expected 0 to 65535"):
        Settings(port=70_000)
    with pytest.raises(InputError, match="the token has 5 characters; expected at least 12"):
        Settings(token="short")
    with pytest.raises(InputError, match=r"--origin is 'news\.example'"):
        Settings(origins=("news.example",))
    with pytest.raises(InputError, match="the limit sessions is 0"):
        Limits(sessions=0)


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_the_folder_of_caches_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "newscaster" / "studio"
