"""The report of a load test: one page for any result, however much of it is missing, and nothing in it is markup."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from gamebots.report import plots
from gamebots.report.drawing import Drawing, legend
from gamebots.report.page import page_text
from gamebots.requirements import judge, parse_requirements
from tests.support.load_results import sample_result

NASTY = "<script>alert(1)</script>\"'&\x1b[2J<b>"


class Page(HTMLParser):
    """What a reader of the page gets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action"):
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def judged(document: dict[str, Any], *texts: str) -> dict[str, Any]:
    document["verdict"] = judge(document, parse_requirements(*texts))
    return document


def without_anybody() -> dict[str, Any]:
    document = sample_result(count=3)
    document["bots"] |= {"joined": 0, "connected_at_end": 0, "refused": 3}
    document["refusals"] = {"1006 nothing listens": 3}
    nothing = {"count": 0, **dict.fromkeys(("min", "p50", "p90", "p95", "p99", "p99_9", "max", "mean"))}
    for name, figure in document["figures"].items():
        document["figures"][name] = figure | (nothing if "count" in figure else {"value": 0})
        if "count" in figure and "value" in figure:
            document["figures"][name]["value"] = None
    document["histograms"] = {}
    document["per_bot"] = {name: [None] * 3 if name != "bot" else [0, 1, 2] for name in document["per_bot"]}
    document["timeline"] = {name: [] for name in document["timeline"]}
    return document


def of_one_second() -> dict[str, Any]:
    document = sample_result(count=1, seconds=1)
    document["timeline"] = {name: values[-1:] for name, values in document["timeline"].items()}
    return document


def with_gaps() -> dict[str, Any]:
    document = sample_result()
    for name, values in document["timeline"].items():
        if name != "second":
            values[::3] = [None] * len(values[::3])
    for name in ("state_age", "server_tick"):
        del document["figures"][name]
        del document["histograms"][name]
    del document["timeline"]["lateness_max_ms"]
    return document


RESULTS = {
    "usual": sample_result,
    "nobody": without_anybody,
    "a second": of_one_second,
    "gaps": with_gaps,
    "interrupted": lambda: sample_result() | {"interrupted": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("other", [None, "usual", "nobody"])
def test_there_is_a_page_for_any_result(name: str, other: str | None) -> None:
    document = judged(RESULTS[name](), "latency.p99<1ms", "frames.rate>=10")
    page = Page(page_text(document, None if other is None else RESULTS[other]()))
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert "script" not in page.tags
    assert "latency.p99<1ms" in page.text
    assert "FAILED:" in page.text


def test_a_page_answers_first_whether_it_is_good() -> None:
    good = Page(page_text(judged(sample_result(), "latency.p99<500ms"))).text
    assert good.index("PASSED:") < good.index("Neither the server nor this tool")
    assert "NO TROUBLE:" in Page(page_text(sample_result())).text


@pytest.mark.slow
def test_all_plots_are_there_and_a_second_run_is_in_each() -> None:
    page = page_text(sample_result())
    titles = re.findall(r'<svg role="img" aria-label="([^"]+)"', page)
    assert {"Latency by percentile", "State age over time", "Bots in the room", "Bandwidth of all bots"} <= set(titles)
    assert {"Server tick time and lateness", "Longest lag of its loop", "Latency p99 of each bot"} <= set(titles)
    both = page_text(sample_result(), sample_result(seed=2, latency_ms=90))
    assert re.findall(r'<svg role="img" aria-label="([^"]+)"', both) == titles
    drawn = re.findall(r"<svg.*?</svg>", both, re.DOTALL)
    assert all("#e69f00" in each for each in drawn)


@pytest.mark.slow
def test_a_page_warns_of_runs_that_did_not_do_the_same() -> None:
    told = "The runs did not do the same: count was 100, now it is 50."
    assert told in Page(page_text(sample_result(count=50), sample_result())).text
    assert "did not do the same" not in page_text(sample_result(), sample_result(seed=2))


def test_names_of_a_legend_that_do_not_fit_beside_each_other_are_in_two_columns() -> None:
    def columns(*names: str) -> int:
        drawing = Drawing()
        for name in names:
            drawing.axes[0].plot([1, 2], label=name)
        legend(drawing.axes[0])
        found = drawing.axes[0].get_legend()
        drawing.picture("names")
        return 0 if found is None else int(found._ncols)

    assert columns("only one") == 0
    assert columns("p50", "p99", "max") == 3
    assert columns(*("the other run, connections lost",) * 6) == 2


@pytest.mark.slow
def test_what_a_server_says_is_text() -> None:
    document = judged(sample_result(), "latency.p99<500ms")
    document |= {
        "url": NASTY,
        "scenario": NASTY,
        "disconnects": {NASTY: 3},
        "refusals": {NASTY: 1},
        "warnings": [NASTY],
    }
    document["limit"]["text"] = NASTY
    document["link"] = {"name": NASTY, "up": {}, "down": {}}
    document["groups"] = {NASTY: document["groups"]["players"], "players": document["groups"]["players"]}
    document["figures"][NASTY] = {"unit": "", "value": 3}
    document["verdict"]["requirements"][0] |= {"text": NASTY, "why": NASTY}
    page = Page(page_text(document, copy.deepcopy(document)))
    assert "script" not in page.tags
    assert page.tags.count("b") == 5  # the cards' own
    assert page.text.count("<script>alert(1)</script>") >= 9
    assert "\x1b" not in page.text


@pytest.mark.slow
def test_the_same_result_gives_the_same_page() -> None:
    assert page_text(sample_result()) == page_text(sample_result())


@pytest.mark.slow
def test_a_page_takes_its_colours_from_the_reader() -> None:
    page = page_text(sample_result())
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert not re.search("#010203|#040506", page)


def test_a_capacity_of_one_point_and_of_many_is_drawn() -> None:
    def point(count: int, passed: bool) -> dict[str, Any]:
        return {"count": count, "passed": passed, "figures": sample_result(count=3)["figures"]}

    assert plots.capacity_figure([]) == ""
    for points in ([point(50, True)], [point(50, True), point(100, False), point(75, True), point(75, False)]):
        assert plots.capacity_figure(points).startswith("<svg")


def test_bars_of_a_bench() -> None:
    rows = [
        {"workload": work, "clients": 1000, "system": name, "cpu_us_per_client_tick": cost, "cpu_us_min": cost - 1}
        for work in ("full-200", "aoi-1000")
        for name, cost in (("tickwire", 18.0), ("colyseus", 28.0))
    ]
    assert "18.0" in plots.bench_figure(rows)
    assert plots.bench_figure([]) == ""
