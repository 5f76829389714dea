"""Audiences: to whom a field travels. ``ammo = uint(8, to=owner)``.

A field that is for an audience never reaches the socket of anyone else. Who is not in it reads None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gameserver.world.errors import DeclarationError


@dataclass(frozen=True, slots=True)
class Audience:
    """Some of the players who see an entity. Made by `group`, or one of `everyone` and `owner`.

    Attributes:
        name: ``everyone``, ``owner``, or the name of a group.
    """

    name: str

    @property
    def is_group(self) -> bool:
        """Whether the entity's column of this name, and not its owner, says who belongs to it."""
        return self.name not in ("everyone", "owner")


#: Whoever sees the entity.
everyone: Final = Audience("everyone")
#: The player that the entity's ``owner`` names.
owner: Final = Audience("owner")


def group(name: str) -> Audience:
    """The players whose ``player.groups[name]`` equals the entity's column ``name``: a team, a guild, a side.

    Raises:
        DeclarationError: the name is no identifier, or means another audience.
    """
    if not isinstance(name, str) or not name.isidentifier() or name in ("everyone", "owner"):
        raise DeclarationError(f"group({name!r}): give the name of the entities' column that holds the group's number")
    return Audience(name)
