"""Values of integers, the desync hash, and the digests that narrow down where it differs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gameprotocol import Frame, Replica, Schema, unpack_from_server
from gameprotocol._columns import pack_ids
from gameprotocol._hashing import digest_buckets, rows_hash
from tools.vectors.building import chunk, field, frame, table
from tools.vectors.layout import plain
from tools.vectors.topics import Json, topic

_FIELD_CASES: Final[list[tuple[dict[str, Any], list[int]]]] = [
    (field("fixed", "x", low=0.0, step=0.0625, count=64001), [0, 1, 32000, 64000]),
    (field("fixed", "x", low=-5.0, step=0.1, count=101), [0, 3, 50, 100]),
    (field("fixed", "x", low=-1000000.0, step=0.001, count=2000000001), [0, 1000000000, 2000000000]),
    (field("angle", "a", bits=8), [0, 1, 64, 255]),
    (field("angle", "a", bits=16), [0, 1, 32768, 65535]),
    (field("uint", "n", bits=1), [0, 1]),
    (field("uint", "n", bits=32), [0, 4294967295]),
    (field("int", "n", bits=8), [-128, -1, 0, 127]),
    (field("int", "n", bits=32), [-2147483648, 2147483647]),
    (field("float32", "f"), [0, 0x3F800000, 0xC0490FDB, 0x00000001, 0x7F7FFFFF]),
    (field("bool", "b"), [0, 1]),
    (field("owner", "owner"), [0, 1, 65535]),
]


@topic("fields")
def fields() -> Json:
    """Integers and the values they stand for."""
    cases = []
    for wire, integers in _FIELD_CASES:
        kind = Schema.from_wire({"tables": [table("T", wire)]}).tables[0].fields[0]
        values = [plain(kind.to_value(integer)) for integer in integers]
        cases.append(
            {"field": wire, "lowest": kind.lowest, "highest": kind.highest, "integers": integers, "values": values}
        )
    return {"description": "Integer to value, for each numeric kind of field.", "suite": "fields", "cases": cases}


@topic("hash")
def hashes() -> Json:
    """Single rows and a sum."""
    rows: list[tuple[int, int, list[int]]] = [
        (0, 1, []),
        (0, 1, [0]),
        (1, 1, [0]),
        (0, 2, [0]),
        (0, 1, [100, 200]),
        (0, 1, [200, 100]),
    ]
    rows += [(2, 2097152, [4294967295, -1]), (0, 7, [-2147483648, 2147483647, 65535])]
    cases = [{"table": t, "id": id, "integers": row, "hash": row_hash(t, id, row)} for t, id, row in rows]
    total = sum(row_hash(*row) for row in rows) & 0xFFFFFFFF
    return {"description": "The hash of single rows, and their sum.", "suite": "hash", "rows": cases, "sum": total}


@topic("digests")
def digests() -> Json:
    """What a resync says of the rows held."""
    rows = [(0, 1, [7]), (0, 8, [8]), (0, 65, [9]), (0, 2097152, [10])]
    cases = [
        _digests("one table: 64 buckets; ids 1 and 65 share one", 1, rows),
        _digests("12 tables: 64 buckets still; two of them hold rows", 12, [*rows, (11, 63, [1]), (11, 64, [2])]),
        _digests("13 tables: 32 buckets", 13, [*rows, (12, 31, [1]), (12, 32, [2])]),
        _digests("60 tables: 8 buckets", 60, [*rows, (59, 7, [1]), (59, 16, [2])]),
        _digests("61 tables: no digests", 61, rows),
        _digests("no table: no digests", 0, []),
    ]
    return {"description": "What a client says of the rows it holds in a resync.", "suite": "digests", "cases": cases}


def _digests(note: str, tables: int, rows: list[tuple[int, int, list[int]]]) -> Json:
    """A case: a world of so many tables, each with one field, and what its replica tells."""
    schema = Schema.from_wire({"tables": [table(f"T{n}", field("uint", "n", bits=32)) for n in range(tables)]})
    replica = Replica(schema)
    chunks = [chunk(t, whole=[pack_ids(np.array([id])), *row]) for t, id, row in rows]
    replica.apply(Frame.from_items(unpack_from_server(frame(1, 0, *chunks))))
    held = [{"table": t, "id": id, "integers": row} for t, id, row in rows]
    told = [digest.hex() for digest in replica.digests()]
    return {"note": note, "tables": tables, "buckets": digest_buckets(tables), "rows": held, "digests": told}


def row_hash(table_index: int, id: int, row: list[int]) -> int:
    return rows_hash(table_index, np.array([id], np.int64), [np.array([integer], np.int64) for integer in row])
