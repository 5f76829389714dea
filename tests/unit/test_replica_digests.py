"""Digests: what a client says of the rows it holds, so that a server can tell which of them differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gameprotocol import (
    CloseCode,
    Frame,
    ProtocolError,
    Replica,
    Schema,
    TableSchema,
    encode_resync,
    limits,
    pack,
    unpack_from_client,
    unpack_from_server,
)
from gameprotocol._columns import pack_ids
from gameprotocol._fields import Uint
from gameprotocol._hashing import bucket_sums, digest_buckets, row_hashes
from gameprotocol._messages import read_digests, read_numbers


def replica_of(tables: int, rows: dict[int, int]) -> Replica:
    """A replica of so many tables, whose first one holds these integers by id."""
    schema = Schema(tables=tuple(TableSchema(name=f"T{n}", fields=(Uint(name="n", bits=32),)) for n in range(tables)))
    replica = Replica(schema)
    ids = sorted(rows)
    column = np.array([rows[id] for id in ids], "<u4").tobytes()
    chunk = [0, None, None, [pack_ids(np.array(ids, np.int64)), column]]
    replica.apply(Frame.from_items(unpack_from_server(pack([3, [1, 0, 0], None, chunk]))))
    return replica


def resync(digests: list[bytes]) -> list[Any]:
    """A resync as the server decodes it, within the limits of a client's message."""
    payload = encode_resync(1, 2, 3, digests)
    assert len(payload) <= limits.CLIENT_MESSAGE_BYTES
    items = unpack_from_client(payload)
    assert isinstance(items, list)
    return items


def test_digests_add_up_to_the_hash() -> None:
    replica = replica_of(2, {id: id * id for id in range(1, 500)})
    first, second = (np.frombuffer(digest, "<u4") for digest in replica.digests())
    assert int(first.sum(dtype=np.uint64)) % (1 << 32) == replica.hash()
    assert not second.any()


def test_a_row_that_differs_is_found_in_its_bucket() -> None:
    rows = dict.fromkeys(range(1, 200), 7)
    right, wrong = replica_of(1, rows), replica_of(1, rows | {100: 8})
    (told,) = read_digests(resync(wrong.digests()), 1) or []
    ids = right.tables[0].ids
    sums = bucket_sums(ids, row_hashes(0, ids, right.tables[0].integers[:, ids]), len(told))
    assert np.flatnonzero(sums != told).tolist() == [100 % 64]
    assert told.dtype == np.uint32


@pytest.mark.parametrize("tables", [1, 12, 13, 24, 25, 48, 49, limits.DIGEST_TABLES])
def test_digests_are_as_fine_as_fits(tables: int) -> None:
    buckets = digest_buckets(tables)
    assert tables * 4 * buckets <= limits.DIGEST_BYTES
    assert buckets == limits.DIGEST_BUCKETS or tables * 8 * buckets > limits.DIGEST_BYTES
    told = read_digests(resync(replica_of(tables, {5: 5}).digests()), tables)
    assert told is not None
    assert [len(digest) for digest in told] == [buckets] * tables


def test_with_too_many_tables_there_are_none() -> None:
    items = resync(replica_of(limits.DIGEST_TABLES + 1, {5: 5}).digests())
    assert items == [7, 1, 2, 3]
    assert read_digests(items, limits.DIGEST_TABLES + 1) is None
    assert Replica(Schema(tables=())).digests() == []


def test_a_resync_need_not_have_digests() -> None:
    assert read_digests([7, 1, 0, 0], 3) is None
    assert read_digests([7, 1, 0, 0, None], 3) is None
    assert read_digests([7, 1, 0, 0, None, "later"], 3) is None
    assert read_numbers([7, 1, 0, 0, [b""]], 3) == [1, 0, 0]


@pytest.mark.parametrize("buckets", [1, 2, 4, 8, 16, 32, 64])
def test_every_power_of_two_is_taken(buckets: int) -> None:
    told = read_digests([7, 1, 2, 3, [bytes([1, 0, 0, 0]) * buckets] * 2], 2)
    assert told is not None
    assert [digest.tolist() for digest in told] == [[1] * buckets] * 2


@pytest.mark.parametrize(
    "digests",
    [
        pytest.param(b"\0" * 8, id="one bin"),
        pytest.param({}, id="a map"),
        pytest.param(0, id="a number"),
        pytest.param([], id="no bins"),
        pytest.param([bytes(4)], id="a bin too few"),
        pytest.param([bytes(4)] * 3, id="a bin too many"),
        pytest.param([bytes(4), "\0" * 4], id="text"),
        pytest.param([bytes(4), None], id="nil for a bin"),
        pytest.param([bytes(4), bytes(8)], id="two lengths"),
        pytest.param([b"", b""], id="no buckets"),
        pytest.param([bytes(6)] * 2, id="half a number"),
        pytest.param([bytes(12)] * 2, id="three buckets"),
        pytest.param([bytes(512)] * 2, id="128 buckets"),
    ],
)
def test_other_shapes_are_refused(digests: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_digests([7, 1, 2, 3, digests], 2)
    assert caught.value.code == CloseCode.UNDECODABLE
