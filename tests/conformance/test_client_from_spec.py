"""A client that was written from ``protocol/SPEC.md`` alone, and plays against a real server.

Nothing of the project is imported: sockets, RFC 6455 and the protocol are in this file, and msgpack is the only
library. So when a client and the server of this project agree with each other but not with the specification, this file
notices. The numbers in comments are sections of the specification.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import math
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgpack
import pytest

SPEC = Path(__file__).parents[2] / "protocol" / "SPEC.md"

# ---------------------------------------------------------------------------------------------------------------------
# WebSocket, RFC 6455, client side
# ---------------------------------------------------------------------------------------------------------------------

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUBPROTOCOL = "tickwire.1"
LARGEST_MESSAGE = 16777216
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


class ClosedError(Exception):
    """The WebSocket is closed; 1005 when the Close had no code, 1006 when there was none."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class RefusedError(Exception):
    """The server answered the upgrade with something other than 101."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class WebSocket:
    """A blocking client WebSocket; every wait ends after ``timeout`` seconds with a TimeoutError."""

    def __init__(
        self,
        url: str,
        subprotocols: tuple[str, ...] = (SUBPROTOCOL,),
        *,
        timeout: float = 5.0,
        receive_buffer: int | None = None,
        version: int = 13,
        method: str = "GET",
    ) -> None:
        parts = urlsplit(url)
        if parts.hostname is None or parts.port is None:
            raise ValueError(url)
        self.buffer = bytearray()
        self.fragments: bytearray | None = None
        self.pongs: list[bytes] = []
        self.close_sent = False
        self.subprotocol: str | None = None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self.socket.settimeout(timeout)
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect((parts.hostname, parts.port))
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._upgrade(method, parts.path or "/", f"{parts.hostname}:{parts.port}", subprotocols, version)
        except BaseException:
            self.socket.close()
            raise

    def _upgrade(self, method: str, path: str, host: str, subprotocols: tuple[str, ...], version: int) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            f"Sec-WebSocket-Version: {version}",
        ]
        if subprotocols:
            lines.append(f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}")
        self.socket.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer = bytearray(rest)
        status, *fields = head.decode("latin-1").split("\r\n")
        number = re.fullmatch(r"HTTP/1\.1 (\d{3})(?: .*)?", status)
        if number is None:
            raise ValueError(status)
        if number[1] != "101":
            raise RefusedError(int(number[1]))
        answer = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        if answer.get("sec-websocket-accept") != accept:
            raise ValueError("wrong Sec-WebSocket-Accept")
        if answer.get("upgrade", "").lower() != "websocket" or "upgrade" not in answer.get("connection", "").lower():
            raise ValueError("no upgrade")
        if "sec-websocket-extensions" in answer:
            raise ValueError("an extension that nobody offered")
        self.subprotocol = answer.get("sec-websocket-protocol")
        if self.subprotocol is not None and self.subprotocol not in subprotocols:
            raise ValueError("a subprotocol that nobody offered")

    # -- reading ------------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.socket.close()
            raise ClosedError(1006)
        self.buffer += data

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _fail(self, code: int, reason: str) -> ClosedError:
        """We close because of what the server sent."""
        self.close(code, reason)
        return ClosedError(code, reason)

    def _receive_frame(self) -> tuple[bool, int, bytes]:
        first, second = self._take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self._take(8))
        if first & 0x70 or second & 0x80:
            raise self._fail(1002, "reserved bits, or a masked frame")
        if length > LARGEST_MESSAGE:
            raise self._fail(1009, "too big")
        opcode = first & 0x0F
        if opcode & 0x8 and (length > 125 or not first & 0x80):
            raise self._fail(1002, "a control frame that is long or in fragments")
        return bool(first & 0x80), opcode, self._take(length)

    def receive(self) -> bytes:
        """The next binary message. Answers pings; raises ClosedError when the server closes."""
        while True:
            final, opcode, payload = self._receive_frame()
            if opcode == PING:
                self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
            elif opcode == CLOSE:
                raise self._closed_by_server(payload)
            elif opcode == BINARY and self.fragments is None:
                if final:
                    return payload
                self.fragments = bytearray(payload)
            elif opcode == CONTINUATION and self.fragments is not None:
                self.fragments += payload
                if len(self.fragments) > LARGEST_MESSAGE:
                    raise self._fail(1009, "too big")
                if final:
                    message, self.fragments = bytes(self.fragments), None
                    return message
            elif opcode == TEXT:
                raise self._fail(1003, "a text message")
            else:
                raise self._fail(1002, f"opcode {opcode} out of place")

    def _closed_by_server(self, payload: bytes) -> ClosedError:
        code, reason = 1005, ""
        if payload:
            (code,) = struct.unpack("!H", payload[:2])
            reason = payload[2:].decode("utf-8")
        if not self.close_sent:
            try:
                self.send_frame(CLOSE, payload[:2])
            except ConnectionError:
                pass
        self._drain()
        return ClosedError(code, reason)

    def _drain(self) -> None:
        """The server closes the TCP connection (RFC 6455, 7.1.1); wait for that, but not for ever."""
        try:
            while self.socket.recv(65536):
                pass
        except (ConnectionError, TimeoutError):
            pass
        self.socket.close()

    # -- writing ------------------------------------------------------------------------------------------------------

    def send_frame(self, opcode: int, payload: bytes, final: bool = True) -> None:
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([(0x80 if final else 0) | opcode])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack("!H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack("!Q", size)
        masked = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def send(self, message: bytes, fragments: int = 1, between: Callable[[], None] | None = None) -> None:
        """A binary message in so many fragments; ``between`` is called after the first."""
        size = max(1, math.ceil(len(message) / fragments))
        for i in range(fragments):
            part = message[i * size : (i + 1) * size]
            self.send_frame(CONTINUATION if i else BINARY, part, i == fragments - 1)
            if between is not None and i == 0:
                between()

    def close(self, code: int = 1000, reason: str = "") -> int:
        """The closing handshake, when it was not done yet. Gives the code of the server's Close, 1006 without one."""
        if self.socket.fileno() < 0:
            return 1006
        try:
            if not self.close_sent:
                self.close_sent = True
                self.send_frame(CLOSE, struct.pack("!H", code) + reason.encode()[:123])
            while True:
                _, opcode, payload = self._receive_frame()
                if opcode == CLOSE:
                    return self._closed_by_server(payload).code
        except (ClosedError, ConnectionError, TimeoutError):
            return 1006
        finally:
            self.socket.close()


# ---------------------------------------------------------------------------------------------------------------------
# The protocol
# ---------------------------------------------------------------------------------------------------------------------

HELLO, WELCOME, FRAME, INPUT, MESSAGE, ACKNOWLEDGE, RESYNC, REQUEST, REPLY, RETURNED = range(1, 11)
LARGEST_ID = 2097152
OBJECTS = ("text", "bytes", "value")
DIFFERENCES = ("fixed", "angle", "uint", "int", "reference", "owner")
U32 = 0xFFFFFFFF


class MalformedError(Exception):
    pass


def want(condition: bool, what: str) -> None:
    if not condition:
        raise MalformedError(what)


def is_integer(value: object) -> bool:
    return type(value) is int  # never a bool


def is_number(value: object) -> bool:
    return type(value) in (int, float)


