"""What a player sees: views, and private fields in companion tables."""

from __future__ import annotations

from typing import Any, Final

from gameprotocol._fields import object_checksum
from tools.vectors.building import chunk, field, frame, i8, table, u8, u16, u32
from tools.vectors.fields import row_hash
from tools.vectors.replicas import play
from tools.vectors.topics import Json, topic

_THING: Final = table("Thing", field("uint", "n", bits=16), field("reference", "friend", table=0))


@topic("frames-view")
def frames_view() -> Json:
    """Rows that come into view and leave it, in chunks without a scope and with one."""
    steps = [
        (
            "the view: four rows; row 8's friend, 4, is out of view and gives nobody",
            frame(1, 0, chunk(0, whole=[[u8(3, 2, 3, 1)], u16(30, 50, 80, 90), u8(0, 3, 4, 0)])),
        ),
        ("moving inside the view: all rows held", frame(2, 1, chunk(0, [None, 0, [i8(1, 2, 3, 4)]]))),
        (
            "rows 5 and 9 leave, by bitmap; 4 and 200 enter, whole; nil: the rows held, 3 and 8, and not the new ones",
            frame(
                3,
                1,
                chunk(0, [None, 0, [i8(1, 1)]], removed=u8(0b1010), whole=[[u8(4, 196)], u16(40, 2000), u8(0, 0)]),
            ),
        ),
        ("row 5 comes back into view: whole, spawned", frame(4, 1, chunk(0, whole=[[u8(5)], 55, 3]))),
        (
            "three ticks merged: row 4 left and came back between them; for the replica it changed",
            frame(7, 3, chunk(0, [u8(0b00010), 0, 41], removed=[u8(200)])),
        ),
        (
            "row 3 moved from one part of the view to another: removed by one chunk, whole in the other: it changed",
            frame(8, 1, chunk(0, removed=[u8(3)]), chunk(0, whole=[[u8(3)], 33, 0])),
        ),
        (
            "two parts of the view, each with its scope; row 5 leaves one of them, row 300 enters the other",
            frame(
                9,
                1,
                chunk(0, [None, 0, [i8(1, 1)]], scope=[u8(3, 1)], removed=[u8(5)]),
                chunk(0, [None, 0, [i8(-1)]], scope=[u8(8)], whole=[[u8(255), u32(300)], 3000, 5]),
            ),
        ),
        ("nothing is left in view", frame(10, 1, chunk(0, removed=u8(0b1111)))),
        ("and all of it enters again", frame(11, 1, chunk(0, whole=[[u8(3, 1, 4)], u8(1, 2, 3), u8(8, 4, 3)]))),
    ]
    return play("Views: entering is a whole row, leaving a removal, moving inside neither.", [_THING], steps)


def _private_tables() -> list[dict[str, Any]]:
    return [
        table("Ship", field("owner", "owner"), field("uint", "hp", bits=8)),
        table("Match", field("uint", "phase", bits=8), single=True),
        table("Ship@owner", field("uint", "ammo", bits=8), field("text", "note", max_bytes=20)) | {"of": 0},
        table("Ship@team", field("uint", "plan", bits=8)) | {"of": 0},
        table("Match@team", field("uint", "goal", bits=8)) | {"of": 1},
    ]


@topic("frames-companion")
def frames_companion() -> Json:
    """Private fields. ``changes`` speaks of main tables alone."""
    first = [
        chunk(0, whole=[[u8(1, 1, 3)], u8(12, 7, 9), 100]),
        chunk(1, whole=[[u8(1)], 2]),
        chunk(2, whole=[[u8(1)], 30, ["mine"]]),
        chunk(3, whole=[[u8(1, 4)], 5]),
    ]
    rows = [(0, 1, [12, 100]), (0, 2, [7, 100]), (0, 5, [9, 100]), (1, 1, [2])]
    rows += [(2, 1, [30, object_checksum("mine")]), (3, 1, [5]), (3, 5, [5])]
    said = sum(row_hash(*row) for row in rows) & 0xFFFFFFFF
    steps = [
        ("ships 1, 2, 5; of ship 1 ammo, note and plan are known, of ship 5 the plan", frame(1, 0, *first, said=said)),
        ("a private field changes: ship 1 changed", frame(2, 1, chunk(2, [None, 0, [i8(-1)]]))),
        (
            "ship 5's plan is no longer known, ship 2's is: both changed",
            frame(3, 1, chunk(3, removed=[u8(5)], whole=[[u8(2)], 6])),
        ),
        (
            "the companion's chunk first, and a field of the ship itself: changed once",
            frame(4, 1, chunk(2, [[u8(1)], 1, ["ours"]]), chunk(0, [[u8(1)], 1, 90])),
        ),
        (
            "ship 1 is gone, and with it its rows in both companions: despawned, and nothing changed",
            frame(5, 1, chunk(0, removed=[u8(1)]), chunk(2, removed=[u8(1)]), chunk(3, removed=u8(0b01))),
        ),
        (
            "ship 7 comes with its private fields: spawned, not changed",
            frame(6, 1, chunk(0, whole=[[u8(7)], 12, 100]), chunk(2, whole=[[u8(7)], 20, [""]])),
        ),
        ("private room-wide state comes: the state changed", frame(7, 1, chunk(4, whole=[[u8(1)], 3]))),
        ("a chunk of a companion that says nothing", frame(8, 1, chunk(3))),
        (
            "a full frame without ship 7's private fields",
            frame(9, 0, chunk(0, whole=[[u8(2, 3, 2)], u8(7, 9, 12), 100]), chunk(1, whole=[[u8(1)], 2])),
        ),
        ("they are known again", frame(10, 1, chunk(2, whole=[[u8(7)], 19, ["back"]]))),
    ]
    return play("Companion tables: private fields of the rows of another table.", _private_tables(), steps)
