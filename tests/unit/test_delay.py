"""Spectators' frames wait for their time, and leave once, in order, however the link stalls."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gameserver.rooms.delay import LATE_TICKS, DelayedFrames
from tests.support.examples import examples


@given(
    delay=st.integers(0, 20),
    takes=st.lists(st.booleans(), min_size=1, max_size=60),
    gaps=st.lists(st.integers(1, 3), min_size=60, max_size=60),
)
@examples(200)
def test_what_leaves_is_old_enough_and_complete(delay: int, takes: list[bool], gaps: list[int]) -> None:
    waiting, tick, got, pushed = DelayedFrames(delay), 0, b"", []
    for takes_now, gap in zip(takes, gaps, strict=False):
        tick += gap
        pushed.append((tick, f"<{tick}m>".encode() + f"<{tick}f>".encode()))
        waiting.push(tick, f"<{tick}m>".encode(), f"<{tick}f>".encode())
        due = waiting.due(tick)
        assert got + due == b"".join(data for at, data in pushed if at <= tick - delay)
        if takes_now:
            got += due
            waiting.sent(tick)
            assert waiting.due(tick) == b""
        oldest = next((at for at, _ in pushed if at > _newest(got)), None)
        assert waiting.is_late(tick) == (oldest is not None and oldest <= tick - delay - LATE_TICKS)
    assert got + waiting.all() == b"".join(data for _, data in pushed)
    assert waiting.all() == b""
    assert not waiting.is_late(1 << 30)


def _newest(got: bytes) -> int:
    """The tick of the last frame that has left."""
    return int(got.rsplit(b"<", 1)[1][:-2]) if got else 0