def is_u32(value: object) -> bool:
    return is_integer(value) and 0 <= value <= U32  # type: ignore[operator]


def is_items(value: object, *kinds: type) -> bool:
    return isinstance(value, list) and all(type(item) in kinds for item in value)


def check_msgpack(value: Any) -> None:
    """4: no extension types, map keys are text."""
    if isinstance(value, list):
        for item in value:
            check_msgpack(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            want(type(key) is str, "a map key is no text")
            check_msgpack(item)
    else:
        want(value is None or type(value) in (bool, int, float, str, bytes), f"extension type {type(value).__name__}")


def unpack(data: bytes) -> Any:
    try:
        value = msgpack.unpackb(data, raw=False, strict_map_key=True)
    except Exception as error:
        raise MalformedError(f"msgpack: {error!r}") from error
    check_msgpack(value)
    return value


def pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


class Field:
    """6: one field of a table, with the bounds of its integers."""

    def __init__(self, raw: Any, tables: int) -> None:
        want(isinstance(raw, dict), "a field is no map")
        self.kind = raw.get("kind")
        self.name = raw.get("name")
        want(isinstance(self.name, str) and self.name.isidentifier(), "a field's name")
        self.lowest, self.highest, self.bits = 0, 0, 0
        self.low, self.step = 0.0, 0.0
        if self.kind == "fixed":
            low, step, count = raw.get("low"), raw.get("step"), raw.get("count")
            want(is_number(low) and -1e300 <= low <= 1e300, "low")
            want(is_number(step) and 0 < step <= 1e300, "step")
            want(is_integer(count) and 2 <= count <= 2**32, "count")
            self.low, self.step, self.highest = float(low), float(step), count - 1
        elif self.kind in ("angle", "uint", "int"):
            least, most = {"angle": (4, 16), "uint": (1, 32), "int": (2, 32)}[self.kind]
            self.bits = raw.get("bits")
            want(is_integer(self.bits) and least <= self.bits <= most, "bits")
            if self.kind == "int":
                self.lowest, self.highest = -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1
            else:
                self.highest = 2**self.bits - 1
        elif self.kind == "float32":
            self.highest = U32
        elif self.kind == "bool":
            self.highest = 1
        elif self.kind == "reference":
            self.table = raw.get("table")
            want(is_integer(self.table) and 0 <= self.table < tables, "the table of a reference")
            self.highest = LARGEST_ID
        elif self.kind == "owner":
            self.highest = 65535
        elif self.kind in OBJECTS:
            size = raw.get("max_bytes")
            want(is_integer(size) and 1 <= size <= 65535, "max_bytes")
        else:
            raise MalformedError(f"unknown kind of field {self.kind!r}")
        self.is_object = self.kind in OBJECTS
        self.empty: Any = 0 if not self.is_object else "" if self.kind == "text" else b""

    def value(self, item: Any) -> Any:
        if self.kind == "fixed":
            return self.low + item * self.step
        if self.kind == "angle":
            return item * (2 * math.pi / 2**self.bits)
        if self.kind == "float32":
            return struct.unpack("<f", struct.pack("<I", item))[0]
        if self.kind == "bool":
            return item == 1
        if self.kind == "value":
            return unpack(item)
        return item

    def integer(self, item: Any) -> int:
        """What goes into the hash."""
        if not self.is_object:
            return int(item)
        return zlib.crc32(item.encode() if isinstance(item, str) else item)


class Table:
    def __init__(self, raw: Any, tables: int) -> None:
        want(isinstance(raw, dict), "a table is no map")
        self.name = raw.get("name")
        want(isinstance(self.name, str), "a table's name")
        self.single = raw.get("single", False)
        want(isinstance(self.single, bool), "single")
        self.of = raw.get("of")
        want(self.of is None or (is_integer(self.of) and 0 <= self.of < tables and not self.single), "of")
        fields = raw.get("fields")
        want(isinstance(fields, list), "a table's fields")
        self.fields = [Field(part, tables) for part in fields]
        self.index = {part.name: number for number, part in enumerate(self.fields)}
        want(len(self.index) == len(self.fields), "field names are not unique")
        self.rows: dict[int, list[Any]] = {}

    def value(self, entity: int, name: str) -> Any:
        number = self.index[name]
        return self.fields[number].value(self.rows[entity][number])

    def named(self, kind: str) -> str:
        """The name of the first field of a kind."""
        return next(str(part.name) for part in self.fields if part.kind == kind)


def read_gaps(packed: Any) -> list[int]:
    want(is_items(packed, bytes) and len(packed) in (1, 2), "gaps")
    small = packed[0]
    wide = packed[1] if len(packed) == 2 else b""
    escapes = small.count(255)
    want(len(wide) == 4 * escapes, "not as many wide gaps as escapes")
    want(len(packed) == 1 or escapes > 0, "wide gaps without an escape")
    numbers = iter(struct.unpack(f"<{escapes}I", wide))
    ids: list[int] = []
    entity = 0
    for byte in small:
        gap = byte if byte < 255 else next(numbers)
        want(gap > 0, "a gap of 0")
        entity += gap
        ids.append(entity)
    want(entity <= LARGEST_ID, "an id is too large")
    return ids


def read_bits(packed: bytes, count: int) -> list[int]:
    want(len(packed) == (count + 7) >> 3, "length of a bitmap")
    return [packed[i >> 3] >> (i & 7) & 1 for i in range(count)]


def read_ids(packed: Any, rows: list[int]) -> list[int]:
    if packed is None:
        return rows
    if isinstance(packed, bytes):
        return [entity for entity, bit in zip(rows, read_bits(packed, len(rows)), strict=True) if bit]
    return read_gaps(packed)


def read_absolute(packed: bytes, count: int, signed: bool) -> list[int]:
    if count == 0:
        want(packed == b"", "integers for no rows")
        return []
    for width, letter in ((1, "b"), (2, "h"), (4, "i")):
        if len(packed) == width * count:
            return list(struct.unpack(f"<{count}{letter if signed else letter.upper()}", packed))
    raise MalformedError("width of a column")


def row_hash(table: int, entity: int, integers: list[int]) -> int:
    """12: of one row."""
    h = 2166136261 ^ table
    for word in (entity, *integers):
        h ^= word & U32
        h = h * 16777619 & U32
    h ^= h >> 16
    h = h * 0x85EBCA6B & U32
    h ^= h >> 13
    h = h * 0xC2B2AE35 & U32
    return h ^ h >> 16


class Replica:
    """19.2 to 19.4: the copy of the world."""

    def __init__(self, schema: Any) -> None:
        want(isinstance(schema, dict) and isinstance(schema.get("tables"), list), "schema")
        self.tables = [Table(raw, len(schema["tables"])) for raw in schema["tables"]]
        self.by_name = {table.name: table for table in self.tables}
        want(len(self.by_name) == len(self.tables), "table names are not unique")
        want(sum(table.single for table in self.tables) <= 1, "more than one single table")
        for table in self.tables:
            self.check_companion(table)
        self.tick = 0
        self.usable = False

    def check_companion(self, table: Table) -> None:
        """6.2: what a companion may be of, and names over a table and its companions."""
        main = table if table.of is None else self.tables[table.of]
        want(main.of is None, "a companion of a companion")
        names = [
            name
            for other in self.tables
            if other is main or other.of == self.tables.index(main)
            for name in other.index
        ]
        want(len(set(names)) == len(names), "a private field's name is not unique")
        for part in table.fields:
            want(part.kind != "reference" or self.tables[part.table].of is None, "a reference to a companion")

    def value(self, name: str, entity: int, part: str) -> Any:
        """6.2: a field of a row, private or not; None for a private one that is not known."""
        main = self.by_name[name]
        if part in main.index:
            return main.value(entity, part)
        number = self.tables.index(main)
        companion = next(table for table in self.tables if table.of == number and part in table.index)
        return companion.value(entity, part) if entity in companion.rows else None

    def known(self, parts: list[Any]) -> list[list[Any]]:
        for part in parts:
            want(isinstance(part, list) and len(part) > 0, "a chunk or block is no array, or empty")
        return [part for part in parts if not (is_integer(part[0]) and part[0] < 0)]

    def apply(self, tick: int, back: int, parts: list[Any]) -> dict[str, tuple[set[int], set[int], set[int]]]:
        """Apply a frame; says what was spawned, changed and despawned, by the tables' names."""
        self.usable = False
        chunks = self.known(parts)
        for chunk in chunks:
            want(len(chunk) >= 4, "a short chunk")
            want(is_integer(chunk[0]) and chunk[0] < len(self.tables), "a chunk's table")
        earlier = [set(table.rows) for table in self.tables]
        written: list[set[int]] = [set() for _ in self.tables]
        if back == 0:
            for table in self.tables:
                table.rows.clear()
        before = [sorted(table.rows) for table in self.tables]
        for number, _, removed, _, *_ in chunks:
            if removed is not None:
                rows = self.tables[number].rows
                for entity in read_ids(removed, before[number]):
                    want(entity in rows, "removal of a row that is not there")
                    del rows[entity]
        held = [sorted(table.rows) for table in self.tables]
        for number, _, _, whole, *_ in chunks:
            if whole is not None:
                table = self.tables[number]
                want(isinstance(whole, list) and len(whole) == 1 + len(table.fields), "whole rows")
                ids = read_gaps(whole[0])
                for entity in ids:
                    table.rows[entity] = [part.empty for part in table.fields]
                for index, column in enumerate(whole[1:]):
                    self.write(table, ids, index, column)
                written[number].update(ids)
        for number, scope, _, _, *blocks in chunks:
            table = self.tables[number]
            rows_of_scope = held[number] if scope is None else read_gaps(scope)
            want(all(entity in table.rows for entity in rows_of_scope), "a scope with a row that is not there")
            for block in self.known(blocks):
                want(len(block) >= 3 and len(block) % 2 == 1, "length of a block")
                ids = read_ids(block[0], rows_of_scope)
                want(all(entity in table.rows for entity in ids), "change of a row that is not there")
                for index, column in zip(block[1::2], block[2::2], strict=True):
                    want(is_integer(index) and 0 <= index < len(table.fields), "a field's index")
                    self.write(table, ids, index, column)
                written[number].update(ids)
        self.usable = True
        self.tick = tick
        for table, old, touched in zip(self.tables, earlier, written, strict=True):
            if table.of is not None:
                written[table.of] |= (touched | old - set(table.rows)) & set(self.tables[table.of].rows)
        changes = {}
        for table, old, touched in zip(self.tables, earlier, written, strict=True):
            if table.of is not None:
                continue
            new = set(table.rows)
            changes[table.name] = (new - old, (new & old) if back == 0 else (new & old & touched), old - new)
        return changes

    def write(self, table: Table, ids: list[int], index: int, packed: Any) -> None:
        part = table.fields[index]
        count = len(ids)
        rows = [table.rows[entity] for entity in ids]
        if part.is_object:
            want(is_items(packed, str if part.kind == "text" else bytes) and len(packed) == count, "objects")
            new = packed
        else:
            new = self.read_integers(part, [row[index] for row in rows], packed)
            want(len(new) == count, "length of a column")
            want(all(part.lowest <= integer <= part.highest for integer in new), f"an integer of {part.name}")
        for row, item in zip(rows, new, strict=True):
            row[index] = item

    def read_integers(self, part: Field, old: list[int], packed: Any) -> list[int]:
        count = len(old)
        signed = part.kind == "int"
        if is_integer(packed):
            return [packed] * count
        if isinstance(packed, bytes):
            return read_bits(packed, count) if part.kind == "bool" else read_absolute(packed, count, signed)
        want(is_items(packed, bytes) and len(packed) in (1, 2), "a column")
        want(part.kind in DIFFERENCES, f"differences for {part.kind}")
        want(len(packed[0]) == count, "length of differences")
        steps = struct.unpack(f"{count}b", packed[0])
        escapes = steps.count(-128)
        want((escapes > 0) == (len(packed) == 2), "escapes")
        large = iter(read_absolute(packed[1], escapes, signed) if escapes else [])
        wrap = 2**part.bits - 1 if part.kind == "angle" else -1
        return [
            next(large) if step == -128 else integer + step & wrap for integer, step in zip(old, steps, strict=True)
        ]

    def hash(self) -> int:
        total = 0
        for number, table in enumerate(self.tables):
            for entity, row in table.rows.items():
                integers = [part.integer(item) for part, item in zip(table.fields, row, strict=True)]
                total += row_hash(number, entity, integers)
        return total & U32

    def digests(self) -> list[bytes] | None:
        """5.7."""
        count = len(self.tables)
        if not 0 < count <= 60:
            return None
        buckets = max(2**power for power in range(7) if count * 4 * 2**power <= 3072)
        packed = []
        for number, table in enumerate(self.tables):
            sums = [0] * buckets
            for entity, row in table.rows.items():
                integers = [part.integer(item) for part, item in zip(table.fields, row, strict=True)]
                sums[entity % buckets] += row_hash(number, entity, integers)
            packed.append(struct.pack(f"<{buckets}I", *(total & U32 for total in sums)))
        return packed


@dataclass
class Frame:
    """What became of one frame."""

    tick: int
    back: int
    sequence: int
    margin_ms: int | None
    client_time: int | None
    waited_us: int | None
    window: int
    applied: bool = False
    hash_equal: bool | None = None  # None: the frame brought no hash
    changes: dict[str, tuple[set[int], set[int], set[int]]] = field(default_factory=dict)

    def spawned(self, table: str) -> set[int]:
        return self.changes[table][0] if self.applied else set()

    def despawned(self, table: str) -> set[int]:
        return self.changes[table][2] if self.applied else set()


#: 14.5: after these it is worth coming back, and after unknown ones below 4000.
WORTH_TRYING = (1001, 1005, 1006, 1012, 1013, 4002, 4008)
#: 14.4: inputs that are kept.
MOST_KEPT = 64


def is_worth_trying(code: int) -> bool:
    known = (1000, 1002, 1003, 1007, 1008, 1009, 1011)
    return code in WORTH_TRYING or (code < 4000 and code not in known)


class SpecClient:
    """19.1: one player. Closing is the user's affair; it is a context manager."""

    def __init__(
        self, url: str, name: str = "", *, options: dict[str, Any] | None = None, wish: Any = None, **websocket: Any
    ) -> None:
        self.url = url
        self.websocket = websocket
        self.hello = {"name": name, "token": None, "options": options or {}, "client": "from-spec/1"}
        self.replica: Replica | None = None
        self.welcome: dict[str, Any] = {}
        self.returned: dict[str, Any] = {}
        self.seat: str | None = None
        self.seat_seconds = 0.0
        self.answered = False
        self.asked = False
        self.resyncs: list[tuple[int, int, int]] = []
        self.count = 0
        self.number = 0
        self.received = 0
        self.acknowledged = 0
        self.sequence = 0
        self.sent: dict[int, list[Any]] = {}  # the values of inputs
        self.said: dict[int, tuple[list[Any], int]] = {}  # messages and requests, and when they were sent
        self.replies: list[tuple[int, str | None, Any]] = []
        self.unsettled: dict[int, float] = {}
        self.input_delays: list[float] = []
        self.round_trips: list[float] = []
        self.hashes_equal = 0
        self.hashes_different = 0
        self.frames: list[Frame] = []
        self.messages: list[tuple[str, Any]] = []
        self.attempts = 0
        self.open_link(self.hello | (wish or {}))

    def open_link(self, hello: dict[str, Any]) -> None:
        """Connect, send the hello and wait for the answer."""
        self.socket = WebSocket(self.url, **self.websocket)
        self.answered = self.asked = False
        try:
            self.socket.send(pack([HELLO, hello]))
            while not self.answered:
                self.receive()
        except BaseException:
            self.socket.close()
            raise

    def break_link(self) -> None:
        """What a bad network does: the connection is gone, and nobody is told."""
        self.answered = False
        self.socket.socket.close()

    def come_back(self) -> None:
        """14.3 and 14.5: try until the seat cannot be held any more; the last failure is raised."""
        assert self.seat is not None
        lost_at, pause = time.monotonic(), random.uniform(0, 0.1)
        for attempt in itertools.count(1):
            time.sleep(pause)
            self.attempts += 1
            good = self.replica is not None and self.replica.usable and not self.asked
            tick = self.world.tick if good else 0
            try:
                self.open_link(self.hello | {"seat": self.seat, "tick": tick, "messages": self.received})
                return
            except (ClosedError, RefusedError, OSError) as failure:
                code = getattr(failure, "code", 1006)
                if getattr(failure, "status", 503) not in (429, 503) or not is_worth_trying(code):
                    raise
                pause = random.uniform(0, min(5, 0.25 * 2**attempt))
                if time.monotonic() + pause > lost_at + self.seat_seconds:
                    raise

    def __enter__(self) -> SpecClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    @property
    def world(self) -> Replica:
        assert self.replica is not None
        return self.replica

    @property
    def player(self) -> int:
        return int(self.welcome["player"])

    @staticmethod
    def now() -> int:
        return time.monotonic_ns() // 1000 & U32  # microseconds

    # -- receiving ----------------------------------------------------------------------------------------------------

    def receive(self) -> Frame | None:
        """Receive one message and do what it asks for; gives the frame if it was one."""
        data = self.socket.receive()
        try:
            message = unpack(data)
            want(isinstance(message, list) and len(message) > 0 and is_integer(message[0]), "no message")
            kind = message[0]
            if not self.answered:
                want(len(message) >= 2, "an answer without its map")
                if self.replica is None:
                    want(kind == WELCOME, "the first message is no welcome")
                    self.take_welcome(message[1])
                else:
                    want(kind == RETURNED, "the first message does not say that the seat is given back")
                    self.take_returned(message[1])
                return None
            want(kind not in (WELCOME, RETURNED), "a second answer to the hello")
            if kind == MESSAGE:
                want(len(message) >= 3 and isinstance(message[1], str), "a message")
                self.received += 1
                self.messages.append((message[1], message[2]))
                return None
            if kind == REPLY:
                self.take_reply(message)
                return None
            if kind != FRAME:
                return None
        except MalformedError as error:
            self.socket.close(1007, str(error))
            raise
        try:
            return self.take_frame(message)
        except MalformedError:
            self.world.usable = False
            self.resync(0, 0)
            raise

    def take_welcome(self, welcome: Any) -> None:
        want(isinstance(welcome, dict), "the welcome is no map")
        want(isinstance(welcome.get("room"), str) and isinstance(welcome.get("room_id"), str), "room")
        player, rate = welcome.get("player"), welcome.get("tick_rate")
        want(is_integer(player) and 1 <= player <= 65535, "player")
        want(is_u32(welcome.get("tick")), "tick")
        want(is_number(rate) and (rate == 0 or 0.001 <= rate <= 10000), "tick_rate")
        want(is_u32(welcome.get("message_bytes", 4096)), "message_bytes")
        want(isinstance(welcome.get("server", ""), str), "server")
        want(isinstance(welcome.get("seat"), str | None), "seat")
        for name in ("seat_seconds", "delay_seconds"):
            want(is_number(welcome.get(name, 0.0)) and welcome.get(name, 0.0) >= 0, name)
        want(isinstance(welcome.get("spectator", False), bool), "spectator")
        replica = Replica(welcome.get("schema"))
        self.input_fields = self.check_inputs(welcome["schema"].get("input"))
        self.welcome = welcome
        self.replica = replica
        self.seat, self.seat_seconds = welcome.get("seat"), welcome.get("seat_seconds", 0.0)
        self.answered = True

    def take_returned(self, returned: Any) -> None:
        """5.10 and 14.4: the seat is this client's again; send again what has not come."""
        want(isinstance(returned, dict), "what was returned is no map")
        want(is_integer(returned.get("player")) and returned["player"] == self.player, "another player")
        want(is_u32(returned.get("tick")) and isinstance(returned.get("seat"), str), "tick and seat")
        seconds, inputs, numbers = (returned.get(name, 0) for name in ("seat_seconds", "inputs", "messages"))
        want(is_number(seconds) and seconds >= 0 and is_u32(inputs) and is_u32(numbers), "numbers")
        self.returned = returned
        self.seat, self.seat_seconds, self.answered = returned["seat"], seconds, True
        self.count, self.number = max(self.count, inputs), max(self.number, numbers)
        for sequence, values in self.sent.items():
            if sequence > inputs:
                self.socket.send(pack([INPUT, [sequence, 0, self.world.tick, self.now()], values]))
        self.said = {number: (said, self.now()) for number, (said, _) in self.said.items() if number > numbers}
        for said, _ in self.said.values():
            self.socket.send(pack(said))

    def take_reply(self, message: list[Any]) -> None:
        want(len(message) >= 4 and is_u32(message[1]), "a reply")
        want(message[2] is None or isinstance(message[2], str), "the code of a reply")
        want(message[2] is None or isinstance(message[3], str), "the text of an error")
        self.received += 1
        self.replies.append((message[1], message[2], message[3]))

    @staticmethod
    def check_inputs(schema: Any) -> list[dict[str, Any]]:
        if schema is None:
            return []
        want(isinstance(schema, dict) and isinstance(schema.get("name"), str), "the input's name")
        fields = schema.get("fields")
        want(isinstance(fields, list), "the input's fields")
        per_tick = schema.get("per_tick", 1)
        want(is_integer(per_tick) and per_tick >= 1, "per_tick")
        want(isinstance(schema.get("missing", "repeat"), str), "missing")
        types = {"bool": (bool,), "int": (int,), "float": (float, int), "str": (str,), "bytes": (bytes,)}
        for part in fields:
            want(isinstance(part, dict) and isinstance(part.get("name"), str), "an input field")
            want(part.get("type") in types, "type of an input field")
            want(type(part.get("default")) in types[part["type"]], "default of an input field")
            for bound in ("low", "high"):
                want(part.get(bound) is None or is_number(part[bound]), bound)
            want(part.get("max_length") is None or is_integer(part["max_length"]), "max_length")
        return list(fields)

    def take_frame(self, message: list[Any]) -> Frame:
        arrival = time.monotonic()
        now = self.now()
        want(len(message) >= 3 and isinstance(message[1], list) and len(message[1]) >= 3, "a short frame")
        header = message[1][:7]
        tick, back, sequence, margin, client_time, waited, window = header + [None, None, None, 0][len(header) - 3 :]
        want(is_u32(tick) and is_u32(sequence) and is_integer(back) and 0 <= back <= 65535, "a frame's header")
        want(margin is None or (is_integer(margin) and -32768 <= margin <= 32767), "margin_ms")
        want(client_time is None or is_u32(client_time), "client_time")
        want(waited is None or is_u32(waited), "waited_us")
        want(is_integer(window) and 0 <= window <= 65535, "window")
        want(message[2] is None or is_u32(message[2]), "a frame's hash")
        frame = Frame(tick, back, sequence, margin, client_time, waited, window)
        self.frames.append(frame)
        if back > 0 and (not self.world.usable or tick - back != self.world.tick):
            self.resync(0, 0)
            return frame
        frame.changes = self.world.apply(tick, back, message[3:])
        frame.applied = True
        if back == 0:
            self.asked = False
        if message[2] is not None:
            found = self.world.hash()
            frame.hash_equal = found == message[2]
            if frame.hash_equal:
                self.hashes_equal += 1
            else:
                self.hashes_different += 1
                self.resync(message[2], found, self.world.digests())
        self.sequence = sequence
        if sequence in self.unsettled:
            self.input_delays.append(arrival - self.unsettled[sequence])
        self.unsettled = {number: sent for number, sent in self.unsettled.items() if number > sequence}
        self.sent = {number: values for number, values in self.sent.items() if number > sequence}
        if client_time is not None:
            self.said = {  # 14.4: what was sent at an earlier clock has come
                number: kept for number, kept in self.said.items() if (client_time - kept[1] - 1) & U32 > U32 // 2
            }
        if client_time is not None and waited is not None:
            self.round_trips.append((((now - client_time) & U32) - waited) / 1e6)
        return frame

    def next_frame(self) -> Frame:
        """Receive until a frame has come. Frames pace everything here; the socket's timeout bounds the wait."""
        while True:
            frame = self.receive()
            if frame is not None:
                return frame

    # -- sending ------------------------------------------------------------------------------------------------------

    def send_input(self, **values: Any) -> int:
        """An input for the next tick; gives its sequence. It acknowledges as well."""
        row = [values.pop(part["name"], part["default"]) for part in self.input_fields]
        assert not values, f"the schema has no input {sorted(values)}"
        self.count += 1
        self.unsettled[self.count] = time.monotonic()
        self.sent[self.count] = row
        self.sent.pop(self.count - MOST_KEPT, None)
        if self.answered:
            self.socket.send(pack([INPUT, [self.count, 0, self.world.tick, self.now()], row]))
            self.acknowledged = self.world.tick
        return self.count

    def acknowledge(self) -> None:
        if self.world.usable and self.world.tick > self.acknowledged:
            self.acknowledged = self.world.tick
            self.socket.send(pack([ACKNOWLEDGE, self.world.tick, self.now()]))

    def send_message(self, name: str, payload: Any) -> int:
        return self.say([MESSAGE, name, payload, self.number + 1])

    def ask(self, name: str, payload: Any) -> int:
        """A request; gives its number, which its reply will have."""
        return self.say([REQUEST, self.number + 1, name, payload])

    def say(self, said: list[Any]) -> int:
        self.number += 1
        self.said[self.number] = (said, self.now())
        if self.answered:
            self.socket.send(pack(said))
        return self.number

    def resync(self, expected: int, found: int, digests: list[bytes] | None = None) -> None:
        if not self.asked:
            self.asked = True
            self.resyncs.append((self.world.tick, expected, found))
            packed = pack([RESYNC, self.world.tick, expected, found, digests])
            fits = len(packed) <= self.welcome.get("message_bytes", 4096)
            self.socket.send(packed if fits else pack([RESYNC, self.world.tick, expected, found]))

    def watch(self, until: Callable[[], bool], ticks: int = 100) -> list[Frame]:
        """Apply and acknowledge frames until something is so; too many frames are a failure."""
        frames: list[Frame] = []
        while not until():
            assert len(frames) < ticks, "it did not come"
            frames.append(self.next_frame())
            self.acknowledge()
        return frames

    def own(self, table: str = "Ship") -> set[int]:
        """The ids of this player's rows."""
        part = self.world.by_name[table]
        owner = part.named("owner")
        return {entity for entity in part.rows if part.value(entity, owner) == self.player}

    def names(self) -> dict[str, int]:
        """The ships' names, with their ids."""
        ships = self.world.by_name["Ship"]
        return {ships.value(entity, ships.named("text")): entity for entity in ships.rows}


# ---------------------------------------------------------------------------------------------------------------------
# The client alone, against the examples of the specification
# ---------------------------------------------------------------------------------------------------------------------


def section(title: str) -> str:
    """One section, with what is below it."""
    found = re.search(rf"^(##+) [\d.]+ {re.escape(title)}\n(.*?)(?=^##? |\Z)", SPEC.read_text("utf-8"), re.M | re.S)
    assert found is not None, title
    return found[2]


def from_hex(text: str) -> bytes:
    return bytes.fromhex("".join(line.partition(";")[0] for line in text.splitlines()))


def table_rows(text: str, columns: tuple[str, ...]) -> list[list[str]]:
    """The rows of the table with this head."""
    lines = iter(text.splitlines())
    for line in lines:
        if [cell.strip() for cell in line.strip("|").split("|")] == list(columns):
            break
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    assert rows, columns
    return rows


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.strip()]


