"""What a link is like, in each direction, and how people write it down."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

#: The fewest bytes that wait in front of a narrow place: a few segments of the smallest size, or nothing would fit.
LEAST_QUEUE_BYTES: Final = 1024


@dataclass(frozen=True)
class Direction:
    """One way of a link. What is not given is as on a perfect one.

    Attributes:
        delay: seconds on the way, on the average.
        jitter: the standard deviation of that, in seconds. Nothing overtakes, so a dense stream feels less of it.
        rate: bytes a second that get through the narrow place.
        share: that rate as a part of what is offered, 0.5 for half of it; learned while the first seconds pass.
            None for no such limit.
        loss: how much of all segments is lost, 0 to 1. A stream never misses bytes: it stands still until they have
            been sent again.
        burst: how many segments in a row are lost at a time, on the average.
        queue_bytes: what waits in front of the narrow place before the sender must.
        stall_every: seconds from one stall to the next one; 0 for none.
        stall_seconds: how long nothing moves.

    Raises:
        ValueError: a figure that no link can have.
    """

    delay: float = 0.0
    jitter: float = 0.0
    rate: float = math.inf
    share: float | None = None
    loss: float = 0.0
    burst: float = 1.0
    queue_bytes: int = 65536
    stall_every: float = 0.0
    stall_seconds: float = 0.0

    def __post_init__(self) -> None:
        for name in ("delay", "jitter", "stall_every", "stall_seconds"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more seconds, not {getattr(self, name):g}")
        _check(self.rate > 0, f"rate must be more than 0, not {self.rate:g} bytes a second")
        _check(self.share is None or self.share > 0, f"share must be more than 0, not {self.share}")
        _check(0 <= self.loss < 1, f"loss must be at least 0 and less than 100%, not {100 * self.loss:g}%")
        _check(1 <= self.burst < math.inf, f"burst must be at least 1 segment, not {self.burst:g}")
        _check(self.queue_bytes >= LEAST_QUEUE_BYTES, f"queue must be at least {LEAST_QUEUE_BYTES} bytes")
        _check(
            bool(self.stall_every) == bool(self.stall_seconds),
            "a stall needs both, how often and how long: stall_every=10s,stall_seconds=2s",
        )
        _check(
            not self.stall_every or self.stall_seconds < self.stall_every,
            f"stalls of {self.stall_seconds:g} s do not fit into stall_every={self.stall_every:g}s: nothing would move",
        )

    @property
    def narrow(self) -> bool:
        """Whether there is a place where bytes must wait, so that the sender's kernel must not run ahead."""
        return self.rate < math.inf or self.share is not None or self.stall_every > 0


def _check(fine: bool, otherwise: str) -> None:
    if not fine:
        raise ValueError(otherwise)


