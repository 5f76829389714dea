"""Frames: what players are sent in one tick, joined from bytes that they share.

A `FrameBody` is everything but the 19 bytes that differ from player to player. One is made for each group: players who
hold the same rows as of the same tick, and may see the same rows now. In a room where everyone sees everything that is
one for each baseline in use.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from gameprotocol import _messages as messages
from gameserver.sync.budget import BudgetedHolding, choose_and_pack
from gameserver.sync.chunks import delta_chunk, full_chunk
from gameserver.sync.groups import GroupedIds, Holding, Moves, held_by
from gameserver.sync.hashes import HashedTick, HashRecords
from gameserver.sync.packing import TablePacker
from gameserver.sync.sight import Sight, Slot
from gameserver.sync.viewer import NOTHING, Viewer
from gameserver.world.publish import PublishedTable, PublishedWorld

#: From a baseline so many ticks ago on, a full frame may be smaller than a delta: both are made, and the smaller sent.
CHEAPER_TICKS: Final = 8
#: What a frame costs besides its chunks: WebSocket header, message header and hash.
_FRAME_BYTES: Final = 45
#: Stands for the baselines of viewers who are sent a choice of their own.
_OWN_CHOICE: Final = -1


class FrameBody:
    """The parts of a frame that players of one group share.

    Attributes:
        timed_head: WebSocket frame header and begin of the message, for a header with timing.
        rest: what comes behind the player's own part.
        holding, own_holding, choice: what a player holds to whom it was written.
        has_hash: whether it carries the desync hash.
    """

    __slots__ = ("_heads", "choice", "has_hash", "holding", "own_holding", "rest", "timed_head")

    def __init__(self, heads: _Heads, rest: bytes, has_hash: bool, holding: Holding | None = None) -> None:
        self.rest = rest
        self.timed_head = heads[len(rest)]
        self.has_hash = has_hash
        self.holding = holding
        self.own_holding: Holding | None = None
        self.choice: BudgetedHolding | None = None
        self._heads = heads

    @property
    def untimed_head(self) -> bytes:
        """The same as ``timed_head`` for a header without timing."""
        return self._heads.untimed(len(self.rest))

    @property
    def message_bytes(self) -> int:
        """Length of the message with timing, without the WebSocket header."""
        return len(self._heads.prefix) + messages.TIMED_BYTES + len(self.rest)


class _Heads(dict[int, bytes]):
    """How frames begin that go from one baseline and have so many chunks, by the length of the rest; each made once.

    Args:
        prefix: of the message. frame_header: makes the WebSocket header for a message of so many bytes.
    """

    def __init__(self, prefix: bytes, frame_header: Callable[[int], bytes]) -> None:
        super().__init__()
        self.prefix = prefix
        self._frame_header = frame_header

    def __missing__(self, rest_bytes: int) -> bytes:
        head = self[rest_bytes] = self._with_header(rest_bytes + messages.TIMED_BYTES)
        return head

    def untimed(self, rest_bytes: int) -> bytes:
        """The same for a header without timing."""
        return self._with_header(rest_bytes + messages.UNTIMED_BYTES)

    def _with_header(self, behind_bytes: int) -> bytes:
        return self._frame_header(len(self.prefix) + behind_bytes) + self.prefix


def _has_budget(viewer: Viewer) -> bool:
    return viewer._cap is not None and viewer._cap.allowance is not None


@dataclass(slots=True)
class _Chunks:
    """Chunks of some tables for each of some groups, and the sums of the hashes of what they lead to.

    Attributes:
        counts: how many chunks. data: one behind the other. hashes: 0 when none is due.
    """

    counts: list[int]
    data: list[bytes]
    hashes: list[int]


class FrameMaker:
    """Makes the bodies of one tick's frames, each at most once.

    Args:
        published: what players can know.
        sight: which part of it each may see.
        hash_ticks: after how many ticks the desync hash is sent again, at least 1.
        frame_header: makes the WebSocket header for a message of so many bytes.

    Attributes:
        records: what desync hashes were made of; for reports of clients that differ.
    """

    def __init__(
        self, published: PublishedWorld, sight: Sight, hash_ticks: int, frame_header: Callable[[int], bytes]
    ) -> None:
        self._published = published
        self._sight = sight
        self._hash_ticks = hash_ticks
        self._frame_header = frame_header
        self._heads: dict[tuple[int, int], _Heads] = {}
        self.records = HashRecords()
        self._hashed = HashedTick(published)
        self._open_bodies: dict[int, FrameBody] = {}
        self._open_chunks: dict[int, _Chunks] = {}
        self._packers: dict[int, TablePacker] = {}

    def begin_tick(self) -> None:
        """After each publish: forget the last tick's bodies."""
        self._open_bodies.clear()
        self._open_chunks.clear()
        self._packers.clear()
        self._heads.clear()
        self._hashed = HashedTick(self._published)
        self.records.add(self._hashed)
        self._sight.begin_tick()

    def bodies(self, viewers: Sequence[Viewer]) -> list[FrameBody]:
        """For each viewer the shared part of the frame that leads from what it holds to the last published tick."""
        by_baseline = self._by_baseline(viewers)
        if self._sight.is_same_for_all and _OWN_CHOICE not in by_baseline:
            return [self._open_body(viewer._baseline) for viewer in viewers]
        keys = self._sight.keys(viewers)
        if len(by_baseline) == 1:
            return self._from_baseline(next(iter(by_baseline)), viewers, keys)
        bodies: list[FrameBody | None] = [None] * len(viewers)
        for baseline, places in by_baseline.items():
            made = self._from_baseline(baseline, [viewers[at] for at in places], [keys[at] for at in places])
            for at, body in zip(places, made, strict=True):
                bodies[at] = body
        return bodies  # type: ignore[return-value]

    def body(self, viewer: Viewer) -> FrameBody:
        """The same for one viewer."""
        return self.bodies([viewer])[0]

    def _by_baseline(self, viewers: Sequence[Viewer]) -> dict[int, Sequence[int]]:
        """The viewers' places by what their frames can be made from: a tick, `NOTHING`, or `_OWN_CHOICE`."""
        baselines = [viewer._baseline for viewer in viewers]
        capped = any(viewer._cap is not None for viewer in viewers)
        if not capped and baselines.count(baselines[0]) == len(baselines):
            return {self._usable(baselines[0]): range(len(baselines))}
        places: dict[int, list[int]] = {}
        for at, viewer in enumerate(viewers):
            baseline = _OWN_CHOICE if _has_budget(viewer) else self._usable(baselines[at])
            places.setdefault(baseline, []).append(at)
        return dict(places)

    def _usable(self, baseline: int) -> int:
        return baseline if self._published.tick - baseline <= self._published.history_ticks else NOTHING

    # -- where everyone sees everything

    def _open_body(self, baseline: int) -> FrameBody:
        body = self._open_bodies.get(baseline)
        if body is None:
            body = self._make_open_body(self._usable(baseline))
            if self._published.tick - baseline > CHEAPER_TICKS and baseline != NOTHING:
                full = self._open_body(NOTHING)
                body = full if full.message_bytes <= body.message_bytes else body
            self._open_bodies[baseline] = body
        return body

    def _make_open_body(self, baseline: int) -> FrameBody:
        chunks = self._open_tables(baseline)
        due = self._hash_is_due(baseline)
        rest = messages.frame_hash(chunks.hashes[0] if due else None) + chunks.data[0]
        return FrameBody(self._heads_of(baseline, chunks.counts[0]), rest, due)

    def _open_tables(self, baseline: int) -> _Chunks:
        made = self._open_chunks.get(baseline)
        if made is None:
            tables, previous_tick = self._sight.open, self._published.previous_tick
            if baseline == NOTHING:
                chunks = [full_chunk(table) for table in tables]
            else:
                chunks = [delta_chunk(table, baseline, previous_tick) for table in tables]
            filled = [chunk for chunk in chunks if chunk is not None]
            hash_ = self._hashed.of_tables(tables) if self._hash_is_due(baseline) else 0
            made = self._open_chunks[baseline] = _Chunks([len(filled)], [b"".join(filled)], [hash_])
        return made

    # -- where players see parts

    def _from_baseline(self, baseline: int, viewers: Sequence[Viewer], keys: Sequence[Hashable]) -> list[FrameBody]:
        """Bodies for viewers of one baseline, or with `_OWN_CHOICE` for those who have a budget."""
        if baseline == _OWN_CHOICE:
            return [self._budgeted(viewer, key) for viewer, key in zip(viewers, keys, strict=True)]
        bodies = self._group_bodies(baseline, viewers, keys)
        if baseline != NOTHING and self._published.tick - baseline > CHEAPER_TICKS:
            full = self._group_bodies(NOTHING, viewers, keys)
            bodies = [
                whole if whole.message_bytes <= delta.message_bytes else delta
                for whole, delta in zip(full, bodies, strict=True)
            ]
        return bodies

    def _group_bodies(self, baseline: int, viewers: Sequence[Viewer], keys: Sequence[Hashable]) -> list[FrameBody]:
        """Bodies for viewers of one baseline, one for each group of them that holds and may see the same."""
        key_numbers: dict[Hashable, int] = {}
        groups: dict[tuple[Holding | None, int], int] = {}
        group_of = []
        for viewer, key in zip(viewers, keys, strict=True):
            number = key_numbers.setdefault(key, len(key_numbers))
            group_of.append(groups.setdefault((viewer._holding if baseline else None, number), len(groups)))
        seen = self._sight.seen(list(key_numbers))
        # From here on those who may see the same hold the same, whatever they held before.
        by_key = [Holding(seen, number) for number in range(len(key_numbers))]
        key_of = [number for _, number in groups]
        now = [table.select(np.array(key_of)) for table in seen] if len(groups) > len(by_key) else seen
        shared = self._chunks(self._sight.shared, [holding for holding, _ in groups], now, baseline)
        holdings = [by_key[number] for number in key_of]
        if self._sight.own:
            return self._own_bodies(baseline, viewers, group_of, shared, now, holdings)
        made = self._joined(baseline, shared, holdings)
        return [made[group] for group in group_of]

    def _own_bodies(
        self,
        baseline: int,
        viewers: Sequence[Viewer],
        group_of: list[int],
        shared: _Chunks,
        seen: list[GroupedIds],
        holdings: list[Holding],
    ) -> list[FrameBody]:
        """A body for each viewer: what its group shares, and what it alone may see."""
        own_seen = self._sight.own_seen(viewers, seen, group_of)
        held = [viewer._own_holding if baseline else None for viewer in viewers]
        own = self._chunks(self._sight.own, held, own_seen, baseline)
        both = _Chunks(
            [shared.counts[group] + count for group, count in zip(group_of, own.counts, strict=True)],
            [shared.data[group] + data for group, data in zip(group_of, own.data, strict=True)],
            [shared.hashes[group] + hash_ for group, hash_ in zip(group_of, own.hashes, strict=True)],
        )
        bodies = self._joined(baseline, both, [holdings[group] for group in group_of])
        for at, body in enumerate(bodies):
            body.own_holding = Holding(own_seen, at)
        return bodies

    def _budgeted(self, viewer: Viewer, key: Hashable) -> FrameBody:
        """A body of the rows that one viewer's budget has room for."""
        baseline = self._usable(viewer._baseline)
        cap, held = viewer._cap, viewer._choice if baseline else None
        assert cap is not None
        assert cap.allowance is not None
        room = int(cap.allowance) - _FRAME_BYTES
        chunks, choice = choose_and_pack(self._sight.sighted(viewer, key), held, self._published.tick, room)
        due = self._hash_is_due(baseline)
        rest = b"".join((messages.frame_hash(choice.hash() if due else None), *chunks))
        body = FrameBody(self._heads_of(baseline, len(chunks)), rest, due)
        body.choice = choice
        return body

    def _chunks(
        self, slots: Sequence[Slot], holdings: list[Holding | None], seen: list[GroupedIds], baseline: int
    ) -> _Chunks:
        """For each group its chunks of some tables."""
        groups = len(holdings)
        by_table = [
            self._packer(slot.table).chunks(Moves(held_by(holdings, at), now), baseline)
            for at, (slot, now) in enumerate(zip(slots, seen, strict=True))
        ]
        hashes = [0] * groups
        if self._hash_is_due(baseline):
            sums = np.zeros(groups, np.uint64)
            for slot, now in zip(slots, seen, strict=True):
                sums += now.sums(self._hashed.of_ids(slot.table, now.ids))
            hashes = (sums & np.uint64(0xFFFFFFFF)).tolist()
        if len(by_table) == 1:
            return _Chunks([1 if data else 0 for data in by_table[0]], by_table[0], hashes)
        parts = list(zip(*by_table, strict=True)) if by_table else [()] * groups
        return _Chunks([len(part) - part.count(b"") for part in parts], [b"".join(part) for part in parts], hashes)

    def _joined(self, baseline: int, chunks: _Chunks, holdings: list[Holding]) -> list[FrameBody]:
        """Bodies of what everyone sees and of further chunks."""
        open_ = self._open_tables(baseline)
        open_count, open_data, open_hash = open_.counts[0], open_.data[0], open_.hashes[0]
        heads = {count: self._heads_of(baseline, open_count + count) for count in set(chunks.counts)}
        if not self._hash_is_due(baseline):
            before = messages.frame_hash(None) + open_data
            return [
                FrameBody(heads[count], before + data, False, holding)
                for count, data, holding in zip(chunks.counts, chunks.data, holdings, strict=True)
            ]
        return [
            FrameBody(
                heads[count], messages.frame_hash((open_hash + hash_) & 0xFFFFFFFF) + open_data + data, True, holding
            )
            for count, data, hash_, holding in zip(chunks.counts, chunks.data, chunks.hashes, holdings, strict=True)
        ]

    def _packer(self, table: PublishedTable) -> TablePacker:
        packer = self._packers.get(table.index)
        if packer is None:
            packer = self._packers[table.index] = TablePacker(table, self._published.previous_tick)
        return packer

    def _heads_of(self, baseline: int, chunks: int) -> _Heads:
        heads = self._heads.get((baseline, chunks))
        if heads is None:
            tick = self._published.tick
            prefix = messages.frame_prefix(tick, tick - baseline if baseline else 0, chunks)
            heads = self._heads[baseline, chunks] = _Heads(prefix, self._frame_header)
        return heads

    def _hash_is_due(self, baseline: int) -> bool:
        """Each full frame carries the hash, and deltas to every ``hash_ticks``-th tick."""
        return not baseline or self._published.tick // self._hash_ticks != baseline // self._hash_ticks