def test_frames_of_the_specification() -> None:
    hexes = re.search(r"```hex\n(.*?)```", section("Messages").partition("### 5.2")[2], re.S)
    assert hexes is not None
    replica = Replica(unpack(from_hex(hexes[1]))[1]["schema"])
    examples = re.findall(r"```hex frame\n(.*?)```.*?```json state\n(.*?)```", section("Frames"), re.S)
    assert len(examples) >= 4
    ships, told = replica.by_name["Ship"], []
    for packed, state in examples:
        message = unpack(from_hex(packed))
        tick, back = message[1][:2]
        assert back == 0 or tick - back == replica.tick
        changes = replica.apply(tick, back, message[3:])
        told.append((changes["Ship"][1], [replica.value("Ship", ship, "ammo") for ship in sorted(ships.rows)]))
        wanted = json.loads(state)
        assert replica.tick == wanted.pop("tick")
        assert replica.hash() == wanted.pop("hash")
        assert message[2] in (None, replica.hash())
        for name, columns in wanted.items():
            table = replica.by_name[name]
            ids = sorted(table.rows)
            assert ids == columns.pop("ids")
            for part, values in columns.items():
                assert [table.value(entity, part) for entity in ids] == values
    # 6.2: a companion's rows are fields of ships; what happens to them is a change of the ship
    assert told == [(set(), [30, None]), ({2, 5}, [29, None]), ({2}, [29, None]), ({2, 9}, [None, None])]