@dataclass(frozen=True)
class LinkProfile:
    """A link, seen from the client.

    Attributes:
        name: as it was asked for. up: what the client sends. down: what it is sent.
    """

    name: str
    up: Direction
    down: Direction

    @property
    def round_trip(self) -> float:
        """There and back, in seconds, when nothing waits."""
        return self.up.delay + self.down.delay

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a rate without limit is None."""
        return {"name": self.name, "up": _plain(self.up), "down": _plain(self.down)}

    def describe(self) -> str:
        """In words, for people."""
        up, down = _words(self.up), _words(self.down)
        return f"{down} each way" if up == down else f"up {up}; down {down}"


def _plain(direction: Direction) -> dict[str, Any]:
    return {name: None if value == math.inf else value for name, value in asdict(direction).items()}


def _words(direction: Direction) -> str:
    parts = [f"{1000 * direction.delay:g} ms"]
    if direction.jitter:
        parts[0] += f" +- {1000 * direction.jitter:g} ms"
    if direction.rate < math.inf:
        parts.append(f"{direction.rate / 1000:g} kB/s")
    if direction.share is not None:
        parts.append(f"{100 * direction.share:g} % of what is offered")
    if direction.loss:
        bursts = f" in bursts of {direction.burst:g}" if direction.burst > 1 else ""
        parts.append(f"{100 * direction.loss:g} % lost{bursts}")
    if direction.stall_every:
        parts.append(f"{direction.stall_seconds:g} s of standstill every {direction.stall_every:g} s")
    return ", ".join(parts)


def _kbit(kilobits: float) -> float:
    """Bytes a second."""
    return kilobits * 125.0


_VERY_GOOD: Final = Direction(jitter=0.003, loss=0.001)
_STALLED: Final = Direction(delay=0.03, stall_every=10.0, stall_seconds=2.0)

#: Delay, jitter and loss are those of naia's `LinkConditionerConfig` (very good, good, average), rates those of
#: WebPageTest's connectivity profiles (DSL, which gives its delay too, LTE, and 3G Fast). naia's jitter is the most
#: that is added or taken away, and here it is the standard deviation. The last two are this project's own: what a slow
#: reader is measured with, and a tunnel.
PRESETS: Final[dict[str, LinkProfile]] = {
    "dsl": LinkProfile(
        "dsl",
        up=replace(_VERY_GOOD, delay=0.025, rate=_kbit(384)),
        down=replace(_VERY_GOOD, delay=0.025, rate=_kbit(1500)),
    ),
    "mobile": LinkProfile(
        "mobile",
        up=Direction(delay=0.040, jitter=0.010, loss=0.002, rate=_kbit(12_000), queue_bytes=262_144),
        down=Direction(delay=0.040, jitter=0.010, loss=0.002, rate=_kbit(12_000), queue_bytes=262_144),
    ),
    "bad": LinkProfile(
        "bad",
        up=Direction(delay=0.100, jitter=0.025, loss=0.02, burst=2.0, rate=_kbit(768)),
        down=Direction(delay=0.100, jitter=0.025, loss=0.02, burst=2.0, rate=_kbit(1600)),
    ),
    "half-bandwidth": LinkProfile(
        "half-bandwidth", up=Direction(delay=0.03), down=Direction(delay=0.03, share=0.5, queue_bytes=3000)
    ),
    "stall": LinkProfile("stall", up=_STALLED, down=_STALLED),
}

_EXAMPLE: Final = "write one of the presets, values, or both: mobile or delay=40ms,loss=0.5% or mobile,down.rate=50kB/s"
_SECONDS: Final = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_RATES: Final = {
    "B/s": 1.0,
    "kB/s": 1e3,
    "MB/s": 1e6,
    "bit/s": 0.125,
    "kbit/s": 125.0,
    "Mbit/s": 125e3,
    "Gbit/s": 125e6,
}
_RATES_TOO: Final = {"kbps": 125.0, "Mbps": 125e3, "Gbps": 125e6}
_SIZES: Final = {"B": 1.0, "kB": 1e3, "MB": 1e6, "KiB": 1024.0, "MiB": 1048576.0}
_NUMBER: Final = re.compile(r"([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*(.*)", re.IGNORECASE)


def parse_link(text: str) -> LinkProfile:
    """A link from what somebody wrote: a preset, own values, or a preset with own values behind it.

    ``mobile``, ``delay=40ms,jitter=10ms,loss=0.5%,rate=50kB/s``, ``dsl,down.rate=50kB/s``. Without ``up.`` or ``down.``
    a value is for each direction; the delay is that of one way. Later ones replace earlier ones.

    Raises:
        ValueError: some part of it means nothing; the text says which, and what there is.
    """
    name = ",".join(part.strip() for part in text.split(",") if part.strip())
    if not name:
        raise ValueError(f"the link is empty: {_EXAMPLE}")
    first, *rest = name.split(",")
    if "=" in first:
        up, down, rest = Direction(), Direction(), [first, *rest]
    elif first in PRESETS:
        up, down = PRESETS[first].up, PRESETS[first].down
    else:
        raise ValueError(f"there is no link {first!r}: {', '.join(PRESETS)}, or own values like delay=40ms,rate=50kB/s")
    changes: dict[str, dict[str, Any]] = {"up": {}, "down": {}}
    for part in rest:
        _read_part(part, changes)
    try:
        return LinkProfile(name, replace(up, **changes["up"]), replace(down, **changes["down"]))
    except ValueError as error:
        raise ValueError(f"no link can be {name!r}: {error}") from None


def _read_part(part: str, changes: dict[str, dict[str, Any]]) -> None:
    """Note what ``down.rate=50kB/s`` says."""
    left, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals:
        problem = "there is one preset, and it comes first" if left in PRESETS else "it is no NAME=VALUE"
        raise ValueError(f"{part!r} in the link: {problem}; {_EXAMPLE}")
    side, dot, field = left.rpartition(".")
    if dot and side not in changes:
        raise ValueError(f"{part!r} in the link: {side!r} is no direction; there are up and down")
    field = "queue_bytes" if field == "queue" else field
    reader = _READERS.get(field)
    if reader is None:
        raise ValueError(f"{part!r} in the link: there is no {field!r}; there are {', '.join(_READERS)}")
    try:
        read = reader(value)
    except ValueError as error:
        raise ValueError(f"{part!r} in the link: {error}") from None
    for each in [side] if dot else changes:
        changes[each][field] = read


def _split(value: str) -> tuple[float, str]:
    """A number and its unit."""
    found = _NUMBER.fullmatch(value)
    if found is None:
        raise ValueError(f"{value!r} is no number with a unit" if value else "the value is missing")
    if not math.isfinite(float(found[1])):
        raise ValueError(f"{value!r} is too large")
    return float(found[1]), found[2]


def _with_unit(value: str, units: dict[str, float], example: str) -> float:
    number, unit = _split(value)
    if unit in units:
        return number * units[unit]
    if not unit and number == 0:
        return 0.0
    problem = f"{unit!r} is no unit of it" if unit else "the unit is missing"
    raise ValueError(f"{problem}; write {example} (there are {', '.join(units)})")


def _seconds(value: str) -> float:
    return _with_unit(value, _SECONDS, "40ms")


def _rate(value: str) -> float:
    return math.inf if value in ("inf", "none") else _with_unit(value, _RATES | _RATES_TOO, "50kB/s")


def _bytes(value: str) -> int:
    return int(_with_unit(value, _SIZES, "16KiB"))


def _part(value: str) -> float:
    """``0.5%`` or 0.005."""
    number, unit = _split(value)
    if unit == "%":
        return number / 100
    if unit:
        raise ValueError(f"{unit!r} is no unit of it; write 0.5%")
    if number > 1:
        raise ValueError(f"{number:g} would be more than all; write {number:g}% for a percentage")
    return number


def _share(value: str) -> float | None:
    return None if value == "none" else _part(value)


def _count(value: str) -> float:
    number, unit = _split(value)
    if unit:
        raise ValueError(f"it is a number of segments; write {number:g}")
    return number


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "delay": _seconds,
    "jitter": _seconds,
    "rate": _rate,
    "share": _share,
    "loss": _part,
    "burst": _count,
    "queue_bytes": _bytes,
    "stall_every": _seconds,
    "stall_seconds": _seconds,
}
