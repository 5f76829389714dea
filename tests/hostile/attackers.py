"""Attackers in a process of their own: ``python -m tests.hostile.attackers KIND --port 8765 ...``.

Prints what became of them as one line of JSON. With ``--hold`` the attackers take their places first, ``ARMED`` is
printed, and they go on when a line comes on stdin.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import click
import msgpack

from gameprotocol import SUBPROTOCOL, ProtocolError
from gameprotocol._websocket import CLOSE, CONTINUATION, PING, PONG, FrameParser, OddFrame, parse_close
from tests.hostile import heads, streams
from tests.hostile.horde import Hold, Horde, MakeScript, Read, Report, Script, Send, Sleep, Wire
from tests.hostile.streams import message, raw_frame
from tests.support.raw_client import upgrade_request

#: How long an attacker waits for an answer or a Close before it says that there was none, in seconds.
PATIENCE_SECONDS: Final = 12.0
#: How long one who is in a room and may have done nothing wrong waits for a Close, before it sends one itself.
DOUBT_SECONDS: Final = 0.3
#: How long it waits then: its Close may lie inside a frame that never comes to an end.
STUCK_SECONDS: Final = 3.0
#: A flooder sends in parts, so that it hears of its Close; seconds between two of them.
FLOOD_PART_SECONDS: Final = 0.02

#: Of attackers who take their places first, how many may be without a hello.
HELD_WITHOUT_HELLO: Final = 500

HELLO: Final = message([1, {"name": "attacker"}])
CLOSE_1000: Final = raw_frame(b"\x03\xe8", CLOSE)


def request(path: str) -> bytes:
    """An upgrade request that is let in."""
    return upgrade_request(path, Sec_WebSocket_Protocol=SUBPROTOCOL)


class Ear:
    """What an attacker hears after its upgrade: it waits for the server's Close and drops everything else."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.messages = 0
        self._parser = FrameParser(masked=False, max_payload_bytes=1 << 24)

    def hear(self, data: bytes) -> None:
        """Take what came."""
        self.messages += len(self._parser.feed(data))
        while isinstance(stop := self._parser.stop, OddFrame):
            if stop.opcode == CLOSE and self.code is None:
                self.code = _code_of(stop)
            self.messages += len(self._parser.feed(b""))
        if isinstance(self._parser.stop, ProtocolError):
            self.code = -1


def _code_of(frame: OddFrame) -> int:
    try:
        return parse_close(frame.payload())[0]
    except ProtocolError:
        return -1


# ---- requests


def handshake(attempt: heads.Attempt) -> MakeScript:
    """Send one request and wait for the answer, or for the end."""

    def script(wire: Wire) -> Script:
        for piece in attempt.pieces:
            if not (yield Send(piece)):
                break
        if attempt.ending == "reset":
            wire.reset()
            return "left"
        if attempt.ending == "half-close":
            wire.half_close()
        answer = yield from _http_answer(PATIENCE_SECONDS)
        wire.mark(wire.now() - wire.opened_at)
        if answer is None:
            return "no answer"
        if not answer:
            return "closed without a word"
        if not answer.startswith(b"HTTP/1.1 "):
            return f"odd answer {answer[:20]!r}"
        status = answer[9:12].decode("ascii", "replace")
        if status == "101":
            wire.reset()
        else:
            while rest := (yield Read(PATIENCE_SECONDS)):
                pass
            if rest is None:
                return f"{status}, left open"
        return status

    return script


def _http_answer(seconds: float) -> Any:
    """What came up to and behind the blank line; b"" when the stream ends first, None when nothing comes."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        data = yield Read(seconds)
        if not data:
            return answer or data
        answer += data
    return answer


def _upgrade(path: str, behind: bytes = b"") -> Any:
    """Do the opening handshake; the answer, or what the attacker says when it was not let in."""
    yield Send(request(path) + behind)
    answer = yield from _http_answer(PATIENCE_SECONDS)
    if not answer:
        return "no answer" if answer is None else "refused: closed"
    if not answer.startswith(b"HTTP/1.1 101"):
        return f"refused: {answer[9:12].decode('ascii', 'replace')}"
    return answer


# ---- frames


def frames(stream: streams.Stream, path: str, hold: bool) -> MakeScript:
    """Upgrade, send the stream, and wait for the server's Close and its end."""

    def script(wire: Wire) -> Script:
        pieces = ([HELLO] if stream.says_hello else []) + stream.pieces
        first = b"".join(pieces) if stream.at_once and not hold else b""
        answer = yield from _upgrade(path, first)
        if isinstance(answer, str):
            return answer
        ear = Ear()
        ear.hear(answer.split(b"\r\n\r\n", 1)[1])
        if hold:
            if stream.says_hello:
                yield Send(pieces.pop(0))
                ear.messages += 1  # the welcome, which is thrown away
            yield Hold()
            wire.opened_at = wire.now()
        for piece in [] if first else pieces:
            if not (yield Send(piece)):
                break
        if stream.ending == "reset":
            wire.reset()
            return "left"
        if stream.ending == "half-close":
            wire.half_close()
        return (yield from _until_closed(wire, ear, stream))

    return script


