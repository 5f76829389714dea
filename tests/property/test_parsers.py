"""Every parser of what a peer sends, under mutated and arbitrary bytes: events or one documented error, nothing else.

And what it may cost: a message of 4 KiB that claims more than it holds takes bounded memory on either side.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gameprotocol import (
    Frame,
    ProtocolError,
    Replica,
    Schema,
    decode_frame_header,
    limits,
    pack,
    unpack_from_client,
    unpack_from_server,
)
from gameserver.rooms.inputs import InputCodec
from tests.fuzz.corpus import FRAME_SCHEMA, FULL_FRAME
from tests.fuzz.from_clients import Everything
from tests.fuzz.targets import TARGETS
from tests.support.examples import examples

# -- invariants --------------------------------------------------------------------------------------------------------

#: Targets that defects fail which are listed in `FOUND`; not strict, because what is tried may miss them.
some_targets = pytest.mark.parametrize("name", [*TARGETS])


@some_targets
def test_a_target_says_its_invariant_first(name: str) -> None:
    assert "nothing else" in TARGETS[name].invariant


@some_targets
def test_the_corpus(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)


@some_targets
@examples(60, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_events_or_one_documented_error(name: str, data: st.DataObject) -> None:
    TARGETS[name].check(data.draw(TARGETS[name].inputs, label="input"))


_ACCEPTED: Final = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: <accept>\r\n"
_WELCOME: Final = {"room": "r", "room_id": "1", "player": 7, "tick": 1, "schema": FRAME_SCHEMA}
#: An empty world, and the round trip of a client whose clock says 5000 s.
TIMED_FULL_FRAME: Final = pack([3, [10, 0, 0, 5, 5_000_000_000 % (1 << 32), 0, 5], None])


def in_one(*messages: bytes) -> bytes:
    """An input of a target that reads several messages."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


#: What fuzzing has found, made small.
FOUND: Final = [
    # UnicodeDecodeError leaves the session
    ("upgrade_answer", _ACCEPTED + b"Connection: \xff\r\n\r\n"),
    # no body yet means its end
    ("upgrade_answer", b"HTTP/1.1 400 x\r\nContent-Length: 2\r\n\r\nno"),
    # what comes behind a Close is heard
    ("client_link", b"\x88\x02\x03\xe8\x82\x02hi"),
    (
        "session",
        in_one(pack([2, {**_WELCOME, "tick_rate": float("inf")}]), TIMED_FULL_FRAME, b""),
    ),  # ZeroDivisionError leaves send_input
    # RecursionError leaves the bot
    ("frame_header", pack([3, [1, 0, 0], None])[:-1] + b"\x91" * 3000),
]


@pytest.mark.parametrize(("name", "data"), FOUND)
def test_what_was_found_once(name: str, data: bytes) -> None:
    TARGETS[name].check(data)


def test_a_row_that_refers_to_itself_can_be_shown() -> None:
    world = filled()
    thing = world["Thing"].get(2)
    assert thing is not None
    assert thing.friend == thing
    assert "2" in repr(thing)


# -- memory ------------------------------------------------------------------------------------------------------------

#: The most that any message of `limits.CLIENT_MESSAGE_BYTES` may cost while it is read.
_MOST_BYTES: Final = 256 * 1024
#: The same for one of a server, for each of its bytes: 72 for an empty map in an array, 92 for a map in a map.
_MOST_BYTES_PER_BYTE: Final = 100


