"""The Python side passes the golden vectors, and the files are what ``python -m tools.vectors`` writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gameprotocol import (
    Frame,
    Hello,
    InputHeader,
    Kind,
    ProtocolError,
    Replica,
    Returned,
    Schema,
    Welcome,
    encode_acknowledge,
    encode_input,
    encode_message,
    encode_reply,
    encode_request,
    encode_resync,
    unpack_from_client,
    unpack_from_server,
)
from gameprotocol import _messages as messages
from gameserver.rooms.inputs import Input, InputCodec
from tools.vectors import write_all
from tools.vectors.fields import row_hash
from tools.vectors.layout import plain
from tools.vectors.replicas import play_one

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "protocol" / "vectors"
SUITES = ("replica", "refused", "fields", "hash", "digests", "messages", "hellos", "schemas", "refused-messages")


class Steer(Input):
    """The inputs in the vectors have two values more, which are skipped."""

    thrust: bool = False
    turn: float = 0.0
    slot: int = 0


def load(suite: str) -> list[Any]:
    """The vector files of one suite, as pytest parameters."""
    found = [(path.stem, json.loads(path.read_text())) for path in sorted(VECTORS.glob("*.json"))]
    return [pytest.param(vector, id=name) for name, vector in found if vector["suite"] == suite]


def read_and_apply(replica: Replica, payload: bytes) -> None:
    replica.apply(Frame.from_items(unpack_from_server(payload)))


def read_hello(payload: bytes) -> None:
    Hello.from_items(unpack_from_client(payload))


def refusal_of(act: Callable[[], object]) -> int:
    """The close code with which ``act`` is refused; 0 when it is not."""
    try:
        act()
    except ProtocolError as error:
        return int(error.code)
    return 0


def test_the_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    write_all(tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    kept = {path.name: path.read_bytes() for path in VECTORS.glob("*.json")}
    assert written.keys() == kept.keys()
    differing = [name for name in written if written[name] != kept[name]]
    assert not differing, "run python -m tools.vectors and look at what changed: an old client may not read it any more"


def test_every_file_is_small_and_says_what_it_is() -> None:
    for path in VECTORS.glob("*.json"):
        vector = json.loads(path.read_text())
        assert vector["description"].endswith("."), path.name
        assert vector["suite"] in SUITES, path.name
        assert path.stat().st_size < 48 * 1024, path.name


@pytest.mark.parametrize("vector", load("replica"))
def test_replica_holds_what_the_vectors_say(vector: Any) -> None:
    replica = Replica(Schema.from_wire(vector["schema"]))
    for step in vector["steps"]:
        expected = {key: item for key, item in step.items() if key not in ("note", "message")}
        assert play_one(replica, bytes.fromhex(step["message"])) == expected, step["note"]


def test_recorded_links_stay_in_sync() -> None:
    steps = [step for given in load("replica") if "recorded" in given.id for step in given.values[0]["steps"]]
    assert all(step["result"] == "applied" and step["in_sync"] for step in steps)
    assert sum(step["said_hash"] is not None for step in steps) >= 4


@pytest.mark.parametrize("vector", load("refused"))
def test_malformed_frames_are_refused(vector: Any) -> None:
    for case in vector["cases"]:
        replica = Replica(Schema.from_wire(vector["schema"]))
        read_and_apply(replica, bytes.fromhex(vector["before"]))
        assert refusal_of(partial(read_and_apply, replica, bytes.fromhex(case["message"]))) == 1007, case["note"]


@pytest.mark.parametrize("vector", load("schemas"))
def test_bad_schemas_are_refused(vector: Any) -> None:
    for case in vector["cases"]:
        assert refusal_of(partial(Schema.from_wire, case["schema"])) == 1007, case["note"]


@pytest.mark.parametrize("vector", load("fields"))
def test_values_of_integers(vector: Any) -> None:
    for case in vector["cases"]:
        field = Schema.from_wire({"tables": [{"name": "T", "fields": [case["field"]]}]}).tables[0].fields[0]
        assert (field.lowest, field.highest) == (case["lowest"], case["highest"])
        assert [plain(field.to_value(integer)) for integer in case["integers"]] == case["values"]


@pytest.mark.parametrize("vector", load("hash"))
def test_hashes(vector: Any) -> None:
    for row in vector["rows"]:
        assert row_hash(row["table"], row["id"], row["integers"]) == row["hash"]


def from_json(item: Any) -> Any:
    """The other way of `plain`."""
    if isinstance(item, dict):
        if item.keys() == {"bytes"}:
            return bytes.fromhex(item["bytes"])
        return {key: from_json(inner) for key, inner in item.items()}
    return [from_json(inner) for inner in item] if isinstance(item, list) else item


def encode(kind: str, items: list[Any]) -> bytes:
    """The bytes that this side's encoder gives for a message of a client."""
    if kind == "hello":
        return Hello(**items[1]).encode()
    if kind == "input":
        sequence, tick, acknowledged, client_time = items[1]
        return encode_input(sequence, tick, acknowledged, client_time, items[2])
    if kind == "acknowledge":
        return encode_acknowledge(*items[1:])
    return {"resync": encode_resync, "message": encode_message, "request": encode_request}[kind](*items[1:])


