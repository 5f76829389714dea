"""Pacing of rooms without a tick rate: so many frames on their way, and whatever happens the newest state arrives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gameserver.sync.pacing import EVENT_FRAMES, SLOW, EventPace
from tests.support.examples import examples


def test_so_many_frames_may_be_on_their_way() -> None:
    pace = EventPace()
    assert [pace.admits(tick, 0, tick - 1) for tick in range(1, 8)] == [True] * EVENT_FRAMES + [False] * 3
    assert pace.admits(100, 1, EVENT_FRAMES)  # one was acknowledged
    assert not pace.admits(101, 1, EVENT_FRAMES + 1)


def test_time_that_passes_changes_nothing() -> None:
    pace = EventPace()
    assert not pace.admits(1_000_000, 5, 5 + EVENT_FRAMES)
    assert pace.admits(1_000_000, 5, 5)


def test_whoever_starts_anew_gets_one_frame_whatever_was_on_its_way() -> None:
    pace = EventPace()
    pace.restart()
    assert pace.admits(50, 0, 40)
    assert not pace.admits(51, 0, 50)


def test_a_link_is_never_called_anything_but_slow_because_each_frame_is_decided() -> None:
    pace = EventPace()
    assert pace.limit == SLOW
    assert pace.sample(10, 3) == SLOW
    assert pace.round_trip is None
    assert pace.window == EVENT_FRAMES


@given(st.lists(st.sampled_from(["event", "answer", "answer all", "restart"]), max_size=200))
@examples(300)
def test_a_client_that_acknowledges_all_it_was_sent_ends_with_the_newest_state(steps: list[str]) -> None:
    """Counts of sent ticks, as delivery gives them; after each acknowledgement the newest tick is offered again."""
    pace, tick, written, acknowledged = EventPace(), 0, 0, 0
    on_the_way: list[int] = []

    def offer() -> None:
        nonlocal written
        if written != tick and pace.admits(tick, acknowledged, written):
            written = tick
            on_the_way.append(tick)

    def answer() -> None:
        nonlocal acknowledged
        acknowledged = on_the_way.pop(0)
        offer()

    for step in steps:
        if step == "event":
            tick += 1
            offer()
        elif step == "restart":
            pace.restart()
        elif step == "answer" and on_the_way:
            answer()
        elif step == "answer all":
            while on_the_way:
                answer()
        assert len(on_the_way) <= EVENT_FRAMES + steps.count("restart")
    while on_the_way:
        answer()
    assert written == tick
