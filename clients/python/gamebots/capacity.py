"""How many bots a server holds: which count to try next, and what is known so far. Pure: others make the runs.

Counts double until one fails, then the gap is halved until it is small. Timings on real machines are noisy, so no
single run decides: a count has failed when two of its tries have (of three, if one passed), and the answer has passed
twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

#: Runs that a count must pass, or fail, before that is believed.
ENOUGH: Final = 2
#: Counts that must pass between a failed one and its half, when none but it failed, before its failures are doubted.
DOUBT_AFTER: Final = 2

#: What an unfinished search says of itself when nobody says more.
ENDED: Final = "the search was ended early"
#: Why a tool could not measure more, in words.
TOOL_LIMIT: Final = "this tool was the limit, not the server (--processes, --replicas)"

Bound = Literal["server", "tool", "most", "first", "unfinished"]


@dataclass(frozen=True)
class Try:
    """One run: whether so many bots passed, and whether what measures them was at its own limit."""

    count: int
    passed: bool
    tool_was_limit: bool = False


@dataclass(frozen=True)
class Answer:
    """What a search has found.

    Attributes:
        count: the largest that passed; 0 when none did.
        failed: the smallest that did not, above it; None when there is none.
        bound: what keeps it from being larger: the ``server`` failed, the ``tool`` did, ``most`` were tried, not even
            the ``first`` count passed, or the search is ``unfinished``.
    """

    count: int
    failed: int | None
    bound: Bound

    @property
    def is_exact(self) -> bool:
        """Whether the server itself is what ended it; else it holds at least ``count``."""
        return self.bound == "server"

    def sentence(self, ended: str = ENDED, limit: str = TOOL_LIMIT) -> str:
        """The answer for people, in one sentence.

        Args:
            ended: what did that to an unfinished search. limit: what kept the tool from measuring more.
        """
        held = f"The server holds {'' if self.is_exact else 'at least '}{self.count} bots"
        tool = f"with {self.failed or self.count} {limit}"
        match self.bound:
            case "server":
                return f"{held}; with {self.failed} it misses what is required."
            case "first":
                return f"The server does not hold {self.failed} bots, the fewest that were tried."
            case "most":
                return f"{held}; more were not tried (--most)."
            case "tool":
                return f"{held}; {tool}." if self.count else f"What the server holds is not known: {tool}."
        return f"{held}; {ended}." if self.count else f"What the server holds is not known: {ended}."


class Search:
    """Decides which count to try next, from what the tries before have shown.

    Args:
        first: the fewest bots to try. most: the most.
        precision: how large the gap between what passes and what fails may stay, as a part of what passes.

    Attributes:
        tries: all that was noted, in its order.

    Raises:
        ValueError: bounds or precision make no sense; the text says which.
    """

    def __init__(self, first: int, most: int, precision: float = 0.05) -> None:
        if not 1 <= first <= most:
            raise ValueError(f"a search goes from 1 or more up to no fewer, not from {first} to {most}")
        if not 0 < precision <= 1:
            raise ValueError(f"precision is a part of the count, above 0 and up to 1, not {precision:g}")
        self.tries: list[Try] = []
        self._first, self._most, self._precision = first, most, precision
        self._known: dict[int, list[Try]] = {}
        self._asked_again: set[int] = set()

    def note(self, count: int, passed: bool, tool_was_limit: bool = False) -> None:
        """One run has shown whether ``count`` bots pass."""
        self.tries.append(Try(count, passed, tool_was_limit))
        known = self._known.setdefault(count, [])
        if self._is_doubtful(count):
            self._asked_again.add(count)
            if passed:
                known.clear()
        known.append(self.tries[-1])

    def next_count(self) -> int | None:
        """How many bots to try next; None when the answer is known as well as it was to be."""
        undecided = [count for count, tries in self._known.items() if len(tries) == 1 and not tries[0].passed]
        if undecided:
            return undecided[0]
        floor, ceiling = self._floor(), self._ceiling()
        if not floor:
            return self._first if ceiling is None else None
        if ceiling is None:
            return self._confirmed(floor) if self._ends_at(floor) else min(2 * floor, self._most)
        if self._was_lucky() and self._confirmed(floor):
            return floor
        if not self._is_narrow(floor, ceiling):
            return (floor + ceiling) // 2
        return ceiling if self._is_doubtful(ceiling) else self._confirmed(floor)

    def answer(self) -> Answer:
        """What is known so far."""
        floor, ceiling = self._floor(), self._ceiling()
        return Answer(floor, ceiling, "unfinished" if self.next_count() is not None else self._bound(floor, ceiling))

    def _bound(self, floor: int, ceiling: int | None) -> Bound:
        if ceiling is None:
            return "tool" if self._known[floor][-1].tool_was_limit else "most"
        failures = [one for one in self._known[ceiling] if not one.passed and not one.tool_was_limit]
        if len(failures) < ENOUGH:
            return "tool"
        return "server" if floor else "first"

    def _ceiling(self) -> int | None:
        """The smallest count that has failed. What passes above it is luck, and a server that is full is not lucky."""
        return min((count for count, tries in self._known.items() if _failures(tries) >= ENOUGH), default=None)

    def _floor(self) -> int:
        """The largest count below the ceiling that has passed, 0 when none has."""
        ceiling = self._ceiling()
        passed = [count for count, tries in self._known.items() if any(one.passed for one in tries)]
        return max((count for count in passed if ceiling is None or count < ceiling), default=0)

    def _ends_at(self, floor: int) -> bool:
        """Whether nothing is to be learned from more than ``floor``, which passed."""
        return floor >= self._most or self._known[floor][-1].tool_was_limit

    def _is_narrow(self, floor: int, ceiling: int) -> bool:
        return ceiling - floor <= max(1.0, self._precision * floor)

    def _confirmed(self, floor: int) -> int | None:
        """None when ``floor`` has passed often enough, else it is to be tried again."""
        return None if sum(one.passed for one in self._known[floor]) >= ENOUGH else floor

    def _was_lucky(self) -> bool:
        """Whether a count passed that has failed since: then another may have been lucky too, and is tried first."""
        return any(_failures(tries) >= ENOUGH and any(one.passed for one in tries) for tries in self._known.values())

    def _is_doubtful(self, count: int) -> bool:
        """Whether ``count`` is a ceiling that all else contradicts: perhaps something disturbed both tries.

        It is then tried once more, and when it passes its failures are forgotten.
        """
        if count in self._asked_again or count != self._ceiling() or not self._is_narrow(self._floor(), count):
            return False
        others = {other: tries for other, tries in self._known.items() if other != count}
        halved = sum(2 * tried > count for tried in others)
        return halved >= DOUBT_AFTER and not any(_failures(tries) for tries in others.values())


def _failures(tries: list[Try]) -> int:
    return sum(not one.passed for one in tries)
