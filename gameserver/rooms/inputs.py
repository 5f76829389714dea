"""Inputs: what players want to do, typed, validated, queued and numbered. No socket, no clock.

An author declares one class per room; it is decoded and checked by msgspec in one go, so nothing unchecked reaches
``step``. Sequence numbers only rise: a repeated or older input is dropped, whatever the network or the client does.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from gameprotocol import CloseCode, InputField, InputHeader, InputSchema, ProtocolError, limits
from gameserver.world.errors import DeclarationError

if TYPE_CHECKING:
    from gameserver.rooms.player import Player

#: What a player without a new input does in a tick: its last input again, an input of defaults, or nothing at all.
MissingInput: TypeAlias = Literal["repeat", "neutral", "skip"]

_PATH: Final = re.compile(r" - at `\$\[2\]\[(\d+)\].*`$")
_SCALARS: Final[dict[type, Any]] = {
    msgspec.inspect.BoolType: "bool",
    msgspec.inspect.IntType: "int",
    msgspec.inspect.FloatType: "float",
    msgspec.inspect.StrType: "str",
    msgspec.inspect.BytesType: "bytes",
}


class Input(msgspec.Struct, array_like=True, gc=False):
    """What a player wants to do in a tick: subclass it and declare fields of bool, int, float, str or bytes.

    Each field needs a default; bounds are given with msgspec's ``Meta``::

        class Steer(Input):
            thrust: bool = False
            turn: Annotated[float, Meta(ge=-1, le=1)] = 0.0

    Infinite and not-a-number floats are refused, bounds or none. Text and bytes need ``Meta(max_length=...)``.
    """


#: What decoding an input may raise.
DECODE_ERRORS: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class InputMessage(msgspec.Struct, array_like=True, gc=False):
    """One input as it travels. `InputCodec` decodes into one like it whose ``values`` are of the room's type."""

    kind: int
    header: InputHeader
    values: Any


class InputCodec:
    """Reads the inputs of one input class.

    Raises:
        DeclarationError: the class cannot serve as an input; the text names the field and the cure.

    Attributes:
        schema: how clients are told of the class.
        neutral: makes an input of defaults.
    """

    def __init__(self, input_type: type[Input], per_tick: int = 1, missing: MissingInput = "repeat") -> None:
        if not (isinstance(input_type, type) and issubclass(input_type, Input)):
            raise DeclarationError(f"input = {input_type!r} is not an Input class: subclass gameserver.Input")
        config = input_type.__struct_config__
        if not config.array_like or config.tag is not None or config.forbid_unknown_fields:
            raise DeclarationError(
                f"{input_type.__name__}: inputs travel as arrays that may grow; leave array_like, tag and "
                f"forbid_unknown_fields alone"
            )
        fields = _describe_all(input_type)
        self.schema = InputSchema(name=input_type.__name__, fields=fields, per_tick=per_tick, missing=missing)
        self.neutral: Callable[[], Any] = input_type
        self._unbounded_floats = [
            field.name for field in fields if field.type == "float" and (field.low is None or field.high is None)
        ]
        message = msgspec.defstruct(
            "InputMessage",
            [("kind", int), ("header", InputHeader), ("values", input_type)],
            array_like=True,
            gc=False,
        )
        self._decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder(message).decode
        #: `decode` for the hot loop, which deals with `DECODE_ERRORS` itself: as a rule without a call in between.
        self.decode_bare: Callable[[bytes], Any] = self._decode_finite if self._unbounded_floats else self._decode

    def decode(self, payload: bytes) -> InputMessage:
        """Read an input message.

        Raises:
            ProtocolError: 4006 with the field named when a value does not fit, 1007 when it is not msgpack.
        """
        try:
            message: InputMessage = self.decode_bare(payload)
        except DECODE_ERRORS as error:
            raise self.refusal(error) from None
        return message

    def refusal(self, error: Exception) -> ProtocolError:
        """What one of `DECODE_ERRORS` means for the peer."""
        if isinstance(error, msgspec.ValidationError):
            return ProtocolError(CloseCode.BAD_INPUT, self._explain(str(error)))
        return ProtocolError(CloseCode.UNDECODABLE, f"not decodable msgpack: {error}")

    def _decode_finite(self, payload: bytes) -> Any:
        message = self._decode(payload)
        for name in self._unbounded_floats:
            if not math.isfinite(getattr(message.values, name)):
                at = [field.name for field in self.schema.fields].index(name)
                raise msgspec.ValidationError(f"Expected a finite `float` - at `$[2][{at}]`")
        return message

    def _explain(self, text: str) -> str:
        found = _PATH.search(text)
        if found is None or int(found[1]) >= len(self.schema.fields):
            return f"bad {self.schema.name}: {text}"
        return f"{self.schema.name}.{self.schema.fields[int(found[1])].name}: {text[: found.start()]}"


