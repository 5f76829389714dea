"""Many raw connections driven by one selector loop: what attackers are made of.

An attack is a generator, its script. It yields what it wants of its connection (`Send`, `Read`, `Sleep`, `Hold`) and is
sent the result; what it returns is its outcome in a few words. No WebSocket library is involved, so that nothing keeps
an attacker from being wrong.
"""

from __future__ import annotations

import heapq
import itertools
import selectors
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

#: Closing with this option resets the connection: whatever is under way is thrown away.
_RESET = struct.pack("ii", 1, 0)
_READ_BYTES = 65536
#: How many attacks a report names for each outcome, so that one can be run again.
_NAMED = 5
#: Longest wait of the loop, so that it starts attacks at their rate, in seconds.
_LOOK_SECONDS = 0.01
#: Connections that are begun before others get a turn.
_BEGUN_AT_ONCE = 32
#: Of those that take their places before the horde fires, how many are under way at a time.
_ARMED_AT_ONCE = 100


class Send(NamedTuple):
    """Send all of ``data``. The result is False when the connection broke, or took nothing for ``seconds``."""

    data: bytes
    seconds: float = 10.0


class Read(NamedTuple):
    """Wait for bytes. The result is those that came, b"" at the end of the stream, None after ``seconds``."""

    seconds: float


class Sleep(NamedTuple):
    """Let ``seconds`` pass; what comes meanwhile is kept. The result is None."""

    seconds: float


class Hold(NamedTuple):
    """Wait until the horde fires; what comes meanwhile is thrown away. The result is None."""


Want: TypeAlias = Send | Read | Sleep | Hold
Script: TypeAlias = Generator[Want, Any, str]


class Wire:
    """One attacker's connection.

    Attributes:
        index: which attack this is.
        opened_at: when it was connected, in the clock's seconds.
        ended: the stream has ended, or broke. holds: it waits for the horde to fire.
    """

    __slots__ = (
        "_clock",
        "ended",
        "holds",
        "inbox",
        "index",
        "opened_at",
        "script",
        "seconds",
        "sock",
        "timer",
        "unsent",
        "want",
    )

    def __init__(self, index: int, sock: socket.socket, clock: Callable[[], float]) -> None:
        self.index = index
        self.sock = sock
        self.ended = False
        self.holds = False
        self.opened_at = 0.0
        self.inbox = b""
        self.unsent = b""
        self.want: Want | None = None
        self.timer = 0
        self.seconds: float | None = None
        self.script: Script
        self._clock = clock

    def now(self) -> float:
        """The clock's seconds."""
        return self._clock()

    def mark(self, seconds: float) -> None:
        """``seconds`` are what the report is to tell of this attack; otherwise it is its whole duration."""
        self.seconds = seconds

    def half_close(self) -> None:
        """Send EOF and go on listening."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.ended = True

    def reset(self) -> None:
        """The end of the script will be a reset and not a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


