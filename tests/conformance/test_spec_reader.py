"""A second reader, written from SPEC.md alone in plain Python, agrees with the golden vectors.

It shares nothing with ``gameprotocol`` and stands for the client that somebody else writes: if SPEC.md or the vectors
say something that the reference replica does not do, the two differ here. It is slow and checks everything.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
U32 = 0xFFFFFFFF
PARAMETERS: dict[str, list[tuple[str, float, float]]] = {
    "fixed": [("low", -1e300, 1e300), ("step", 5e-324, 1e300), ("count", 2, 1 << 32)],
    "angle": [("bits", 4, 16)],
    "uint": [("bits", 1, 32)],
    "int": [("bits", 2, 32)],
    "float32": [],
    "bool": [],
    "reference": [("table", 0, 65535)],
    "owner": [],
    "text": [("max_bytes", 1, 65535)],
    "bytes": [("max_bytes", 1, 65535)],
    "value": [("max_bytes", 1, 65535)],
}
NOBODY = {"text": "", "bytes": b"", "value": b"\xc0"}


class RefusedError(Exception):
    """A malformed message."""


class WrongBaselineError(Exception):
    """A delta that does not start where the reader is."""


def want(condition: bool, why: str) -> None:
    if not condition:
        raise RefusedError(why)


def is_int(item: Any) -> bool:
    return type(item) is int


def no_extension(code: int, data: bytes) -> None:
    raise RefusedError(f"extension type {code}")


def decode(message: bytes) -> Any:
    try:
        return msgpack.unpackb(message, ext_hook=no_extension, timestamp=0, max_ext_len=0)
    except Exception as error:
        raise RefusedError(str(error)) from None


# -- schema ------------------------------------------------------------------------------------------------------------


def bounds(field: dict[str, Any]) -> tuple[int, int]:
    """Lowest and highest integer of a field."""
    kind = field["kind"]
    if kind == "fixed":
        return 0, field["count"] - 1
    if kind in ("angle", "uint"):
        return 0, 2 ** field["bits"] - 1
    if kind == "int":
        return -(2 ** (field["bits"] - 1)), 2 ** (field["bits"] - 1) - 1
    return 0, {"float32": U32, "bool": 1, "reference": 2097152, "owner": 65535}[kind]


def to_value(field: dict[str, Any], integer: int) -> Any:
    """The value that an integer stands for."""
    kind = field["kind"]
    if kind == "fixed":
        return field["low"] + integer * field["step"]
    if kind == "angle":
        return integer * (2 * math.pi / 2 ** field["bits"])
    if kind == "float32":
        return struct.unpack("<f", struct.pack("<I", integer))[0]
    return bool(integer) if kind == "bool" else integer


def check_schema(schema: dict[str, Any]) -> None:
    want(isinstance(schema.get("tables"), list), "tables")
    for table in schema["tables"]:
        want(isinstance(table.get("name"), str) and type(table.get("single", False)) is bool, "a table")
        want(isinstance(table.get("fields"), list), "fields")
        for field in table["fields"]:
            check_field(field, len(schema["tables"]))
    check_companions(schema["tables"])
    given = schema.get("input")
    if given is not None:
        want(isinstance(given.get("name"), str) and isinstance(given.get("fields"), list), "an input")
        want(is_int(given.get("per_tick", 1)) and isinstance(given.get("missing", ""), str), "an input's rules")


def check_companions(tables: list[dict[str, Any]]) -> None:
    """What a companion may be of, names over a table and its companions, and what references point to."""
    mains = [index for index, table in enumerate(tables) if table.get("of") is None]
    names: dict[int, list[str]] = {index: [] for index in mains}
    for index, table in enumerate(tables):
        main = table.get("of", index) if index not in mains else index
        want(is_int(main) and main in mains, "a companion of no table")
        want(index in mains or not table.get("single", False), "a companion that is single")
        names[main] += [field["name"] for field in table["fields"]]
        want(all(field["table"] in mains for field in table["fields"] if field["kind"] == "reference"), "a reference")
    want(all(len(set(found)) == len(found) for found in names.values()), "names")


def check_field(field: dict[str, Any], tables: int) -> None:
    want(isinstance(field.get("name"), str) and field.get("kind") in PARAMETERS, "a field")
    for name, low, high in PARAMETERS[field["kind"]]:
        given: Any = field.get(name)
        want(is_int(given) or (isinstance(low, float) and isinstance(given, float)), "a number")
        want(low <= given <= high, "range")
    want(field["kind"] != "reference" or field["table"] < tables, "a table")


# -- ids and columns ---------------------------------------------------------------------------------------------------


def bits(packed: bytes, rows: int) -> list[int]:
    want(len(packed) == (rows + 7) // 8, "length of bits")
    return [packed[row // 8] >> row % 8 & 1 for row in range(rows)]


def bins(packed: Any) -> list[bytes]:
    want(isinstance(packed, list) and 1 <= len(packed) <= 2, "one or two bins")
    want(all(isinstance(item, bytes) for item in packed), "bins")
    return [packed[0], packed[1] if len(packed) == 2 else b""]


def read_ids(packed: Any, held: list[int]) -> list[int]:
    if packed is None:
        return list(held)
    if isinstance(packed, bytes):
        return [id for id, bit in zip(held, bits(packed, len(held)), strict=True) if bit]
    return read_gaps(packed)


def read_gaps(packed: Any) -> list[int]:
    gaps, wide = bins(packed)
    want(len(wide) == 4 * gaps.count(255), "wide gaps")
    want(len(packed) == 1 or 255 in gaps, "a second bin without an escape")
    large = iter(struct.unpack(f"<{len(wide) // 4}I", wide))
    ids, id = [], 0
    for gap in gaps:
        step = next(large) if gap == 255 else gap
        want(step > 0, "ids ascend")
        id += step
        ids.append(id)
    return ids


def read_absolute(packed: bytes, rows: int, signed: bool) -> list[int]:
    if not rows:
        want(not packed, "bytes for no rows")
        return []
    width = len(packed) // rows
    want(width in (1, 2, 4) and width * rows == len(packed), "width")
    return [int.from_bytes(packed[at : at + width], "little", signed=signed) for at in range(0, len(packed), width)]


def read_column(field: dict[str, Any], packed: Any, held: list[int]) -> list[int]:
    """New integers; ``held`` are those that the rows have now."""
    kind, rows = field["kind"], len(held)
    signed = kind == "int"
    if is_int(packed):
        values = [packed] * rows
    elif isinstance(packed, bytes):
        values = bits(packed, rows) if kind == "bool" else read_absolute(packed, rows, signed)
    else:
        want(kind not in ("bool", "float32"), "no differences here")
        small, escaped = bins(packed)
        want(len(small) == rows, "differences for all rows")
        steps = struct.unpack(f"<{rows}b", small)
        want((len(packed) == 2) == (-128 in steps), "a second bin for escapes")
        absolute = iter(read_absolute(escaped, steps.count(-128), signed))
        sums = [old + step for old, step in zip(held, steps, strict=True)]
        if kind == "angle":
            sums = [number % 2 ** field["bits"] for number in sums]
        values = [next(absolute) if step == -128 else number for number, step in zip(sums, steps, strict=True)]
    low, high = bounds(field)
    want(all(low <= number <= high for number in values), "range")
    return values


def known(parts: list[Any]) -> Iterator[list[Any]]:
    """Chunks or blocks without those of a kind that a later version adds."""
    for part in parts:
        want(isinstance(part, list) and bool(part), "an array")
        if not (is_int(part[0]) and part[0] < 0):
            yield part


# -- the reader --------------------------------------------------------------------------------------------------------


class Reader:
    """Holds, per table and id, a list of integers and objects in the order of the fields."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schemas = schema["tables"]
        self.rows: list[dict[int, list[Any]]] = [{} for _ in self.schemas]
        self.tick = 0
        self.usable = False

    def apply(self, message: bytes) -> dict[str, Any]:
        items = decode(message)
        want(isinstance(items, list) and bool(items) and is_int(items[0]), "an array with a kind")
        if items[0] != 3:
            return {"result": "skipped"}
        header, said = read_header(items)
        tick, back = header["tick"], header["back"]
        if back and (not self.usable or tick - back != self.tick):
            raise WrongBaselineError
        self.usable = False
        before = [set(rows) for rows in self.rows]
        if not back:
            self.rows = [{} for _ in self.schemas]
        written = self.apply_chunks(items[3:])
        self.usable, self.tick = True, tick
        return {
            "result": "applied",
            "header": header,
            "said_hash": said,
            "held_hash": self.hash(),
            "in_sync": said is None or said == self.hash(),
            "changes": self.changes(before, written),
            "tables": [self.held(index) for index in range(len(self.schemas))],
        }

    def apply_chunks(self, items: list[Any]) -> list[set[int]]:
        chunks = list(known(items))
        for chunk in chunks:
            want(len(chunk) >= 4, "a chunk")
            want(is_int(chunk[0]) and chunk[0] < len(self.schemas), "a table")
        written: list[set[int]] = [set() for _ in self.schemas]
        before = [sorted(rows) for rows in self.rows]
        for table, _, removed, *_ in chunks:
            if removed is not None:
                for id in read_ids(removed, before[table]):
                    want(id in self.rows[table], "held")
                    del self.rows[table][id]
        held = [sorted(rows) for rows in self.rows]
        for table, _, _, whole, *_ in chunks:
            if whole is not None:
                written[table].update(self.put_whole(table, whole))
        for table, scope, _, _, *blocks in chunks:
            rows = held[table] if scope is None else read_gaps(scope)
            want(all(id in self.rows[table] for id in rows), "a scope of rows that are there")
            for block in known(blocks):
                written[table].update(self.put_block(table, block, rows))
        return written

    def put_whole(self, table: int, whole: Any) -> list[int]:
        fields = self.schemas[table]["fields"]
        want(isinstance(whole, list) and len(whole) == 1 + len(fields), "ids and a column for each field")
        ids = read_gaps(whole[0])
        want(not ids or ids[-1] <= 2097152, "largest id")
        for id in ids:
            self.rows[table][id] = [NOBODY.get(field["kind"], 0) for field in fields]
        for at, column in enumerate(whole[1:]):
            self.put_column(table, ids, at, column)
        return ids

    def put_block(self, table: int, block: list[Any], scope: list[int]) -> list[int]:
        want(len(block) >= 3 and len(block) % 2 == 1, "a block of ids and pairs")
        ids = read_ids(block[0], scope)
        want(all(id in self.rows[table] for id in ids), "held")
        for at in range(1, len(block), 2):
            want(is_int(block[at]) and 0 <= block[at] < len(self.schemas[table]["fields"]), "a field")
            self.put_column(table, ids, block[at], block[at + 1])
        return ids

    def put_column(self, table: int, ids: list[int], at: int, packed: Any) -> None:
        rows, field = self.rows[table], self.schemas[table]["fields"][at]
        if field["kind"] in NOBODY:
            wanted = str if field["kind"] == "text" else bytes
            want(isinstance(packed, list) and len(packed) == len(ids), "one item a row")
            want(all(isinstance(item, wanted) for item in packed), "items of the right type")
            values = packed
        else:
            values = read_column(field, packed, [rows[id][at] for id in ids])
        for id, value in zip(ids, values, strict=True):
            rows[id][at] = value

    def changes(self, before: list[set[int]], written: list[set[int]]) -> list[dict[str, Any]]:
        """What happened to the rows of main tables; what happened to a companion's rows changed them."""
        changes = []
        mains = [table.get("of") for table in self.schemas]
        for companion, main in enumerate(mains):
            if main is not None:
                news = written[companion] | before[companion] - self.rows[companion].keys()
                written[main] |= news & self.rows[main].keys()
        for table, ids_before, rows, ids_written in zip(self.schemas, before, self.rows, written, strict=True):
            if table.get("of") is not None:
                continue
            parts = (rows.keys() - ids_before, ids_written & ids_before, ids_before - rows.keys())
            if any(parts):
                names = ("spawned", "changed", "despawned")
                ids = dict(zip(names, map(sorted, parts), strict=True))
                changes.append({"table": table["name"], **ids})
        return changes

    def held(self, table: int) -> dict[str, Any]:
        """What a table holds, as the vectors show it."""
        rows, schema = self.rows[table], self.schemas[table]
        ids = sorted(rows)
        shown: dict[str, Any] = {"name": schema["name"], "ids": ids, "integers": {}, "values": {}}
        for at, field in enumerate(schema["fields"]):
            column = [rows[id][at] for id in ids]
            shown["integers"][field["name"]] = [as_integer(value) for value in column]
            shown["values"][field["name"]] = [self.shown_value(field, value) for value in column]
            if field["kind"] == "value":
                shown.setdefault("packed", {})[field["name"]] = [value.hex() for value in column]
        return shown

    def shown_value(self, field: dict[str, Any], value: Any) -> Any:
        if field["kind"] == "reference":
            return value if value in self.rows[field["table"]] else None
        if field["kind"] == "value":
            return shown(decode(value))
        return shown(value if field["kind"] in NOBODY else to_value(field, value))

    def hash(self) -> int:
        return sum(
            row_hash(table, id, [as_integer(value) for value in row])
            for table, rows in enumerate(self.rows)
            for id, row in rows.items()
        ) % (1 << 32)


