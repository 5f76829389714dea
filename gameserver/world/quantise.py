"""From simulation columns to the integers that travel: whole columns at once, each checked before it is used.

What does not fit is clamped or refused as the field declares; NaN is always refused, since nothing is nearest to it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gameprotocol import _fields as kinds
from gameserver.world.errors import FieldValueError
from gameserver.world.fields import Field, Outside

IntColumn: TypeAlias = NDArray[np.int64]
#: Column (rows in use) and ids of the rows, for the error text, to integers.
Quantiser: TypeAlias = Callable[[NDArray[Any], NDArray[np.int64]], IntColumn]

#: Functions that are kept, one for each field of each class in use.
_QUANTISERS_KEPT: Final = 4096


@lru_cache(maxsize=_QUANTISERS_KEPT)  # the rooms of one class share them
def make_quantiser(kind: kinds.FieldKind, field: Field[Any], entity_name: str) -> Quantiser:
    """The function that turns one field's column into its integers. Numbers near the end of a float may overflow to
    infinity in it, which is dealt with: have numpy ignore it.

    It raises FieldValueError, naming the entity, the field and the cure, for what may not travel.
    """
    where = entity_name, field.name
    if isinstance(kind, kinds.Fixed):
        return _fixed(kind, field.outside, where)
    if isinstance(kind, kinds.Angle):
        return _angle(kind, where)
    if isinstance(kind, kinds.Float32):
        return _float32(field.outside, where)
    if isinstance(kind, kinds.Bool):
        return lambda column, ids: column.astype(np.int64)
    return _whole(kind, field.outside, where)


def _fixed(kind: kinds.Fixed, outside: Outside, where: tuple[str, str]) -> Quantiser:
    low, per_unit, last = kind.low, 1.0 / kind.step, float(kind.count - 1)

    def quantise(column: NDArray[Any], ids: NDArray[np.int64]) -> IntColumn:
        steps = column - low
        steps *= per_unit
        np.rint(steps, out=steps)
        if not (steps.min() >= 0.0 and steps.max() <= last):  # so written, NaN comes in here too
            _refuse_nan(column, ids, where)
            if outside == "error":
                bad = (steps < 0.0) | (steps > last)
                _refuse(column, ids, bad, where, f"outside {kind.low} to {kind.high}")
            np.clip(steps, 0.0, last, out=steps)
        integers: IntColumn = steps.astype(np.int64)
        return integers

    return quantise


def _angle(kind: kinds.Angle, where: tuple[str, str]) -> Quantiser:
    per_radian, mask = (1 << kind.bits) / kinds.TURN, (1 << kind.bits) - 1

    def quantise(column: NDArray[Any], ids: NDArray[np.int64]) -> IntColumn:
        parts = column * per_radian
        np.rint(parts, out=parts)
        if not (parts.min() > -(2.0**62) and parts.max() < 2.0**62):
            _refuse_nan(column, ids, where)
            bad = ~(np.abs(parts) < 2.0**62)
            _refuse(column, ids, bad, where, "too large for an angle", _MEND)
        integers: IntColumn = parts.astype(np.int64)
        integers &= mask
        return integers

    return quantise


def _float32(outside: Outside, where: tuple[str, str]) -> Quantiser:
    largest = float(np.finfo(np.float32).max)

    def quantise(column: NDArray[Any], ids: NDArray[np.int64]) -> IntColumn:
        if not (column.min() >= -largest and column.max() <= largest):
            _refuse_nan(column, ids, where)
            if outside == "error":
                _refuse(column, ids, np.abs(column) > largest, where, "outside what a float32 can hold")
            column = np.clip(column, -largest, largest)
        singles = column.astype(np.float32)
        singles += np.float32(0)  # makes -0.0 into 0.0: the two are equal to an author, so they must be equal as bits
        integers: IntColumn = singles.view(np.uint32).astype(np.int64)
        return integers

    return quantise


def _whole(kind: kinds.FieldKind, outside: Outside, where: tuple[str, str]) -> Quantiser:
    low, high = kind.lowest, kind.highest

    def quantise(column: NDArray[Any], ids: NDArray[np.int64]) -> IntColumn:
        if int(column.min()) < low or int(column.max()) > high:
            if outside == "error":
                _refuse(column, ids, (column < low) | (column > high), where, f"outside {low} to {high}")
            clamped: IntColumn = np.clip(column, low, high)
            return clamped
        return column

    return quantise


def _refuse_nan(column: NDArray[Any], ids: NDArray[np.int64], where: tuple[str, str]) -> None:
    bad = np.isnan(column)
    if bad.any():
        _refuse(column, ids, bad, where, "not a number", _MEND)


_MEND: Final = "fix the step that wrote it"
_WIDEN: Final = f'{_MEND}, widen the field, or declare outside="clamp"'


def _refuse(
    column: NDArray[Any],
    ids: NDArray[np.int64],
    bad: NDArray[np.bool_],
    where: tuple[str, str],
    why: str,
    cure: str = _WIDEN,
) -> NoReturn:
    row = int(np.flatnonzero(bad)[0])
    entity, field = where
    others = int(np.count_nonzero(bad)) - 1
    also = f" (and {others} more)" if others else ""
    raise FieldValueError(f"{entity} {int(ids[row])}: {field} = {column.item(row)!r} is {why}{also}: {cure}")
