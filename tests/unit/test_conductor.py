"""Scripts are run in time: any steps in any order, joins that fail or are told late, and scripts that never wait."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gamebots.conductor import Conductor
from gamebots.scenarios import Drop, Join, Leave, Play, Scenario, Script, Stall, Step, Until, Wait
from tests.support.examples import examples

SECONDS = 10.0


class Actor:
    """Keeps what it is told, with the time.

    Args:
        answers: what ``join`` gives, one after the other; afterwards None.
    """

    def __init__(self, *answers: bool | None) -> None:
        self.told: list[tuple[Any, ...]] = []
        self._answers = list(answers)

    def join(self, now: float) -> bool | None:
        self.told.append(("join", now))
        return self._answers.pop(0) if self._answers else None

    def leave(self, now: float) -> None:
        self.told.append(("leave", now))

    def drop(self, now: float) -> None:
        self.told.append(("drop", now))

    def stall(self, stalled: bool, now: float) -> None:
        self.told.append(("stall" if stalled else "go on", now))


class Listed(Scenario):
    """One list of steps for each bot; ``answers`` collects what each step was told."""

    def __init__(self, *scripts: Iterable[Step], seconds: float = SECONDS) -> None:
        super().__init__(len(scripts), seconds, 1.0, 0)
        self.answers: list[list[bool]] = [[] for _ in scripts]
        self._scripts = [list(script) for script in scripts]

    def script(self, bot: int) -> Script:
        for step in self._scripts[bot]:
            self.answers[bot].append((yield step))


class Stage:
    """A conductor and its actors; time 0 is the begin of the ramp."""

    def __init__(self, *scripts: Iterable[Step], actors: tuple[Actor, ...] = ()) -> None:
        self.scenario = Listed(*scripts)
        self.actors = dict(enumerate(actors or [Actor() for _ in scripts]))
        self.conductor = Conductor(self.scenario, self.actors, 0.0)

    def until(self, *times: float) -> list[tuple[Any, ...]]:
        """Advance to these times; what the first bot was told in them."""
        before = len(self.actors[0].told)
        for now in times:
            self.conductor.advance(now)
        return self.actors[0].told[before:]


def test_nothing_happens_before_its_time() -> None:
    stage = Stage([Wait(2), Join(), Play(3), Leave()])
    assert stage.until(0.0, 1.99) == []
    assert stage.until(2.0) == [("join", 2.0)]
    assert stage.until(50.0) == []  # it waits for its first frame, however long that takes
    stage.conductor.joined(0, True, 50.0)
    assert stage.conductor.unsettled == 0
    assert stage.until(52.9) == []
    assert stage.until(53.1) == [("leave", 53.1)]


@pytest.mark.parametrize("succeeded", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_script_is_told_whether_joining_worked(succeeded: bool, at_once: bool) -> None:
    stage = Stage([Join(), Leave()], actors=(Actor(succeeded if at_once else None),))
    stage.until(0.0)
    if not at_once:
        assert stage.scenario.answers == [[]]
        stage.conductor.joined(0, succeeded, 1.0)
    assert stage.scenario.answers == [[succeeded, True]]


def test_news_of_a_join_that_nobody_waits_for_are_of_no_interest() -> None:
    stage = Stage([Join(), Play(1), Leave(), Wait(1)])
    stage.until(0.0)
    stage.conductor.joined(0, True, 0.5)
    stage.conductor.joined(0, True, 0.6)  # it came back by itself
    stage.conductor.joined(0, False, 0.7)
    assert stage.scenario.answers == [[True]]
    assert stage.until(1.4) == []
    assert stage.until(1.5) == [("leave", 1.5)]
    stage.conductor.stop([0])
    stage.conductor.joined(0, True, 3.0)
    assert stage.until(9.0) == []


@pytest.mark.parametrize(
    ("script", "waits"),
    [
        ([], False),
        ([Play()], False),
        ([Until(0.5)], False),
        ([Wait(1)], True),
        ([Join()], True),
        ([Stall(1)], True),
        ([Leave(), Drop()], False),
        ([Wait(0), Join(), Play()], True),
    ],
)
def test_measuring_waits_for_who_is_on_the_way_in(script: list[Step], waits: bool) -> None:
    stage = Stage(script, [Play(), Wait(1), Play()])
    assert stage.conductor.unsettled == 2  # nobody has done anything yet
    stage.until(0.0)
    assert stage.conductor.unsettled == int(waits)


def test_who_is_stopped_is_not_waited_for_and_is_moved_no_more() -> None:
    stage = Stage([Wait(1), Leave()], [Until(0.1), Leave()], [Join(), Leave()])
    stage.until(0.0)
    stage.conductor.stop([0, 1, 2])
    stage.conductor.stop([0])
    assert stage.conductor.unsettled == 0
    stage.conductor.begin_measuring(0.5)
    stage.conductor.joined(2, True, 0.6)
    stage.until(1.0, 30.0)
    assert [actor.told for actor in stage.actors.values()] == [[], [], [("join", 0.0)]]


@pytest.mark.parametrize(
    ("share", "begin", "woken"), [(0.5, 3.0, 8.0), (0, 3.0, 3.0), (1, 3.0, 13.0), (-1, 3.0, 3.0), (0.25, 0.0, 2.5)]
)
def test_a_share_of_the_measured_time(share: float, begin: float, woken: float) -> None:
    stage = Stage([Until(share), Leave()])
    assert stage.until(0.0, 2.9) == []
    stage.conductor.begin_measuring(begin)
    if woken > begin:
        assert stage.until(max(begin, woken - 0.01)) == []
    assert stage.until(max(woken, begin)) == [("leave", woken)]


def test_a_share_that_has_passed_is_no_wait() -> None:
    stage = Stage([Play(9), Until(0.2), Until(0), Leave(), Until(0.8), Drop()])
    stage.until(0.0)
    stage.conductor.begin_measuring(4.0)
    assert stage.until(9.0) == [("leave", 9.0)]
    assert stage.until(11.9) == []
    assert stage.until(12.0) == [("drop", 12.0)]


def test_a_stall_ends_in_time_whatever_comes_behind_it() -> None:
    stage = Stage([Stall(1), Stall(2), Join()])
    assert stage.until(0.0, 0.9) == [("stall", 0.0)]
    assert stage.until(1.0, 2.9) == [("go on", 1.0), ("stall", 1.0)]
    assert stage.until(3.0, 99.0) == [("go on", 3.0), ("join", 3.0)]


NEVER_WAITS: list[Callable[[], Step]] = [
    lambda: Leave(),
    lambda: Join(),
    lambda: Wait(0),
    lambda: Wait(-1),
    lambda: Play(0),
    lambda: Until(0),
    lambda: Stall(0),
]


@pytest.mark.parametrize("make_step", NEVER_WAITS)
def test_a_script_that_never_waits_is_an_error_that_names_the_bot(make_step: Callable[[], Step]) -> None:
    class Joins(Actor):
        def join(self, now: float) -> bool | None:
            return True

    def forever() -> Iterable[Step]:
        return [make_step()] * 100_000

    stage = Stage(forever(), actors=(Joins(),))
    stage.conductor.begin_measuring(0.0)
    with pytest.raises(RuntimeError, match="bot 0 has made 1000 steps without waiting"):
        stage.until(0.0)


@pytest.mark.parametrize("step", [3, None, Wait, "join", (Join(),)])
def test_what_is_no_step_is_named(step: Any) -> None:
    stage = Stage([step])
    with pytest.raises(TypeError, match=r"yields steps of gamebots\.scenarios"):
        stage.until(0.0)


@pytest.mark.parametrize("seconds", [math.nan, "2"])
@pytest.mark.parametrize("kind", [Wait, Play, Stall, Until])
def test_a_time_that_is_none_is_an_error_and_no_wait_for_ever(kind: Callable[[Any], Step], seconds: Any) -> None:
    stage = Stage([kind(seconds)])
    stage.conductor.begin_measuring(0.0)
    with pytest.raises((TypeError, ValueError)):
        stage.until(0.0)


durations = st.floats(0.001, 5) | st.just(0.0)
steps = st.one_of(
    st.builds(Wait, durations),
    st.builds(Play, durations),
    st.builds(Stall, durations),
    st.builds(Until, st.floats(-0.5, 1.5)),
    st.just(Join()),
    st.just(Leave()),
    st.just(Drop()),
)


class Course:
    """When a conductor is called: at ``times``, the first of which is 0.0; measuring begins at the one at ``begin``."""

    def __init__(self, gaps: list[float], begin: int) -> None:
        self.times = [0.0]
        for gap in [*gaps, *[1.0] * 100]:
            self.times.append(self.times[-1] + gap)
        self.begin = begin


def expected(script: list[Step], course: Course, joining: list[int]) -> list[tuple[str, float]]:
    """What an actor is told, by the plainest model there is; a join takes as many calls as ``joining`` says."""
    told: list[tuple[str, float]] = []
    times, at, joins = course.times, 0, iter(joining)

    def later(seconds: float) -> int:
        return at if seconds <= 0 else next(n for n in range(at, len(times)) if times[n] >= times[at] + seconds)

    for step in script:
        now = times[at]
        match step:
            case Wait(seconds) | Play(seconds):
                at = later(seconds)
            case Stall(seconds) if seconds > 0:
                told.append(("stall", now))
                at = later(seconds)
                told.append(("go on", times[at]))
            case Until(share):
                until = times[course.begin] + share * SECONDS
                at = next(n for n in range(max(at, course.begin), len(times)) if times[n] >= until)
            case Join():
                told.append(("join", now))
                at += next(joins)
            case Leave() | Drop():
                told.append((type(step).__name__.lower(), now))
    return told


@given(
    scripts=st.lists(st.lists(steps, max_size=8), min_size=1, max_size=3),
    gaps=st.lists(st.floats(0.001, 2), max_size=30),
    begin=st.integers(0, 30),
    joining=st.lists(st.integers(0, 5), min_size=8, max_size=8),
)
@examples(150)
def test_any_scripts_make_their_steps_in_order_and_in_time(
    scripts: list[list[Step]], gaps: list[float], begin: int, joining: list[int]
) -> None:
    course, stage = Course(gaps, begin), Stage(*scripts)
    answers = {number: [*joining] for number in stage.actors}
    joined_at: dict[int, int] = {}
    seen = dict.fromkeys(stage.actors, 0)
    for at, now in enumerate(course.times):
        if at == begin:
            stage.conductor.begin_measuring(now)
        stage.conductor.advance(now)
        for number, actor in stage.actors.items():
            while sum(name == "join" for name, _ in actor.told) > seen[number]:
                joined_at.setdefault(number, at + answers[number][0])
                if joined_at[number] > at:
                    break
                del joined_at[number], answers[number][0]
                seen[number] += 1
                stage.conductor.joined(number, True, now)
    for number, script in enumerate(scripts):
        assert stage.actors[number].told == expected(script, course, joining)
        assert stage.scenario.answers[number] == [True] * len(script)
    assert stage.conductor.unsettled == 0


@given(waits=st.lists(st.floats(0.02, 3), min_size=1, max_size=10), late=st.floats(0, 1))
@examples(60)
def test_waits_are_counted_from_when_the_step_was_made(waits: list[float], late: float) -> None:
    """A conductor that is called late does not hurry: nothing is caught up."""
    stage = Stage([step for seconds in waits for step in (Wait(seconds), Leave())])
    now, due = 0.0, 0.0
    stage.until(now)
    for seconds in waits:
        due = now + seconds
        assert stage.until(math.nextafter(due, 0) - 1e-9) == []
        now = due + late
        assert stage.until(now) == [("leave", now)]


def test_it_is_over_when_no_script_will_do_anything() -> None:
    stage = Stage([Join(), Wait(1), Leave()], [Play()], [Until(0.3), Stall(1), Play()])
    assert not stage.conductor.is_over
    stage.until(0.0)
    stage.conductor.begin_measuring(0.5)
    stage.until(5.0)
    assert not stage.conductor.is_over  # one joins
    stage.conductor.joined(0, True, 5.0)
    assert not stage.conductor.is_over
    stage.until(6.0)
    assert stage.conductor.is_over
