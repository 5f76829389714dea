"""What bots do: they look at what they see and answer with an input. Pure."""

from __future__ import annotations

import difflib
import math
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from gameclient import InputError
from gameprotocol import InputField, InputSchema, Replica, Schema, encode_message

#: Inputs between two decisions; a person does not decide more often than five times a second either.
DECISION_TICKS: Final = 4

#: What a bot decides: fields by name, or values in the order of the room's input; None for the last input again.
Decision: TypeAlias = Mapping[str, Any] | Sequence[Any] | None


class Bot:
    """Plays one player. Subclass it and say in `on_frame` what it does::

        class Spinner(Bot):
            def on_frame(self, world: Replica) -> Decision:
                return {"turn": 1.0, "shoot": self.random.random() < 0.5}

    Hooks are called one at a time from the loop that drives all bots, so one that takes long holds up the others. What
    a hook raises is counted and shown, and the bot leaves.

    Args:
        schema: of the room.
        player: the bot's player number.
        seed: of the bot's generator, ``random``.

    Attributes:
        schema, player: as given.
        number: which bot of the run this is, from 0; what drives the bot sets it.
        rate: inputs a second; the same.
        random: its own generator; a run with the same seed makes the same choices.
        decision_ticks: inputs from one decision to the next; in between the last one is sent again.
    """

    decision_ticks: int = DECISION_TICKS

    def __init__(self, schema: Schema, player: int, seed: int) -> None:
        self.schema = schema
        self.player = player
        self.number = 0
        self.rate = 20.0
        self.random = random.Random(seed)
        self._fields = InputFields(schema.input)
        self._values = self._fields.defaults
        self._calls = seed  # so that not all bots decide in the same tick
        self._decided = False
        self._outgoing: list[tuple[str, Any]] = []
        self._held: list[Any] = []
        self._held_for = 0

    # -- hooks

    def on_join(self) -> None:
        """The bot has its seat: ``schema``, ``player``, ``number`` and ``rate`` are known, no frame has come yet."""

    def on_frame(self, world: Replica) -> Decision:
        """Decide by what the bot sees, each ``decision_ticks``-th input.

        Args:
            world: the newest frame has been applied to it. ``world["Ship"].column("x")`` is a numpy array of all ships.
        Returns:
            Fields of the room's input by name, or values in its order; what is missing has its default. None: the last
            input again.
        """
        return None

    def without_world(self) -> Decision:
        """The same for a bot that holds no replica (see ``--replicas``); unless overridden it presses random keys."""
        return self.random_keys()

    def on_message(self, kind: str, payload: Any) -> None:
        """The room has sent a message."""

    # -- for hooks

    def send(self, kind: str, payload: Any = None) -> None:
        """Send a message of the game; it leaves with the next input.

        Raises:
            ValueError: the kind is too long.
            TypeError: msgpack has no form for the payload.
        """
        encode_message(kind, payload)  # here, where the traceback shows the line that is wrong
        self._outgoing.append((kind, payload))

    def random_keys(self) -> list[Any]:
        """Any values that the room's input takes; each choice is held for 1 to 10 decisions, as people do."""
        if self._held_for <= 0:
            self._held_for = self.random.randint(1, 10)
            self._held = [_any_value(field, self.random) for field in self._fields.fields]
        self._held_for -= 1
        return self._held

    # -- for what drives the bot

    def next_input(self, world: Replica | None) -> list[Any]:
        """The values of the next input, in the order of the room's input; empty for a room without one.

        Call it once for each input that is sent.

        Args:
            world: what the bot sees; None for a bot that holds no replica. Before its first frame nothing is decided.
        Raises:
            InputError: the bot decided what the room does not take; the text names class, field and cure.
            Exception: what a hook has raised.
        """
        due = self._calls % self.decision_ticks == 0 or not self._decided
        self._calls += 1
        if due and (world is None or world.tick):
            self._decided = True
            decision = self.without_world() if world is None else self.on_frame(world)
            if decision is not None:
                self._values = self._fields.complete(decision, type(self).__name__)
        return self._values

    def take_sent(self) -> list[tuple[str, Any]]:
        """Messages that wait to be sent, as kind and payload; they are the caller's now."""
        if not self._outgoing:
            return []
        outgoing, self._outgoing = self._outgoing, []
        return outgoing


class RandomBot(Bot):
    """Presses random keys; plays any game."""

    def on_frame(self, world: Replica) -> Decision:
        return self.random_keys()


#: Makes a bot from the room's schema, its player number and a seed.
MakeBot: TypeAlias = Callable[[Schema, int, int], Bot]


# -- values that travel ------------------------------------------------------------------------------------------------

_TYPES: Final[dict[str, type[Any]]] = {"bool": bool, "int": int, "float": float, "str": str, "bytes": bytes}
_LARGEST: Final = sys.float_info.max


