"""The schema: which tables, fields and inputs a room has. It travels in the welcome; no client needs generated code."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gameprotocol._fields import AnyField, Reference
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
        why = schema._defect()
        if why:
            raise ProtocolError(CloseCode.UNDECODABLE, f"bad schema: {why}")
        return schema

    def _defect(self) -> str:
        """What is wrong besides single values; empty if nothing is."""
        tables = self.tables
        if len({table.name for table in tables}) < len(tables):
            return "two tables of one name"
        names: list[set[str]] = [set() for _ in tables]  # of fields, by the index of the main table
        for index, table in enumerate(tables):
            if table.of is not None and (table.single or not self._is_main(table.of)):
                return f"{table.name} is a companion of no table, or is single"
            known = names[index if table.of is None else table.of]
            for field in table.fields:
                if field.name in known:
                    return f"{table.name}.{field.name} is there twice"
                known.add(field.name)
                if isinstance(field, Reference) and not self._is_main(field.table):
                    return f"{table.name}.{field.name} refers to no table"
        return ""

    def _is_main(self, index: int) -> bool:
        return 0 <= index < len(self.tables) and self.tables[index].of is None
