"""What a replica holds after each message."""

from __future__ import annotations

from typing import Any

from gameprotocol import (
    BaselineError,
    Frame,
    ProtocolError,
    Replica,
    ReplicaTable,
    Schema,
    TableChanges,
    unpack_from_server,
)
from gameprotocol._fields import FieldKind, Reference, Value
from tools.vectors.layout import plain
from tools.vectors.topics import Json


def held_table(held: ReplicaTable) -> Json:
    """Everything that one table of a replica holds, by field name, in the order of the ids."""
    ids = held.ids
    result: dict[str, Json] = {"name": held.schema.name, "ids": ids.tolist(), "integers": {}, "values": {}}
    for i, kind in enumerate(held.schema.fields):
        result["integers"][kind.name] = held.integers[i, ids].tolist()
        result["values"][kind.name] = [field_value(held, i, kind, id) for id in ids.tolist()]
        if isinstance(kind, Value):
            result.setdefault("packed", {})[kind.name] = [held.objects[i][id].hex() for id in ids.tolist()]
    return result


def field_value(held: ReplicaTable, i: int, kind: FieldKind, id: int) -> Json:
    """One value as an author sees it; a reference as the id of the row it means, None when that is not held."""
    given = held.value(kind.name, id)
    if isinstance(kind, Reference):
        return None if given is None else given.id
    return plain(given)


def play(description: str, tables: list[dict[str, Any]], steps: list[tuple[str, bytes]]) -> Json:
    """A replica vector: what becomes of a new replica, message by message."""
    wire = {"tables": tables, "input": None}
    replica = Replica(Schema.from_wire(wire))
    told = [{"note": note, "message": message.hex(), **play_one(replica, message)} for note, message in steps]
    return {"description": description, "suite": "replica", "schema": wire, "steps": told}


def play_one(replica: Replica, message: bytes) -> dict[str, Json]:
    try:
        items = unpack_from_server(message)
        if items[0] != 3:
            return {"result": "skipped"}
        read = Frame.from_items(items)
        changes = replica.apply(read)
    except BaselineError:
        return {"result": "baseline"}
    except ProtocolError:
        return {"result": "refused"}
    names = ("tick", "back", "sequence", "margin_ms", "client_time", "waited_us", "window")
    return {
        "result": "applied",
        "header": {name: getattr(read.header, name) for name in names},
        "said_hash": read.hash,
        "held_hash": replica.hash(),
        "in_sync": replica.check(read),
        "changes": [told for told in map(change_of_table, changes) if any(list(told.values())[1:])],
        "tables": [held_table(held) for held in replica.tables],
    }


def change_of_table(change: TableChanges) -> dict[str, Json]:
    return {
        "table": change.table.schema.name,
        "spawned": change.spawned_ids.tolist(),
        "changed": change.changed_ids.tolist(),
        "despawned": change.despawned_ids.tolist(),
    }
