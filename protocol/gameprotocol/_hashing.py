"""The desync hash: a 32-bit sum over rows, the same on both sides because both hold the same integers.

Each row is hashed with FNV-1a over 32-bit words (constants of FNV: Fowler, Noll, Vo) and then mixed with the finaliser
of MurmurHash3 (Appleby), because a sum of bare FNV values cancels too easily. The sum is modulo 2**32, so the order of
rows does not matter and parts of a world can be added up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from gameprotocol._fields import IntColumn

_FNV_OFFSET: Final = 2166136261
_FNV_PRIME: Final = np.uint32(16777619)


def rows_hash(table_index: int, ids: IntColumn, columns: Iterable[IntColumn]) -> int:
    """Hash of some rows of one table, 0 to 2**32 - 1; 0 for no rows.

    Args:
        table_index: the table's index in the schema.
        ids: the rows' ids, int64.
        columns: for each field in schema order the rows' integers, int64, as long as ``ids``.
    """
    if not len(ids):
        return 0
    hashes = np.full(len(ids), _FNV_OFFSET ^ table_index, np.uint32)
    for words in (ids, *columns):
        hashes ^= words.astype(np.uint32)
        hashes *= _FNV_PRIME
    hashes ^= hashes >> np.uint32(16)
    hashes *= np.uint32(0x85EBCA6B)
    hashes ^= hashes >> np.uint32(13)
    hashes *= np.uint32(0xC2B2AE35)
    hashes ^= hashes >> np.uint32(16)
    return int(hashes.sum(dtype=np.uint64)) & 0xFFFFFFFF
