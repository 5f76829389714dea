"""What an author's code can do wrong with a world; each message names the class, the field and the cure."""

from __future__ import annotations


class WorldError(Exception):
    """Root of the errors below."""


class DeclarationError(WorldError, TypeError):
    """A class of the author declares something that cannot work; raised when the class is made or first used."""


class FieldValueError(WorldError, ValueError):
    """A value cannot travel as its field declares: out of range where that is refused, NaN, too long, of a wrong
    type.
    """


class EntityGoneError(WorldError, LookupError):
    """A field of an entity was used after its despawn."""


class StaleColumnError(WorldError, RuntimeError):
    """A column that was fetched before its table grew was written to afterwards; the write would have been lost."""


class TableFullError(WorldError, RuntimeError):
    """A table holds as many entities as it may."""
