"""What a simulated run leaves behind: a trace to compare runs by, and what does not hold."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import trio

#: How much of the trace is shown when something does not hold.
SHOWN_LINES: Final = 60


class Story:
    """What happened, in order.

    Attributes:
        lines: time, who and what. findings: what does not hold; empty when all is well.
        counts: how often what happened.
        lives: each client's connections, by the name that the client gave itself for it.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.lines: list[str] = []
        self.findings: list[str] = []
        self.counts: Counter[str] = Counter()
        self.lives: dict[str, Life] = {}

    def tell(self, who: str, what: str, *values: Any) -> None:
        """Something happened at the present time of the clock."""
        self.counts[what] += 1
        self.lines.append(f"{trio.current_time():.6f} {who} {what} {' '.join(map(str, values))}".rstrip())

    def expect(self, holds: object, who: str, what: str, *values: Any) -> None:
        """Note a finding unless ``holds``."""
        if not holds:
            self.tell(who, f"FINDING {what}", *values)
            self.findings.append(self.lines[-1])

    def hash(self) -> str:
        """Equal for equal traces."""
        return hashlib.blake2b("\n".join(self.lines).encode(), digest_size=8).hexdigest()


@dataclass(slots=True)
class Life:
    """One connection of a client, as both sides know it. Its name is unique in a run.

    Attributes:
        offered: of the newest input that the client has made, its number. applied: (number, tick), as applied.
        notes_sent, notes_heard: numbered messages to the room, how many the client sent and the room heard.
        told: the ticks in which the room sent it numbered messages. heard: how many of them came.
        views: what it may see, by tick. player: its number in the room, 0 before it is there.
        joined, left: whether the room has met it, and lost it.
    """

    name: str
    raw: bool
    offered: int = 0
    applied: list[tuple[int, int]] = field(default_factory=list)
    notes_sent: int = 0
    notes_heard: int = 0
    told: list[int] = field(default_factory=list)
    heard: int = 0
    views: dict[int, Any] = field(default_factory=dict)
    player: int = 0
    joined: bool = False
    left: bool = False


class LogWatch(logging.Handler):
    """Takes what is logged into a story: an error is a finding, so is a warning of a client."""

    def __init__(self, story: Story) -> None:
        super().__init__(logging.WARNING)
        self._story = story

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        try:
            self._story.tell("log", record.levelname, text)
        except RuntimeError:  # no clock outside of the run
            self._story.findings.append(f"log {record.levelname} {text}")
        if record.levelno >= logging.ERROR or record.name.startswith("gameclient"):
            self._story.findings.append(f"{text}: {record.exc_info[1]!r}" if record.exc_info else text)
        record.msg, record.args, record.exc_info = text, (), None  # pytest keeps the record, and what it names

    def __enter__(self) -> LogWatch:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
