"""Packing of ids and columns: numpy arrays to the few msgpack shapes of SPEC.md, section "Columns", and back.

The shape tells how to read it, so there are no mode bytes:

    column   int            every row holds this value
             bin            absolute values, little-endian, width = length / rows (1, 2 or 4 bytes); bools: a bit a row
             [bin]          one signed byte a row: the difference to the value held
             [bin, bin]     the same, where -128 says "see the second bin": absolute values in order, width as above
             [str | bin...] text, bytes and packed values, one a row (only for those kinds)
    ids      [bin]          gaps to the id before (the first to 0), one byte each, ascending
             [bin, bin]     the same, where 255 says "see the second bin": u32 gaps in order
             bin            bitmap over the rows held, in the order of their ids, lowest bit first
             nil            every row held

Everything that comes from outside is checked against the number of rows before it is used; a bad shape is a ValueError.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from gameprotocol._fields import Bool, FieldKind, IntColumn

GAP_ESCAPE: Final = 255
_DIFFERENCE_ESCAPE: Final = -128
_ESCAPE_BYTE: Final = 0x80  # the same as an unsigned byte
_UNSIGNED: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}
_SIGNED: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<i1"), 2: np.dtype("<i2"), 4: np.dtype("<i4")}


# -- ids ---------------------------------------------------------------------------------------------------------------


def pack_ids(ids: IntColumn) -> list[bytes]:
    """Pack ascending ids (int64, each at least 1) as gaps; about one byte an id."""
    gaps = np.diff(ids, prepend=0)
    small = gaps < GAP_ESCAPE
    if small.all():
        return [gaps.astype(np.uint8).tobytes()]
    return [np.where(small, gaps, GAP_ESCAPE).astype(np.uint8).tobytes(), gaps[~small].astype("<u4").tobytes()]


def pack_bitmap(chosen: NDArray[np.bool_]) -> bytes:
    """Pack one bit for each row held, lowest bit of the first byte first."""
    return np.packbits(chosen, bitorder="little").tobytes()


def unpack_ids(packed: Any, held: IntColumn) -> IntColumn:
    """The ids that ``packed`` names, ascending.

    Args:
        packed: one of the shapes above.
        held: ids of the rows held, ascending; what a bitmap and nil speak of.
    Raises:
        ValueError: the shape is none of the above, or names rows that are not there.
    """
    if packed is None:
        return held
    if isinstance(packed, bytes):
        if len(packed) != (len(held) + 7) // 8:
            raise ValueError(f"a bitmap of {len(packed)} bytes for {len(held)} rows")
        return held[_bits(packed, len(held))]
    # Looking for an escape in bytes is many times cheaper than in an array, and most packed ids have none.
    gaps_raw, *rest = _bins(packed)
    if 0 in gaps_raw:
        raise ValueError("ids must ascend")
    gaps: NDArray[Any] = np.frombuffer(gaps_raw, np.uint8)
    if rest or GAP_ESCAPE in gaps_raw:
        gaps = _with_large_gaps(gaps, rest)
    return gaps.astype(np.int64).cumsum()


def _with_large_gaps(small: NDArray[np.uint8], rest: list[bytes]) -> IntColumn:
    escaped = small == GAP_ESCAPE
    count = int(np.count_nonzero(escaped))
    large = np.frombuffer(rest[0], "<u4") if rest else np.empty(0, "<u4")
    if not count or count != len(large) or not large.all():
        raise ValueError(f"{count} escaped gaps but {len(large)} large ones, or one of 0")
    gaps = small.astype(np.int64)
    gaps[escaped] = large
    return gaps


# -- columns -----------------------------------------------------------------------------------------------------------


def pack_column(kind: FieldKind, values: IntColumn) -> int | bytes:
    """Pack absolute integers of one field; ``values`` is int64, one for each row, at least one row."""
    first = int(values[0])
    lowest, highest = int(values.min()), int(values.max())
    if lowest == highest:
        return first
    if isinstance(kind, Bool):
        return pack_bitmap(values.astype(np.bool_))
    return values.astype(column_dtype(kind, lowest, highest)).tobytes()


def pack_differences(kind: FieldKind, values: IntColumn, differences: IntColumn) -> int | bytes | list[bytes]:
    """Pack what a receiver needs that holds the values of the tick before, in the smallest of the shapes.

    Args:
        kind: the field.
        values: new integers, int64, one for each row, at least one row.
        differences: ``values`` less the integers held, int64, same length; for angles any value equal to it modulo
            ``kind.modulus``.
    """
    if not kind.takes_differences or kind.highest - kind.lowest < 256:
        return pack_column(kind, values)
    if kind.modulus:
        half = kind.modulus >> 1
        differences = ((differences + half) & (kind.modulus - 1)) - half
    small = (differences > _DIFFERENCE_ESCAPE) & (differences < 128)
    escapes = len(values) - int(np.count_nonzero(small))
    if not escapes:
        return [differences.astype(np.int8).tobytes()]
    if escapes * 2 > len(values):  # from half the rows on, absolute values cost no more and decode faster
        return pack_column(kind, values)
    large = values[~small]
    return [
        np.where(small, differences, _DIFFERENCE_ESCAPE).astype(np.int8).tobytes(),
        large.astype(column_dtype(kind, int(large.min()), int(large.max()))).tobytes(),
    ]


def unpack_column(kind: FieldKind, packed: Any, rows: int, held: IntColumn) -> NDArray[Any] | int:
    """New integers of one numeric field: one for each of ``rows`` rows, or one number that all rows hold.

    Args:
        held: the integers held for those rows now; what differences are added to.
    Raises:
        ValueError: a bad shape, or a value outside what the kind allows.
    """
    if type(packed) is int:
        if not rows:
            return 0  # then it means nothing, whatever it is
        if not kind.lowest <= packed <= kind.highest:
            raise ValueError(f"{kind.name} is outside {kind.lowest} to {kind.highest}")
        return packed
    lowest, highest = kind.lowest, kind.highest
    if type(packed) is bytes:
        if isinstance(kind, Bool):
            return _bits(packed, rows)
        narrow = _read(packed, rows, kind.signed)
        bits = 8 * narrow.itemsize
        if not rows or (1 << bits) <= highest - lowest + 1:  # no number of so few bytes is outside
            return narrow
        fits = lowest <= int(narrow.min()) and int(narrow.max()) <= highest
    else:
        narrow = _add_differences(kind, packed, rows, held)
        above = narrow - lowest if lowest else narrow  # negative becomes huge, so that one look tells both ends
        fits = not rows or int(above.view(np.uint64).max()) <= highest - lowest
    if not fits:
        raise ValueError(f"{kind.name} is outside {lowest} to {highest}")
    return narrow


def unpack_objects(kind: FieldKind, packed: Any, rows: int) -> list[str | bytes]:
    """Values of a text, bytes or value field, one for each of ``rows`` rows; ValueError on a bad shape."""
    wanted = str if kind.__struct_config__.tag == "text" else bytes
    if not isinstance(packed, list) or len(packed) != rows or not all(type(item) is wanted for item in packed):
        raise ValueError(f"{kind.name} needs {rows} values of {wanted.__name__}")
    return packed


def _add_differences(kind: FieldKind, packed: Any, rows: int, held: IntColumn) -> IntColumn:
    small_raw, *rest = _bins(packed)
    if len(small_raw) != rows or not kind.takes_differences:
        raise ValueError(f"{kind.name}: {len(small_raw)} differences for {rows} rows")
    differences = np.frombuffer(small_raw, np.int8)
    values = held + differences
    if kind.modulus:
        values &= kind.modulus - 1
    if rest or _ESCAPE_BYTE in small_raw:
        escaped = differences == _DIFFERENCE_ESCAPE
        count = int(np.count_nonzero(escaped))
        if not count or not rest:
            raise ValueError(f"{kind.name}: {count} escaped differences, {len(rest)} bins of values")
        values[escaped] = _read(rest[0], count, kind.signed)
    return values


def column_dtype(kind: FieldKind, lowest: int, highest: int) -> np.dtype[Any]:
    """The narrowest type in which absolute integers of a field from ``lowest`` to ``highest`` can travel."""
    if kind.signed:
        return _SIGNED[1 if lowest >= -128 and highest < 128 else 2 if lowest >= -32768 and highest < 32768 else 4]
    return _UNSIGNED[1 if highest < 1 << 8 else 2 if highest < 1 << 16 else 4]


def _read(packed: bytes, rows: int, signed: bool) -> NDArray[Any]:
    width = len(packed) // rows if rows else 1
    if width not in _UNSIGNED or width * rows != len(packed):
        raise ValueError(f"{len(packed)} bytes for {rows} rows")
    return np.frombuffer(packed, (_SIGNED if signed else _UNSIGNED)[width])


def _bits(packed: bytes, rows: int) -> NDArray[np.bool_]:
    if len(packed) != (rows + 7) // 8:
        raise ValueError(f"{len(packed)} bytes of bits for {rows} rows")
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=rows, bitorder="little").view(np.bool_)


def _bins(packed: Any) -> list[bytes]:
    if type(packed) is list and 1 <= len(packed) <= 2 and type(packed[0]) is bytes and type(packed[-1]) is bytes:
        return packed
    raise ValueError("expected one or two bins")