class InputFields:
    """Checks what bots decide before it leaves: a server closes the connection for it and cannot tell the line.

    Attributes:
        fields: of the room's input, none for a room without one.
        defaults: their values when nothing is said.
    """

    def __init__(self, schema: InputSchema | None) -> None:
        self.fields: tuple[InputField, ...] = schema.fields if schema is not None else ()
        self.defaults = [field.default for field in self.fields]
        self._name = schema.name if schema is not None else "this room's input"
        self._index = {field.name: index for index, field in enumerate(self.fields)}
        self._checks = [_quick_check(field) for field in self.fields]

    def complete(self, decision: Mapping[str, Any] | Sequence[Any], who: str) -> list[Any]:
        """All values, in the order of the fields.

        Args:
            who: whose decision it is, for the error.
        Raises:
            InputError: a name is unknown, or a value is not what its field takes.
        """
        values = self._ordered(decision, who)
        for index, (kind, low, high) in enumerate(self._checks):
            value: Any = values[index]
            if type(value) is not kind or not low <= value <= high:
                values[index] = _plain(f"{who}: {self._name}.{self.fields[index].name}", self.fields[index], value)
        return values

    def _ordered(self, decision: Mapping[str, Any] | Sequence[Any], who: str) -> list[Any]:
        if isinstance(decision, (dict, Mapping)):
            values = list(self.defaults)
            for name, value in decision.items():
                if name not in self._index:
                    raise InputError(f"{who}: {self._unknown(name)}")
                values[self._index[name]] = value
            return values
        if isinstance(decision, (list, tuple, np.ndarray)):
            if len(decision) > len(self.fields):
                raise InputError(
                    f"{who}: {len(decision)} values for {self._name}, which has {len(self.fields)} fields"
                    f"{self._list()}: leave the others out"
                )
            return [*decision, *self.defaults[len(decision) :]]
        raise InputError(
            f"{who}: a decision is a dict of {self._name}'s fields, their values in order, or None, "
            f"not {type(decision).__name__} ({decision!r})"
        )

    def _unknown(self, name: object) -> str:
        near = difflib.get_close_matches(str(name), self._index, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return f"{self._name} has no field {name!r}; it has {', '.join(self._index) or 'none'}{meant}"

    def _list(self) -> str:
        return f" ({', '.join(self._index)})" if self._index else ""


def _quick_check(field: InputField) -> tuple[type | None, Any, Any]:
    """Type, lowest and highest of a number that needs no further look; the type is None where each one needs it."""
    low = -_LARGEST if field.low is None else field.low
    high = _LARGEST if field.high is None else field.high
    return (_TYPES[field.type] if field.type in ("bool", "int", "float") else None), low, high


def _plain(where: str, field: InputField, value: Any) -> Any:
    """``value`` as the plain type that travels; numpy's scalars and whole numbers for floats are welcome.

    Raises:
        InputError: it is not what the field takes.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if field.type == "float" and type(value) is int:
        value = float(value)
    if type(value) is not _TYPES[field.type]:
        cure = f": write {field.type}(...)" if isinstance(value, (bool, int, float)) and field.type in _CASTS else ""
        raise InputError(f"{where} takes {field.type}, not {type(value).__name__} ({value!r}){cure}")
    if field.type in ("int", "float"):
        if not math.isfinite(value):
            raise InputError(f"{where} takes finite numbers, not {value!r}")
        low, high = field.low, field.high
        if (low is not None and value < low) or (high is not None and value > high):
            raise InputError(f"{where} takes {_range(field)}, not {value!r}: clamp it")
    elif field.max_length is not None and len(value) > field.max_length:
        unit = "characters" if field.type == "str" else "bytes"
        raise InputError(f"{where} takes at most {field.max_length} {unit}, not {len(value)}")
    return value


_CASTS: Final = frozenset({"bool", "int"})


def _range(field: InputField) -> str:
    if field.low is None or field.high is None:
        return f"at least {field.low:g}" if field.low is not None else f"at most {field.high:g}"
    return f"{field.low:g} to {field.high:g}"


def _any_value(field: InputField, generator: random.Random) -> Any:
    """Any value that the field takes; of text and bytes the default."""
    if field.type == "bool":
        return generator.random() < 0.5
    if field.type == "float":
        low, high = _bounds(field, -1.0, 1.0)
        return generator.uniform(low, high)
    if field.type == "int":
        low, high = _bounds(field, 0, 100)
        return generator.randint(math.ceil(low), math.floor(high))
    return field.default


def _bounds(field: InputField, low: float, high: float) -> tuple[float, float]:
    """The field's bounds; where it has one alone, the other is as far from it as the given ones are apart."""
    if field.low is None and field.high is None:
        return low, high
    return (
        field.low if field.low is not None else (field.high or 0) - (high - low),
        field.high if field.high is not None else (field.low or 0) + (high - low),
    )