def test_ids_columns_and_hashes_of_the_specification() -> None:
    for packed, rows, ids in table_rows(section("Ids"), ("ids, packed", "rows of the set", "ids")):
        assert read_ids(unpack(from_hex(packed.strip("`"))), numbers(rows)) == numbers(ids)
    for kind, held, packed, integers in table_rows(section("Columns"), ("field", "held", "packed", "integers")):
        name, _, bits = kind.partition(" ")
        part = {"name": "f", "kind": name} | ({"bits": int(bits)} if bits else {})
        table = Table({"name": "T", "fields": [part]}, 1)
        table.rows = {number: [integer] for number, integer in enumerate(numbers(held))}
        Replica({"tables": []}).write(table, list(table.rows), 0, unpack(from_hex(packed.strip("`"))))
        assert [row[0] for row in table.rows.values()] == numbers(integers)
    for number, entity, integers, wanted in table_rows(section("Desync hash"), ("table", "id", "integers", "row hash")):
        assert row_hash(int(number), int(entity), numbers(integers)) == int(wanted)


def test_codes_after_which_it_is_worth_coming_back() -> None:
    rows = table_rows(section("When it does not work"), ("how", "what to do"))
    (again,) = (how for how, what in rows if what == "try again")
    told = {int(code) for code in re.findall(r"\b(\d{4})\b", again.partition("unknown")[0])}
    assert told == set(WORTH_TRYING)
    listed = table_rows(section("Close codes"), ("code", "name", "when", "try again?"))
    codes = {int(code): answer for code, _, _, answer in listed}
    assert {code for code in codes if is_worth_trying(code)} == told & codes.keys()
    assert not any(codes[code].startswith("no") for code in told & codes.keys())


