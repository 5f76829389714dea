"""A few cycles of joining and leaving; ``python -m tests.bench.soak`` has more of both."""

from __future__ import annotations

import sys

import pytest

from tests.bench.soak import MOST_GROWTH_KIB, SETTLED_CYCLES, growth_kib, soak

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process holds is read from /proc")
def test_a_server_gives_back_what_players_took() -> None:
    rows = soak(clients=150, cycles=8)
    settled = rows[SETTLED_CYCLES]
    assert growth_kib(rows) <= MOST_GROWTH_KIB, rows
    for row in rows[SETTLED_CYCLES:]:
        assert (row["descriptors"], row["tasks"]) == (settled["descriptors"], settled["tasks"])
