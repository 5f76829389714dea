"""Which function makes which vector file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Json: TypeAlias = Any
TOPICS: dict[str, Callable[[], Json]] = {}


def topic(name: str) -> Callable[[Callable[[], Json]], Callable[[], Json]]:
    """Register what makes the vector file of this name."""

    def register(make: Callable[[], Json]) -> Callable[[], Json]:
        TOPICS[name] = make
        return make

    return register
