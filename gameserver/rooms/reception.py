"""Reception: what the messages of players do to their room. The first quarter of a tick."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gameprotocol import CloseCode, Kind, ProtocolError, unpack_from_client
from gameprotocol import _messages as messages
from gameserver.logs import log_event
from gameserver.net import Link
from gameserver.rooms.inputs import DECODE_ERRORS, InputCodec
from gameserver.rooms.player import Player
from gameserver.rooms.requests import Requests
from gameserver.rooms.resync import Resyncs
from gameserver.rooms.room import Room

#: How many ids of one table a log line holds.
_ROWS_SHOWN = 16

_log = logging.getLogger("gameserver.rooms")


class Reception:
    """Decodes, checks and applies what links bring.

    Args:
        room: whose players they are.
        codec: reads the room's inputs; None when it takes none.
        resyncs: who is to be sent a full frame.
        differing: tells in which rows a client may differ, from its digests.
    """

    def __init__(
        self, room: Room, codec: InputCodec | None, resyncs: Resyncs, differing: Callable[..., dict[str, list[int]]]
    ) -> None:
        self._room = room
        self._codec = codec
        self._resyncs = resyncs
        self._differing = differing
        self._requests = Requests(room)
        self._tables = len(room.world.wire_tables())

    def receive(self, ready: list[tuple[Link, Player]]) -> int:
        """Read each link once; one that breaks the protocol is closed, and nothing else happens.

        Returns:
            From how many links a message came.
        """
        tick, stats = self._room.tick, self._room.stats
        codec = self._codec
        decode: Callable[[bytes], Any] = codec.decode_bare if codec is not None else _no_inputs
        with_news = inputs = 0
        for link, player in ready:
            payloads = link.receive()
            if not payloads:
                continue
            with_news += 1
            was_closed = link.closed  # by its peer, behind these messages
            for payload in payloads:
                try:
                    if len(payload) < 2 or payload[1] != Kind.INPUT or payload[0] >> 4 != 9:
                        self._take_other(player, payload)
                        if link.closed and not was_closed:
                            break  # kicked: what it sent behind that does not count
                        continue
                    # An input as clients usually write it. With a thousand players this is the hottest code of the
                    # room, so it stands here and not in a function of its own.
                    try:
                        message = decode(payload)
                    except DECODE_ERRORS as error:
                        raise codec.refusal(error) if codec is not None else error from None
                    if player.inputs.push(message):
                        inputs += 1
                        header = message.header
                        player._client_time, player._meant_for = header.client_time, header.tick
                        if player.acknowledged_tick < header.acknowledged <= tick:
                            player.acknowledged_tick = header.acknowledged
                except ProtocolError as error:
                    stats.bad_inputs += error.code == CloseCode.BAD_INPUT
                    link.close(error.code, error.reason)
                    break
        stats.inputs += inputs
        return with_news

    def _take_other(self, player: Player, payload: bytes) -> None:
        items = unpack_from_client(payload)
        if not isinstance(items, list) or not items or type(items[0]) is not int:
            raise ProtocolError(CloseCode.UNDECODABLE, "a message is an array that begins with its kind")
        kind = items[0]
        if kind == Kind.INPUT:  # written wider than usual
            self._take_wide_input(player, payload)
        elif kind == Kind.MESSAGE:
            self._requests.take_message(player, items)
        elif kind == Kind.REQUEST:
            self._requests.take_request(player, items)
        elif kind == Kind.ACKNOWLEDGE:
            acknowledged, client_time = messages.read_numbers(items, 2)
            self._note_timing(player, acknowledged, client_time, meant_for=0)
        elif kind == Kind.RESYNC:
            self._take_resync(player, items)
        elif kind == Kind.HELLO:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "a second hello")

    def _take_wide_input(self, player: Player, payload: bytes) -> None:
        message = (self._codec.decode if self._codec is not None else _no_inputs)(payload)
        if player.inputs.push(message):
            header = message.header
            self._note_timing(player, header.acknowledged, header.client_time, header.tick)
            self._room.stats.inputs += 1

    def _note_timing(self, player: Player, acknowledged: int, client_time: int, meant_for: int) -> None:
        player._client_time, player._meant_for = client_time, meant_for
        if player.acknowledged_tick < acknowledged <= self._room.tick:
            player.acknowledged_tick = acknowledged

    def _take_resync(self, player: Player, items: list[Any]) -> None:
        tick, expected, found = messages.read_numbers(items, 3)
        digests = messages.read_digests(items, self._tables)
        room = self._room
        room.stats.resyncs += 1
        differs = bool(expected or found)
        room.stats.desyncs += differs
        if not self._resyncs.ask(player, room._periods):
            return
        fields: dict[str, Any] = {"room": f"{room.name}/{room.id}", "player": player.number, "name": player.name}
        if not differs:
            log_event(_log, logging.WARNING, "full frame asked for: a delta did not fit", **fields)
            return
        rows = self._differing(player, tick, digests) if digests else {}
        fields |= {"tick": tick, "found": f"{found:08x}", "expected": f"{expected:08x}", "differs": _describe(rows)}
        log_event(_log, logging.WARNING, "out of step", **fields)


def _describe(rows: dict[str, list[int]]) -> str:
    """Which rows differ, for a log: a few of each table."""
    if not rows:
        return "rows that it did not tell"
    parts = []
    for name, ids in rows.items():
        shown = ", ".join(map(str, ids[:_ROWS_SHOWN])) + (" ..." if len(ids) > _ROWS_SHOWN else "")
        parts.append(f"{name}: {f'one or more of {len(ids)} rows, {shown}' if ids else 'rows that it should not have'}")
    return "; ".join(parts)


def _no_inputs(payload: bytes) -> Any:
    raise ProtocolError(CloseCode.BAD_INPUT, "this room takes no inputs")
