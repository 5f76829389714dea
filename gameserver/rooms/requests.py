"""Messages and requests of players: to the room's handlers, and the answers back."""

from __future__ import annotations

from functools import partial
from typing import Any

from gameprotocol import CloseCode, ProtocolError, encode_reply, limits
from gameprotocol._messages import U32
from gameprotocol._websocket import binary_frame
from gameserver.rooms.handlers import Handler, RequestError, find_handlers
from gameserver.rooms.player import Player
from gameserver.rooms.room import Room


class Requests:
    """Hands the messages of one room's players to its handlers.

    Args:
        room: the room.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._handlers = find_handlers(type(room))
        self._takes_others = type(room).on_message is not Room.on_message

    def take_message(self, player: Player, items: list[Any]) -> None:
        """A message: its kind of message, name, payload and, if the client counts them, number.

        Raises:
            ProtocolError: 1007, it is malformed.
            Exception: what the game raises.
        """
        number = items[3] if len(items) > 3 else 0
        if len(items) < 3 or not _are_in_order(items[1], number, least=0):
            raise _malformed("a message is its kind, a short name, a payload and perhaps a number")
        self._take(player, items[1], items[2], number, is_request=False)

    def take_request(self, player: Player, items: list[Any]) -> None:
        """A request: its kind of message, number, name and payload. Raises as `take_message`."""
        if len(items) < 4 or not _are_in_order(items[2], items[1], least=1):
            raise _malformed("a request is its kind, a number, a short name and a payload")
        self._take(player, items[2], items[3], items[1], is_request=True)

    def _take(self, player: Player, name: str, payload: Any, number: int, *, is_request: bool) -> None:
        if number:
            if number <= player._messages_received:
                return  # sent again by a client that came back
            player._messages_received = number
        self._room.stats.messages += 1
        handler = self._handlers.get(name)
        if player.is_spectator:
            _refuse(player, number, RequestError("spectator", "spectators only watch"))
        elif handler is not None:
            self._call(player, handler, payload, number, is_request)
        elif self._takes_others and not is_request:
            self._room.on_message(player, name, payload)
        else:
            _refuse(player, number, RequestError("unknown", self._known()))

    def _call(self, player: Player, handler: Handler, payload: Any, number: int, is_request: bool) -> None:
        reply = partial(self._reply, player, handler, number, is_request)
        try:
            value = handler.convert(payload)
            if handler.is_async:
                failed = partial(self._failed, player, number)
                self._room.work(handler.function, self._room, player, value, then=reply, failed=failed)
                return
            result = handler.function(self._room, player, value)
        except RequestError as error:
            _refuse(player, number, error)
        else:
            reply(result)

    def _reply(self, player: Player, handler: Handler, number: int, is_request: bool, result: Any) -> None:
        if not is_request or not self._is_here(player):
            return
        try:
            encoded = encode_reply(number, result)
        except (TypeError, ValueError, OverflowError) as error:
            where = f"{type(self._room).__name__}, the handler of {handler.kind!r}"
            raise TypeError(f"{where}: what it returned cannot travel as msgpack: {error}") from None
        player._outbox.append(binary_frame(encoded))

    def _failed(self, player: Player, number: int, error: Exception) -> None:
        if not isinstance(error, RequestError):
            raise error
        if self._is_here(player):
            _refuse(player, number, error)

    def _is_here(self, player: Player) -> bool:
        return self._room.player(player.number) is player

    def _known(self) -> str:
        names = ", ".join(sorted(self._handlers)) or "nothing"
        return f"this room takes {names}"


def _are_in_order(name: Any, number: Any, *, least: int) -> bool:
    is_name = isinstance(name, str) and len(name.encode()) <= limits.MESSAGE_NAME_BYTES
    return is_name and type(number) is int and least <= number <= U32


def _malformed(reason: str) -> ProtocolError:
    return ProtocolError(CloseCode.UNDECODABLE, reason)


def _refuse(player: Player, number: int, error: RequestError) -> None:
    player._outbox.append(binary_frame(encode_reply(number, error.text, error.code)))
