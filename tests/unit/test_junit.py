"""JUnit XML of load tests: read again as build servers read it."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped

from gamebots.junit import junit_xml
from gamebots.requirements import judge, parse_requirements
from tests.support.examples import examples
from tests.support.load_results import sample_result


def document_of(*asked: str, **changes: Any) -> dict[str, Any]:
    document = sample_result() | changes
    if asked:
        document["verdict"] = judge(document, parse_requirements(*asked))
    return document


def nobody(*asked: str) -> dict[str, Any]:
    bots = {"asked": 10, "joined": 0, "connected_at_end": 0, "refused": 10, "returns": 0}
    return document_of(*asked, bots=bots, disconnects={"connection refused": 10})


def suites(document: dict[str, Any]) -> list[Any]:
    """As junitparser reads them."""
    return list(JUnitXml.fromstring(junit_xml(document).encode()))


def counts(element: ElementTree.Element) -> tuple[str | None, ...]:
    return tuple(element.get(name) for name in ("tests", "failures", "errors", "skipped"))


def test_each_requirement_is_a_case_and_one_that_is_not_met_fails_with_the_reason() -> None:
    document = document_of("latency.p99<50ms,desyncs==0")
    (suite,) = suites(document)
    slow, desyncs = suite
    assert (slow.name, desyncs.name) == ("latency.p99<50ms", "desyncs==0")
    (failure,) = slow.result
    assert isinstance(failure, Failure)
    assert failure.message == "found 68.6 ms"
    assert failure.text.startswith("latency.p99<50ms: found 68.6 ms\nin all 30 seconds, worst in second")
    assert desyncs.is_passed
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (2, 1, 0, 0)


def test_what_was_never_measured_is_a_failure_too() -> None:
    ((case,),) = suites(document_of("server.cpu<80%"))
    (failure,) = case.result
    assert isinstance(failure, Failure)
    assert failure.message == "nothing was measured"
    assert "--server-pid" in failure.text


@pytest.mark.parametrize(
    ("asked", "names"),
    [((), ["bots join"]), (("latency.p99<1s,refused<20",), ["latency.p99<1s", "refused<20"])],
)
def test_a_run_in_which_nobody_joined_is_an_error_whatever_was_required(asked: tuple[str], names: list[str]) -> None:
    (suite,) = suites(nobody(*asked))
    assert [case.name for case in suite] == names
    for case in suite:
        (error,) = case.result
        assert isinstance(error, Error)
        assert error.message == "none of 10 bots could join (10 x connection refused)."
    assert (suite.failures, suite.errors) == (0, len(names))


def test_without_requirements_one_case_says_so() -> None:
    ((case,),) = suites(document_of())
    (skipped,) = case.result
    assert isinstance(skipped, Skipped)
    assert "--require" in skipped.message


@pytest.mark.parametrize("asked", ["", "desyncs<5", "latency.p99<1s", "desyncs==0"])
def test_what_must_never_happen_is_a_failure_whatever_was_required(asked: str) -> None:
    document = sample_result()
    document["figures"]["desyncs"]["value"] = 2
    if asked:
        document["verdict"] = judge(document, parse_requirements(asked))
    (suite,) = suites(document)
    assert suite.failures == 1
    (failed,) = [case for case in suite if not case.is_passed]
    assert failed.name == ("desyncs==0" if asked == "desyncs==0" else "no desyncs")
    assert failed.result[0].message == "found 2"


def test_the_shape_that_build_servers_read() -> None:
    """Jenkins: counts, time and timestamp as its schema has them, children in order. GitLab: names that differ."""
    text = junit_xml(document_of("latency.p99<50ms,desyncs==0,frames.rate>=19"))
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    root = ElementTree.fromstring(text.encode())
    (suite,) = root
    assert counts(root) == counts(suite) == ("3", "1", "0", "0")
    assert suite.get("name") == "gamebots steady"
    assert suite.get("time") == root.get("time") == "30.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
    assert [child.tag for child in suite] == ["properties", "testcase", "testcase", "testcase", "system-out"]
    cases = suite.findall("testcase")
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == 3
    assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)
    assert {case.get("classname") for case in cases} == {"gamebots.steady"}
    (failure,) = cases[0]
    assert failure.tag == "failure"
    assert set(failure.attrib) == {"message", "type"}
    assert (suite.findtext("system-out") or "").startswith("FAILED: 1 of 3 requirements not met")


def test_a_scenario_of_a_file_is_no_package_of_java() -> None:
    ((case,),) = suites(document_of("desyncs==0", scenario="my.storm.py"))
    assert case.classname == "gamebots.my_storm_py"


def test_properties_tell_the_run_and_its_figures() -> None:
    link = {"name": "mobile", "up": {}, "down": {}}
    (suite,) = suites(document_of("desyncs==0", link=link))
    found = {one.name: one.value for one in suite.properties()}
    assert found["url"] == "ws://127.0.0.1:8765/arena"
    assert found["link"] == "mobile"
    assert found["limit"].startswith("none: Neither")
    assert found["latency.p99"] == "68.607 ms"
    assert found["frames.rate"].endswith(" /s")
    assert found["desyncs"] == "0"


@pytest.mark.slow
@given(st.text())
@examples(60)
def test_whatever_a_server_says_the_file_is_xml(reason: str) -> None:
    """A closing reason may hold characters that XML has not, not even escaped."""
    document = dict(_LOST) | {"disconnects": {reason: 3}, "warnings": [reason], "scenario": reason}
    document["verdict"] = judge(document, parse_requirements("disconnects==0,desyncs==0"))
    document["verdict"]["requirements"][1] |= {"passed": False, "why": reason}  # of a document made elsewhere
    ((case, _),) = suites(document)
    assert case.result[0].message == "found 3"
    ElementTree.fromstring(junit_xml(dict(document) | {"bots": {"asked": 3, "joined": 0}}).encode())


_LOST = sample_result(count=5, seconds=2)
_LOST["figures"]["disconnects"]["value"] = 3


def test_without_the_library_there_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "junitparser", None)
    with pytest.raises(click.UsageError, match=r"--junit needs junitparser: pip install 'tickwire\[report\]'"):
        junit_xml(document_of())
