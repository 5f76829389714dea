"""Units of figures: how limits are written down, and how amounts are shown to people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, TypeGuard

#: For each unit that a figure may have: the units in which a limit may be written, and what one of them is in it.
UNITS: Final[Mapping[str, Mapping[str, Decimal]]] = MappingProxyType(
    {
        "ms": {"us": Decimal("0.001"), "ms": Decimal(1), "s": Decimal(1000)},
        "B/s": {
            "B/s": Decimal(1),
            "kB/s": Decimal(1000),
            "MB/s": Decimal(1_000_000),
            "KiB/s": Decimal(1024),
            "MiB/s": Decimal(1024**2),
        },
        "/s": {"/s": Decimal(1)},
        "%": {"%": Decimal(1)},
        "MiB": {"KiB": Decimal(1) / 1024, "MiB": Decimal(1), "GiB": Decimal(1024)},
        "": {},
    }
)
#: What people write, and what is meant.
_MEANT: Final = {"us": "us", "\u00b5s": "us", "sec": "s", "KB/s": "kB/s", "kb/s": "kB/s", "mb/s": "MB/s", "B": "B/s"}


def in_own_unit(number: str, written: str, own: str) -> float:
    """The amount ``number`` (decimal digits) of the unit ``written`` in a figure's ``own`` unit; none written: own.

    Raises:
        ValueError: it is no unit of this kind, or the number is too large.
    """
    factors = UNITS[own]
    if written and written not in factors:
        raise ValueError(f"{written!r} is no unit of it: {_offer(written, own)}")
    if not math.isfinite(float(number)):
        raise ValueError(f"{number} is too large")
    # Decimal: 1.001 s are 1001 ms, and not 1000.9999999999999.
    return float(Decimal(number) * (factors[written] if written else 1))


def _offer(written: str, own: str) -> str:
    if own == "":
        return "it is a number without a unit"
    meant = _MEANT.get(written, written)
    if meant in UNITS[own]:
        return f"write {meant}"
    return f"there are {', '.join(UNITS[own])}" if len(UNITS[own]) > 1 else f"there is {own}"


def show_amount(value: float | None, unit: str, beside: float | None = None) -> str:
    """An amount for people, with three digits that count: ``48.2 ms``, ``7.3 kB/s``, ``1.25 s``; ``-`` for None.

    Args:
        value: in that unit.
        beside: a limit that is shown as well: so many digits that the two do not look the same when they are not.
    """
    if not is_number(value):
        return "-"
    if beside is not None and value != beside and _shown(value, unit) == _shown(beside, unit):
        for places in range(2, 7):
            if round(value, places) != round(beside, places):
                return _with_unit(f"{value:.{places}f}", unit)
        return _with_unit(repr(value), unit)
    return _shown(value, unit)


def _with_unit(number: str, unit: str) -> str:
    return f"{number}{'' if unit in ('', '/s') else ' '}{unit}"


def _shown(value: float, unit: str) -> str:
    if unit == "ms" and abs(value) >= 1000:
        return f"{value / 1000:.2f} s"
    if unit == "B/s":
        for factor, larger in ((1e6, "MB/s"), (1e3, "kB/s")):
            if abs(value) >= factor:
                return f"{digits(value / factor)} {larger}"
    if unit == "":
        return digits(value) if value != round(value) else f"{value:.0f}"
    return _with_unit(digits(value), unit)


def digits(value: float) -> str:
    """A number with about three digits that count, and no exponent: ``0.42``, ``5.31``, ``48.2``, ``1234``."""
    size = abs(value)
    if value == 0:
        return "0"
    decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        return "<0.01" if value > 0 else ">-0.01"
    return text


def is_number(value: Any) -> TypeGuard[float]:
    """Whether something was measured: None, NaN and infinities are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def printable(text: object) -> str:
    """Text from a server or a file for a terminal or XML: what is not a visible character becomes ``?``.

    A closing reason comes from the other side, and may hold escape sequences that a terminal would obey.
    """
    return "".join(character if character.isprintable() else "?" for character in str(text))
