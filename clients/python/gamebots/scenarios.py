"""What bots do with their connections: when they come, leave, are cut off, stop reading. Pure; a script for each bot.

A scenario of your own is a file with one subclass::

    class Lunch(Scenario):
        def script(self, bot):
            yield Wait(self.arrival(bot))
            yield Join()
            yield Until(0.5)                  # half of the measured time has passed
            if bot % 2:
                yield Leave()
                yield Wait(5)
                yield Join()
            yield Play()

    gamebots URL --scenario lunch.py
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

#: Bots whose figures the verdict is about; the others are what is done to these.
PLAYERS: Final = "players"


@dataclass(frozen=True)
class Wait:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Until:
    """Wait until so much of the measured time has passed.

    Attributes:
        share: 0 for its begin, 1 for its end.
    """

    share: float


@dataclass(frozen=True)
class Join:
    """Connect and join; goes on when the first frame has come, or when that failed.

    What ``yield`` gives says whether it worked. A bot that is in its room joins at once.
    """


@dataclass(frozen=True)
class Play:
    """Play for so many seconds. A connection that is lost meanwhile comes back as any client does, if it can."""

    seconds: float = math.inf


@dataclass(frozen=True)
class Leave:
    """Say goodbye; the seat is given up."""


@dataclass(frozen=True)
class Drop:
    """Lose the connection without a word. The bot comes back to its seat by itself if the room holds it; otherwise it
    is out, and may `Join` anew.
    """


@dataclass(frozen=True)
class Stall:
    """Read nothing and say nothing for so many seconds, with the connection open."""

    seconds: float


Step: TypeAlias = Wait | Until | Join | Play | Leave | Drop | Stall
Script: TypeAlias = Generator[Step, bool, None]


class Scenario:
    """Makes the scripts. Measuring begins when every bot plays, waits for a share of the measured time, or has ended.

    Args:
        count: bots. seconds: of the measured time. ramp: bots that may come in a second, ``inf`` for all at once.
        seed: of all chance.

    Attributes:
        count, seconds, ramp, seed: as given.
    """

    def __init__(self, count: int, seconds: float, ramp: float, seed: int) -> None:
        self.count = count
        self.seconds = seconds
        self.ramp = ramp
        self.seed = seed

    def script(self, bot: int) -> Script:
        """What one bot does, from the begin of the ramp on; a bot whose script ends goes on as it is."""
        yield Wait(self.arrival(bot))
        yield Join()
        yield Play()

    def group(self, bot: int) -> str:
        """What its figures are counted under; the verdict is about those called "players"."""
        return PLAYERS

    def arrival(self, bot: int) -> float:
        """When the ramp lets a bot in, in seconds from its begin."""
        return bot / self.ramp

    def random(self, bot: int) -> random.Random:
        """Chance for one bot: the same in each run with this seed, in however many processes."""
        return random.Random(f"{self.seed} {bot}")


class Steady(Scenario):
    """All come along the ramp, and play."""


class Churn(Scenario):
    """Players come and go: each plays about 15 seconds, is away for about 3, and comes as a new player.

    Attributes:
        play_seconds, away_seconds: means of exponential distributions.
    """

    play_seconds = 15.0
    away_seconds = 3.0

    def script(self, bot: int) -> Script:
        dice = self.random(bot)
        yield Wait(self.arrival(bot))
        yield Join()
        yield Until(0)
        while True:
            yield Play(dice.expovariate(1 / self.play_seconds))
            yield Leave()
            yield Wait(dice.expovariate(1 / self.away_seconds))
            if not (yield Join()):
                yield Wait(self.away_seconds)


class ReconnectStorm(Scenario):
    """After a third of the measured time all lose their connections in one moment, and come back to their seats.

    Where the room holds no seats, they join anew.
    """

    def script(self, bot: int) -> Script:
        yield Wait(self.arrival(bot))
        yield Join()
        yield Until(1 / 3)
        yield Drop()
        yield Wait(self.random(bot).uniform(0, 0.25))
        yield Join()
        yield Play()


class SlowReaders(Scenario):
    """One bot of ten reads nothing for three seconds, then for two seconds what has come, again and again.

    Their figures are counted apart: the verdict is about what the others feel of them.
    """

    def script(self, bot: int) -> Script:
        yield Wait(self.arrival(bot))
        yield Join()
        if self.group(bot) == PLAYERS:
            yield Play()
        yield Until(0)
        yield Wait(self.random(bot).uniform(0, 2))
        while True:
            yield Stall(3)
            yield Play(2)

    def group(self, bot: int) -> str:
        return "slow readers" if bot % 10 == 9 else PLAYERS


class FlashCrowd(Scenario):
    """A tenth comes along the ramp. After a fifth of the measured time all others come within one second."""

    def script(self, bot: int) -> Script:
        if bot % 10 == 0:
            yield Wait(self.arrival(bot // 10))
        else:
            yield Until(0.2)
            yield Wait(self.random(bot).random())
        yield Join()
        yield Play()


SCENARIOS: Final[dict[str, type[Scenario]]] = {
    "steady": Steady,
    "churn": Churn,
    "reconnect-storm": ReconnectStorm,
    "slow-readers": SlowReaders,
    "flash-crowd": FlashCrowd,
}
