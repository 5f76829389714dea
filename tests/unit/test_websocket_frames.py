"""Frames: one table of bytes and what comes out, fed whole and byte by byte; limits; builders against the parser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import limits
from gameprotocol._websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    NO_CODE,
    PING,
    PONG,
    TEXT,
    FrameParser,
    OddFrame,
    apply_mask,
    binary_frame,
    close_frame,
    close_payload,
    frame_header,
    masked_frame,
    parse_close,
    ping_frame,
    pong_frame,
)
from gameprotocol.closing import CloseCode, ProtocolError

Event = bytes | OddFrame | CloseCode
MAX = 4096
MASK = bytes.fromhex("37fa213d")


def odd(hexadecimal: str, opcode: int, fin: bool = True) -> tuple[bytes, list[Event]]:
    raw = bytes.fromhex(hexadecimal)
    return raw, [OddFrame(raw, opcode, fin)]


def bad(hexadecimal: str, code: CloseCode = CloseCode.PROTOCOL_ERROR) -> tuple[bytes, list[Event]]:
    return bytes.fromhex(hexadecimal), [code]


# What a server's parser makes of a client's bytes. The masked "Hello" is the example of RFC 6455, 5.7.
MASKED: dict[str, tuple[bytes, list[Event]]] = {
    "nothing": (b"", []),
    "empty": (bytes.fromhex("8280 37fa213d"), [b""]),
    "hello": (bytes.fromhex("8285 37fa213d 7f9f4d5158"), [b"Hello"]),
    "no mask": (bytes.fromhex("8285 00000000 48656c6c6f"), [b"Hello"]),
    "125 bytes": (bytes.fromhex("82fd 00000000") + b"x" * 125, [b"x" * 125]),
    "126 bytes": (bytes.fromhex("82fe 007e 00000000") + b"x" * 126, [b"x" * 126]),
    "longest": (bytes.fromhex("82fe 1000 00000000") + b"x" * MAX, [b"x" * MAX]),
    "text": odd("8185 37fa213d 7f9f4d5158", TEXT),
    "ping": odd("8985 37fa213d 7f9f4d5158", PING),
    "pong": odd("8a80 37fa213d", PONG),
    "close": odd("8882 00000000 03e8", CLOSE),
    "fragment": odd("0281 00000000 41", BINARY, fin=False),
    "text fragment": odd("0181 00000000 41", TEXT, fin=False),
    "reserved bit": bad("c280"),
    "reserved bit 2": bad("a280"),
    "reserved bit 3": bad("9280"),
    "reserved data opcode": bad("8380"),
    "reserved control opcode": bad("8b80"),
    "not masked": bad("8201"),
    "long ping": bad("89fe"),
    "fragmented ping": bad("0980"),
    "continuation of nothing": bad("8080"),
    "needless 16-bit length": bad("82fe 007d"),
    "needless 64-bit length": bad("82ff 000000000000ffff"),
    "top bit of the length": bad("82ff 8000000000000000"),
    "too long": bad("82fe 1001", CloseCode.TOO_BIG),
    "much too long": bad("82ff 0000010000000000", CloseCode.TOO_BIG),
    "text too long": bad("81fe 1001", CloseCode.TOO_BIG),
}
# The same for a client's parser.
PLAIN: dict[str, tuple[bytes, list[Event]]] = {
    "empty": (bytes.fromhex("8200"), [b""]),
    "hello": (bytes.fromhex("8205 48656c6c6f"), [b"Hello"]),
    "125 bytes": (bytes.fromhex("827d") + b"x" * 125, [b"x" * 125]),
    "126 bytes": (bytes.fromhex("827e 007e") + b"x" * 126, [b"x" * 126]),
    "longest": (bytes.fromhex("827e 1000") + b"x" * MAX, [b"x" * MAX]),
    "ping": odd("8905 48656c6c6f", PING),
    "masked": bad("8285"),
    "needless 16-bit length": bad("827e 007d"),
    "too long": bad("827e 1001", CloseCode.TOO_BIG),
}
A_FRAGMENT, A_PING, THE_REST = MASKED["fragment"], MASKED["ping"], odd("8081 00000000 42", CONTINUATION)


def run(parser: FrameParser, pieces: list[bytes]) -> list[Event]:
    """All events, as a caller would see them who deals with odd frames at once."""
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece)
        while isinstance(parser.stop, OddFrame):
            events.append(parser.stop)
            events += parser.feed(b"")
    if isinstance(parser.stop, ProtocolError):
        events.append(parser.stop.code)
    return events


def parser_for(masked: bool = True) -> FrameParser:
    return FrameParser(masked=masked, max_payload_bytes=MAX)


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


CASES = [
    pytest.param(masked, *case, id=f"{'client' if masked else 'server'}: {name}")
    for masked, table in ((True, MASKED), (False, PLAIN))
    for name, case in table.items()
]


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize(("masked", "data", "events"), CASES)
def test_table(masked: bool, data: bytes, events: list[Event], cut: Callable[[bytes], list[bytes]]) -> None:
    assert run(parser_for(masked), cut(data)) == events


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
@pytest.mark.parametrize(("masked", "data", "events"), CASES)
def test_table_behind_a_message(
    masked: bool, data: bytes, events: list[Event], cut: Callable[[bytes], list[bytes]]
) -> None:
    before = masked_frame(b"before", MASK) if masked else binary_frame(b"before")
    assert run(parser_for(masked), cut(before + data)) == [b"before", *events]


@pytest.mark.parametrize("cut", [whole, byte_by_byte])
def test_everything_that_is_right_in_one_stream(cut: Callable[[bytes], list[bytes]]) -> None:
    good = [
        (data, events)
        for data, events in MASKED.values()
        if not any(isinstance(event, CloseCode) or (isinstance(event, OddFrame) and not event.fin) for event in events)
    ]
    good += [A_FRAGMENT, A_PING, THE_REST]
    data = b"".join(data for data, _ in good)
    expected = [event for _, events in good for event in events]
    assert run(parser_for(), cut(data)) == expected


@pytest.mark.parametrize("opening", [MASKED["hello"][0], MASKED["text"][0], A_FRAGMENT[0]])
def test_a_new_message_within_fragments_is_refused(opening: bytes) -> None:
    assert run(parser_for(), [A_FRAGMENT[0] + opening]) == [*A_FRAGMENT[1], CloseCode.PROTOCOL_ERROR]


def test_fragments_count_together() -> None:
    first, rest = masked_frame(b"x" * (MAX - 1), MASK, fin=False), masked_frame(b"x", MASK, CONTINUATION)
    assert len(run(parser_for(), [first, A_PING[0], rest, first, rest])) == 5
    too_much = masked_frame(b"xx", MASK, CONTINUATION)[:2]
    assert run(parser_for(), [first, too_much])[-1] == CloseCode.TOO_BIG


def test_a_ping_may_follow_fragments_of_the_full_size() -> None:
    first = masked_frame(b"x" * MAX, MASK, fin=False)
    assert run(parser_for(), [first + A_PING[0]])[1:] == A_PING[1]


def test_frames_behind_an_odd_one_wait() -> None:
    parser = parser_for()
    assert parser.feed(A_PING[0] + MASKED["hello"][0]) == []
    assert parser.stop == A_PING[1][0]
    assert parser.feed(MASKED["empty"][0]) == [b"Hello", b""]
    assert parser.stop is None


def test_an_error_is_final() -> None:
    parser = parser_for()
    assert parser.feed(MASKED["hello"][0] + MASKED["reserved bit"][0]) == [b"Hello"]
    error = parser.stop
    assert isinstance(error, ProtocolError)
    assert parser.feed(MASKED["hello"][0]) == []
    assert parser.stop is error


def test_a_too_small_limit_is_refused() -> None:
    FrameParser(masked=True, max_payload_bytes=125)
    with pytest.raises(ValueError, match="at least 125"):
        FrameParser(masked=True, max_payload_bytes=124)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_will_do(kind: Callable[[bytes], bytes]) -> None:
    parser = parser_for()
    events = parser.feed(kind(MASKED["hello"][0]))
    assert events == [b"Hello"]
    assert type(events[0]) is bytes


frames = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from([125, 126, 127, MAX]).map(bytes),
        st.tuples(st.sampled_from([PING, PONG, CLOSE, TEXT]), st.binary(max_size=125)),
    ),
    max_size=8,
)


@given(frames, st.booleans(), st.binary(min_size=4, max_size=4), st.lists(st.integers(1, 40), max_size=20))
def test_roundtrip_of_any_frames_cut_anywhere(
    contents: list[bytes | tuple[int, bytes]], masked: bool, mask: bytes, cuts: list[int]
) -> None:
    sent = [(BINARY, content) if isinstance(content, bytes) else content for content in contents]
    if masked:
        data = b"".join(masked_frame(payload, mask, opcode) for opcode, payload in sent)
    else:
        data = b"".join(frame_header(len(payload), opcode) + payload for opcode, payload in sent)
    pieces = []
    for size in cuts:
        pieces.append(data[:size])
        data = data[size:]
    events = run(parser_for(masked), [*pieces, data])
    received = [
        (BINARY, e) if isinstance(e, bytes) else (e.opcode, e.payload()) for e in events if not isinstance(e, CloseCode)
    ]
    assert received == sent


@given(st.binary(max_size=200), st.booleans(), st.lists(st.integers(1, 9), max_size=30))
def test_no_bytes_make_it_raise_and_cuts_change_nothing(data: bytes, masked: bool, cuts: list[int]) -> None:
    pieces, rest = [], data
    for size in cuts:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert run(parser_for(masked), [*pieces, rest]) == run(parser_for(masked), [data])


@given(st.binary(max_size=70), st.binary(min_size=4, max_size=4))
def test_mask_is_the_definition_of_the_rfc(payload: bytes, mask: bytes) -> None:
    assert apply_mask(payload, mask) == bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


def test_headers() -> None:
    assert frame_header(125) == bytes.fromhex("827d")
    assert frame_header(126) == bytes.fromhex("827e 007e")
    assert frame_header(0xFFFF) == bytes.fromhex("827e ffff")
    assert frame_header(0x10000, TEXT, fin=False, masked=True) == bytes.fromhex("01ff 0000000000010000")


def test_a_server_message_may_be_large() -> None:
    payload = bytes(limits.SERVER_MESSAGE_BYTES)
    parser = FrameParser(masked=False, max_payload_bytes=limits.SERVER_MESSAGE_BYTES)
    data, events = binary_frame(payload), []
    for start in range(0, len(data), 1 << 16):
        events += parser.feed(data[start : start + (1 << 16)])
    assert events == [payload]


def test_control_frames() -> None:
    assert ping_frame(b"x") == b"\x89\x01x"
    assert pong_frame(b"x" * 125)[2:] == b"x" * 125
    assert close_frame(1000, "bye") == b"\x88\x05\x03\xe8bye"
    with pytest.raises(ValueError, match="at most 125"):
        ping_frame(b"x" * 126)


def test_close_payload_fits_and_comes_back() -> None:
    assert parse_close(close_payload(4005, "é" * 100)) == (4005, "é" * 61)
    assert close_payload(NO_CODE, "not said") == b""
    assert parse_close(b"") == (NO_CODE, "")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1014, 1015, 1016, 2999, 5000])
def test_close_codes_that_may_not_travel(code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_close(code.to_bytes(2, "big"))
    assert caught.value.code == CloseCode.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", CloseCode.PROTOCOL_ERROR), (b"\x03\xe8\xff", CloseCode.UNDECODABLE)]
)
def test_malformed_close(payload: bytes, code: CloseCode) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_close(payload)
    assert caught.value.code == code