def _until_closed(wire: Wire, ear: Ear, stream: streams.Stream) -> Script:
    asked, deadline = False, wire.now() + DOUBT_SECONDS
    while ear.code is None:
        data = yield Read(max(0.0, deadline - wire.now()))
        if data is None and ear.messages and not asked:
            # It is in a room, and perhaps nothing was wrong: it has to say goodbye itself.
            asked, deadline = True, wire.now() + STUCK_SECONDS
            yield Send(CLOSE_1000)
            continue
        if data is None and not asked and wire.now() < wire.opened_at + PATIENCE_SECONDS:
            # It is the server's turn to close, or the machine is busy and the welcome is late: look again.
            deadline = wire.now() + DOUBT_SECONDS
            continue
        if data is None:
            wire.reset()
            return "not closed" if ear.messages else "no close"
        if not data:
            return "closed without a code"
        ear.hear(data)
    wire.mark(wire.now() - wire.opened_at)
    if stream.manners == "answer":
        yield Send(CLOSE_1000)
    elif stream.manners == "go on":
        yield Send(stream.barrage)
    if stream.manners != "hang up":
        while data := (yield Read(PATIENCE_SECONDS)):
            pass
        if data is None:
            return "left open after its close"
    echoed = ear.code in streams.codes_sent(b"".join(stream.pieces) + CLOSE_1000)
    return "echoed" if echoed else f"code {ear.code}"


# ---- floods


_IN_TWO: Final = msgpack.packb([6, 0, 0])
_FRAGMENTED: Final = raw_frame(_IN_TWO[:1], fin=False) + raw_frame(_IN_TWO[1:], CONTINUATION)

#: What a flooder of a kind sends over and over, after what it sends once; the number is that of the frame.
FLOODS: Final[dict[str, tuple[bytes, Callable[[int], bytes]]]] = {
    "messages": (b"", lambda number: message([5, "anything", None])),
    "inputs": (b"", lambda number: message([4, [number + 1, 0, 0, 0], []])),
    "acknowledgements": (b"", lambda number: message([6, 0, number & 0xFFFF])),
    "pings": (b"", lambda number: raw_frame(b"", PING)),
    "pongs": (b"", lambda number: raw_frame(b"", PONG)),
    "empty fragments": (raw_frame(fin=False), lambda number: raw_frame(b"", CONTINUATION, fin=False)),
    "fragmented messages": (b"", lambda number: _FRAGMENTED),
    "behind fragments": (b"", lambda number: message([6, 0, 0]) if number % 70 else _FRAGMENTED),
    "large messages": (b"", lambda number: message([5, "anything", [bytes(1000)] * 4])),
    "garbage": (b"", lambda number: random.randbytes(200)),
    "stubborn": (b"", lambda number: message([5, "anything", None])),
}
#: Those who go on when the server has sent its Close.
STUBBORN: Final = frozenset(("stubborn",))


