"""Fixtures for pytest, which finds them by itself when Tickwire is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gameserver.testing import MakeTester, RoomTester


@pytest.fixture
def room_tester() -> Iterator[MakeTester]:
    """Makes testers: ``tester = room_tester(Arena, seed=1)``, as `RoomTester`; they are closed after the test.

    A test during which a room failed does not pass, even if the exception was swallowed, unless it was expected with
    ``tester.fails()``.
    """
    testers: list[RoomTester[Any]] = []

    def make(room_class: Any, **arguments: Any) -> RoomTester[Any]:
        testers.append(RoomTester(room_class, **arguments))
        return testers[-1]

    yield make
    for tester in testers:
        tester.close()
    for tester in testers:
        if tester.failed_unexpectedly:
            pytest.fail(f"{tester.room!r} failed: {tester.failure!r}; if it is to, say `with tester.fails():`")
