"""The desync hash: a 32-bit sum over rows, the same on both sides because both hold the same integers.

Each row is hashed with FNV-1a over 32-bit words (constants of FNV: Fowler, Noll, Vo) and then mixed with the finaliser
of MurmurHash3 (Appleby), because a sum of bare FNV values cancels too easily. The sum is modulo 2**32, so the order of
rows does not matter and parts of a world can be added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol import limits
from gameprotocol._fields import IntColumn

_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = np.uint32(16777619)


def row_hashes(table_index: int, ids: IntColumn, columns: Iterable[IntColumn]) -> NDArray[np.uint32]:
    """Hashes of some rows of one table, uint32, as many as ``ids``.

    Args:
        table_index: the table's index in the schema.
        ids: the rows' ids, int64.
        columns: for each field in schema order the rows' integers, int64, as long as ``ids``.
    """
    hashes = np.full(len(ids), _FNV_OFFSET ^ table_index, np.uint32)
    for words in (ids, *columns):
        hashes ^= words.astype(np.uint32)
        hashes *= _FNV_PRIME
    hashes ^= hashes >> np.uint32(16)
    hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    hashes ^= hashes >> np.uint32(16)
    return hashes


def rows_hash(table_index: int, ids: IntColumn, columns: Iterable[IntColumn]) -> int:
    """Hash of some rows of one table, 0 to 2**32 - 1; 0 for no rows. Arguments as of `row_hashes`."""
    return int(row_hashes(table_index, ids, columns).sum(dtype=np.uint64)) & 0xFFFFFFFF


def digest_buckets(tables: int) -> int:
    """How many buckets a table has in the digests of a replica of so many tables: a power of two, 0 for no digests."""
    if not 0 < tables <= limits.DIGEST_TABLES:
        return 0
    most = min(limits.DIGEST_BUCKETS, limits.DIGEST_BYTES // (4 * tables))
    return 1 << (most.bit_length() - 1)


def bucket_sums(ids: IntColumn, hashes: NDArray[np.uint32], buckets: int) -> NDArray[np.uint32]:
    """Sums (modulo 2**32) of the hashes of rows whose id has the same remainder: what narrows down a desync.

    Args:
        ids: int64. hashes: of those rows, uint32.
        buckets: how many, a power of two; row ``id`` is in bucket ``id % buckets``.
    """
    sums = np.zeros(buckets, np.uint32)
    np.add.at(sums, ids & (buckets - 1), hashes)
    return sums