def flood(kind: str, path: str, per_second: float, wait_seconds: float = 0.0) -> MakeScript:
    """Join, then send one kind of frame until the server has had enough; the report tells how long that took."""
    once, make = FLOODS[kind]
    part = max(1, round(per_second * FLOOD_PART_SECONDS))

    def script(wire: Wire) -> Script:
        if wait_seconds:
            yield Sleep(wait_seconds)
        answer = yield from _upgrade(path, HELLO)
        if isinstance(answer, str):
            return answer
        ear = Ear()
        ear.hear(answer.split(b"\r\n\r\n", 1)[1])
        while not ear.messages and ear.code is None:  # until the welcome: a flood in a room, not at its door
            data = yield Read(PATIENCE_SECONDS)
            if not data:
                return "not let in"
            ear.hear(data)
        began = wire.now()
        yield Send(once)
        for number in itertools.count(0, part):
            sent = yield Send(b"".join(map(make, range(number, number + part))))
            # An absolute time for each part: how long the loop or the server takes does not slow the flood down.
            due = began + (number // part + 1) * FLOOD_PART_SECONDS
            data = yield Read(max(0.0, due - wire.now()))
            if data:
                ear.hear(data)
            wire.mark(wire.now() - began)
            if ear.code is not None and kind not in STUBBORN:
                return f"code {ear.code}"
            if data == b"" or not sent:
                return "closed without a code" if ear.code is None else f"code {ear.code}"
        raise AssertionError

    return script


def connect_and_close(wire: Wire) -> Script:
    """A port scan: nothing is sent."""
    return "left"
    yield


def join_and_leave(path: str, *, politely: bool = True) -> MakeScript:
    """Take a seat and give it back."""

    def script(wire: Wire) -> Script:
        answer = yield from _upgrade(path, HELLO)
        if isinstance(answer, str):
            return answer
        ear = Ear()
        ear.hear(answer.split(b"\r\n\r\n", 1)[1])
        while not ear.messages and ear.code is None:
            data = yield Read(PATIENCE_SECONDS)
            if not data:
                return "not let in"
            ear.hear(data)
        if not politely:
            wire.reset()
            return "left"
        yield Send(CLOSE_1000)
        while data := (yield Read(PATIENCE_SECONDS)):
            pass
        return "joined and left" if data is not None else "left open after its close"

    return script


def joiner(path: str, *, politely: bool = True) -> MakeScript:
    """One that stays until it is told to go (`Horde.fire`), then says goodbye or hangs up."""

    def script(wire: Wire) -> Script:
        answer = yield from _upgrade(path, HELLO)
        if isinstance(answer, str):
            return answer
        yield Hold()
        if not politely:
            wire.reset()
            return "left"
        yield Send(CLOSE_1000)
        while data := (yield Read(PATIENCE_SECONDS)):
            pass
        return "left" if data is not None else "left open after its close"

    return script


# ---- slow and silent ones


def loris(path: str, byte_seconds: float = 0.0) -> MakeScript:
    """Say nothing, or a request's bytes one at a time, and wait to be cut off."""

    def script(wire: Wire) -> Script:
        text = request(path)
        at = 0
        while True:
            data = yield Read(byte_seconds or 60.0)
            if data == b"":
                return "cut"
            if data is None and not byte_seconds:
                return "never cut"
            if data is None and at < len(text):
                yield Send(text[at : at + 1])
                at += 1

    return script


# ---- the command line


def scripts_of(kind: str, seed: int, count: int, paths: tuple[str, ...], hold: bool = False) -> Iterator[MakeScript]:
    """So many attacks with requests (``heads``) or frames (``streams``); the n-th of a seed is always the same."""
    chances = (random.Random(f"{kind} {seed} {index}") for index in range(count))
    ways = itertools.cycle(paths)
    if kind == "heads":
        for chance, path in zip(chances, ways, strict=False):
            yield handshake(heads.mutated(chance, path.encode()))
        return
    for index, (chance, path) in enumerate(zip(chances, ways, strict=False)):
        stream = streams.malformed(chance)
        if hold:  # without a hello nobody can wait long: only those who come last do without
            stream.says_hello = stream.says_hello or index < count - HELD_WITHOUT_HELLO
        yield frames(stream, path, hold)


@click.command()
@click.argument("kind", type=click.Choice(["heads", "streams"]))
@click.option("--host", default="127.0.0.1")
@click.option("--port", type=int, required=True)
@click.option("--path", "paths", multiple=True, default=("/busy",), help="Rooms to attack, in turn.")
@click.option("--seed", default=1)
@click.option("--count", default=1000)
@click.option("--at-once", default=400, help="Most connections at a time.")
@click.option("--hold", is_flag=True, help="Take places first; a line on stdin begins the attack.")
def main(
    kind: str, host: str, port: int, paths: tuple[str, ...], seed: int, count: int, at_once: int, hold: bool
) -> None:
    """Attack a server and print the outcomes."""
    scripts = scripts_of(kind, seed, count, paths, hold)
    horde = Horde((host, port), at_once)
    if hold:
        horde.arm(scripts)
        click.echo("ARMED")
        sys.stdout.flush()
        sys.stdin.readline()
    began = time.monotonic()
    report: Report = horde.fire() if hold else horde.run(scripts)
    click.echo(json.dumps({**report.plain(), "seconds": round(time.monotonic() - began, 2)}))


if __name__ == "__main__":
    main()
