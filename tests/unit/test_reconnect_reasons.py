"""What a server says about coming back is what a client reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameclient import ConnectError, Disconnected
from gameprotocol.closing import CloseCode, close_reason_bytes, reason_with_reconnect, reconnect_seconds
from tests.support.examples import examples


@examples(100)
@given(st.floats(0, 86_400), st.sampled_from([CloseCode.RESTART, CloseCode.TRY_LATER]))
def test_what_is_said_is_read(seconds: float, code: CloseCode) -> None:
    reason = reason_with_reconnect("the server restarts", seconds)
    assert close_reason_bytes(reason) == reason.encode()
    assert Disconnected(code, reason).reconnect_seconds == pytest.approx(seconds, abs=0.051)
    assert ConnectError(code, reason).reconnect_seconds == Disconnected(code, reason).reconnect_seconds


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1012, ""),
        (1012, "the server restarts"),
        (1012, "reconnect in 5 s please"),
        (1012, "reconnect in inf s"),
        (1012, "reconnect in -1 s"),
        (1012, f"reconnect in {'9' * 100} s"),
        (1000, "reconnect in 5.0 s"),
        (4003, "reconnect in 5.0 s"),
    ],
)
def test_nothing_else_is_read(code: int, reason: str) -> None:
    assert reconnect_seconds(code, reason) is None
