from __future__ import annotations

import pytest

from newscaster.errors import InputError
from newscaster.server.settings import Settings
from newscaster.server.turn import LIFETIME_SECONDS, ice_servers
from studios import OpenStudio

TURN = "turn:turn.example.com:3478?transport=udp"


def test_passwords_expire_and_fit_the_secret() -> None:
    (stun, turn) = ice_servers(("stun:turn.example.com", TURN), "north", now=1000)
    assert stun == {"urls": "stun:turn.example.com"}
    assert turn["username"] == str(1000 + LIFETIME_SECONDS)
    # openssl dgst -sha1 -hmac north -binary <<< 44200 (without its newline) | base64
    assert turn["credential"] == "nDkrUUdhbiaqeScPy2LeeQIsncM="


def test_clients_get_them(open_studio: OpenStudio) -> None:
    (server,) = open_studio(turn=(TURN,), turn_secret="north").get("/v1/info").json()["ice_servers"]
    assert server["urls"] == TURN
    assert "north" not in str(server)


def test_without_turn_there_are_none(open_studio: OpenStudio) -> None:
    assert open_studio().get("/v1/info").json()["ice_servers"] == []


@pytest.mark.parametrize(
    ("url", "secret", "problem"),
    [(TURN, None, "there is no secret"), ("http://turn.example.com", "north", "expected a URL")],
)
def test_servers_that_cannot_be_used(url: str, secret: str | None, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Settings(turn=(url,), turn_secret=secret)


def test_the_secret_is_not_shown() -> None:
    assert "north" not in repr(Settings(turn=(TURN,), turn_secret="north"))
