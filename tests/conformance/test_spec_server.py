"""What SPEC.md says of a server's behaviour holds for ours: bytes in and out over a socket pair, no client code."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import msgpack
import msgspec
import pytest
import trio

from gameprotocol import SUBPROTOCOL, limits
from gameserver import Entity, Input, Room, fixed
from gameserver.server import Server, serve
from tests.conformance.spec_link import Client, clients_of, is_frame
from tests.support.raw_client import frame, until, upgrade_request

VECTORS = Path(__file__).resolve().parents[2] / "protocol" / "vectors"
HELLO = msgpack.packb([1, {}])
PATH = "/arena"
TICK_RATE = 200


class Ship(Entity):
    x = fixed(0, 100, step=0.5)


class Steer(Input):
    turn: float = 0.0


class Arena(Room):
    entities = (Ship,)
    input = Steer

    def on_create(self) -> None:
        self.world.spawn(Ship, x=5.0)

    def step(self, dt: float) -> None:
        ships = self.world[Ship]
        ships.x = (ships.x + 0.5) % 100


class Silent(Room):
    pass


class Push(Input):
    force: float = 0.0
    code: Annotated[bytes, msgspec.Meta(max_length=4)] = b"\x01"


class Eager(Room):
    input = Push
    inputs_per_tick = 3
    missing_input = "neutral"


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Server, Client]]:
    with trio.fail_after(5):
        async with serve(Arena, Silent, Eager, tick_rate=TICK_RATE) as server:
            with clients_of(server) as connect:
                yield server, connect()


async def test_the_welcome_comes_first_then_a_full_frame_then_deltas() -> None:
    async with served() as (_, client):
        await client.open(HELLO)
        welcome = await client.next()
        assert welcome[0] == 2
        first, second = await client.next(), await client.next()
        assert first[0] == second[0] == 3
        assert first[1][1] == 0
        assert first[1][0] >= welcome[1]["tick"]
        assert first[2] is not None
        assert second[1][0] - second[1][1] == first[1][0]


@pytest.mark.parametrize(
    ("path", "offer", "messages", "code"),
    [
        (PATH, "other.1", [HELLO], 4005),
        (PATH, "", [HELLO], 4005),
        (PATH, SUBPROTOCOL, [msgpack.packb([6, 0, 0])], 4001),
        (PATH, SUBPROTOCOL, [msgpack.packb([1])], 4001),
        (PATH, SUBPROTOCOL, [msgpack.packb({"kind": 1})], 4001),
        (PATH, SUBPROTOCOL, [msgpack.packb([1, 5])], 1007),
        (PATH, SUBPROTOCOL, [msgpack.packb([1, {"options": None}])], 1007),
        (PATH, SUBPROTOCOL, [msgpack.packb([1, {"client": "c" * 3073}])], 1007),
        (PATH, "other.1", [b"\xc1"], 4005),
        (PATH, SUBPROTOCOL, [HELLO, HELLO], 1002),
        (PATH, SUBPROTOCOL, [HELLO, b"\xc1"], 1007),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb({"kind": 1})], 1007),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([6, 1])], 1007),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([6, -1, 0])], 1007),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([5, "n" * 65, None])], 1007),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, [0, 0, 0, 0], [0.0]])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, [1]])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, 5, []])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, [2], []]), msgpack.packb([4, [2], ["left"]])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, [1, 0, 0, 0], ["left"]])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, [1, 0, 0, 0], [None]])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, msgpack.packb([4, [1, 0, 0, 0], [float("nan")]])], 4006),
        ("/silent", SUBPROTOCOL, [HELLO, msgpack.packb([4, [1, 0, 0, 0], []])], 4006),
        (PATH, SUBPROTOCOL, [HELLO, b"\x93" + b"\0" * 4096], 1009),
    ],
)
async def test_close_codes(path: str, offer: str, messages: list[bytes], code: int) -> None:
    async with served() as (_, client):
        await client.open(*messages, path=path, offer=offer)
        assert await client.code() == code


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Version": ""}, 400),
        ({"Content_Length": "0"}, 400),
        ({"Transfer_Encoding": "chunked"}, 400),
        ({"Expect": "100-continue"}, 400),
    ],
)
async def test_http_answers(fields: dict[str, str], status: int) -> None:
    async with served() as (_, client):
        await client.raw.send(upgrade_request(PATH, **fields))
        assert (await client.raw.sock.recv(1024)).startswith(f"HTTP/1.1 {status} ".encode())


@pytest.mark.parametrize("path", ["/nowhere", "/aren%61", "/Arena", "/", "/arena/x"])
async def test_a_path_that_names_no_room_is_answered_404_with_those_that_there_are(path: str) -> None:
    async with served() as (_, client):
        await client.raw.send(upgrade_request(path))
        answer = await client.raw.sock.recv(1024)
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"there is arena" in answer


async def test_a_text_message_comes_before_the_other_refusals() -> None:
    async with served() as (_, client):
        await client.open(offer="other.1")
        await client.raw.send(frame(b"hi", 1))
        assert await client.code() == 1003


async def test_a_text_message_closes() -> None:
    async with served() as (_, client):
        await client.open(HELLO)
        await client.raw.send(frame(b"hi", 1))
        assert await client.code() == 1003


async def test_the_path_may_have_slashes_and_a_query() -> None:
    async with served() as (_, client):
        await client.open(HELLO, path="/arena/?a=1", offer=f"other.1, {SUBPROTOCOL}")
        assert (await client.next())[1]["room"] == "arena"
        assert f"Sec-WebSocket-Protocol: {SUBPROTOCOL}".lower().encode() in client.raw.received.lower()


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(msgpack.packb([4, [7], []]), id="short header, no values"),
        pytest.param(msgpack.packb([4, [7, 0, 0, 0, "more"], [1, 2, 3], "extra"]), id="integer for a float, extras"),
        pytest.param(msgpack.packb([4, [7, 1, 0, 9], [0.5]]), id="for a tick that has passed"),
        pytest.param(msgpack.packb([4, [7, 4000000000, 0, 9], [0.5]]), id="for a tick far ahead"),
        pytest.param(
            bytes.fromhex("dd00000003 cc04 dc0004 cd0007 cf0000000000000000 d200000000 ce00000009 dc0001 ca3f000000"),
            id="every number and array wider than needed",
        ),
    ],
)
async def test_inputs_are_taken(message: bytes) -> None:
    async with served() as (_, client):
        await client.open(HELLO, message)
        answered = await client.until(lambda message: is_frame(message) and message[1][2] == 7)
        assert answered[1][3] is None or type(answered[1][3]) is int


async def test_repeated_inputs_are_dropped_and_gaps_are_not() -> None:
    async with served() as (server, client):
        await client.open(HELLO, *(msgpack.packb([4, [number, 0, 0, number], []]) for number in (2, 2, 1, 9)))
        await client.until(lambda message: is_frame(message) and message[1][2] == 9)
        assert server.room("arena").stats.inputs == 2


async def test_client_time_comes_back_with_acknowledgements_too() -> None:
    async with served() as (_, client):
        await client.open(HELLO)
        tick = (await client.until(is_frame))[1][0]
        await client.send(msgpack.packb([6, tick, 4294967295, "extra"]))
        header = (await client.until(lambda message: is_frame(message) and message[1][4] is not None))[1]
        assert header[4] == 4294967295
        assert 0 <= header[5] < 1_000_000


async def test_frames_wait_for_acknowledgements_and_then_one_makes_the_client_current() -> None:
    async with served() as (server, client):
        await client.open(HELLO)
        window = 0
        for _ in range(40):  # until the server knows the round trip
            tick, _, _, _, _, _, window = (await client.until(is_frame))[1]
            await client.send(msgpack.packb([6, tick, 0]))
        assert 1 <= window < 40
        room = server.room("arena")
        silent_since = room.tick
        await until(lambda: room.tick > silent_since + 200)
        unread = [message for message in await client.pending() if is_frame(message)]
        newest = unread[-1][1][0] if unread else tick
        assert len(unread) < 40 + TICK_RATE / 4  # a window, and what a moment without words is allowed
        assert newest < room.tick - 50
        await client.send(msgpack.packb([6, newest, 0]))
        asked_at = room.tick
        current = (await client.until(is_frame))[1]
        assert current[0] >= asked_at
        assert current[1] in (0, current[0] - newest)


async def test_digests_of_a_resync_are_checked() -> None:
    async with served() as (_, client):
        await client.open(HELLO)
        tick = (await client.until(is_frame))[1][0]
        await client.send(msgpack.packb([7, tick, 1, 2, [bytes(4 * 64)]]))
        await client.until(lambda message: is_frame(message) and message[1][1] == 0)
        await client.send(msgpack.packb([7, tick, 1, 2, [bytes(5)]]))
        assert await client.code() == 1007


async def test_a_resync_is_answered_with_a_full_frame() -> None:
    async with served() as (_, client):
        await client.open(HELLO)
        tick = (await client.until(is_frame))[1][0]
        await client.send(msgpack.packb([7, tick, 1, 2]))
        full = await client.until(lambda message: is_frame(message) and message[1][1] == 0)
        assert full[1][0] > tick
        assert full[2] is not None


async def test_a_second_resync_within_a_second_is_put_off_and_not_ignored() -> None:
    async with served() as (server, client):
        await client.open(HELLO)
        full_ticks = []
        for _ in range(2):
            tick = (await client.until(lambda message: is_frame(message) and message[1][1] > 0))[1][0]
            await client.send(msgpack.packb([7, tick, 0, 0]))
            full = await client.until(lambda message: is_frame(message) and message[1][1] == 0)
            full_ticks.append(full[1][0])
        assert full_ticks[1] - full_ticks[0] >= min(0.95 * TICK_RATE, limits.HISTORY_TICKS // 2)
        assert server.room("arena").stats.resyncs == 2


async def test_the_welcome_tells_how_inputs_are_applied() -> None:
    async with served() as (_, client):
        await client.open(HELLO, path="/eager")
        told = (await client.next())[1]["schema"]["input"]
        assert (told["per_tick"], told["missing"]) == (3, "neutral")
        assert [field["default"] for field in told["fields"]] == [0.0, b"\x01"]


async def test_unknown_kinds_are_skipped() -> None:
    async with served() as (_, client):
        await client.open(HELLO, msgpack.packb([99, {"what": "ever"}]), msgpack.packb([4, [7], []]))
        await client.until(lambda message: is_frame(message) and message[1][2] == 7)


def _hellos() -> list[Any]:
    cases = json.loads((VECTORS / "refused-client-messages.json").read_text())["cases"]
    return [pytest.param(bytes.fromhex(case["message"]), case["close"], id=case["note"]) for case in cases]


@pytest.mark.parametrize(("message", "code"), _hellos())
async def test_first_messages(message: bytes, code: int) -> None:
    async with served() as (_, client):
        await client.open(message)
        if code:
            assert await client.code() == code
        else:
            assert (await client.next())[0] == 2
