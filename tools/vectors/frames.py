"""Frames: order, baselines, hash, what is skipped."""

from __future__ import annotations

from tools.vectors.building import chunk, field, frame, i8, pack, table, u8, uint_table
from tools.vectors.fields import row_hash
from tools.vectors.replicas import play
from tools.vectors.topics import Json, topic


@topic("frames-order")
def frames_order() -> Json:
    """Removals, then whole rows, then changes, whatever the order of the chunks."""
    start = frame(1, 0, chunk(0, whole=[[u8(1, 1, 1)], u8(10, 20, 30)]))
    steps = [
        ("three rows", start),
        ("row 2 goes, row 4 comes", frame(2, 1, chunk(0, removed=[u8(2)], whole=[[u8(4)], 40]))),
        (
            "row 1 is removed and sent whole in one frame: it only moved",
            frame(3, 1, chunk(0, removed=[u8(1)]), chunk(0, whole=[[u8(1)], 11])),
        ),
        (
            "the same with the whole row's chunk first",
            frame(4, 1, chunk(0, whole=[[u8(1)], 12]), chunk(0, removed=[u8(1)])),
        ),
        ("a whole row that is held already is a change", frame(5, 1, chunk(0, whole=[[u8(3)], 31]))),
        (
            "row 5 comes and is changed by a chunk before it",
            frame(6, 1, chunk(0, [[u8(5)], 0, [i8(5)]]), chunk(0, whole=[[u8(5)], 50])),
        ),
        ("nothing changed: a frame without chunks", frame(7, 1)),
        ("a chunk that says nothing", frame(8, 1, chunk(0))),
        ("a full frame: rows 3 and 9; all others are gone", frame(9, 0, chunk(0, whole=[[u8(3, 6)], u8(31, 90)]))),
        ("a full frame of an empty world", frame(10, 0)),
    ]
    return play("In which order the parts of a frame are applied.", [uint_table(8)], steps)


@topic("frames-baseline")
def frames_baseline() -> Json:
    """Deltas that fit and that do not."""
    change = chunk(0, [None, 0, [i8(1)]])
    steps = [
        ("a delta before any full frame", frame(5, 1, change)),
        ("full frame", frame(10, 0, chunk(0, whole=[[u8(1)], 100]))),
        ("delta from tick 10", frame(11, 1, change)),
        ("delta from tick 11 over four ticks: absolute, merged", frame(15, 4, chunk(0, [None, 0, 120]))),
        ("delta from tick 14: not where the replica is", frame(16, 2, change)),
        ("delta from tick 15: fits", frame(16, 1, change)),
        ("malformed: field 7; from here on only a full frame will do", frame(17, 1, chunk(0, [None, 7, 1]))),
        ("delta from tick 16: refused, the replica is not usable", frame(17, 1, change)),
        ("full frame", frame(18, 0, chunk(0, whole=[[u8(1)], 130]))),
        ("delta from tick 18", frame(19, 1, change)),
    ]
    return play("Baselines.", [uint_table(8)], steps)


@topic("frames-return")
def frames_return() -> Json:
    """What comes first after a return: the baseline is what counts, however long ago it was."""
    start = chunk(0, whole=[[u8(1, 1, 1)], u8(10, 20, 30)])
    away = chunk(0, [[u8(1)], 0, 11], removed=[u8(2)], whole=[[u8(4)], 40])
    held = sum(row_hash(0, id, [n]) for id, n in ((1, 11), (3, 30), (4, 40))) % (1 << 32)
    steps = [
        ("full frame", frame(1000, 0, start)),
        ("delta from tick 1000", frame(1005, 5)),
        ("back after 400 ticks: a delta from tick 1005, the last that was applied", frame(1405, 400, away, said=held)),
        ("the next frame is a delta like any other", frame(1406, 1, chunk(0, [[u8(4)], 0, [i8(1)]]))),
        ("again after 400 ticks, but from a tick before the last that was applied", frame(1805, 400, away)),
        ("so a full frame", frame(1806, 0, chunk(0, whole=[[u8(3, 1)], u8(30, 41)]))),
        ("back after 16384 ticks, the most that a server does", frame(18190, 16384, chunk(0, removed=[u8(3)]))),
        ("the largest back there is", frame(83725, 65535, chunk(0, [None, 0, [i8(-1)]]))),
        ("back with nothing changed", frame(84125, 400)),
    ]
    return play("The first frames after returns.", [uint_table(8)], steps)