def read_header(items: list[Any]) -> tuple[dict[str, Any], int | None]:
    want(len(items) >= 3 and isinstance(items[1], list) and len(items[1]) >= 3, "a header and a hash")
    names = ("tick", "back", "sequence", "margin_ms", "client_time", "waited_us", "window")
    header = {**dict.fromkeys(names), "window": 0, **dict(zip(names, items[1], strict=False))}
    want(is_int(header["window"]) and 0 <= header["window"] <= 65535, "window")
    want(all(is_int(header[name]) and 0 <= header[name] <= U32 for name in names[:3]), "numbers")
    want(header["back"] <= 0xFFFF, "back")
    want(header["margin_ms"] is None or is_int(header["margin_ms"]), "margin")
    for number in (items[2], header["client_time"], header["waited_us"]):
        want(number is None or (is_int(number) and 0 <= number <= U32), "numbers")
    return header, items[2]


# -- messages besides frames -------------------------------------------------------------------------------------------


def want_key(told: Any, key: str, fits: Callable[[Any], bool], *default: Any) -> None:
    """A key of a map, which may be left out if it has a default."""
    want(isinstance(told, dict) and (key in told or bool(default)), f"{key} is missing")
    want(fits(told.get(key, *default)), key)


def is_text(item: Any) -> bool:
    return type(item) is str


