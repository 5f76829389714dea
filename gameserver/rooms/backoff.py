"""When a room of a type that crashed may be made again: at once after one crash, later and later after more. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

#: The first wait. A second crash within a minute is no accident any more, but players may as well stay in their lobby.
FIRST_WAIT_SECONDS: Final = 1.0
#: Each further crash doubles the wait, so that a type that cannot live costs a dozen tracebacks in its first minutes.
WAIT_FACTOR: Final = 2.0
#: The longest wait: what players wait at most after the cause is gone (a bad row in a data base, a full disk).
LONGEST_WAIT_SECONDS: Final = 60.0
#: So long a type must live without a crash, from the end of its wait on, to count as healthy. A crash that takes longer
#: than this to come back costs one traceback a minute, which is what the longest wait allows too.
QUIET_SECONDS: Final = 60.0


class _Crashes(NamedTuple):
    """What is remembered of a room type: seconds of the caller's clock, but for ``wait``, a duration in seconds."""

    last: float
    wait: float

    @property
    def forgotten_after(self) -> float:
        return self.last + self.wait + QUIET_SECONDS


class CrashBackoff:
    """Which room types crash again and again, and how long to wait before the next room of them is made.

    Rooms that ran beside each other when one crashed may follow it without making the wait longer: they have one cause.
    Names are those of room types, which the server's author chose, so there are few.
    """

    def __init__(self) -> None:
        self._crashes: dict[str, _Crashes] = {}

    def failed(self, name: str, now: float, *, made: float) -> None:
        """A room of this type has crashed.

        Args:
            now: seconds of a clock that never goes back.
            made: when the room was made.
        """
        before = self._remembered(name, now)
        wait = 0.0
        if before is not None:
            wait = before.wait
            if made >= before.last:
                wait = min(LONGEST_WAIT_SECONDS, max(FIRST_WAIT_SECONDS, WAIT_FACTOR * before.wait))
        self._crashes[name] = _Crashes(now, wait)

    def wait_seconds(self, name: str, now: float) -> float:
        """How long until a room of this type may be made; 0.0: now."""
        crashes = self._remembered(name, now)
        return 0.0 if crashes is None else max(0.0, crashes.wait - (now - crashes.last))

    def _remembered(self, name: str, now: float) -> _Crashes | None:
        """The crashes of a type; None when there were none, or the last one is long enough ago."""
        crashes = self._crashes.get(name)
        if crashes is not None and now > crashes.forgotten_after:
            del self._crashes[name]
            return None
        return crashes
