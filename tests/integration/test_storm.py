"""All players lose their connections in one moment: each is back in its seat within seconds, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.bench.storm import storm

#: How long a crowd may take, in seconds.
BACK_SECONDS = 3.0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clients", "by"),
    [
        (100, "server"),
        (500, "server"),
        (500, "clients"),
    ],
)
def test_a_crowd_that_lost_its_connections_is_back_soon(clients: int, by: str) -> None:
    outcome = storm(clients, by)
    assert outcome.wrong == []
    assert outcome.back == clients
    assert outcome.seconds_away["p99"] <= BACK_SECONDS, outcome.seconds_away
