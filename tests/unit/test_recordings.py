"""Recordings: what a tap hears is what was played, however the bytes come; and bots that play it again."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gamebots.recorder import InputTap, Recorder
from gamebots.recordings import Recording, ReplayBot, Track, parse_recording, read_recording, replay_bots
from gameprotocol import InputSchema, Schema, Welcome, encode_acknowledge, encode_input, encode_message, pack
from gameprotocol._messages import Kind, Returned
from gameprotocol._websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    binary_frame,
    close_frame,
    masked_frame,
    ping_frame,
)
from gameserver import Entity, Input, Meta, Room, fixed
from tests.support.examples import examples

REQUEST = b"GET /yard/?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


class Keys(Input):
    jump: bool = False
    aim: Annotated[float, Meta(ge=-1, le=1)] = 0.0
    steps: Annotated[int, Meta(ge=0, le=9)] = 0
    word: Annotated[str, Meta(max_length=9)] = "go"
    blob: Annotated[bytes, Meta(max_length=4)] = b"\x80\xff"


class Thing(Entity):
    x = fixed(0, 100, step=1)


class Yard(Room):
    entities = (Thing,)
    input = Keys


SCHEMA: Schema = Yard("yard").schema()
INPUT: InputSchema = SCHEMA.input  # type: ignore[assignment]


def welcome(schema: Schema = SCHEMA, *, room: str = "yard", spectator: bool = False) -> bytes:
    """As a server sends it."""
    message = Welcome(
        room=room, room_id="1", player=3, tick=7, tick_rate=20, schema=schema.to_wire(), spectator=spectator
    )
    return binary_frame(message.encode())


def played(sequence: int, values: list[Any]) -> bytes:
    return masked_frame(encode_input(sequence, 0, 0, 0, values), b"mask")


class Tape:
    """Lines that a recorder has written."""

    def __init__(self) -> None:
        self.text = ""
        self.recorder = Recorder(self.write)

    def write(self, line: str) -> None:
        assert line.endswith("\n")
        assert line.count("\n") == 1
        self.text += line

    def values(self) -> list[Any]:
        return [json.loads(line)["values"] for line in self.text.splitlines()[1:]]


#: Values that Keys takes, and as they travel in JSON.
values = st.tuples(st.booleans(), st.floats(-1, 1), st.integers(0, 9), st.text(max_size=9), st.binary(max_size=4)).map(
    list
)


@st.composite
def client_pieces(draw: st.DrawFn) -> tuple[bytes, list[list[Any]]]:
    """What a client sends after its request, and the inputs that are in it."""
    stream, inputs = b"", []
    for _ in range(draw(st.integers(0, 12))):
        what = draw(st.sampled_from(["input", "fragments", "ping", "text", "message", "long", "acknowledge", "bad"]))
        if what in ("input", "fragments"):
            given_values = draw(values)
            inputs.append(given_values)
            payload = encode_input(len(inputs), 0, 0, 0, given_values)
            mask = draw(st.sampled_from([b"\0\0\0\0", b"\x01\x02\x03\xff"]))
            stream += masked_frame(payload, mask) if what == "input" else fragments(draw, payload, mask)
        elif what == "text":
            stream += masked_frame(b"no", b"mask", TEXT, fin=False) + masked_frame(b"thing", b"mask", CONTINUATION)
        else:
            stream += {
                "ping": masked_frame(b"are you there", b"mask", PING),
                "message": masked_frame(encode_message("chat", "hi", 1), b"mask"),
                "long": masked_frame(encode_message("chat", "x" * 70_000, 1), b"mask"),  # an 8-byte length
                "acknowledge": masked_frame(encode_acknowledge(5, 6), b"mask"),
                "bad": played(0xFFFF, [False, 7.5]),
            }[what]
    return stream, inputs


def fragments(draw: st.DrawFn, payload: bytes, mask: bytes) -> bytes:
    """One message in pieces, with pings in between."""
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
    stream = b""
    for index, part in enumerate(parts):
        opcode = BINARY if index == 0 else CONTINUATION
        stream += masked_frame(part, mask, opcode, fin=index == len(parts) - 1) + masked_frame(b"", mask, PING)
    return stream


def cut(data: bytes, chance: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        size = chance.choice((1, 2, 5, 40, 700, 100_000))
        yield data[at : at + size]
        at += size


@given(client_pieces(), st.integers(0, 1 << 30))
@examples(150)
def test_any_chunks_in_any_order_of_both_ways_give_the_same_recording(
    sent: tuple[bytes, list[list[Any]]], seed: int
) -> None:
    stream, inputs = sent
    chance, tape, now = random.Random(seed), Tape(), 100.0
    tap = tape.recorder.tap()
    server = ANSWER + ping_frame(b"x") + binary_frame(pack([99])) + welcome() + binary_frame(b"\x93\x03junk" * 9000)
    ways = [(tap.feed_client, cut(REQUEST + stream, chance)), (tap.feed_server, cut(server, chance))]
    while ways:
        way = chance.choice(ways)
        feed, chunks = way
        chunk = next(chunks, None)
        if chunk is None:
            ways.remove(way)
        else:
            now += chance.random()
            feed(chunk, now)
    lines = [json.loads(line) for line in tape.text.splitlines()[1:]]
    assert [line["values"][:4] for line in lines] == [given_values[:4] for given_values in inputs]
    times = [line["at"] for line in lines]
    assert times == sorted(times)
    assert times[:1] in ([], [0.0])
    assert tape.recorder.inputs == len(inputs)


@given(st.lists(values, min_size=1, max_size=5))
@examples(40)
def test_what_was_written_is_read(given_values: list[list[Any]]) -> None:
    tape = Tape()
    tap = tape.recorder.tap()
    tap.feed_client(REQUEST, 0.0)
    tap.feed_server(ANSWER + welcome(), 0.0)
    for sequence, each in enumerate(given_values, start=1):
        tap.feed_client(played(sequence, each), 50.0 + 0.05 * sequence)
    header, *lines = tape.text.splitlines()
    assert json.loads(header)["room"] == "yard"
    recording = parse_recording(tape.text, "tape")
    assert recording.input == INPUT
    assert (recording.room, recording.tick_rate, recording.inputs) == ("yard", 20.0, len(lines))
    ((*track,),) = recording.tracks
    assert [kept for _, kept in track] == given_values
    assert [seconds for seconds, _ in track] == pytest.approx([0.05 * n for n in range(len(given_values))])


@given(st.data())
@examples(150)
def test_garbage_is_never_raised_and_never_recorded(data: st.DataObject) -> None:
    """Each way begins in order and goes on with anything; what was played before that is kept."""
    tape = Tape()
    tap = tape.recorder.tap()
    good = [ANSWER, welcome(), REQUEST, played(1, [True]), played(2, [])]
    for way in (tap.feed_server, tap.feed_client):
        pieces = data.draw(st.lists(st.one_of(st.sampled_from(good), st.binary(max_size=60)), max_size=6))
        for piece in pieces:
            for chunk in cut(piece, random.Random(len(piece))):
                way(chunk, 1.0)
    for line in tape.text.splitlines()[1:]:
        assert json.loads(line)["values"][1:4] == [0.0, 0, "go"]


@pytest.mark.parametrize(
    "payload",
    [
        pack([Kind.INPUT]), pack([Kind.INPUT, [1], "text"]), pack([Kind.INPUT, [1], {}]), pack([Kind.INPUT, 1, [True]]),
        pack([Kind.INPUT, [0], [True]]), pack([Kind.INPUT, [1], [1]]), pack([Kind.INPUT, [1], [True, 2.0]]),
        pack([Kind.INPUT, [1], [True, float("nan")]]), pack({}), b"", b"\xc1", b"\x93\x04",
        pack([Kind.INPUT, [1], [False, 0.0, 3, "a" * 10]]),
    ],
)  # fmt: skip
def test_what_a_server_would_not_take_is_not_recorded(payload: bytes) -> None:
    tape = Tape()
    tap = tape.recorder.tap()
    tap.feed_client(REQUEST, 0.0)
    tap.feed_server(ANSWER + welcome(), 0.0)
    tap.feed_client(masked_frame(payload, b"mask"), 1.0)
    tap.feed_client(played(1, [True]), 2.0)
    assert [each[:2] for each in tape.values()] == [[True, 0.0]]


def test_a_repetition_is_recorded_once_and_a_close_ends_it() -> None:
    tape = Tape()
    tap = joined(tape)
    for sequence in (1, 2, 2, 1, 3):
        tap.feed_client(played(sequence, [False, 0.0, sequence]), float(sequence))
    tap.feed_client(masked_frame(b"\x03\xe8", b"mask", CLOSE) + played(4, []), 5.0)
    tap.feed_server(close_frame(1000), 5.0)
    assert [each[2] for each in tape.values()] == [1, 2, 3]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\n" + welcome(),
        ANSWER + welcome(Schema(tables=())),
        ANSWER + welcome(spectator=True),
        ANSWER + binary_frame(pack([Kind.WELCOME, {"room": 5}])),
        ANSWER + close_frame(4005, "no"),
        b"x" * 20_000,
    ],
)
def test_connections_without_inputs_are_not_recorded(answer: bytes) -> None:
    tape = Tape()
    tap = tape.recorder.tap()
    tap.feed_client(REQUEST + played(1, []), 0.0)
    tap.feed_server(answer, 0.0)
    tap.feed_client(played(2, []), 0.0)
    assert tape.text == ""


def joined(tape: Tape, answer: bytes | None = None) -> InputTap:
    tap = tape.recorder.tap()
    tap.feed_client(REQUEST, 0.0)
    tap.feed_server(ANSWER + (welcome() if answer is None else answer), 0.0)
    return tap


def test_players_are_tracks_and_who_comes_back_goes_on() -> None:
    tape = Tape()
    returned = binary_frame(Returned(player=3, tick=9, seat="s").encode())
    early = joined(tape, returned)
    early.feed_client(played(1, []), 0.0)
    first, other, second = joined(tape), joined(tape, welcome(room="lobby")), joined(tape)
    other.feed_client(played(1, []), 1.0)
    second.feed_client(played(1, [False, 0.0, 2]), 2.0)
    first.feed_client(played(1, [False, 0.0, 1]), 3.0)
    back = joined(tape, returned)
    back.feed_client(played(9, [False, 0.0, 3]), 4.0)
    recording = parse_recording(tape.text, "tape")
    assert [[(seconds, kept[2]) for seconds, kept in track] for track in recording.tracks] == [
        [(0.0, 2)], [(0.0, 1)], [(0.0, 3)],
    ]  # fmt: skip
    assert tape.recorder.players == 3
    assert tape.recorder.notes == [
        "who came back to yard was left out: its first connection was not recorded",
        "this is a recording of room yard: who joined lobby was left out",
    ]


def test_a_full_disk_ends_the_recording_and_not_the_game() -> None:
    def write(line: str) -> None:
        raise OSError(28, "No space left on device")

    recorder = Recorder(write)
    tap = recorder.tap()
    tap.feed_client(REQUEST, 0.0)
    tap.feed_server(ANSWER + welcome(), 0.0)
    tap.feed_client(played(1, []) + played(2, []), 0.0)
    assert len(recorder.notes) == 1
    assert "No space left" in recorder.notes[0]


# -- reading -----------------------------------------------------------------------------------------------------------

HEADER = json.dumps(
    {"format": "gamebots-recording/1", "room": "r", "tick_rate": 20, "input": {"name": "K", "fields": [
        {"name": "jump", "type": "bool", "default": False}, {"name": "blob", "type": "bytes", "default": ""},
    ]}}
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "its first line"),
        ("hello\n", "its first line"),
        ('{"format": "gamebots-result/1"}\n', "its first line"),
        (HEADER.replace("recording/1", "recording/9") + "\n", "its format is 'gamebots-recording/9'"),
        (HEADER + "\n", "nobody played"),
        (HEADER + '\n{"player": 0, "at": 0, "values": [1]}\n', "line 2: the recording: K.jump takes bool"),
        (HEADER + '\n\n{"player": 0, "at": 0, "values": [true, "?"]}\n', "line 3"),
        (HEADER + '\n{"player": 0, "at": 0}\n', "line 2"),
        (HEADER + '\n{"player": 0, "at": 1e99, "values": []}\n', "line 2"),
        (HEADER + '\n{"player": 0, "at": 2, "values": []}\n{"player": 0, "at": 1, "values": []}\n', "back in time"),
    ],
)
def test_what_is_no_recording_says_why_and_where(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_recording(text, "bad.jsonl")


def test_files_that_cannot_be_read_and_lines_that_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot read"):
        read_recording(tmp_path / "nowhere")
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ValueError, match="not text"):
        read_recording(tmp_path / "picture")
    (tmp_path / "cut").write_text(HEADER + '\n{"player": 0, "at": 0.5, "values": [true]}\n{"player": 0, "a')
    assert read_recording(tmp_path / "cut").tracks == ([(0.5, [True, b""])],)


# -- playing again -----------------------------------------------------------------------------------------------------


def keys(number: int = 0, *, jump: bool = False) -> list[Any]:
    return [jump, 0.0, number, "go", b""]


def shown(line: list[list[Any]]) -> str:
    """A timeline as text: the number of each input, and a dash behind one that jumps."""
    return " ".join(f"{each[2]}{'-' if each[0] else ''}" for each in line)


def track(*times: float) -> Track:
    return [(seconds, keys(number)) for number, seconds in enumerate(times)]


@pytest.mark.parametrize(
    ("times", "rate", "line"),
    [
        ((0, 0.05, 0.10, 0.15), 20, "0 1 2 3"),
        ((0, 0.06, 0.09, 0.16), 20, "0 1 2 3"),  # jitter
        ((0, 0.05, 0.051, 0.15), 20, "0 1 2 3"),  # two in one period, and none in the next
        ((0, 0.05, 0.25), 20, "0 1 1 1 1 2"),  # a pause: the server repeats
        ((0, 0.05, 0.10, 0.15), 10, "0 3"),  # slower: merged
        ((0, 0.05), 40, "0 0 1 1"),  # faster: repeated
    ],
)
def test_timelines_keep_every_input_where_there_is_room(times: tuple[float, ...], rate: float, line: str) -> None:
    recording = Recording("yard", INPUT, [track(*times)])
    assert shown(recording.timeline(0, rate)) == line


@pytest.mark.parametrize("pressed", range(60))
def test_a_key_that_was_pressed_between_two_inputs_is_not_lost(pressed: int) -> None:
    inputs = [(index / 60, keys(index % 9, jump=index == pressed)) for index in range(60)]
    line = Recording("yard", INPUT, [inputs]).timeline(0, 20)
    assert len(line) == 21  # a second, and one tick for the last
    assert sum(each[0] for each in line) == 1


@given(st.lists(st.floats(0, 0.4), max_size=40), st.sampled_from([5.0, 20.0, 33.0, 60.0]))
@example([0.25, 0.375], 5.0)
@examples(100)
def test_inputs_are_played_in_order_and_about_when_they_were(gaps: list[float], rate: float) -> None:
    times = [0.0, *itertools.accumulate(gaps)]
    inputs = [(seconds, [False, index / 100, 0, "go", b""]) for index, seconds in enumerate(times)]
    line = Recording("yard", INPUT, [inputs]).timeline(0, rate)
    played_inputs = [round(each[1] * 100) for each in line]
    assert played_inputs == sorted(played_inputs)
    assert played_inputs[-1] == len(times) - 1
    for number in set(played_inputs):
        assert played_inputs.index(number) == pytest.approx(times[number] * rate, abs=2)


def test_a_room_that_does_not_repeat_gets_defaults_in_pauses() -> None:
    schema = msgspec.structs.replace(INPUT, missing="skip")
    recording = Recording("yard", schema, [track(0, 0.1, 0.25)])
    assert shown(recording.timeline(0, 20)) == "0 0 1 0 0 2"


def test_bots_play_it_in_a_circle_each_from_its_own_place() -> None:
    long, short = [(index / 20, keys(index % 9)) for index in range(18)], [(0.0, keys(1)), (0.05, keys(4))]
    make = replay_bots(Recording("yard", INPUT, [long, short]))
    lines = []
    for seed in range(100):
        bot = make(SCHEMA, 1, seed)
        bot.rate = 20.0
        lines.append([bot.next_input(None)[2] for _ in range(36)])
    assert all(line[:18] == line[18:] for line in lines)
    whole = [line for line in lines if sorted(line) == sorted([*range(9)] * 4)]
    others = [line for line in lines if sorted(line) == [1] * 18 + [4] * 18]
    assert len(whole) + len(others) == 100
    assert 0 < len(others) < 30  # it was one tenth of what was played
    assert len({tuple(line) for line in whole}) == 9


def schema_of(fields: dict[str, Any]) -> Schema:
    """A room's with other fields."""
    kept = [field for field in INPUT.fields if field.name not in fields or fields[field.name]]
    changed = [msgspec.structs.replace(field, **fields.get(field.name, {})) for field in kept]
    return Schema(tables=(), input=InputSchema(name="Keys", fields=tuple(changed)))


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        (Schema(tables=()), "takes no inputs"),
        (schema_of({"word": None}), "Keys has no 'word'"),
        (schema_of({"word": {"name": "words"}}), r"Keys\.words is not in the recording, which has jump, aim"),
        (schema_of({"steps": {"type": "float"}}), r"Keys\.steps is float, in the recording int"),
        (schema_of({"steps": {"high": 3.0}}), r"Keys\.steps takes 0 to 3, not 5"),
        (schema_of({"jump": {"name": "aim"}, "aim": {"name": "jump"}}), r"Keys\.aim is at the place of 'jump'"),
    ],
)
def test_a_room_with_another_input_is_told_by_the_field(schema: Schema, complaint: str) -> None:
    recording = Recording("yard", INPUT, [[(0.0, keys(5))]])
    with pytest.raises(ValueError, match=complaint):
        ReplayBot(schema, 1, 0, recording)


def test_wider_bounds_and_other_defaults_do_no_harm() -> None:
    recording = Recording("yard", INPUT, [[(0.0, keys(5))]])
    for schema in (schema_of({"steps": {"high": 99.0}}), schema_of({"word": {"default": "stop"}})):
        assert ReplayBot(schema, 1, 0, recording).next_input(None) == keys(5)
    with pytest.raises(ValueError, match="no inputs"):
        ReplayBot(SCHEMA, 1, 0, Recording("yard", INPUT, []))