class InputQueue:
    """The inputs of one player that wait for their tick.

    As a rule one comes and one is taken in each tick, so the next one has a place of its own and the queue behind it is
    made only when a second one waits: with a thousand players, memory touched is time.

    Attributes:
        applied_sequence: of the newest input that was applied, 0 for none.
        next: the input that is taken next, None when none waits.
        last: the newest input that was applied, None before the first.
        dropped: inputs that were thrown away because too many waited.
        duplicates: inputs that came again, or too late to be in order.
        missed: ticks for which no new input was there, counted from the first input on.
    """

    __slots__ = (
        "_behind",
        "_received_sequence",
        "applied_sequence",
        "dropped",
        "duplicates",
        "last",
        "missed",
        "next",
    )

    def __init__(self) -> None:
        self.next: InputMessage | None = None
        self._behind: deque[InputMessage] | None = None
        self._received_sequence = 0
        self.applied_sequence = 0
        self.last: Any = None
        self.dropped = 0
        self.duplicates = 0
        self.missed = 0

    def __len__(self) -> int:
        return (self.next is not None) + (len(self._behind) if self._behind else 0)

    @property
    def received_sequence(self) -> int:
        """Of the newest input that has come, 0 for none."""
        return self._received_sequence

    def push(self, message: InputMessage) -> bool:
        """Add an input; False when it is a duplicate or older than one that came before."""
        sequence = message.header.sequence
        if sequence <= self._received_sequence:
            self.duplicates += 1
            return False
        self._received_sequence = sequence
        if self.next is None:
            self.next = message
        else:
            self._push_behind(message)
        return True

    def take(self, tick: int) -> Any:
        """The next new input whose tick has come, None when there is none.

        An input meant for a later tick waits for it, but at most `limits.INPUT_AHEAD_TICKS`; a late one is taken at
        once.
        """
        message = self.next
        if message is not None:
            header = message.header
            if header.tick <= tick or header.tick > tick + limits.INPUT_AHEAD_TICKS:
                self.next = self._behind.popleft() if self._behind else None
                self.applied_sequence = header.sequence
                self.last = values = message.values
                return values
        return None

    def fill(self, missing: MissingInput, neutral: Callable[[], Any]) -> Any:
        """What stands in for an input that did not come; None for nothing. To be called once in a tick.

        Args:
            neutral: makes an input of defaults; a new one each time, for the game may write to it.
        """
        if self.last is not None:
            self.missed += 1
            if missing == "repeat":
                return self.last
        return None if missing == "skip" else neutral()

    def _push_behind(self, message: InputMessage) -> None:
        if self._behind is None:
            self._behind = deque()
        self._behind.append(message)
        if len(self._behind) >= limits.INPUT_QUEUE_ITEMS:
            self.next = self._behind.popleft()
            self.dropped += 1


def inputs_of_tick(
    players: Iterable[Player], tick: int, most: int, missing: MissingInput, neutral: Callable[[], Any]
) -> list[tuple[Player, Any]]:
    """What each player does in a tick.

    Args:
        most: how many waiting inputs of a player are applied.
        missing: what one without a new input does.
        neutral: makes an input of defaults.
    """
    taken: list[tuple[Player, Any]] = []
    for player in players:
        queue = player.inputs
        values = queue.take(tick)
        if values is None:
            # Whoever has lost its connection must not go on doing what it did last.
            values = queue.fill(missing if player._held is None or missing == "skip" else "neutral", neutral)
            if values is not None:
                taken.append((player, values))
            continue
        taken.append((player, values))
        if most > 1 and queue.next is not None:
            taken += _more_inputs(player, tick, most - 1)
    return taken


def _more_inputs(player: Player, tick: int, most: int) -> list[tuple[Player, Any]]:
    taken: list[tuple[Player, Any]] = []
    while len(taken) < most and (values := player.inputs.take(tick)) is not None:
        taken.append((player, values))
    return taken


def _describe_all(input_type: type[Input]) -> tuple[InputField, ...]:
    try:
        fields = msgspec.structs.fields(input_type)
    except (TypeError, NameError) as error:
        raise DeclarationError(f"{input_type.__name__} has a field whose type cannot be read: {error}") from None
    return tuple(_describe(input_type, field) for field in fields)


def _describe(input_type: type[Input], field: msgspec.structs.FieldInfo) -> InputField:
    where = f"{input_type.__name__}.{field.name}"
    try:
        kind = msgspec.inspect.type_info(field.type)
        msgspec.msgpack.Decoder(field.type)  # finds bounds that the type cannot have
    except (TypeError, ValueError) as error:
        raise DeclarationError(f"{where}: {error}") from None
    type_name = _SCALARS.get(type(kind))
    if type_name is None:
        raise DeclarationError(f"{where} is of type {field.type!r}: an input holds bool, int, float, str or bytes")
    if field.default is msgspec.NODEFAULT:
        raise DeclarationError(f"{where} has no default: give one, it is what a missing value means")
    max_length = getattr(kind, "max_length", None)
    if type_name in ("str", "bytes") and max_length is None:
        raise DeclarationError(f"{where} needs a bound: Annotated[{type_name}, Meta(max_length=...)]")
    for told_to_nobody in ("gt", "lt", "multiple_of", "pattern", "min_length"):
        if getattr(kind, told_to_nobody, None) is not None:
            raise DeclarationError(f"{where}: clients are not told of {told_to_nobody}; use ge, le and max_length")
    low, high = getattr(kind, "ge", None), getattr(kind, "le", None)
    default = field.default
    try:
        msgspec.convert(default, field.type)
    except msgspec.ValidationError as error:
        raise DeclarationError(f"{where} = {default!r} does not fit its own type: {error}") from None
    if isinstance(default, float) and not math.isfinite(default):
        raise DeclarationError(f"{where} = {default!r} is not finite: no client could send it")
    return InputField(
        name=field.name,
        type=type_name,
        default=default,
        low=None if low is None else float(low),
        high=None if high is None else float(high),
        max_length=max_length,
    )
