"""Field kinds: how one replicated value becomes an integer that travels, and back.

Client and server both hold the *integers*, so equality is exact. A kind is a small frozen record that also travels
in the welcome (`Schema`), with the key ``kind`` naming it. Text, bytes and msgpack values are kept as they are; their
integer is the CRC-32 of their bytes and serves the desync hash alone.
"""

from __future__ import annotations

import math
import zlib
from typing import Annotated, Any, ClassVar, Final, TypeAlias

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from gameprotocol import limits

IntColumn: TypeAlias = NDArray[np.int64]

TURN: Final = 2.0 * math.pi


class FieldKind(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What all kinds share.

    Attributes:
        name: the field's name, a Python identifier.
        signed: whether absolute values travel as two's complement.
        is_object: the value travels as text or bytes and not as a number.
        modulus: 0, or the number that differences wrap at.
    """

    name: str

    signed: ClassVar[bool] = False
    is_object: ClassVar[bool] = False
    takes_differences: ClassVar[bool] = True

    @property
    def modulus(self) -> int:
        return 0

    @property
    def lowest(self) -> int:
        """Smallest integer that may travel."""
        return 0

    @property
    def highest(self) -> int:
        """Largest integer that may travel."""
        raise NotImplementedError

    def to_value(self, integer: int) -> Any:
        """The value that one integer stands for."""
        return integer

    def to_values(self, integers: IntColumn) -> NDArray[Any]:
        """The values that a column of integers stands for."""
        return integers


class Fixed(FieldKind, frozen=True, kw_only=True, tag="fixed"):
    """Fixed-point number: ``low + n * step`` for n in 0 .. count - 1, in the author's unit."""

    low: Annotated[float, Meta(ge=-1e300, le=1e300)]
    step: Annotated[float, Meta(gt=0, le=1e300)]
    count: Annotated[int, Meta(ge=2, le=1 << 32)]

    @property
    def highest(self) -> int:
        return self.count - 1

    @property
    def high(self) -> float:
        """The largest value, in the author's unit."""
        return self.low + (self.count - 1) * self.step

    def to_value(self, integer: int) -> float:
        return self.low + integer * self.step

    def to_values(self, integers: IntColumn) -> NDArray[Any]:
        return self.low + integers * self.step


class Angle(FieldKind, frozen=True, kw_only=True, tag="angle"):
    """Angle in radians, as ``n`` parts of a turn cut into ``2**bits`` parts; wraps."""

    bits: Annotated[int, Meta(ge=4, le=16)]

    @property
    def modulus(self) -> int:
        return 1 << self.bits

    @property
    def highest(self) -> int:
        return (1 << self.bits) - 1

    def to_value(self, integer: int) -> float:
        return integer * (TURN / (1 << self.bits))

    def to_values(self, integers: IntColumn) -> NDArray[Any]:
        return integers * (TURN / (1 << self.bits))


class Uint(FieldKind, frozen=True, kw_only=True, tag="uint"):
    """Whole number from 0 to ``2**bits - 1``; bits is 1 to 32."""

    bits: Annotated[int, Meta(ge=1, le=32)]

    @property
    def highest(self) -> int:
        return (1 << self.bits) - 1


class Int(FieldKind, frozen=True, kw_only=True, tag="int"):
    """Whole number from ``-2**(bits-1)`` to ``2**(bits-1) - 1``; bits is 2 to 32."""

    bits: Annotated[int, Meta(ge=2, le=32)]

    signed: ClassVar[bool] = True

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def highest(self) -> int:
        return (1 << (self.bits - 1)) - 1


class Float32(FieldKind, frozen=True, kw_only=True, tag="float32"):
    """IEEE 754 single; the integer is its 32 bits, so two equal integers are one value to the bit."""

    takes_differences: ClassVar[bool] = False

    @property
    def highest(self) -> int:
        return 0xFFFFFFFF

    def to_value(self, integer: int) -> float:
        return float(np.uint32(integer).view(np.float32))

    def to_values(self, integers: IntColumn) -> NDArray[np.float32]:
        return integers.astype(np.uint32).view(np.float32)


class Bool(FieldKind, frozen=True, kw_only=True, tag="bool"):
    """True or false; a column travels as one bit a row."""

    takes_differences: ClassVar[bool] = False

    @property
    def highest(self) -> int:
        return 1

    def to_value(self, integer: int) -> bool:
        return bool(integer)

    def to_values(self, integers: IntColumn) -> NDArray[np.bool_]:
        return integers.astype(np.bool_)


class Reference(FieldKind, frozen=True, kw_only=True, tag="reference"):
    """Another entity, by its id in the table at index ``table`` of the schema; 0 is nobody."""

    table: Annotated[int, Meta(ge=0)]

    @property
    def highest(self) -> int:
        return 2 * limits.TABLE_ROWS


class Owner(FieldKind, frozen=True, kw_only=True, tag="owner"):
    """The number of the player that owns the entity; 0 is nobody."""

    @property
    def highest(self) -> int:
        return 0xFFFF


class _ObjectKind(FieldKind, frozen=True, kw_only=True):
    max_bytes: Annotated[int, Meta(ge=1, le=65535)]

    is_object: ClassVar[bool] = True
    takes_differences: ClassVar[bool] = False

    @property
    def highest(self) -> int:
        return 0xFFFFFFFF


class Text(_ObjectKind, frozen=True, kw_only=True, tag="text"):
    """Text of at most ``max_bytes`` bytes of UTF-8."""


class Bytes(_ObjectKind, frozen=True, kw_only=True, tag="bytes"):
    """At most ``max_bytes`` bytes."""


class Value(_ObjectKind, frozen=True, kw_only=True, tag="value"):
    """Anything that msgpack can carry, at most ``max_bytes`` bytes when packed; it travels packed, inside a bin."""


AnyField: TypeAlias = Fixed | Angle | Uint | Int | Float32 | Bool | Reference | Owner | Text | Bytes | Value


def object_checksum(value: str | bytes) -> int:
    """The integer that stands for a text or bytes value in the desync hash: CRC-32 (zlib's) of its bytes."""
    return zlib.crc32(value.encode() if isinstance(value, str) else value)