@topic("frames-hash")
def frames_hash() -> Json:
    """A hash that is right, one that is not, and the repair."""
    held = row_hash(0, 1, [100])
    after = row_hash(0, 1, [101])
    steps = [
        ("full frame with its hash", frame(1, 0, chunk(0, whole=[[u8(1)], 100]), said=held)),
        ("delta without a hash", frame(2, 1)),
        ("delta with the hash of another state: ask for a full frame", frame(3, 1, said=after)),
        ("full frame", frame(4, 0, chunk(0, whole=[[u8(1)], 101]), said=after)),
        ("an empty world has the hash 0", frame(5, 0, said=0)),
    ]
    return play("The desync hash.", [uint_table(8)], steps)


@topic("frames-extras")
def frames_extras() -> Json:
    """What a receiver skips, and numbers at any width."""
    wide = bytes.fromhex(
        "dd00000004 cd0003 dc0006 cf0000000000000002 d10001 d300000000000000ff d2fffffff6 ce00000007 cd0008 c0"
    )
    rows = bytes.fromhex("dd00000005 d200000000 c0 c0 c0 dc0003 c6 00000001 01 d300000000000000 00 cf00000000000000c8")
    steps = [
        (
            "full frame whose header has three items more",
            frame(1, 0, chunk(0, whole=[[u8(1)], 100]), header=[5, -3, 77, 900, 65535, "new", None, [1]]),
        ),
        ("a message of an unknown kind", pack([99, {"what": "ever"}])),
        ("every number, array and bin wider than needed; the header has six items", wide + rows),
        ("a header of three items: the others have their defaults", frame(3, 1, header=[9])),
    ]
    things = table("Thing", field("uint", "n", bits=8, later=1)) | {"later": [2]}
    return play("Extra header items, unknown message kinds and keys, and msgpack at any width.", [things], steps)


@topic("frames-later")
def frames_later() -> Json:
    """Parts that a later version may add."""
    start = chunk(0, whole=[[u8(1, 1, 1)], u8(10, 20, 30)])
    steps = [
        ("full frame: a chunk that begins with -1 before the one that is known", frame(1, 0, [-1, 7, None], start)),
        (
            "unknown chunks between, behind and before; all that they hold is skipped",
            frame(
                2, 1, [-2], chunk(0, [[u8(1)], 0, 11]), [-128, {"a": [b"", 1.5]}, "x"], chunk(0, [[u8(2)], 0, 22]), [-1]
            ),
        ),
        (
            "an unknown block before a known one",
            frame(3, 1, chunk(0, [-1, [u8(9)], 7, None], [None, 0, [i8(1, 1, 1)]])),
        ),
        ("an unknown block alone", frame(4, 1, chunk(0, [-40]))),
        (
            "an unknown block in a chunk that removes and adds",
            frame(5, 1, chunk(0, [-3, {}], removed=[u8(2)], whole=[[u8(4)], 40])),
        ),
        ("an unknown chunk alone", frame(6, 1, [-1, 0, None, [u8(1)], None])),
        (
            "negative numbers at every width",
            bytes.fromhex("97 03 93 07 01 00 c0 91 d0ff 91 d1ffff 91 d2ffffffff 91 d3ffffffffffffffff"),
        ),
    ]
    return play("Chunks and blocks whose first item is a negative integer are skipped.", [uint_table(8)], steps)


@topic("frames-state")
def frames_state() -> Json:
    """A table with one row."""
    state = table("Match", field("uint", "phase", bits=8), field("text", "title", max_bytes=20), single=True)
    steps = [
        ("the room-wide state is row 1 of its table", frame(1, 0, chunk(1, whole=[[u8(1)], 2, ["warm-up"]]))),
        ("phase changes", frame(2, 1, chunk(1, [None, 0, 3]))),
        ("title changes", frame(3, 1, chunk(1, [None, 1, ["play"]]))),
    ]
    return play("Room-wide state.", [uint_table(8), state], steps)
