"""The hex examples of SPEC.md decode as the text beside them says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gameprotocol import (
    Frame,
    Hello,
    Kind,
    Replica,
    Returned,
    Welcome,
    encode_message,
    encode_reply,
    encode_request,
    unpack_from_client,
    unpack_from_server,
)
from gameprotocol._columns import unpack_column, unpack_ids
from gameprotocol._fields import Angle, Bool, FieldKind, Float32, Int, Uint
from gameprotocol._hashing import digest_buckets, rows_hash

SPEC = (Path(__file__).resolve().parents[2] / "protocol" / "SPEC.md").read_text()
_BLOCK = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(language, label, body) for language, label, body in _BLOCK.findall(SPEC) if language]
FIELDS: dict[str, FieldKind] = {
    "uint 32": Uint(name="n", bits=32),
    "int 16": Int(name="n", bits=16),
    "angle 10": Angle(name="n", bits=10),
    "bool": Bool(name="n"),
    "float32": Float32(name="n"),
}


def read_hex(body: str) -> bytes:
    """The bytes of a block, whose comments begin with a semicolon."""
    return bytes.fromhex(" ".join(line.partition(";")[0] for line in body.splitlines()))


def shown(item: Any) -> Any:
    """A decoded value as the blocks write it."""
    if isinstance(item, bytes):
        return {"bytes": item.hex()}
    if isinstance(item, list):
        return [shown(inner) for inner in item]
    return {key: shown(inner) for key, inner in item.items()} if isinstance(item, dict) else item


def examples() -> list[tuple[bytes, str]]:
    """Each block of hex with the JSON block behind it."""
    found = []
    for at, (language, _, body) in enumerate(BLOCKS):
        if language == "hex":
            assert BLOCKS[at + 1][:2] == ("json", ""), f"no JSON behind the hex block {body[:40]!r}"
            found.append((read_hex(body), BLOCKS[at + 1][2]))
    return found


def table_rows(header: str) -> list[list[str]]:
    """The rows of the table with this header line, cells stripped."""
    lines = SPEC.split(header + "\n", 1)[1].splitlines()[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def numbers(cell: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([int(number) for number in cell.split(",") if number.strip()], np.int64)


def test_there_is_an_example_of_every_message() -> None:
    assert {unpack_from_server(message)[0] for message, _ in examples()} == set(Kind)


@pytest.mark.parametrize(("message", "text"), examples())
def test_hex_decodes_to_the_json_beside_it(message: bytes, text: str) -> None:
    assert shown(unpack_from_server(message)) == json.loads(text)


def of_kind(kind: Kind) -> list[bytes]:
    """The examples of one kind of message."""
    return [message for message, _ in examples() if unpack_from_server(message)[0] == kind]


def test_hellos_are_what_the_code_writes() -> None:
    hellos = [Hello.from_items(unpack_from_client(message)) for message in of_kind(Kind.HELLO)]
    assert [hello.encode() for hello in hellos] == of_kind(Kind.HELLO)
    assert [(hello.method, hello.seat is None) for hello in hellos] == [
        ("join_or_create", True),
        ("join", True),
        ("join_or_create", False),
    ]


def test_welcome_and_returned_are_what_the_code_writes() -> None:
    (welcome_message,), (returned_message,) = of_kind(Kind.WELCOME), of_kind(Kind.RETURNED)
    welcome = Welcome.from_items(unpack_from_server(welcome_message))
    assert welcome.read_schema().tables[0].name == "Ship"
    assert unpack_from_server(welcome.encode()) == unpack_from_server(welcome_message)
    returned = Returned.from_items(unpack_from_server(returned_message))
    assert returned.encode() == returned_message
    assert returned.player == welcome.player
    assert returned.seat != welcome.seat


def test_messages_requests_and_replies_are_what_the_code_writes() -> None:
    for message in of_kind(Kind.MESSAGE):
        assert encode_message(*unpack_from_server(message)[1:]) == message
    for message in of_kind(Kind.REQUEST):
        assert encode_request(*unpack_from_server(message)[1:]) == message
    for message in of_kind(Kind.REPLY):
        _, number, code, payload = unpack_from_server(message)
        assert encode_reply(number, payload, code) == message


def test_frames_lead_to_the_states_that_are_shown() -> None:
    welcome = next(message for message, _ in examples() if unpack_from_server(message)[0] == 2)
    replica = Replica(Welcome.from_items(unpack_from_server(welcome)).read_schema(), player=12)
    tables = {table.schema.name: table for table in replica.tables}
    frames = [read_hex(body) for language, label, body in BLOCKS if (language, label) == ("hex", "frame")]
    states = [json.loads(body) for language, label, body in BLOCKS if (language, label) == ("json", "state")]
    assert len(frames) == len(states) == 4
    for payload, state in zip(frames, states, strict=True):
        frame = Frame.from_items(unpack_from_server(payload))
        replica.apply(frame)
        assert replica.check(frame)
        assert (replica.tick, replica.hash()) == (state.pop("tick"), state.pop("hash"))
        for table, columns in state.items():
            assert tables[table].ids.tolist() == columns.pop("ids")
            for name, values in columns.items():
                assert list(tables[table].column(name)) == values


def test_the_players_own_ship_shows_its_ammunition_while_it_is_known() -> None:
    welcome = next(message for message, _ in examples() if unpack_from_server(message)[0] == 2)
    replica = Replica(Welcome.from_items(unpack_from_server(welcome)).read_schema(), player=12)
    shown_ammo, changed = [], []
    for payload in (read_hex(body) for language, label, body in BLOCKS if (language, label) == ("hex", "frame")):
        (ships, *_) = replica.apply(Frame.from_items(unpack_from_server(payload)))
        shown_ammo.append({ship.id: ship.ammo for ship in replica["Ship"]})
        changed.append(ships.changed_ids.tolist())
    assert shown_ammo == [{2: 30, 5: None}, {2: 29, 5: None}, {2: 29, 9: None}, {2: None, 9: None}]
    assert changed == [[], [2, 5], [2], [2, 9]]


def test_buckets_of_digests() -> None:
    rows = table_rows("| tables | B |")
    told = {tables: int(buckets) for span, buckets in rows for tables in range(*ends(span))}
    assert told == {tables: digest_buckets(tables) for tables in range(1, 61)}
    assert digest_buckets(0) == digest_buckets(61) == 0


def ends(span: str) -> tuple[int, int]:
    """ "1 to 12" as the ends of a range."""
    first, last = span.split(" to ")
    return int(first), int(last) + 1


def test_id_examples() -> None:
    rows = table_rows("| ids, packed | rows of the set | ids |")
    assert len(rows) == 6
    for packed, held, ids in rows:
        found = unpack_ids(unpack_from_server(bytes.fromhex(packed)), numbers(held))
        assert found.tolist() == numbers(ids).tolist(), packed


def test_column_examples() -> None:
    rows = table_rows("| field | held | packed | integers |")
    assert len(rows) == 14
    for field, held, packed, integers in rows:
        before = numbers(held)
        found = unpack_column(FIELDS[field], unpack_from_server(bytes.fromhex(packed)), len(before), before)
        assert np.broadcast_to(found, before.shape).tolist() == numbers(integers).tolist(), packed


def test_hash_examples() -> None:
    rows = table_rows("| table | id | integers | row hash |")
    assert len(rows) == 4
    for table, id, integers, expected in rows:
        columns = [np.array([integer], np.int64) for integer in numbers(integers)]
        assert rows_hash(int(table), numbers(id), columns) == int(expected)
