from __future__ import annotations

from typing import Any

import pytest

from newscaster.errors import InputError
from newscaster.synthesis.options import LiveLimits, Outputs, SigningOptions


@pytest.mark.parametrize("crf", [-1, 52, 99])
def test_a_crf_that_x264_lacks(crf: int) -> None:
    with pytest.raises(InputError, match=rf"crf is {crf}; expected 0 \(best\) to 51 \(smallest\)"):
        Outputs(crf=crf)
    assert (Outputs(crf=0).crf, Outputs(crf=51).crf) == (0, 51)


def test_a_certificate_and_its_key_belong_together() -> None:
    with pytest.raises(InputError, match="certificate is given without key"):
        SigningOptions(certificate="chain.pem")
    with pytest.raises(InputError, match="key is given without certificate"):
        SigningOptions(key="key.pem")
    assert SigningOptions().files is None
    assert SigningOptions(certificate="chain.pem", key="key.pem").files == ("chain.pem", "key.pem")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_pending_audio_seconds": 0.0}, "max_pending_audio_seconds is 0.0; expected more than 0"),
        ({"max_pending_audio_seconds": float("nan")}, "max_pending_audio_seconds is nan"),
        ({"max_pending_chars": 0}, "max_pending_chars is 0; expected more than 0"),
        ({"prefetch_seconds": 1.9}, "prefetch_seconds is 1.9; expected 2 or more"),
    ],
)
def test_limits_that_let_nothing_wait(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LiveLimits(**limits)
