"""The sweep: does the cost grow with clients and with what they see, and not with entities times clients?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from tests.bench.systems import Row

#: Points of the sweep: workload and clients.
SWEEP: Final = [
    *(("aoi-1000", clients) for clients in (250, 500, 1000, 1500)),
    ("aoi-radius-150", 1000),
    ("aoi-radius-600", 1000),
    ("aoi-10000", 2000),
]
#: Rows in view on average, by workload; counted over the bench's rooms (`tests.bench.rooms`).
_IN_VIEW: Final = {"aoi-1000": 24.8, "aoi-radius-150": 7.1, "aoi-radius-600": 88.8, "aoi-10000": 26.7}


def fit(rows: Sequence[Row]) -> str | None:
    """A least-squares fit of a tick's CPU over the sweep's points, in words; None when there are too few.

    The model is ``a + clients * c + clients * in view * v``, without a term for entities times clients. Where
    the cost grew with that product, the point with 10 000 entities would lie far above the fit.
    """
    points = [row for row in rows if row["system"] == "tickwire" and row["workload"] in _IN_VIEW]
    if len({(row["workload"], row["clients"]) for row in points}) < len(SWEEP):
        return None
    clients = np.array([row["clients"] for row in points], float)
    in_view = np.array([_IN_VIEW[row["workload"]] for row in points])
    tick_us = np.array([row["cpu_us_per_client_tick"] for row in points]) * clients
    terms = np.column_stack((np.ones(len(points)), clients, clients * in_view))
    found, *_ = np.linalg.lstsq(terms, tick_us, rcond=None)
    explained = terms @ found
    worst = float(np.abs(explained / tick_us - 1).max())
    share = 1 - ((tick_us - explained) ** 2).sum() / ((tick_us - tick_us.mean()) ** 2).sum()
    return (
        f"fit of a tick's CPU over {len(points)} points: {found[0]:.0f} us + {found[1]:.1f} us a client + "
        f"{found[2]:.3f} us a client and entity in view; R2 {share:.3f}, farthest point {worst:.0%} off"
    )