def is_u32(item: Any) -> bool:
    return is_int(item) and 0 <= item <= U32


def is_player(item: Any) -> bool:
    return is_int(item) and 1 <= item <= 65535


def is_seconds(item: Any) -> bool:
    return type(item) in (int, float) and item >= 0


def check_server_message(message: bytes) -> None:
    """Refuse a malformed message of a server that is no frame."""
    items = decode(message)
    want(isinstance(items, list) and bool(items) and is_int(items[0]), "an array with a kind")
    want(len(items) >= {2: 2, 5: 3, 9: 4, 10: 2}[items[0]], "items")
    if items[0] == 2:
        for key in ("room", "room_id"):
            want_key(items[1], key, is_text)
        want_key(items[1], "player", is_player)
        want_key(items[1], "tick", is_u32)
        want_key(items[1], "tick_rate", lambda rate: type(rate) in (int, float) and (rate == 0 or 0.001 <= rate <= 1e4))
        want_key(items[1], "schema", lambda schema: isinstance(schema, dict))
        check_schema(items[1]["schema"])
        want_key(items[1], "message_bytes", is_u32, 4096)
        want_key(items[1], "server", is_text, "")
        want_key(items[1], "seat", lambda seat: seat is None or is_text(seat), None)
        want_key(items[1], "seat_seconds", is_seconds, 0.0)
        want_key(items[1], "spectator", lambda spectator: type(spectator) is bool, False)
        want_key(items[1], "delay_seconds", is_seconds, 0.0)
    elif items[0] == 5:
        want(is_text(items[1]), "a name")
    elif items[0] == 9:
        want(is_u32(items[1]) and (items[2] is None or is_text(items[2])), "a reply")
    else:
        want_key(items[1], "player", is_player)
        want_key(items[1], "tick", is_u32)
        want_key(items[1], "seat", is_text)
        want_key(items[1], "seat_seconds", is_seconds, 0.0)
        want_key(items[1], "inputs", is_u32, 0)
        want_key(items[1], "messages", is_u32, 0)


