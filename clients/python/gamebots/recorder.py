"""Records what players do while they play through a proxy: reads along, both ways, and keeps the inputs. Pure.

A proxy makes one `Recorder` for its file, and for each connection a tap::

    recorder = Recorder(file.write)
    tap = recorder.tap()
    tap.feed_client(bytes_from_the_client, now)
    tap.feed_server(bytes_from_the_server, now)
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from gamebots.bots import InputFields
from gameprotocol import (
    InputHeader,
    InputSchema,
    Kind,
    ProtocolError,
    Welcome,
    limits,
    message_kind,
    unpack_from_client,
    unpack_from_server,
)
from gameprotocol._websocket import BINARY, CLOSE, CONTINUATION, FrameParser, OddFrame

#: What the first line of a recording calls it.
FORMAT: Final = "gamebots-recording/1"
#: Longest head of a request or an answer, in bytes.
_HEAD_BYTES: Final = 16 * 1024
#: Inputs that may come before the welcome does.
_EARLY_INPUTS: Final = 256


class Recorder:
    """One recording that is being made, of all connections through a proxy to one room.

    Args:
        write: takes lines, such as the ``write`` of a text file.

    Attributes:
        inputs: recorded so far.
        players: connections that made some.
        notes: why connections were left out, and what stopped the recording; for people, each text once.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self.inputs = 0
        self.players = 0
        self.notes: list[str] = []
        self._write: Callable[[str], object] | None = write
        self._room = ""
        self._input: InputSchema | None = None

    def tap(self) -> InputTap:
        """What listens to one connection."""
        return InputTap(self)

    def begin(self, welcome: Welcome) -> InputFields | None:
        """A player has joined: how its inputs are checked, None when they do not belong to this recording."""
        schema = welcome.read_schema().input
        if schema is None or welcome.spectator:
            return None
        if self._input is None:
            self._room, self._input = welcome.room, schema
            self._line(header_line(welcome.room, welcome.tick_rate, schema))
        if (welcome.room, schema) != (self._room, self._input):
            self._note(f"this is a recording of room {self._room}: who joined {welcome.room} was left out")
            return None
        return InputFields(schema)

    def go_on(self, room: str) -> InputFields | None:
        """A player has come back to its seat in the room that its address names; as `begin`."""
        if self._input is None or room != self._room:
            self._note(f"who came back to {room} was left out: its first connection was not recorded")
            return None
        return InputFields(self._input)

    def add(self, player: int | None, seconds: float, values: list[Any]) -> int:
        """One input of a connection, None for its first one; answers the connection's number."""
        if player is None:
            player, self.players = self.players, self.players + 1
        self.inputs += 1
        self._line(input_line(player, seconds, values))
        return player

    def _line(self, line: str) -> None:
        if self._write is None:
            return
        try:
            self._write(line)
        except (OSError, ValueError) as error:  # a full disk, a file that was closed: the game goes on
            self._write = None
            self._note(f"the recording ended early: {error}")

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