def peak_bytes(act: Callable[[], object]) -> int:
    """The most memory that ``act`` held at any time, whether it is refused or not."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        act()
        return tracemalloc.get_traced_memory()[1] - before
    except ProtocolError:
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def _fill(opening: bytes, unit: bytes) -> bytes:
    """``opening`` and as many of ``unit`` as a client's message holds."""
    return opening + unit * ((limits.CLIENT_MESSAGE_BYTES - len(opening)) // len(unit))


def _sixty_fours(unit: bytes) -> bytes:
    """As many of ``unit`` as fit, in arrays of 64 in an array."""
    one = b"\xdc\x00\x40" + unit * 64
    count = (limits.CLIENT_MESSAGE_BYTES - 3) // len(one)
    return b"\xdc" + count.to_bytes(2, "big") + one * count


BOMBS: Final = {
    "arrays of 64 in each other": _fill(b"", b"\xdc\x00\x40"),
    "the same, 1000 deep": b"\xdc\x00\x40" * 1000,
    "arrays of 15 in each other": _fill(b"", b"\x9f"),
    "arrays of 4000 in each other": _fill(b"", b"\xdc\x0f\xa0"),
    "arrays of 2**32 in each other": _fill(b"", b"\xdd\xff\xff\xff\xff"),
    "arrays of one in each other": _fill(b"", b"\x91"),
    "maps of 32 in each other": _fill(b"", b"\xde\x00\x20\xa0"),
    "a map of 2**32": b"\xdf\xff\xff\xff\xff\xa0\xc0",
    "maps in each other, twice": b"\x92" + (b"\x81\xa0" * 1000 + b"\xc0") * 2,
    "maps as keys": _fill(b"", b"\x81"),
    "empty arrays": _sixty_fours(b"\x90"),
    "empty maps": _sixty_fours(b"\x80"),
    "small maps": _sixty_fours(b"\x81\xa0\xc0"),
    "a text of 2**32": b"\xdb\xff\xff\xff\xff" + bytes(4000),
    "a bin of 4000": b"\xc5\x0f\xa0" + bytes(4000),
    "short texts": _sixty_fours(b"\xa1\x7f"),
    "floats": _sixty_fours(b"\xca\x00\x00\x00\x01"),
    "extensions": _sixty_fours(b"\xd4\x05\x00"),
    "timestamps": _sixty_fours(b"\xd6\xff\x00\x00\x00\x01"),
    "an extension of 2**32": b"\xc9\xff\xff\xff\xff\x01",
    "an input with arrays behind it": b"\x9f\x04\x94\x01\x00\x00\x00\x90" + _fill(b"", b"\xdc\x00\x40")[:-9],
    "a hello in maps": b"\x92\x01" + _fill(b"", b"\x81\xa7options")[:-9],
}
READERS: Final[dict[str, tuple[Callable[[bytes], object], int]]] = {
    "client message": (unpack_from_client, _MOST_BYTES),
    "input": (InputCodec(Everything).decode, _MOST_BYTES),
    "server message": (unpack_from_server, _MOST_BYTES_PER_BYTE * limits.CLIENT_MESSAGE_BYTES),
    "frame header": (decode_frame_header, _MOST_BYTES),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_bounded_memory(reader: str, bomb: str) -> None:
    data = BOMBS[bomb]
    read, most_bytes = READERS[reader]
    assert len(data) <= limits.CLIENT_MESSAGE_BYTES
    assert peak_bytes(lambda: read(data)) <= most_bytes


def filled() -> Replica:
    """A replica that holds rows of every table."""
    world = Replica(Schema.from_wire(FRAME_SCHEMA), 7)
    world.apply(Frame.from_items(unpack_from_server(FULL_FRAME)))
    return world


_ROWS: Final = 10_000
_ONE_COLUMN: Final = {"tables": [{"name": "T", "fields": [{"kind": "uint", "name": "n", "bits": 8}]}]}


def frame(back: int, *chunks: Any) -> bytes:
    """A frame: the full one is at tick 10, the delta at tick 11."""
    return pack([3, [10 + back, back, 0, None, None, None, 5], None, *chunks])


_FULL: Final = frame(0, [0, None, None, [[b"\1" * _ROWS], b"\1" * _ROWS]])
_FAR_ROW: Final = [[b"\xff", (2 * limits.TABLE_ROWS).to_bytes(4, "little")], 5]
#: Frames that make much of little, each for a replica that holds `_ROWS` rows.
GREEDY: Final = [
    pytest.param(_FULL, id="a full frame"),
    pytest.param(frame(0, [0, None, None, _FAR_ROW]), id="the highest id"),
    pytest.param(frame(0, [0, None, None, [[b"\xff", b"\xff" * 4], 5]]), id="an id beyond it"),
    pytest.param(frame(1, [0, None, b"\xff" * (_ROWS // 8), None]), id="all removed"),
    pytest.param(frame(1, [0, None, None, None, [None, 0, [b"\1" * _ROWS]]]), id="all changed"),
    pytest.param(frame(1, *[[0, None, None, None]] * 5000), id="many chunks"),
    pytest.param(frame(1, [0, None, None, None, *[[None, 0, 5]] * 200]), id="many blocks"),
]


def take(world: Replica, payload: bytes) -> None:
    """Apply a frame and ask for all that it changed, as a front end does."""
    for change in world.apply(Frame.from_items(unpack_from_server(payload))):
        assert len(change.spawned_ids) + len(change.changed_ids) + len(change.despawned_ids) >= 0


@pytest.mark.parametrize("payload", GREEDY)
def test_a_frame_costs_a_few_times_its_length_and_what_the_table_holds(payload: bytes) -> None:
    world = Replica(Schema.from_wire(_ONE_COLUMN))
    take(world, _FULL)
    peak = peak_bytes(lambda: take(world, payload))
    assert peak <= _MOST_BYTES_PER_BYTE * len(payload) + 40 * len(world.tables[0]._alive)