# -- values and hashes -------------------------------------------------------------------------------------------------


def as_integer(value: Any) -> int:
    """The integer that stands for a value in the desync hash."""
    if isinstance(value, (str, bytes)):
        return zlib.crc32(value.encode() if isinstance(value, str) else value)
    return int(value)


def row_hash(table: int, id: int, row: list[int]) -> int:
    mixed = 2166136261 ^ table
    for word in (id, *row):
        mixed = (mixed ^ word % (1 << 32)) * 16777619 % (1 << 32)
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B % (1 << 32)
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 % (1 << 32)
    return mixed ^ mixed >> 16


def digests(tables: int, rows: list[dict[str, Any]]) -> list[str]:
    """What a resync says of these rows, in hex."""
    if not 0 < tables <= 60:
        return []
    buckets = max(2**power for power in range(7) if tables * 4 * 2**power <= 3072)
    sums = [[0] * buckets for _ in range(tables)]
    for row in rows:
        sums[row["table"]][row["id"] % buckets] += row_hash(row["table"], row["id"], row["integers"])
    return [b"".join(struct.pack("<I", number % (1 << 32)) for number in of_table).hex() for of_table in sums]


def shown(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return {key: shown(item) for key, item in value.items()} if isinstance(value, dict) else value


# -- the tests ---------------------------------------------------------------------------------------------------------


def load(suite: str) -> list[Any]:
    """The vector files of one suite, as pytest parameters."""
    found = [(path.stem, json.loads(path.read_text())) for path in sorted(VECTORS.glob("*.json"))]
    return [pytest.param(vector, id=name) for name, vector in found if vector["suite"] == suite]


def refused_messages() -> list[Any]:
    """Each malformed message of a server, as a pytest parameter."""
    cases = [case for given in load("refused-messages") for case in given.values[0]["cases"]]
    return [pytest.param(bytes.fromhex(case["message"]), case, id=case["note"]) for case in cases]


def outcome(reader: Reader, message: str) -> dict[str, Any]:
    """What becomes of a message, as the vectors show it."""
    try:
        return reader.apply(bytes.fromhex(message))
    except WrongBaselineError:
        return {"result": "baseline"}
    except RefusedError:
        return {"result": "refused"}


@pytest.mark.parametrize("vector", load("replica"))
def test_holds_what_the_vectors_say(vector: Any) -> None:
    reader = Reader(vector["schema"])
    for step in vector["steps"]:
        expected = {key: item for key, item in step.items() if key not in ("note", "message")}
        assert outcome(reader, step["message"]) == expected, step["note"]


@pytest.mark.parametrize("vector", load("refused"))
def test_refuses_what_is_malformed(vector: Any) -> None:
    for case in vector["cases"]:
        reader = Reader(vector["schema"])
        reader.apply(bytes.fromhex(vector["before"]))
        assert outcome(reader, case["message"])["result"] == "refused", case["note"]


@pytest.mark.parametrize("vector", load("schemas"))
def test_refuses_bad_schemas(vector: Any) -> None:
    for case in vector["cases"]:
        with pytest.raises(RefusedError):
            check_schema(case["schema"])


@pytest.mark.parametrize("vector", load("replica") + load("refused"))
def test_takes_good_schemas(vector: Any) -> None:
    check_schema(vector["schema"])


@pytest.mark.parametrize("vector", load("fields"))
def test_values_of_integers(vector: Any) -> None:
    for case in vector["cases"]:
        assert [*bounds(case["field"])] == [case["lowest"], case["highest"]]
        assert [shown(to_value(case["field"], integer)) for integer in case["integers"]] == case["values"]


@pytest.mark.parametrize("vector", load("hash"))
def test_hashes(vector: Any) -> None:
    found = [row_hash(row["table"], row["id"], row["integers"]) for row in vector["rows"]]
    assert found == [row["hash"] for row in vector["rows"]]
    assert sum(found) % (1 << 32) == vector["sum"]


@pytest.mark.parametrize("vector", load("digests"))
def test_digests(vector: Any) -> None:
    for case in vector["cases"]:
        found = digests(case["tables"], case["rows"])
        assert found == case["digests"], case["note"]
        assert {len(digest) for digest in found} <= {8 * case["buckets"]}


@pytest.mark.parametrize("vector", load("messages"))
def test_items_of_messages(vector: Any) -> None:
    for case in vector["cases"]:
        assert shown(decode(bytes.fromhex(case["message"]))) == case["items"], case["note"]


@pytest.mark.parametrize("vector", load("messages"))
def test_takes_good_server_messages(vector: Any) -> None:
    for case in vector["cases"] if vector["from"] == "server" else []:
        check_server_message(bytes.fromhex(case["message"]))


def test_there_are_malformed_server_messages_of_each_kind() -> None:
    assert {given.values[1]["kind"] for given in refused_messages()} == {"welcome", "returned", "reply"}


@pytest.mark.parametrize(("message", "case"), refused_messages())
def test_refuses_malformed_server_messages(message: bytes, case: Any) -> None:
    with pytest.raises(RefusedError):
        check_server_message(message)