# ---------------------------------------------------------------------------------------------------------------------
# Against a real server
# ---------------------------------------------------------------------------------------------------------------------


@contextmanager
def running_server(*flags: str) -> Iterator[tuple[str, Callable[[], None]]]:
    command = [sys.executable, "-m", "gameserver", "run", "--port", "0", "--seed", "7", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        signals = iter([signal.SIGTERM])

        def stop() -> None:
            """Ask the server to stop, once; a second signal would end it at once."""
            for number in signals:
                process.send_signal(number)

        watchdog = threading.Timer(15, process.kill)
        watchdog.start()
        try:
            for line in process.stdout:
                found = re.search(r"ws://127\.0\.0\.1:\d+/arena\b", line)
                if found:
                    break
            else:
                raise AssertionError("the server did not say its address")
        except BaseException:
            process.kill()
            raise
        finally:
            watchdog.cancel()
            watchdog.join()
        try:
            yield found[0], stop
        finally:
            stop()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running_server() as (address, _):
        yield address


def test_one_client_plays(url: str) -> None:
    with SpecClient(url, "Ann") as ann:
        assert ann.socket.subprotocol == SUBPROTOCOL
        assert (ann.welcome["room"], ann.welcome["tick_rate"]) == ("arena", 20)
        assert {"Ship", "Bullet", "Asteroid", "Match"} <= set(ann.world.by_name)
        assert [table.name for table in ann.world.tables if table.single] == ["Match"]
        ships = ann.world.by_name["Ship"]
        places, headings = set(), set()
        shots: set[int] = set()
        spent: set[int] = set()
        first = ann.next_frame()
        assert first.back == 0
        assert first.hash_equal is True
        assert first.tick >= ann.welcome["tick"]
        assert list(ann.world.by_name["Match"].rows) == [1]
        for number in range(60):
            sequence = ann.send_input(turn=0.5 if number < 40 else -1, thrust=True, shoot=number % 5 == 0)
            frame = ann.next_frame()
            assert frame.applied
            assert frame.back > 0
            for ship in ann.own():
                places.add((ships.value(ship, "x"), ships.value(ship, "y")))
                headings.add(ships.value(ship, ships.named("angle")))
            shots |= frame.spawned("Bullet") & ann.own("Bullet")
            spent |= frame.despawned("Bullet") & shots
        assert sequence == 60
        ann.watch(lambda: ann.sequence >= sequence)
        assert ann.sequence == sequence
        assert not ann.unsettled
        assert ann.names()["Ann"] in ann.own()
        assert len(places) > 20
        assert len(headings) > 20
        assert spent
        assert ann.hashes_equal >= 3
        assert ann.hashes_different == 0
        assert not ann.resyncs
        # 7.3: an input waits for the next tick, so the round trip is about a period or less, and never negative
        assert len(ann.input_delays) > 30
        assert len(ann.round_trips) > 30
        assert 0 < min(ann.round_trips) < 1
        assert 0 < min(ann.input_delays) < 1
        assert all(frame.margin_ms <= 0 for frame in ann.frames if frame.margin_ms is not None)  # 7.2: asked for tick 0
        assert ann.socket.close(1000, "done") == 1000


def test_two_clients_see_and_hear_each_other(url: str) -> None:
    with SpecClient(url, "Ann") as ann, SpecClient(url, "Bob") as bob:
        assert ann.player != bob.player
        ann.watch(lambda: "Bob" in ann.names())
        bob.watch(lambda: "Ann" in bob.names())
        assert bob.names()["Bob"] in bob.own()
        ship = ann.names()["Bob"]
        assert ship in bob.own()
        # a message in as many fragments as there may be, with a ping between them
        bob.socket.send(pack([MESSAGE, "chat", "hello"]), 8, lambda: bob.socket.send_frame(PING, b"between"))
        bob.socket.send(pack([99, {"later": [1, None]}]))  # 5: skipped
        for client in (ann, bob):
            client.watch(lambda client=client: bool(client.messages))  # type: ignore[misc]
            assert client.messages == [("chat", ["Bob", "hello"])]
        assert bob.socket.pongs == [b"between"]
        # equal at the same tick
        hashes: list[dict[int, int]] = [{}, {}]
        for _ in range(5):
            for client, seen in zip((ann, bob), hashes, strict=True):
                client.next_frame()
                client.acknowledge()
                seen[client.world.tick] = client.world.hash()
        common = hashes[0].keys() & hashes[1].keys()
        assert common
        assert all(hashes[0][tick] == hashes[1][tick] for tick in common)
        assert bob.socket.close() == 1000
        frames = ann.watch(lambda: "Bob" not in ann.names())
        assert ship in frames[-1].despawned("Ship")
        assert ann.names()["Ann"] in ann.own()


@pytest.mark.slow
def test_a_client_that_did_not_read_catches_up(url: str) -> None:
    with SpecClient(url, "Ann") as ann, SpecClient(url, "Slow", receive_buffer=1024) as slow:
        slow.watch(lambda: bool(slow.own()))
        for number in range(40):
            ann.send_input(turn=-1, thrust=number % 3 > 0, shoot=number % 4 == 0)
            for _ in range(3):  # messages are never skipped, so these fill what the network stack holds
                ann.send_message("chat", f"{number} {'x' * 190}")
            ann.next_frame()
        assert ann.world.tick - slow.world.tick >= 35
        ann.watch(lambda: len(ann.messages) == 120)
        slow.watch(lambda: slow.world.tick >= ann.world.tick)
        checked = slow.hashes_equal
        frames = slow.watch(lambda: slow.hashes_equal > checked)
        assert frames[-1].hash_equal is True
        for _ in range(80):  # ticks may be merged, so the two need not meet at once
            if slow.world.tick == ann.world.tick:
                break
            behind = min((ann, slow), key=lambda client: client.world.tick)
            behind.next_frame()
            behind.acknowledge()
        assert slow.world.tick == ann.world.tick
        assert slow.world.hash() == ann.world.hash()
        assert slow.hashes_different == 0
        assert not slow.resyncs
        assert all(frame.applied for frame in slow.frames)
        if sys.platform == "linux":  # elsewhere the network stack may hold all of it
            assert max(frame.back for frame in slow.frames) > 1
        assert slow.messages == ann.messages


@pytest.mark.slow
def test_a_wrong_integer_is_found_and_mended(url: str) -> None:
    with SpecClient(url, "Ann") as ann:
        ann.watch(lambda: bool(ann.own()))
        ship = min(ann.own())
        ships = ann.world.by_name["Ship"]
        ships.rows[ship][ships.index["owner"]] ^= 1
        frames = ann.watch(lambda: ann.hashes_different > 0)
        assert frames[-1].hash_equal is False
        assert all(frame.applied for frame in frames)
        assert [(tick, expected != found) for tick, expected, found in ann.resyncs] == [(frames[-1].tick, True)]
        frames = ann.watch(lambda: not ann.asked)
        assert frames[-1].back == 0
        assert frames[-1].hash_equal is True
        assert ship in ann.own()
        assert not frames[-1].spawned("Ship")
        assert not frames[-1].despawned("Ship")
        # 8.2: a delta to another baseline changes nothing; 5.7: a second full frame comes within about a second
        held = ann.world.hash()
        ann.world.tick -= 1
        frame = ann.next_frame()
        assert not frame.applied
        assert ann.world.hash() == held
        assert ann.resyncs[1:] == [(frames[-1].tick - 1, 0, 0)]
        frames = ann.watch(lambda: not ann.asked)
        assert frames[-1].back == 0
        assert frames[-1].hash_equal is True
        assert ann.next_frame().applied
        assert ann.hashes_different == 1


def receive_for_ever(socket: WebSocket) -> None:
    for _ in range(50):
        socket.receive()


def closed(address: str, *messages: bytes, subprotocols: tuple[str, ...] = (SUBPROTOCOL,)) -> ClosedError:
    """Send messages; how the server closes the link. What it sends before is skipped."""
    socket = WebSocket(address, subprotocols)
    try:
        for message in messages:
            socket.send(message)
        with pytest.raises(ClosedError) as caught:
            receive_for_ever(socket)
        assert len(caught.value.reason.encode()) <= 123
        return caught.value
    finally:
        socket.close()


JOIN = pack([HELLO, {}])


def test_refused_after_the_hello(url: str) -> None:
    for offers in ((), ("tickwire.2", "other")):
        with pytest.raises(ClosedError) as caught:
            SpecClient(url, "Ann", subprotocols=offers)
        assert caught.value.code == 4005
    with SpecClient(url + "/?later=1", "Ann", subprotocols=("tickwire.2", SUBPROTOCOL)) as ann:
        assert ann.socket.subprotocol == SUBPROTOCOL
        assert ann.socket.close() == 1000


@pytest.mark.parametrize(
    ("code", "messages"),
    [
        pytest.param(4001, [pack([ACKNOWLEDGE, 0, 0])], id="no-hello"),
        pytest.param(1007, [b"\xc1"], id="garbage-first"),
        pytest.param(1007, [pack([HELLO, {"name": 7}])], id="bad-hello"),
        pytest.param(1002, [JOIN, JOIN], id="second-hello"),
        pytest.param(1007, [JOIN, b"\xc1"], id="garbage"),
        pytest.param(1007, [JOIN, pack([ACKNOWLEDGE, 1, 1]) + b"\x00"], id="something-behind"),
        pytest.param(1007, [JOIN, pack([MESSAGE, "x", msgpack.ExtType(1, b"\x00")])], id="extension-type"),
        pytest.param(1009, [JOIN, pack([MESSAGE, "x", ["y" * 2048, "y" * 2048]])], id="too-big"),
        pytest.param(4006, [JOIN, pack([INPUT, [1], [1.5]])], id="input-out-of-range"),
        pytest.param(4006, [JOIN, pack([INPUT, [1], [0.0, 1]])], id="input-of-a-wrong-type"),
    ],
)
def test_closed_for_a_defect(url: str, code: int, messages: list[bytes]) -> None:
    answer = closed(url, *messages)
    assert answer.code == code
    if code == 4006:
        assert ("turn" if messages[-1] == pack([INPUT, [1], [1.5]]) else "thrust") in answer.reason


def test_a_text_message_closes(url: str) -> None:
    with SpecClient(url, "Ann") as ann:
        ann.next_frame()
        ann.socket.send_frame(TEXT, b"hello")
        with pytest.raises(ClosedError) as caught:
            ann.watch(lambda: False)
        assert caught.value.code == 1003


def test_refused_before_the_websocket(url: str) -> None:
    for status, options in ((426, {"version": 8}), (405, {"method": "POST"})):
        with pytest.raises(RefusedError) as caught:
            WebSocket(url, **options)
        assert caught.value.status == status


# -- 13: joining, and watching


def refused(address: str, **wish: Any) -> int:
    """The code with which a hello is refused."""
    with pytest.raises(ClosedError) as caught:
        SpecClient(address, "Ann", wish=wish)
    return caught.value.code


def test_what_cannot_be_joined(url: str) -> None:
    assert refused(url, method="join_by_id", room_id="no such room") == 4004
    assert refused(url, invite="K7PQ2MXA") == 4004
    assert refused(url, filter={"mode": "duel"}) == 4015
    assert refused(url, method="create", spectate=True) == 4015
    assert refused(url, method="join_or_wait") == 1007
    assert refused(url, seat="p1EiXzWcPvGqN0aVYlTSmUrC7k3hB9ds") == 4013


def test_rooms_of_ones_own(url: str) -> None:
    with SpecClient(url, "Ann", wish={"method": "create", "password": "secret"}) as ann:
        room = {"method": "join_by_id", "room_id": ann.welcome["room_id"]}
        assert refused(url, **room) == 4012
        assert refused(url, **room, password="Secret") == 4012
        with SpecClient(url, "Bob", wish=room | {"password": "secret"}) as bob, SpecClient(url, "Cid") as cid:
            assert bob.welcome["room_id"] == ann.welcome["room_id"] != cid.welcome["room_id"]
            bob.send_message("chat", "hi")
            ann.watch(lambda: bool(ann.messages))
            assert ann.messages == [("chat", ["Bob", "hi"])]


def test_a_spectator_sees_what_players_see_and_does_nothing(url: str) -> None:
    with SpecClient(url, "Ann") as ann:
        with SpecClient(url, "Eve", wish={"method": "join", "spectate": True}) as eve:
            assert (eve.welcome["spectator"], eve.seat) == (True, None)
            assert eve.welcome["room_id"] == ann.welcome["room_id"]
            ann.watch(lambda: "Ann" in ann.names())
            eve.watch(lambda: "Ann" in eve.names())
            assert not eve.own()
            assert eve.player != ann.player
            number = eve.ask("chat", "boo")
            ann.send_message("chat", "hi")
            eve.watch(lambda: bool(eve.replies) and bool(eve.messages))
            assert [reply[:2] for reply in eve.replies] == [(number, "spectator")]
            assert eve.messages == [("chat", ["Ann", "hi"])]
        ann.watch(lambda: bool(ann.messages))
        assert ann.messages == [("chat", ["Ann", "hi"])]


# -- 5.8 and 5.9: requests


def test_requests_and_messages_that_cannot_be_taken(url: str) -> None:
    with SpecClient(url, "Ann") as ann:
        ann.send_message("chat", 5)
        ann.send_message("sing", "la")
        ann.ask("chat", "hi")
        ann.ask("sing", None)
        ann.socket.send(pack([MESSAGE, "chat", [1]]))  # without a number
        ann.watch(lambda: len(ann.replies) == 5)
        assert [(number, code) for number, code, _ in ann.replies] == [
            (1, "invalid"),
            (2, "unknown"),
            (3, None),
            (4, "unknown"),
            (0, "invalid"),
        ]
        assert ann.messages == [("chat", ["Ann", "hi"])]
        ann.watch(lambda: not ann.said)  # 14.4: it has come
        assert ann.received == 6


# -- 14: seats and returning


@pytest.fixture(scope="module")
def fast() -> Iterator[str]:
    """A server whose players miss 64 ticks in half a second."""
    with running_server("--tick-rate", "120") as (address, _):
        yield address


def test_a_client_that_lost_its_connection_goes_on_where_it_was(fast: str) -> None:
    with SpecClient(fast, "Ann") as ann, SpecClient(fast, "Bob") as bob:
        assert ann.seat is not None
        assert ann.seat_seconds > 1
        ann.watch(lambda: "Bob" in ann.names(), 200)
        ship, before, token = ann.own(), ann.world.tick, ann.seat
        ann.break_link()
        for sequence in range(3):
            ann.send_input(turn=0.5, thrust=sequence > 1)
        ann.send_message("chat", "said while away")
        number = ann.ask("chat", "asked while away")
        bob.send_message("chat", "can you hear me?")
        bob.watch(lambda: bob.world.tick > before + 100, 1000)
        ann.come_back()
        assert ann.seat != token
        assert ann.returned["inputs"] == ann.returned["messages"] == 0
        frame = ann.next_frame()
        assert ann.messages == [("chat", ["Bob", "can you hear me?"])]
        assert frame.applied
        assert 64 < frame.back == frame.tick - before
        assert frame.tick >= ann.returned["tick"]
        ann.watch(lambda: bool(ann.replies) and ann.sequence == 3, 1000)
        assert ann.replies == [(number, None, None)]
        checked = ann.hashes_equal
        ann.watch(lambda: ann.hashes_equal > checked, 1000)
        bob.watch(lambda: len(bob.messages) == 3, 1000)
        assert bob.messages == ann.messages
        assert [text for _, (_, text) in bob.messages] == ["can you hear me?", "said while away", "asked while away"]
        assert ann.own() == ship
        assert (ann.hashes_different, ann.resyncs) == (0, [])


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_however_often_the_connection_breaks(fast: str) -> None:
    chance = random.Random(5)
    with SpecClient(fast, "Ann") as ann, SpecClient(fast, "Bob") as bob:
        bob.watch(lambda: "Ann" in bob.names(), 200)
        asked = {}
        for word in range(60):
            ann.send_input(turn=chance.uniform(-1, 1), thrust=True)
            if word % 3:
                ann.send_message("chat", f"{word}")
            else:
                asked[ann.ask("chat", f"{word}")] = word
            if chance.random() < 0.4:  # what was just said may or may not arrive, and its answer, too
                ann.break_link()
                if chance.random() < 0.3:
                    ann.send_message("chat", f"{word} away")
                ann.come_back()
            for _ in range(chance.randrange(3)):
                ann.next_frame()
                ann.acknowledge()
            bob.next_frame()
            bob.acknowledge()
        ann.watch(lambda: len(ann.replies) == len(asked), 2000)
        assert ann.attempts > 10
        assert [number for number, code, _ in ann.replies if code is None] == list(asked)
        ann.watch(lambda: len(ann.messages) == ann.number, 2000)
        bob.watch(lambda: len(bob.messages) == ann.number, 2000)
        told = [int(text.partition(" ")[0]) for _, (name, text) in bob.messages if name == "Ann"]
        assert told == sorted(told)
        assert [text for _, (_, text) in bob.messages if "away" not in text] == [str(word) for word in range(60)]
        assert ann.messages == bob.messages
        ann.watch(lambda: ann.sequence == ann.count, 2000)
        checked = ann.hashes_equal
        ann.watch(lambda: ann.hashes_equal > checked, 2000)
        assert (ann.hashes_different, ann.resyncs) == (0, [])


def test_a_client_without_its_replica_comes_back_to_a_full_frame(fast: str) -> None:
    with SpecClient(fast, "Ann", timeout=1.0) as ann:
        ann.watch(lambda: bool(ann.own()), 200)
        ship = ann.own()
        ann.world.usable = False
        ann.break_link()
        ann.come_back()
        frame = ann.next_frame()
        assert (frame.back, frame.hash_equal, ann.own()) == (0, True, ship)


def test_two_with_one_seat(fast: str) -> None:
    with SpecClient(fast, "Ann") as ann:
        ann.watch(lambda: bool(ann.own()), 200)
        older, token = ann.socket, ann.seat
        ann.come_back()
        with pytest.raises(ClosedError) as caught:
            receive_for_ever(older)
        assert caught.value.code == 4014
        assert not is_worth_trying(4014)
        ann.next_frame()
        ann.acknowledge()
        tick = ann.world.tick
        ann.watch(lambda: ann.world.tick > tick + 3, 200)
        assert refused(fast, seat=token) == 4013
        assert ann.next_frame().applied
        kept = ann.seat
        assert ann.socket.close(1000) == 1000
        for _ in range(100):  # the server sees it at its next tick
            if refused_or_back(fast, kept) == 4013:
                break
        assert refused(fast, seat=kept) == 4013


def refused_or_back(address: str, token: str | None) -> int:
    """What becomes of the token of somebody who is just leaving."""
    socket = WebSocket(address)
    try:
        socket.send(pack([HELLO, {"seat": token}]))
        socket.receive()
    except ClosedError as closed_with:
        return closed_with.code
    finally:
        socket.close()
    return 0


def test_a_server_that_stops_says_so() -> None:
    with running_server() as (address, stop), SpecClient(address, "Ann") as ann:
        ann.next_frame()
        stop()
        with pytest.raises(ClosedError) as caught:
            ann.watch(lambda: False)
        assert caught.value.code == 1012
        assert re.search(r"reconnect in \d+\.\d s$", caught.value.reason)