@dataclass
class Report:
    """What became of the attacks.

    Attributes:
        outcomes: how many ended how. examples: the first few of each, by index.
        seconds: durations, or what scripts marked, by outcome.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[int]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def add(self, wire: Wire, outcome: str) -> None:
        """Count one attack that has ended."""
        self.outcomes[outcome] += 1
        named = self.examples.setdefault(outcome, [])
        if len(named) < _NAMED:
            named.append(wire.index)
        passed = wire.now() - wire.opened_at if wire.seconds is None else wire.seconds
        self.seconds.setdefault(outcome, []).append(passed)

    def plain(self) -> dict[str, Any]:
        """As plain values; of the durations their largest and their middle."""
        spans = {outcome: sorted(seconds) for outcome, seconds in self.seconds.items()}
        return {
            "outcomes": dict(self.outcomes),
            "examples": self.examples,
            "longest_seconds": {outcome: round(span[-1], 3) for outcome, span in spans.items()},
            "middle_seconds": {outcome: round(span[len(span) // 2], 3) for outcome, span in spans.items()},
        }


MakeScript: TypeAlias = Callable[[Wire], Script]


class Horde:
    """Attacks one address.

    Args:
        address: host and port.
        at_once: most connections at a time, besides those that hold.
        per_second: most connections begun in a second; None for as many as go.
    """

    def __init__(
        self,
        address: tuple[str, int],
        at_once: int,
        per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.report = Report()
        self._address = address
        self._at_once = at_once
        self._per_second = per_second
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Wire]] = []
        self._next_timer = itertools.count(1)
        self._wires: set[Wire] = set()
        self._next_index = itertools.count()
        self._begun = 0
        self._began_at = 0.0
        self._holding = 0

    @property
    def busy(self) -> int:
        """Attacks under way."""
        return len(self._wires)

    def run(self, scripts: Iterator[MakeScript], until: Callable[[], bool] = lambda: False) -> Report:
        """Carry out all of ``scripts``, or go on until ``until`` is true; attacks under way then are given up."""
        self._began_at, self._begun = self._clock(), 0
        more = True
        while (more or self._wires) and not until():
            if more:
                more = self._begin(scripts, self._at_once)
            self._look()
        for wire in list(self._wires):
            self._end(wire, "given up")
        return self.report

    def arm(self, scripts: Iterator[MakeScript]) -> None:
        """Carry out ``scripts`` as far as their `Hold`; it is not bounded by ``at_once``."""
        self._began_at, self._begun = self._clock(), 0
        more = True
        while more or self._holding < len(self._wires):
            if more:
                more = self._begin(scripts, self._holding + _ARMED_AT_ONCE)
            self._look()

    def fire(self) -> Report:
        """Let all who hold go on to their ends, the last to come first, ``at_once`` of them at a time."""
        held = [wire for wire in self._wires if isinstance(wire.want, Hold)]
        held.sort(key=lambda wire: wire.index)
        while self._wires:
            while held and len(self._wires) - len(held) < self._at_once:
                self._resume(held.pop(), None)
            self._look()
        return self.report

    def close(self) -> None:
        """Free the selector."""
        self._selector.close()

    # -- connecting

    def _begin(self, scripts: Iterator[MakeScript], most: int) -> bool:
        """Begin what may be begun now, so that at most ``most`` are there; whether there may be more."""
        for _ in range(_BEGUN_AT_ONCE):
            if len(self._wires) >= most:
                return True
            passed = self._clock() - self._began_at
            if self._per_second is not None and self._begun >= passed * self._per_second:
                return True
            make_script = next(scripts, None)
            if make_script is None:
                return False
            self._begun += 1
            self._connect(make_script)
        return True

    def _connect(self, make_script: MakeScript) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        wire = Wire(next(self._next_index), sock, self._clock)
        wire.script = make_script(wire)
        self._wires.add(wire)
        sock.connect_ex(self._address)
        self._selector.register(sock, selectors.EVENT_WRITE, wire)

    def _connected(self, wire: Wire) -> None:
        error = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        wire.opened_at = self._clock()
        if error:
            self._end(wire, f"no connection: {error}")
            return
        self._selector.modify(wire.sock, selectors.EVENT_READ, wire)
        self._resume(wire, None)

    # -- the loop

    def _look(self) -> None:
        timeout = _LOOK_SECONDS
        if self._timers:
            timeout = min(timeout, max(0.0, self._timers[0][0] - self._clock()))
        for key, events in self._selector.select(timeout):
            wire = key.data
            if wire.want is None:
                self._connected(wire)
                continue
            if events & selectors.EVENT_WRITE:
                self._send(wire)
            if events & selectors.EVENT_READ and wire in self._wires:
                self._read(wire)
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            _, timer, wire = heapq.heappop(self._timers)
            if wire in self._wires and wire.timer == timer:
                self._resume(wire, False if isinstance(wire.want, Send) else None)

    def _read(self, wire: Wire) -> None:
        try:
            data = wire.sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            wire.ended = True
            self._selector.unregister(wire.sock)
        if isinstance(wire.want, Read):
            self._resume(wire, data)
        elif not isinstance(wire.want, Hold):
            wire.inbox += data
            if wire.ended and isinstance(wire.want, Send):
                self._resume(wire, False)

    def _send(self, wire: Wire) -> None:
        if not self._push(wire):
            return
        if not wire.ended:
            self._selector.modify(wire.sock, selectors.EVENT_READ, wire)
        self._resume(wire, not wire.unsent)

    def _push(self, wire: Wire) -> bool:
        """Offer the kernel what is unsent; False when it is full, True when all has left or the connection broke."""
        try:
            wire.unsent = wire.unsent[wire.sock.send(wire.unsent) :]
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return not wire.unsent

    def _resume(self, wire: Wire, result: Any) -> None:
        """Give a script its result, and see to its wants as far as they need no waiting."""
        if wire.holds:
            wire.holds = False
            self._holding -= 1
        while True:
            try:
                want = wire.script.send(result)
            except StopIteration as done:
                self._end(wire, done.value)
                return
            wire.want, wire.timer = want, 0
            if isinstance(want, Hold) and not wire.ended:
                wire.holds = True
                self._holding += 1
                return
            if isinstance(want, Send):
                wire.unsent = want.data
                if wire.ended and want.data:
                    result = False
                elif self._push(wire):
                    result = not wire.unsent
                else:
                    self._selector.modify(wire.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, wire)
                    self._wake_after(wire, want.seconds)
                    return
            elif isinstance(want, Read) and (wire.inbox or wire.ended):
                result, wire.inbox = wire.inbox, b""
            elif isinstance(want, Hold):
                result = None
            else:
                self._wake_after(wire, want.seconds)
                return

    def _wake_after(self, wire: Wire, seconds: float) -> None:
        wire.timer = next(self._next_timer)
        heapq.heappush(self._timers, (self._clock() + seconds, wire.timer, wire))

    def _end(self, wire: Wire, outcome: str) -> None:
        self._wires.discard(wire)
        self._holding -= wire.holds
        self.report.add(wire, outcome)
        if wire.sock in self._selector.get_map():
            self._selector.unregister(wire.sock)
        wire.script.close()
        wire.sock.close()
