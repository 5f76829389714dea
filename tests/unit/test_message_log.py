"""The log of one seat's messages against a plain list: nobody is told twice, or told that nothing is missing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import limits
from gameserver.rooms.message_log import MessageLog
from tests.support.examples import examples

MOST = limits.MESSAGE_QUEUE_BYTES

steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.sampled_from([1, 100, MOST // 3, MOST, MOST + 1]), max_size=4)),
        st.tuples(st.just("received"), st.integers(0, 3)),
    ),
    max_size=20,
)


@given(steps=steps, claimed=st.integers(0, 40))
@examples(300)
def test_it_gives_what_is_missing_or_says_that_it_cannot(steps: list[tuple[str, object]], claimed: int) -> None:
    log, sent, known = MessageLog(), [], 0
    for tick, (what, value) in enumerate(steps, 1):
        if what == "add":
            new = [bytes([len(sent) % 256]) * size for size in value]  # type: ignore[attr-defined]
            sent += [(tick, frame) for frame in new]
            log.add(new, tick)
        else:
            known = max(known, tick - value)  # type: ignore[operator]
            log.received(tick - value)  # type: ignore[operator]
        kept = sum(len(frame) for _, frame in sent[log.forgotten :])
        assert kept <= MOST
        assert len(log) == len(sent) - log.forgotten
        assert log.overflowed == any(at > known for at, _ in sent[: log.forgotten])
    forgotten = log.forgotten
    missed = log.missed(claimed)
    if claimed < forgotten:
        assert missed is None
    else:
        assert missed == [frame for _, frame in sent[claimed:]]
        assert not log.overflowed


def test_a_burst_that_was_received_is_no_reason_to_let_somebody_go_later() -> None:
    log = MessageLog()
    log.add([bytes(MOST), b"x"], 7)
    assert log.overflowed
    log.received(6)
    assert log.overflowed
    log.received(7)
    assert not log.overflowed
    assert log.missed(2) == []
