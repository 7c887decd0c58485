"""Causes of a missing time stamp that no test can bring about on loopback."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from newscaster.provenance import timestamp_errors

NOT_SENT = "Signature: internal error (error sending request for url (https://clock.example/key))"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamp_errors, "getproxies", dict)


@pytest.mark.parametrize(
    ("raised", "cause"),
    [
        (socket.gaierror(-2, "Name or service not known"), "no machine named 'clock.example' was found"),
        (UnicodeError("label too long"), "no machine named 'clock.example' was found"),
        (ConnectionRefusedError(), "the connection was refused; nothing listens there"),
        (TimeoutError(), "it did not answer within 5 s"),
        (
            OSError(errno.ENETUNREACH, "Network is unreachable"),
            "it cannot be reached (Network is unreachable)",
        ),
        (ssl.SSLError("wrong version number"), "it does not answer to https"),
        (ssl.SSLCertVerificationError("unknown"), "its certificate for https is not trusted here"),
    ],
)
def test_causes_of_a_failed_connection(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, cause: str
) -> None:
    places: list[object] = []

    def connect(place: object, **_: object) -> None:
        places.append(place)
        raise raised

    monkeypatch.setattr(socket, "create_connection", connect)
    text = timestamp_errors.refusal("https://clock.example/key", RuntimeError(NOT_SENT))
    assert text.startswith(f"https://clock.example/... gave no time stamp: {cause}")
    assert "/key" not in text
    assert places == [("clock.example", 443)]


def test_a_proxy_is_not_gone_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timestamp_errors, "getproxies", lambda: {"https": "http://proxy:3128"})
    monkeypatch.setattr(timestamp_errors, "proxy_bypass", lambda host: False)
    monkeypatch.delattr(socket, "create_connection")
    text = timestamp_errors.refusal("https://clock.example/", RuntimeError(NOT_SENT))
    assert text.endswith("it cannot be reached through the proxy that https_proxy names")
