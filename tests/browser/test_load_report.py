"""The report of a load test, opened in a real browser from a file: whole without a network, readable at any width."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gamebots.report import write_page
from gamebots.requirements import judge, parse_requirements
from tests.browser.browsers import OpenPage, screenshot
from tests.support.load_results import sample_result

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: Elements that stick out of the window, but for those in a box that scrolls by itself.
STICKS_OUT = """() => [...document.querySelectorAll("body *")].filter((element) =>
    !element.closest(".box, svg") && element.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML)"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    document = sample_result(count=1000)
    document["disconnects"] = {"1006 the server vanished": 3}
    document["verdict"] = judge(document, parse_requirements("latency.p99<120ms,desyncs==0,frames.rate>=25"))
    write_page(document, path, sample_result(seed=2, latency_ms=70.0))
    return path


def open_report(browser_page: OpenPage, report: Path, **options: object) -> Page:
    page = browser_page("", **options)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert asked == [report.as_uri()]  # nothing else is loaded
    return page


@pytest.mark.slow
def test_a_report_shows_all_its_plots_without_a_network(report: Path, browser_page: OpenPage) -> None:
    page = open_report(browser_page, report, viewport={"width": 1280, "height": 900})
    assert page.locator("h1").inner_text().startswith("FAILED: 1 of 3 requirements not met: frames.rate>=25")
    sizes = page.evaluate("[...document.querySelectorAll('svg')].map((svg) => svg.getBoundingClientRect().height)")
    assert len(sizes) >= 14
    assert min(sizes) > 100
    assert page.evaluate(STICKS_OUT) == []
    screenshot(page, "load-report")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (768, "dark")])
def test_a_report_fits_narrow_windows(width: int, scheme: str, report: Path, browser_page: OpenPage) -> None:
    page = open_report(browser_page, report, viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    assert ink != paper
    label = page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert label == ink  # plots are drawn in the page's own colours
    screenshot(page, f"load-report-{width}-{scheme}")


@pytest.mark.slow
def test_a_printed_report_is_on_white_and_cuts_nothing_off(report: Path, browser_page: OpenPage) -> None:
    page = open_report(browser_page, report, viewport={"width": 718, "height": 1000}, color_scheme="dark")  # A4
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 34, 41)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    hidden = "[...document.querySelectorAll('.box')].filter((box) => box.scrollWidth > box.clientWidth + 1).length"
    assert page.evaluate(hidden) == 0
    screenshot(page, "load-report-print")


@pytest.mark.slow
def test_no_name_or_line_of_a_legend_sticks_out_of_its_picture(report: Path, browser_page: OpenPage) -> None:
    page = open_report(browser_page, report, viewport={"width": 1280, "height": 900})
    outside = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
      const all = svg.getBoundingClientRect();
      return [...svg.querySelectorAll("text, [id*=legend] path")].filter((each) => {
        const own = each.getBoundingClientRect();
        return own.left < all.left - 1 || own.right > all.right + 1 || own.top < all.top - 1;
      }).map((each) => `${svg.ariaLabel}: ${each.textContent}`);
    })"""
    assert page.evaluate(outside) == []