class InputTap:
    """Listens to the bytes of one connection, both ways, and records the inputs in them.

    It changes nothing and raises nothing: what it cannot read, it stops listening to. Bytes may come in any pieces.

    Args:
        recorder: takes the inputs; `Recorder.tap` makes this.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._client: _Messages | None = _Messages(masked=True)
        self._server: _Messages | None = _Messages(masked=False)
        self._fields: InputFields | None = None
        self._early: list[tuple[float, bytes]] = []
        self._player: int | None = None
        self._first = 0.0  # when the first input came
        self._sequence = 0

    def feed_client(self, data: bytes, now: float) -> None:
        """The client has sent ``data``.

        Args:
            now: when, in seconds of any clock that goes on evenly.
        """
        if self._client is None:
            return
        for payload in self._client.feed(data):
            if message_kind(payload) != Kind.INPUT:
                continue
            if self._fields is not None:
                self._take_input(payload, now)
            elif len(self._early) < _EARLY_INPUTS:
                self._early.append((now, payload))
        if self._client.over:
            self._client = None

    def feed_server(self, data: bytes, now: float) -> None:
        """The server has sent ``data``; as `feed_client`."""
        if self._server is None:
            return
        try:
            for payload in self._server.feed(data):
                kind = message_kind(payload)
                if kind == Kind.WELCOME:
                    self._begin(self._recorder.begin(Welcome.from_items(unpack_from_server(payload))))
                    return
                if kind == Kind.RETURNED:
                    path = self._client.path if self._client is not None else ""
                    self._begin(self._recorder.go_on(path.partition("?")[0].strip("/")))
                    return
        except ProtocolError:
            self._begin(None)
            return
        if self._server.over:
            self._begin(None)

    def _begin(self, fields: InputFields | None) -> None:
        """All is known that the server had to say; without fields there is nothing to record."""
        self._server = None
        self._fields = fields
        early, self._early = self._early, []
        if fields is None:
            self._client = None
            return
        for at, payload in early:
            self._take_input(payload, at)

    def _take_input(self, payload: bytes, now: float) -> None:
        """Record an input; what the server would not take is left out."""
        assert self._fields is not None
        try:
            _, header, values, *_ = unpack_from_client(payload)
            sequence = msgspec.convert(header, InputHeader).sequence
            given = msgspec.convert(values, list[Any])[: len(self._fields.fields)]
            complete = self._fields.complete(given, "the player")
        except (ProtocolError, ValueError):
            return
        if sequence <= self._sequence:
            return  # a repetition
        self._sequence = sequence
        if self._player is None:
            self._first = now
        self._player = self._recorder.add(self._player, max(0.0, now - self._first), complete)


class _Messages:
    """One direction of a WebSocket connection: bytes in, whole binary messages out.

    Attributes:
        path: of the request, when its head has come.
        over: nothing more comes: it is no WebSocket, it was closed, or it made no sense.
    """

    def __init__(self, *, masked: bool) -> None:
        self.path = ""
        self.over = False
        self._masked = masked
        self._head: bytes | None = b""
        self._parser = FrameParser(masked=masked, max_payload_bytes=limits.SERVER_MESSAGE_BYTES)
        self._fragments: list[bytes] = []
        self._opcode = BINARY

    def feed(self, data: bytes) -> list[bytes]:
        if self.over:
            return []
        if self._head is not None:
            data = self._read_head(self._head + data)
        messages = self._parser.feed(data) if data else []
        while isinstance(frame := self._parser.stop, OddFrame):
            if frame.opcode == CLOSE:
                self.over = True
                return messages
            if frame.opcode < CLOSE:
                messages += self._joined(frame)
            messages += self._parser.feed(b"")
        self.over |= self._parser.stop is not None
        return messages

    def _read_head(self, head: bytes) -> bytes:
        """Wait for the end of the head; what is behind it."""
        end = head.find(b"\r\n\r\n")
        if end < 0:
            self._head = head
            self.over = len(head) > _HEAD_BYTES
            return b""
        self._head = None
        words = head[: head.find(b"\r\n")].decode("latin-1").split(" ")
        if self._masked:
            self.path = words[1] if len(words) > 1 else ""
            self.over = words[0] != "GET"
        else:
            self.over = words[1:2] != ["101"]
        return b"" if self.over else head[end + 4 :]

    def _joined(self, frame: OddFrame) -> list[bytes]:
        """A fragment, or a text: the binary message that it ends, if it does."""
        if frame.opcode != CONTINUATION:
            self._opcode, self._fragments = frame.opcode, []
        if self._opcode == BINARY:
            self._fragments.append(frame.payload())
        if not frame.fin or self._opcode != BINARY:
            return []
        whole, self._fragments = b"".join(self._fragments), []
        return [whole]


def header_line(room: str, tick_rate: float, input: InputSchema) -> str:
    """The first line of a recording."""
    return _line({"format": FORMAT, "room": room, "tick_rate": tick_rate, "input": msgspec.to_builtins(input)})


def input_line(player: int, seconds: float, values: Sequence[Any]) -> str:
    """One input of it."""
    plain = [base64.b64encode(value).decode() if isinstance(value, bytes) else value for value in values]
    return _line({"player": player, "at": round(seconds, 6), "values": plain})


def _line(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"
