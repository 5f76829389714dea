"""What happens in a simulated run: who plays, over what network, which faults strike when. Pure: a seed decides."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final, Literal

Direction = Literal["up", "down", "both"]
Ending = Literal["leave", "stop", "drain"]

#: What may go wrong, and how often beside the others.
KINDS: Final = {
    "stall": 4,  # nothing moves in a direction for some seconds
    "slow": 3,  # a direction carries few bytes per second for some seconds
    "shred": 3,  # bytes arrive in tiny pieces for some seconds
    "cut": 3,  # after so many bytes the stream ends, in the middle of whatever it carries
    "reset": 3,  # the same, and what was on its way is lost
    "half-close": 2,  # one direction ends, the other goes on
    "blackhole": 2,  # bytes are taken and never arrive
    "nap": 4,  # the client's program does nothing for some seconds
    "leave": 2,  # the client says goodbye, and comes back later
    "vanish": 3,  # the client's program is gone without a word, and comes back later
    "chatter": 3,  # the client asks the room for many large messages
    "pause": 2,  # the whole process stands still, so that ticks are late
}


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a client's network is like as a rule.

    Attributes:
        latency, jitter: seconds each way; jitter is the most that is added. Bytes stay in order.
        bytes_per_second: of each direction. capacity_bytes: how many may be on their way before the sender must wait.
        piece_bytes: the most that arrives in one piece.
    """

    latency: float
    jitter: float
    bytes_per_second: float
    capacity_bytes: int
    piece_bytes: int = 4096


#: The network after the faults.
CLEAN: Final = Conditions(latency=0.004, jitter=0.0, bytes_per_second=1e7, capacity_bytes=1 << 16)


@dataclass(frozen=True, slots=True)
class ClientPlan:
    """One client.

    Attributes:
        raw: speaks the protocol by itself and takes liberties; otherwise it is a `gameclient` session.
        join_at: seconds. frame_seconds: between two looks at its socket.
        eagerness: how likely an input is at each look. talk: the same for a message.
        send_buffer_bytes: what the server's kernel holds for it.
    """

    raw: bool
    join_at: float
    frame_seconds: float
    eagerness: float
    talk: float
    conditions: Conditions
    send_buffer_bytes: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; see `KINDS`. What a kind does not need is not looked at.

    Attributes:
        at: seconds from the start. client: whom it strikes. seconds: how long it lasts.
        amount: bytes until a cut; bytes per second of a slow network; messages of chatter.
    """

    at: float
    kind: str
    client: int
    direction: Direction
    seconds: float
    amount: int

    def __str__(self) -> str:
        return f"{self.kind} client {self.client} {self.direction} {self.seconds:.2f} s, {self.amount}"


@dataclass(frozen=True, slots=True)
class Plan:
    """One run.

    Attributes:
        seconds: how long faults strike; after that everyone must come to the present.
        ending: the clients leave, the server stops under them, or it is drained.
    """

    seed: int
    tick_rate: float
    inputs_per_tick: int
    seconds: float
    ending: Ending
    clients: tuple[ClientPlan, ...]
    faults: tuple[Fault, ...]


def make_plan(seed: int) -> Plan:
    """The plan of a seed: the same in every process."""
    dice = random.Random(f"plan {seed}")
    tick_rate = dice.choice((10, 15, 20, 30))
    seconds = dice.uniform(26, 56) / tick_rate  # in ticks, so that runs cost about the same
    count = dice.choice((2, 2, 2, 3, 3, 4, 5))
    raws = set(dice.sample(range(count), 1 if count < 5 else 2))
    clients = tuple(_make_client(dice, at in raws, tick_rate) for at in range(count))
    faults = tuple(sorted((_make_fault(dice, count, seconds) for _ in range(2 * count + 2)), key=lambda each: each.at))
    ending: Ending = dice.choice(("leave", "leave", "stop", "drain"))
    return Plan(seed, tick_rate, dice.choice((1, 1, 3)), seconds, ending, clients, faults)


def _make_client(dice: random.Random, raw: bool, tick_rate: float) -> ClientPlan:
    conditions = Conditions(
        latency=dice.choice((0.001, 0.02, 0.06, 0.15)),
        jitter=dice.choice((0.0, 0.005, 0.05)),
        bytes_per_second=dice.choice((5e3, 2e4, 1e6)),
        capacity_bytes=dice.choice((600, 4096, 30000)),
    )
    return ClientPlan(
        raw=raw,
        join_at=dice.uniform(0, 0.5),
        frame_seconds=dice.choice((0.6, 0.9, 1.0, 1.7)) / tick_rate,
        eagerness=dice.choice((0.0, 0.4, 0.9, 1.0)),
        talk=dice.choice((0.0, 0.05, 0.3)),
        conditions=conditions,
        send_buffer_bytes=dice.choice((2048, 8192, 1 << 16)),
    )


def _make_fault(dice: random.Random, clients: int, seconds: float) -> Fault:
    kind = dice.choices(tuple(KINDS), tuple(KINDS.values()))[0]
    return Fault(
        at=dice.uniform(0.1, 0.95 * seconds),
        kind=kind,
        client=dice.randrange(clients),
        direction=dice.choice(("up", "down", "both")),
        seconds=dice.choice((0.1, 0.4, 1.0, 3.0)) * dice.uniform(0.5, 1.5),
        amount=dice.choice((0, 1, 20, 200, 1000)) + dice.randrange(40),
    )
