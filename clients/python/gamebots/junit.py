"""A result document as JUnit XML, which build servers show: a test case for each requirement.

Jenkins shows the suite's name, properties and output; GitLab the cases' names and what is written in a failure, and of
cases with one name only the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from gamebots.reading import joined_count, of_all_groups
from gamebots.reasons import because_of_refusals
from gamebots.requirements import ALWAYS_ZERO, FIGURES
from gamebots.text import headline, plain_result
from gamebots.units import is_number, printable, show_amount

if TYPE_CHECKING:
    from junitparser import TestCase

#: The output's lines are as long as build servers show without scrolling.
_OUTPUT_COLUMNS: Final = 100
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'


def junit_xml(document: Mapping[str, Any]) -> str:
    """The whole file, to be written as UTF-8.

    A requirement that is not met is a failure, and its text says why; so is what must never happen, but did. When
    nobody could join, each is an error: nothing was tried. Without requirements one case is skipped and says so.

    Raises:
        click.UsageError: junitparser is not installed.
    """
    try:
        from junitparser import JUnitXml
    except ImportError:
        raise click.UsageError("--junit needs junitparser: pip install 'tickwire[report]'") from None
    suite = _suite(document)
    report: Any = JUnitXml("gamebots")  # some of its methods have no types
    report.add_testsuite(suite)
    report.update_statistics()
    seconds = _seconds(document)
    suite.time = report.time = seconds  # it took that long for all requirements, and not for each
    text = report.tostring()
    return _DECLARATION + (text.decode() if isinstance(text, bytes) else str(text)) + "\n"


def _suite(document: Mapping[str, Any]) -> Any:
    from junitparser import TestSuite
    from junitparser.junitparser import SystemOut

    suite: Any = TestSuite(printable(f"gamebots {document.get('scenario')}"))
    suite.timestamp = str(document.get("started", "")).removesuffix("Z")
    for name, value in _properties(document).items():
        suite.add_property(name, printable(value))
    for case in _cases(document):
        suite.add_testcase(case)
    suite.append(SystemOut(plain_result(document, _OUTPUT_COLUMNS)))
    return suite


def _cases(document: Mapping[str, Any]) -> list[TestCase]:
    from junitparser import Error, Failure, Skipped, TestCase

    rows = (document.get("verdict") or {}).get("requirements") or []
    cases = [TestCase(printable(row["text"]), classname=_class_name(document), time=0.0) for row in rows]
    if joined_count(document) == 0:
        cases = cases or [TestCase("bots join", classname=_class_name(document), time=0.0)]
        _, _, said = headline(document)
        for case in cases:
            case.result = [_told(Error, said, "nobody joined", because_of_refusals(document) or said)]
        return cases
    for case, row in zip(cases, rows, strict=True):
        if not row["passed"]:
            found = show_amount(row.get("found"), row.get("unit") or "", beside=row.get("limit"))
            message = "nothing was measured" if row.get("found") is None else f"found {found}"
            case.result = [_told(Failure, message, "requirement", f"{row['text']}: {message}\n{row['why']}")]
    for name in ALWAYS_ZERO:
        count = of_all_groups(document, name)
        if count and not any(row["metric"] == name and not row["passed"] for row in rows):
            case = TestCase(f"no {name}", classname=_class_name(document), time=0.0)
            message = f"found {count:.0f}"
            case.result = [_told(Failure, message, "defect", f"{name}: {message}\n{FIGURES[name].meaning}")]
            cases.append(case)
    if not cases:
        case = TestCase("nothing was required", classname=_class_name(document), time=0.0)
        case.result = [Skipped("nothing was required: give --require to make this a test")]
        cases.append(case)
    return cases


def _told(kind: Any, message: str, type_: str, text: str) -> Any:
    result = kind(printable(message), type_)
    result.text = "\n".join(printable(line) for line in text.splitlines())
    return result


def _class_name(document: Mapping[str, Any]) -> str:
    """Of the cases: build servers group by it, and a dot would make a package of what is before it."""
    return "gamebots." + printable(document.get("scenario", "")).replace(".", "_")


def _seconds(document: Mapping[str, Any]) -> float:
    seconds: Any = document.get("seconds")
    return float(seconds) if is_number(seconds) else 0.0


def _properties(document: Mapping[str, Any]) -> dict[str, str]:
    """What was run, and each figure: its value, or its statistics."""
    named = ("url", "scenario", "count", "processes", "replicas", "seed", "version", "started", "seconds")
    found = {name: str(document[name]) for name in named if document.get(name) is not None}
    if document.get("link"):
        found["link"] = str(document["link"].get("name"))
    limit = document.get("limit") or {}
    found["limit"] = f"{limit.get('side', 'none')}: {limit.get('text', '')}"
    for name, entry in (document.get("figures") or {}).items():
        for statistic in ("value", "p50", "p99", "max"):
            if is_number(entry.get(statistic)):
                key = name if statistic == "value" else f"{name}.{statistic}"
                found[key] = f"{entry[statistic]:.6g} {entry.get('unit', '')}".rstrip()
    return found
