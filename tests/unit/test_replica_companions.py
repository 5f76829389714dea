"""Private fields: a companion's columns show as attributes of the rows of its main table, where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameprotocol import Frame, ProtocolError, Replica, Row, Schema, TableSchema, pack, unpack_from_server
from gameprotocol._columns import pack_ids
from gameprotocol._fields import Fixed, Owner, Reference, Text, Uint, Value

#: Index of each table in the schema; a companion may stand before its main table.
SECRET, SHIP, MINE, MATCH, GOAL, PLAIN = range(6)
SCHEMA = Schema(
    tables=(
        TableSchema(
            name="Ship@team", fields=(Uint(name="plan", bits=8), Reference(name="target", table=SHIP)), of=SHIP
        ),
        TableSchema(name="Ship", fields=(Owner(name="owner"), Uint(name="hp", bits=8))),
        TableSchema(
            name="Ship@owner",
            fields=(
                Fixed(name="ammo", low=5.0, step=0.5, count=100),
                Text(name="note", max_bytes=20),
                Value(name="bag", max_bytes=20),
            ),
            of=SHIP,
        ),
        TableSchema(name="Match", fields=(Uint(name="phase", bits=8),), single=True),
        TableSchema(name="Match@team", fields=(Uint(name="goal", bits=8),), of=MATCH),
        TableSchema(name="Plain", fields=(Uint(name="n", bits=8),)),
    )
)


class Feed:
    """A replica, and frames for it that are written chunk by chunk."""

    def __init__(self, schema: Schema = SCHEMA) -> None:
        self.replica = Replica(Schema.from_wire(schema.to_wire()), player=7)

    def send(self, *chunks: Any, full: bool = False) -> dict[str, tuple[list[int], list[int], list[int]]]:
        """Apply a frame of these chunks; by table who spawned, changed and despawned."""
        tick = self.replica.tick + 1
        header = [tick, 0 if full or tick == 1 else 1, 0]
        changes = self.replica.apply(Frame.from_items(unpack_from_server(pack([3, header, None, *chunks]))))
        told = {
            change.table.schema.name: (
                change.spawned_ids.tolist(),
                change.changed_ids.tolist(),
                change.despawned_ids.tolist(),
            )
            for change in changes
        }
        return {name: parts for name, parts in told.items() if any(parts)}


def ids(*given: int) -> list[bytes]:
    return pack_ids(np.array(given, np.int64))


def whole(table: int, given: tuple[int, ...], *columns: Any) -> list[Any]:
    return [table, None, None, [ids(*given), *columns]]


def removed(table: int, *given: int) -> list[Any]:
    return [table, None, ids(*given), None]


def block(table: int, given: tuple[int, ...], *pairs: Any) -> list[Any]:
    return [table, None, None, None, [ids(*given), *pairs]]


MINE_OF_2 = whole(MINE, (2,), 10, ["mine"], [pack({"gold": 3})])


@pytest.fixture
def feed() -> Feed:
    """Ships 2 (the player's), 4 and 300; of 2 all is known, of 300 the plan; room-wide state without its goal."""
    feed = Feed()
    feed.send(
        whole(SHIP, (2, 4, 300), [b"\7\1\1"], 100),
        MINE_OF_2,
        whole(SECRET, (2, 300), b"\1\2", b"\4\2"),
        whole(MATCH, (1,), 3),
        whole(PLAIN, (1,), 5),
    )
    return feed


def ship(feed: Feed, id: int) -> Row:
    return Row(feed.replica["Ship"], id)


def test_private_fields_are_attributes_where_they_are_known(feed: Feed) -> None:
    mine, other, friend = feed.replica["Ship"]
    assert (mine.hp, mine.ammo, mine.note, mine.bag, mine.plan) == (100, 10.0, "mine", {"gold": 3}, 1)
    assert (other.hp, other.ammo, other.note, other.bag, other.plan, other.target) == (
        100,
        None,
        None,
        None,
        None,
        None,
    )
    assert (friend.ammo, friend.plan) == (None, 2)
    assert (mine.target, friend.target) == (other, mine)
    assert (mine.mine, other.mine) == (True, False)


def test_columns_of_private_fields_stand_beside_the_ids(feed: Feed) -> None:
    ships = feed.replica["Ship"]
    assert ships.ids.tolist() == [2, 4, 300]
    assert ships.column("ammo").tolist() == [10.0, 5.0, 5.0]
    assert ships.column("note") == ["mine", None, None]
    assert ships.column("bag") == [{"gold": 3}, None, None]
    assert ships.column("plan").tolist() == [1, 0, 2]
    assert ships.known("ammo").tolist() == [True, False, False]
    assert ships.known("plan").tolist() == [True, False, True]
    assert ships.known("hp").tolist() == [True, True, True]
    assert ships.known("ammo").dtype == np.bool_


def test_columns_of_an_empty_replica() -> None:
    ships = Feed().replica["Ship"]
    assert (len(ships.column("ammo")), ships.column("note"), len(ships.known("plan"))) == (0, [], 0)


def test_a_row_shows_the_private_fields_that_are_known(feed: Feed) -> None:
    assert repr(ship(feed, 4)) == "<Ship 4: owner=1, hp=100>"
    assert repr(ship(feed, 2)) == (
        "<Ship 2: owner=7, hp=100, plan=1, target=<Ship 4>, ammo=10.0, note='mine', bag={'gold': 3}>"
    )


def test_room_wide_state_has_private_fields_too(feed: Feed) -> None:
    state = feed.replica.state
    assert state is not None
    assert (state.phase, state.goal) == (3, None)
    assert feed.send(whole(GOAL, (1,), 9)) == {"Match": ([], [1], [])}
    assert (state.goal, feed.replica["Match"].column("goal").tolist()) == (9, [9])
    assert feed.send(removed(GOAL, 1)) == {"Match": ([], [1], [])}
    assert state.goal is None


def test_front_ends_meet_main_tables_alone(feed: Feed) -> None:
    replica = feed.replica
    assert [table.schema.name for table in replica.main_tables] == ["Ship", "Match", "Plain"]
    assert len(replica.tables) == 6
    with pytest.raises(KeyError, match="no entity type 'Ship@owner' in this room; it has Ship, Match, Plain"):
        replica["Ship@owner"]
    with pytest.raises(
        AttributeError, match="Ship has no field 'fuel'; it has owner, hp, plan, target, ammo, note, bag"
    ):
        _ = ship(feed, 2).fuel
    for ask in (replica["Ship"].column, replica["Ship"].known):
        with pytest.raises(AttributeError, match="Ship has no field 'fuel'"):
            ask("fuel")


def test_companions_count_in_the_hash(feed: Feed) -> None:
    before = feed.replica.hash()
    feed.send(block(SECRET, (2,), 0, 5))
    assert feed.replica.hash() != before
    feed.send(block(SECRET, (2,), 0, 1))
    assert feed.replica.hash() == before


def test_what_happens_to_a_companions_row_changes_the_main_row(feed: Feed) -> None:
    assert feed.send(block(MINE, (2,), 0, 11)) == {"Ship": ([], [2], [])}
    assert feed.send(removed(SECRET, 300)) == {"Ship": ([], [300], [])}
    assert ship(feed, 300).plan is None
    assert feed.send(whole(SECRET, (4,), 6, 0)) == {"Ship": ([], [4], [])}
    assert ship(feed, 4).plan == 6
    both = feed.send(block(SECRET, (2,), 0, 8), block(SHIP, (4,), 1, 90), removed(MINE, 2))
    assert both == {"Ship": ([], [2, 4], [])}
    assert feed.send(block(PLAIN, (1,), 0, 6)) == {"Plain": ([], [1], [])}
    assert feed.send([SECRET, None, None, None]) == {}


def test_a_row_that_comes_or_goes_with_its_companions_did_not_change(feed: Feed) -> None:
    came = feed.send(whole(MINE, (9,), 3, [""], [b"\xc0"]), whole(SHIP, (9,), 7, 50))
    assert came == {"Ship": ([9], [], [])}
    assert ship(feed, 9).ammo == 6.5
    went = feed.send(removed(MINE, 9), removed(SHIP, 9), removed(SECRET, 2))
    assert went == {"Ship": ([], [2], [9])}


def test_a_full_frame_may_take_private_fields_away(feed: Feed) -> None:
    ships = whole(SHIP, (2, 4), b"\7\1", 100)
    assert feed.send(ships, full=True) == {
        "Ship": ([], [2, 4], [300]),
        "Match": ([], [], [1]),
        "Plain": ([], [], [1]),
    }
    assert feed.replica["Ship"].known("ammo").tolist() == [False, False]
    assert feed.send(ships, MINE_OF_2, full=True) == {"Ship": ([], [2, 4], [])}
    assert ship(feed, 2).ammo == 10.0


def test_an_entity_that_is_gone_keeps_what_was_known_of_it(feed: Feed) -> None:
    feed.send(removed(SHIP, 2, 300), removed(MINE, 2), removed(SECRET, 2, 300))
    gone, friend = ship(feed, 2), ship(feed, 300)
    assert not gone.alive
    assert (gone.hp, gone.ammo, gone.note, gone.plan) == (100, 10.0, "mine", 1)
    assert (friend.ammo, friend.plan) == (None, 2)
    feed.send(whole(SHIP, (2,), 1, 80))  # the id again, as somebody else's ship
    assert (gone.hp, gone.ammo, gone.note, gone.plan) == (80, None, None, None)
    feed.send(removed(SHIP, 2))
    assert gone.ammo is None


def test_private_fields_of_ids_far_apart() -> None:
    feed = Feed()
    feed.send(whole(SHIP, (5000,), 7, 1))
    assert feed.replica["Ship"].known("ammo").tolist() == [False]
    assert feed.send(whole(MINE, (5000,), 1, ["x"], [b"\xc0"])) == {"Ship": ([], [5000], [])}
    assert ship(feed, 5000).note == "x"
    assert (ship(feed, 1).ammo, ship(feed, 1 << 30).ammo) == (None, None)
    largest = 2 * 1024 * 1024
    feed.send(whole(SHIP, (largest,), 7, 1))
    assert feed.replica["Ship"].column("plan").tolist() == [0, 0]


def test_a_companions_row_without_its_main_row_is_nobody() -> None:
    """A server does not send it; a reader need not check, and must not stumble."""
    feed = Feed()
    feed.send(whole(SHIP, (1,), 7, 1))
    assert feed.send(whole(MINE, (900,), 1, ["x"], [b"\xc0"])) == {}
    assert feed.replica["Ship"].column("ammo").tolist() == [5.0]
    assert feed.send(removed(MINE, 900)) == {}


def test_a_frame_that_breaks_off_leaves_rows_that_can_be_read(feed: Feed) -> None:
    with pytest.raises(ProtocolError):
        feed.send(whole(SHIP, (6000,), 7, 1), block(SHIP, (7000,), 1, 1))
    ships = feed.replica["Ship"]
    assert len(ships.column("note")) == len(ships.known("plan")) == len(ships.column("ammo")) == len(ships)
    assert [row.plan for row in ships][:2] == [1, None]


def test_the_same_frames_without_of_give_the_same_state(feed: Feed) -> None:
    """A client from before, which knows no companions, sees more tables."""
    plain = Schema(tables=tuple(TableSchema(name=t.name, fields=t.fields, single=t.single) for t in SCHEMA.tables))
    older = Feed(plain)
    changes = older.send(whole(SHIP, (2,), 7, 100), MINE_OF_2)
    newer = Feed()
    newer.send(whole(SHIP, (2,), 7, 100), MINE_OF_2)
    assert older.replica.hash() == newer.replica.hash()
    assert changes == {"Ship": ([2], [], []), "Ship@owner": ([2], [], [])}
    assert older.replica["Ship@owner"].column("note") == ["mine"]


# -- any sequence ------------------------------------------------------------------------------------------------------

HELD = st.dictionaries(st.integers(1, 40), st.tuples(st.integers(0, 2), st.booleans()), max_size=8)


@given(st.lists(st.tuples(HELD, st.booleans()), min_size=1, max_size=8))
def test_changes_are_those_of_whole_rows(worlds: list[tuple[dict[int, tuple[int, bool]], bool]]) -> None:
    """Each world says for ids an hp, and whether the plan, which is always twice the hp, is known."""
    feed = Feed()
    held: dict[int, tuple[int, bool]] = {}
    for now, full in worlds:
        first = feed.replica.tick == 0
        told = feed.send(*difference({} if full or first else held, now), full=full)
        common = held.keys() & now.keys()
        changed = common if full else {id for id in common if held[id] != now[id]}
        expected = (sorted(now.keys() - held.keys()), sorted(changed), sorted(held.keys() - now.keys()))
        assert told.get("Ship", ([], [], [])) == expected
        assert {row.id: (row.hp, row.plan) for row in feed.replica["Ship"]} == {
            id: (hp, 2 * hp if known else None) for id, (hp, known) in now.items()
        }
        assert feed.replica["Ship"].known("plan").tolist() == [now[id][1] for id in sorted(now)]
        held = now


def difference(held: dict[int, tuple[int, bool]], now: dict[int, tuple[int, bool]]) -> list[Any]:
    """The chunks that lead from one world to another."""
    plans = [{id: 2 * hp for id, (hp, known) in world.items() if known} for world in (held, now)]
    ships = [{id: hp for id, (hp, _) in world.items()} for world in (held, now)]
    return [
        part
        for table, before, after in ((SECRET, *plans), (SHIP, *ships))
        for part in table_difference(table, before, after)
    ]


def table_difference(table: int, held: dict[int, int], now: dict[int, int]) -> list[Any]:
    chunks: list[Any] = []
    gone, new = sorted(held.keys() - now.keys()), sorted(now.keys() - held.keys())
    field = 1 if table == SHIP else 0
    if gone:
        chunks.append(removed(table, *gone))
    for id in new:
        columns = [now[id], now[id]]
        columns[1 - field] = 0
        chunks.append(whole(table, (id,), *columns))
    chunks += [block(table, (id,), field, now[id]) for id in held.keys() & now.keys() if held[id] != now[id]]
    return chunks
