"""WebSocket frames (RFC 6455, 5) without I/O: bytes in, messages out, and the builders for the other direction.

The parser knows one case well: a whole, unfragmented binary frame, which is all that a game sends. It stops at anything
else (ping, pong, close, text, fragments) and shows the exact bytes of that frame, so that a full WebSocket library can
answer it. Frames behind it wait in the parser until the caller goes on, because order must hold across the two.

Unmasking XORs two integers of the payload's size: C speed without a dependency, and one pass for any length.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gameprotocol.closing import CloseCode, ProtocolError, close_reason_bytes

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

#: Longest payload of a control frame; longer lengths do not fit the second byte of a header (RFC 6455, 5.2, 5.5).
CONTROL_BYTES: Final = 125
#: Stands for "the Close frame had no code" (RFC 6455, 7.4.1); it never travels.
NO_CODE: Final = 1005

_OPCODES: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
#: Codes below 3000 that may travel. Kept equal to what the WebSocket library accepts, so that it never sees a bad one.
_STANDARD_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013))
_NO_MASK: Final = b"\0\0\0\0"
_from_bytes = int.from_bytes


class OddFrame(NamedTuple):
    """A frame that is not a whole binary message.

    Attributes:
        raw: the exact bytes of the frame as they came, still masked.
        opcode: one of the opcodes of this module.
        fin: False for a fragment that others follow.
    """

    raw: bytes
    opcode: int
    fin: bool

    def payload(self) -> bytes:
        """The payload, unmasked."""
        second = self.raw[1]
        start = {126: 4, 127: 10}.get(second & 0x7F, 2)
        if second < 0x80:
            return self.raw[start:]
        return apply_mask(self.raw[start + 4 :], self.raw[start : start + 4])


class FrameParser:
    """Cuts a byte stream into messages.

    ``feed`` never raises. After each call ``stop`` says why the parser stopped, if it did:

    * ``None``: everything whole was cut, the parser waits for more bytes.
    * an ``OddFrame``: deal with it, then call ``feed`` again (``feed(b"")`` will do) for what came behind it.
    * a ``ProtocolError``: the stream is beyond repair; this is final and every later ``feed`` returns nothing. The
      messages that came before the error were returned by the ``feed`` that found it, so none is lost.

    Args:
        masked: True for what clients send (a server's parser), False for what servers send (RFC 6455, 5.1).
        max_payload_bytes: the longest message, fragments added up; at least ``CONTROL_BYTES``. A longer one is refused
            (1009) when its header has arrived, before memory is taken for it.
    """

    __slots__ = ("_clear", "_masked", "_max_bytes", "_message_bytes", "_needed_bytes", "_open", "_rest", "stop")

    def __init__(self, *, masked: bool, max_payload_bytes: int) -> None:
        if max_payload_bytes < CONTROL_BYTES:
            raise ValueError(f"max_payload_bytes must be at least {CONTROL_BYTES}")
        self.stop: OddFrame | ProtocolError | None = None
        self._masked = masked
        self._max_bytes = max_payload_bytes
        self._clear = True  # nothing kept, nothing open, not stopped: the next byte starts a frame
        self._open = False  # a fragmented message has begun
        self._message_bytes = 0  # payload of the fragmented message so far
        self._rest: bytes | bytearray = b""
        self._needed_bytes = 0  # no use looking at the rest before it has this many bytes

    def feed(self, data: bytes | bytearray | memoryview) -> list[bytes]:
        """Take what the socket gave and return the payloads of the whole binary messages in it, in order."""
        if type(data) is not bytes:
            data = bytes(data)
        # The common case by far is one whole small frame in one read, so it is decided from the size alone.
        if self._clear:
            size = len(data)
            if self._masked:
                if 6 <= size < 132 and data[0] == 0x82 and data[1] == size + 122:  # 0x80 | (size - 6)
                    mask = data[2:6]
                    if mask == _NO_MASK:
                        return [data[6:]]
                    words = (size - 3) >> 2
                    value = _from_bytes(data[6:], "little") ^ _from_bytes(mask * words, "little")
                    return [value.to_bytes(words << 2, "little")[: size - 6]]
            elif size > 129 and data[0] == 0x82 and data[1] == 126:
                if (data[2] << 8 | data[3]) == size - 4 <= self._max_bytes:
                    return [data[4:]]
            elif 2 <= size < 128 and data[0] == 0x82 and data[1] == size - 2:
                return [data[2:]]
        return self._cut(data)

    def _cut(self, data: bytes) -> list[bytes]:
        """The general case: any number of frames of any kind, cut anywhere."""
        if isinstance(self.stop, ProtocolError):
            return []
        self.stop = None
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._needed_bytes:
                return []
        else:
            rest = data
        payloads: list[bytes] = []
        start = 0
        try:
            while self.stop is None:
                end = self._cut_one(rest, start, payloads)
                if not end:
                    break
                start = end
        except ProtocolError as error:
            self.stop = error
            self._clear = False
            self._rest = b""
            return payloads
        self._keep(rest, start)
        return payloads

    def _keep(self, rest: bytes | bytearray, start: int) -> None:
        """Keep ``rest`` from ``start`` on for the next feed."""
        if start == len(rest):
            self._rest = b""
        elif isinstance(rest, bytearray):
            del rest[:start]
            self._rest = rest
        else:
            self._rest = bytearray(rest[start:])
        if self.stop is not None:
            self._needed_bytes = 0
        self._clear = not self._rest and not self._open and self.stop is None

    def _cut_one(self, data: bytes | bytearray, start: int, payloads: list[bytes]) -> int:
        """Cut the frame at ``start``; its message goes to ``payloads`` or it becomes ``stop``.

        Returns:
            Where the next frame starts, or 0 when this one is not whole yet (``_needed_bytes`` is set then).
        """
        available = len(data) - start
        if available < 2:
            self._needed_bytes = 2
            return 0
        first, second = data[start], data[start + 1]
        self._check_bits(first, second)
        length = second & 0x7F
        header = 2
        if length > CONTROL_BYTES:
            header = 4 if length == 126 else 10
            if available < header:
                self._needed_bytes = header
                return 0
            length = _long_length(data[start + 2 : start + header])
        opcode = first & 0x0F
        if length + (self._message_bytes if opcode < CLOSE else 0) > self._max_bytes:
            raise ProtocolError(CloseCode.TOO_BIG, f"a message may have {self._max_bytes} bytes")
        body = start + header + (4 if self._masked else 0)
        end = body + length
        if end > len(data):
            self._needed_bytes = end - start
            return 0
        if first == 0x82:
            payload = bytes(data[body:end])
            payloads.append(apply_mask(payload, data[body - 4 : body]) if self._masked else payload)
        else:
            self._stop_at(OddFrame(bytes(data[start:end]), opcode, first >= 0x80), length)
        return end

    def _check_bits(self, first: int, second: int) -> None:
        """Refuse what no frame may start with, and data frames that do not fit the fragments before them."""
        opcode = first & 0x0F
        if first & 0x70:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved bits are set")
        if opcode not in _OPCODES:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "reserved opcode")
        if (second >= 0x80) is not self._masked:
            raise ProtocolError(
                CloseCode.PROTOCOL_ERROR,
                "client frames must be masked" if self._masked else "server frames must not be masked",
            )
        if opcode >= CLOSE:
            if first < 0x80 or second & 0x7F > CONTROL_BYTES:
                raise ProtocolError(CloseCode.PROTOCOL_ERROR, "control frame is fragmented or too long")
        elif (opcode == CONTINUATION) is not self._open:
            raise ProtocolError(CloseCode.PROTOCOL_ERROR, "fragments are out of order")

    def _stop_at(self, frame: OddFrame, payload_bytes: int) -> None:
        self.stop = frame
        if frame.opcode < CLOSE:
            self._open = not frame.fin
            self._message_bytes = 0 if frame.fin else self._message_bytes + payload_bytes


def _long_length(field: bytes | bytearray) -> int:
    """The length in a 2-byte or 8-byte field, which must not have fitted a shorter one (RFC 6455, 5.2)."""
    length = _from_bytes(field, "big")
    if length <= (CONTROL_BYTES if len(field) == 2 else 0xFFFF):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "length is not in its shortest form")
    if length >> 63:
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "length has its top bit set")
    return length


def apply_mask(payload: bytes | bytearray, mask: bytes | bytearray) -> bytes:
    """Mask or unmask ``payload`` with the 4 bytes of ``mask`` (RFC 6455, 5.3); the two are the same."""
    size = len(payload)
    if mask == _NO_MASK:
        return bytes(payload)
    words = (size + 3) >> 2
    value = _from_bytes(payload, "little") ^ _from_bytes(mask * words, "little")
    return value.to_bytes(words << 2, "little")[:size]


def frame_header(payload_length: int, opcode: int = BINARY, *, fin: bool = True, masked: bool = False) -> bytes:
    """The header of a frame, without the mask itself, so that one body can follow many headers."""
    first = opcode | (0x80 if fin else 0)
    flag = 0x80 if masked else 0
    if payload_length <= CONTROL_BYTES:
        return bytes((first, flag | payload_length))
    if payload_length <= 0xFFFF:
        return bytes((first, flag | 126)) + payload_length.to_bytes(2, "big")
    return bytes((first, flag | 127)) + payload_length.to_bytes(8, "big")


def binary_frame(payload: bytes) -> bytes:
    """A whole binary message as a server sends it."""
    return frame_header(len(payload)) + payload


def masked_frame(payload: bytes, mask: bytes, opcode: int = BINARY, *, fin: bool = True) -> bytes:
    """A frame as a client sends it; ``mask`` has 4 bytes."""
    return frame_header(len(payload), opcode, fin=fin, masked=True) + mask + apply_mask(payload, mask)


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping as a server sends it; at most ``CONTROL_BYTES`` of payload."""
    return _control_frame(PING, payload)


def pong_frame(payload: bytes = b"") -> bytes:
    """The answer to a ping that carried ``payload``, as a server sends it."""
    return _control_frame(PONG, payload)


def close_frame(code: int, reason: str = "") -> bytes:
    """A Close frame as a server sends it; ``reason`` is cut to fit."""
    return _control_frame(CLOSE, close_payload(code, reason))


def close_payload(code: int, reason: str = "") -> bytes:
    """The payload of a Close frame: empty for ``NO_CODE``."""
    return b"" if code == NO_CODE else code.to_bytes(2, "big") + close_reason_bytes(reason)


def parse_close(payload: bytes) -> tuple[int, str]:
    """The code and reason in a Close frame's payload; the code is ``NO_CODE`` when there is none.

    Raises:
        ProtocolError: 1002 for a code that may not travel, 1007 for a reason that is not UTF-8.
    """
    if not payload:
        return NO_CODE, ""
    code = _from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _STANDARD_CODES or 3000 <= code <= 4999):
        raise ProtocolError(CloseCode.PROTOCOL_ERROR, "bad close code")
    try:
        return code, payload[2:].decode()
    except UnicodeDecodeError:
        raise ProtocolError(CloseCode.UNDECODABLE, "close reason is not UTF-8") from None


def _control_frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > CONTROL_BYTES:
        raise ValueError(f"a control frame carries at most {CONTROL_BYTES} bytes")
    return frame_header(len(payload), opcode) + payload
