"""The schema: which tables, fields and inputs a room has. It travels in the welcome; no client needs generated code."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gameprotocol._fields import AnyField
from gameprotocol.closing import CloseCode, ProtocolError


class TableSchema(msgspec.Struct, frozen=True, kw_only=True):
    """One entity type.

    Attributes:
        name: the entity class's name.
        fields: its replicated fields, in the order in which columns travel.
        single: true for room-wide state, a table with exactly one row whose id is 1.
        of: for a companion table the index of its main table: it holds further fields of that table's rows, of those
            rows alone whose audience the player belongs to. None for a main table.
    """

    name: str
    fields: tuple[AnyField, ...]
    single: bool = False
    of: int | None = None


class InputField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One field of an input.

    Attributes:
        type: ``bool``, ``int``, ``float``, ``str`` or ``bytes``.
        default: what a missing value means.
        low, high: inclusive bounds, or None; for numbers only.
        max_length: for str (characters) and bytes, else None.
    """

    name: str
    type: Literal["bool", "int", "float", "str", "bytes"]
    default: Any = None
    low: float | None = None
    high: float | None = None
    max_length: int | None = None


class InputSchema(msgspec.Struct, frozen=True, kw_only=True):
    """The input class of a room; its values travel as an array in the order of ``fields``.

    Attributes:
        per_tick: how many waiting inputs of a player are applied in one tick.
        missing: what a player without a new input does: ``repeat`` its last, ``neutral`` defaults, ``skip`` nothing.
    """

    name: str
    fields: tuple[InputField, ...]
    per_tick: Annotated[int, Meta(ge=1)] = 1
    missing: Literal["repeat", "neutral", "skip"] = "repeat"


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """All that a client must know to read the room's frames and to send it inputs."""

    tables: tuple[TableSchema, ...]
    input: InputSchema | None = None

    def to_wire(self) -> Any:
        """Plain maps and arrays, as they travel."""
        return msgspec.to_builtins(self, builtin_types=(bytes,))

    @classmethod
    def from_wire(cls, wire: Any) -> Schema:
        """Read what `to_wire` made. Unknown keys are skipped.

        Raises:
            ProtocolError: a key is missing or wrong, or a field is of a kind that this version does not know.
        """
        try:
            schema = msgspec.convert(wire, cls)
        except (msgspec.ValidationError, RecursionError) as error:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad schema: {error}") from None
        if len({table.name for table in schema.tables}) < len(schema.tables):
            raise ProtocolError(CloseCode.UNDECODABLE, "bad schema: two tables of one name")
        for table in schema.tables:
            for field in table.fields:
                if hasattr(field, "table") and not 0 <= field.table < len(schema.tables):
                    raise ProtocolError(
                        CloseCode.UNDECODABLE, f"bad schema: {table.name}.{field.name} refers to no table"
                    )
        return schema