def test_client_messages_are_written_to_the_byte() -> None:
    (vector,) = (given.values[0] for given in load("messages") if given.values[0]["from"] == "client")
    for case in vector["cases"]:
        items = from_json(case["items"])
        assert items[0] == Kind[case["kind"].upper()], case["note"]
        assert encode(case["kind"], items).hex() == case["message"], case["note"]


def test_client_messages_are_understood_by_a_server() -> None:
    codec = InputCodec(Steer)
    (vector,) = (given.values[0] for given in load("messages") if given.values[0]["from"] == "client")
    for case in vector["cases"]:
        payload = bytes.fromhex(case["message"])
        items = unpack_from_client(payload)
        if case["kind"] == "input":
            assert codec.decode(payload).header == InputHeader(*items[1]), case["note"]
        elif case["kind"] == "acknowledge":
            assert messages.read_numbers(items, 2) == items[1:3]
        elif case["kind"] == "resync":
            assert messages.read_numbers(items, 3) == items[1:4]
            digests = messages.read_digests(items, 1)
            assert [digest.astype("<u4").tobytes() for digest in digests or []] == (items[4] if items[4:] else [])
        elif case["kind"] == "hello":
            hello = Hello.from_items(items)
            assert {name: getattr(hello, name) for name in items[1]} == items[1], case["note"]


def test_there_is_a_case_of_every_message_but_frames() -> None:
    kinds = {case["kind"] for given in load("messages") for case in given.values[0]["cases"]}
    assert kinds == {kind.name.lower() for kind in Kind} - {"frame"}


def test_server_messages_are_understood_by_a_client() -> None:
    (vector,) = (given.values[0] for given in load("messages") if given.values[0]["from"] == "server")
    for case in vector["cases"]:
        items = unpack_from_server(bytes.fromhex(case["message"]))
        assert items == from_json(case["items"])
        assert items[0] == Kind[case["kind"].upper()], case["note"]
        if case["kind"] == "welcome":
            check_welcome(items)
        elif case["kind"] == "returned":
            returned = Returned.from_items(items)
            assert {name: getattr(returned, name, 1) for name in items[1]} == items[1], case["note"]


def check_welcome(items: list[Any]) -> None:
    """A welcome is read as it says."""
    welcome = Welcome.from_items(items)
    told = {name: item for name, item in items[1].items() if name not in ("schema", "new_key")}
    assert {name: getattr(welcome, name) for name in told} == told
    schema = welcome.read_schema()
    assert [table.name for table in schema.tables] == ["Ship"]
    assert schema.input is not None
    given = items[1]["schema"]["input"]
    assert schema.input.per_tick == given.get("per_tick", 1)
    assert schema.input.missing == given.get("missing", "repeat")
    assert [field.default for field in schema.input.fields] == [field["default"] for field in given["fields"]]


def test_replies_are_written_as_the_vectors_have_them() -> None:
    (vector,) = (given.values[0] for given in load("messages") if given.values[0]["from"] == "server")
    replies = [from_json(case["items"]) for case in vector["cases"] if case["kind"] == "reply"]
    messages = [case["message"] for case in vector["cases"] if case["kind"] == "reply"]
    assert len(replies) == 5
    for (_, number, code, payload, *more), message in zip(replies, messages, strict=True):
        assert more or encode_reply(number, payload, code).hex() == message


@pytest.mark.parametrize("vector", load("refused-messages"))
def test_malformed_server_messages_are_refused(vector: Any) -> None:
    readers: dict[str, Callable[[Any], object]] = {"welcome": Welcome.from_items, "returned": Returned.from_items}
    cases = [case for case in vector["cases"] if case["kind"] in readers]  # a reply has no reader on this side
    assert len(cases) > 30
    for case in cases:
        items = unpack_from_server(bytes.fromhex(case["message"]))
        assert refusal_of(partial(readers[case["kind"]], items)) == 1007, case["note"]


@pytest.mark.parametrize("vector", load("hellos"))
def test_first_messages_are_taken_or_refused(vector: Any) -> None:
    for case in vector["cases"]:
        assert refusal_of(partial(read_hello, bytes.fromhex(case["message"]))) == case["close"], case["note"]
