"""What a player wants to do, on its way to the server: checked, merged and paced. No socket, no clock.

A frame loop runs faster than the server ticks, so it offers more inputs than the server applies. Between two that are
sent, offered ones are merged: a bool is True if it was True in one of them, so that a short key press is not lost; any
other field takes the latest value.

Pacing. Inputs leave once per tick period on average, never two within half a period. That alone would not do: a
client's clock that runs a little faster than the server's would fill the server's queue, and every later input would be
applied late. So an input also waits while more of them are unapplied than the round trip explains.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from gameclient._errors import InputError
from gameprotocol import InputField, InputSchema

#: Unapplied inputs that are always in order, whatever the round trip: one on its way, one that waits for its tick.
_LEAST_WINDOW: Final = 2
#: The window while the round trip is not known yet.
_FIRST_WINDOW: Final = 4
#: The newest inputs, which are kept to be sent again when the player comes back; no network has more on its way.
_MOST_KEPT: Final = 64
#: However many inputs are unapplied, one is sent after so long, in seconds.
_LONGEST_WAIT: Final = 0.5

_TYPES: Final[dict[str, type]] = {"bool": bool, "int": int, "float": float, "str": str, "bytes": bytes}


class InputPacer:
    """The inputs of one player.

    Args:
        schema: the room's input, None for a room without.
        period: seconds per tick.
        keeps: whether inputs are kept to be sent again: there is a seat to come back to.

    Attributes:
        sequence: of the newest input that was sent, 0 for none.
        applied: sequence of the newest input that the server has applied.
        last_sent: when the newest was sent, in seconds of the caller's clock.
        interval: how long after the one before that was, in seconds; 0 before there are two.
    """

    def __init__(self, schema: InputSchema | None, period: float, *, keeps: bool = False) -> None:
        self.sequence = 0
        self.applied = 0
        self.last_sent = -math.inf
        self.interval = 0.0
        self._name = schema.name if schema is not None else ""
        self._fields: dict[str, tuple[int, InputField]] = {}
        if schema is not None:
            self._fields = {field.name: (index, field) for index, field in enumerate(schema.fields)}
        self._defaults = [field.default for _, field in self._fields.values()]
        self._period = period
        self._due = -math.inf
        self._merged: list[Any] = []
        self._given: set[int] = set()
        self.waiting = False
        self._kept: deque[tuple[int, list[Any]]] | None = deque(maxlen=_MOST_KEPT) if keeps else None

    def offer(self, values: Mapping[str, Any]) -> None:
        """Merge ``values`` into the next input; a field that no merged call named has its default.

        Raises:
            InputError: names the field and what it takes; nothing was merged.
        """
        if not self._name:
            raise InputError("this room takes no inputs")
        checked = [self._check(name, value) for name, value in values.items()]
        if not self.waiting:
            self._merged, self.waiting = list(self._defaults), True
            self._given.clear()
        for index, value in checked:
            if value is False and index in self._given:
                continue  # a bool that was True stays True, one that was False is False
            self._merged[index] = value
            self._given.add(index)

    def is_due(self, now: float, round_trip: float | None) -> bool:
        """Whether an input waits and may be sent now; ``round_trip`` in seconds, None when it is not known."""
        half = self._period / 2  # so early may one be: frames that it answers do not come like clockwork
        if not self.waiting or now < self._due - half or now - self.last_sent < half:
            return False
        window = _FIRST_WINDOW if round_trip is None else max(_LEAST_WINDOW, math.ceil(round_trip / self._period) + 1)
        return self.sequence - self.applied < window or now - self.last_sent >= _LONGEST_WAIT

    def peek(self) -> tuple[int, list[Any]]:
        """The input that waits, with its sequence; call `sent` when it has left."""
        return self.sequence + 1, self._merged

    def sent(self, now: float) -> None:
        """The input that waited has left."""
        if self.sequence:
            self.interval = now - self.last_sent
        self.sequence += 1
        self.waiting = False
        if self._kept is not None:
            self._kept.append((self.sequence, self._merged))  # the next offer makes a new list
        self.last_sent = now
        # What is late by jitter is made up for, up to half a period; what is late by idleness is not.
        idle = now - self._due > 2 * self._period
        self._due = (now if idle else max(self._due, now - self._period / 2)) + self._period

    def above(self, received: int) -> list[tuple[int, list[Any]]]:
        """Inputs that have left and that the server, which has all up to ``received``, may not have; with sequences."""
        return [(sequence, values) for sequence, values in self._kept or () if sequence > received]

    def _check(self, name: str, value: Any) -> tuple[int, Any]:
        found = self._fields.get(name)
        if found is None:
            raise InputError(f"{self._name} has no field {name!r}; it has {', '.join(self._fields)}")
        index, field = found
        return index, _plain(f"{self._name}.{name}", field, value)


def _plain(where: str, field: InputField, value: Any) -> Any:
    """``value`` as the plain type that travels; numpy's scalars are welcome."""
    if type(value) not in _PLAIN and hasattr(value, "item") and getattr(value, "shape", None) == ():
        value = value.item()
    if field.type == "float" and type(value) is int:
        value = float(value)
    if type(value) is not _TYPES.get(field.type):
        raise InputError(f"{where} takes {field.type}, not {type(value).__name__} ({value!r})")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise InputError(f"{where} takes finite numbers, not {value!r}")
        if (field.low is not None and value < field.low) or (field.high is not None and value > field.high):
            raise InputError(f"{where} takes {_range(field)}, not {value!r}")
    elif isinstance(value, (str, bytes)) and field.max_length is not None and len(value) > field.max_length:
        raise InputError(f"{where} takes at most {field.max_length} {_UNIT[field.type]}, not {len(value)}")
    return value


_PLAIN: Final = frozenset(_TYPES.values())
_UNIT: Final = {"str": "characters", "bytes": "bytes"}


def _range(field: InputField) -> str:
    if field.low is None or field.high is None:
        return f"at least {field.low:g}" if field.low is not None else f"at most {field.high:g}"
    return f"{field.low:g} to {field.high:g}"
