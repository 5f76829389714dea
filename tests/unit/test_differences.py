"""What has changed between two runs: beyond noise or not, and in which direction; and the command that tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gamebots.cli import main
from gamebots.differences import change, differences, unlike
from tests.support.load_results import sample_result


@pytest.mark.parametrize(
    ("figure", "unit", "before", "after", "expected"),
    [
        ("latency", "ms", 50.0, 60.0, ("+20 %", "")),  # noise
        ("latency", "ms", 50.0, 90.0, ("+80 %", "worse")),
        ("latency", "ms", 90.0, 50.0, ("-44 %", "better")),
        ("latency", "ms", 0.5, 1.5, ("+200 %", "")),  # nobody feels it
        ("frames.rate", "/s", 20.0, 10.0, ("-50 %", "worse")),
        ("frames.rate", "/s", 10.0, 20.0, ("+100 %", "better")),
        ("bytes.in", "B/s", 1000.0, 2000.0, ("+100 %", "worse")),
        ("messages", "", 10.0, 1000.0, ("+9900 %", "")),  # neither
        ("desyncs", "", 0, 3, ("was 0", "worse")),
        ("desyncs", "", 3, 0, ("-100 %", "better")),
        ("desyncs", "", 3, 3, ("", "")),
        ("latency", "ms", None, 3.0, ("", "")),
        ("latency", "ms", 3.0, None, ("", "")),
    ],
)
def test_a_change(figure: str, unit: str, before: float | None, after: float | None, expected: tuple[str, str]) -> None:
    assert change(figure, unit, before, after) == expected


def test_what_counts_as_noise_may_be_said() -> None:
    assert change("latency", "ms", 50.0, 60.0, 10.0) == ("+20 %", "worse")


def test_all_figures_that_both_have_are_compared() -> None:
    before, after = sample_result(), sample_result(seed=2, latency_ms=100.0)
    del before["figures"]["state_age"]
    rows = {row.name: row for row in differences(after, before)}
    assert {"latency.p50", "latency.p99", "frames.rate", "desyncs"} <= set(rows)
    assert not any(name.startswith("state_age") for name in rows)
    assert (rows["latency.p50"].tone, rows["frames.rate"].tone) == ("worse", "")


def test_what_was_not_done_alike_is_said_in_words() -> None:
    mobile = {"name": "mobile\x1b[2J", "up": {"delay": 0.04}, "down": {}}
    before, after = sample_result(), sample_result() | {"link": mobile, "ramp_per_second": None, "seed": 7}
    del after["processes"]  # a later version may leave it out
    assert unlike(before, before) == []
    link, ramp, processes = unlike(before, after)
    assert link.startswith("the link was none, now it is mobile")
    assert not {"\x1b", "{"} & set(link)
    assert ramp == "the ramp (bots a second) was 50, now it is none"
    assert processes == "processes was 1, now it is none"


def write(path: Path, document: Any) -> str:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_a_build_fails_when_it_is_worse(tmp_path: Path) -> None:
    before = write(tmp_path / "before.json", sample_result())
    after = write(tmp_path / "after.json", sample_result(seed=2, latency_ms=100.0) | {"count": 90})
    done = CliRunner().invoke(main, ["compare", before, after])
    assert (done.exit_code, "Note: count was 100, now it is 90" in done.output) == (0, True)
    done = CliRunner().invoke(main, ["compare", before, after, "--fail-if-worse", "30"])
    assert (done.exit_code, "FAILED: worse by more than 30 %: latency.p50" in done.output) == (1, True)
    assert CliRunner().invoke(main, ["compare", before, after, "--fail-if-worse", "300"]).exit_code == 0
    assert CliRunner().invoke(main, ["compare", after, before, "--fail-if-worse", "30"]).exit_code == 0


@pytest.mark.slow
def test_a_page_of_both_is_written(tmp_path: Path) -> None:
    before, after = (write(tmp_path / f"{seed}.json", sample_result(seed=seed)) for seed in (1, 2))
    page = tmp_path / "both.html"
    assert CliRunner().invoke(main, ["compare", before, after, "--html", str(page)]).exit_code == 0
    assert "the other run" in page.read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{ no json", "is no result of gamebots --json FILE"),
        ("[]", "it has no format"),
        ('{"format": "gamebots-capacity/1"}', "gamebots-capacity/1, gamebots-result/1 is read"),
    ],
)
def test_files_that_are_no_results(text: str, told: str, tmp_path: Path) -> None:
    wrong, right = write(tmp_path / "wrong.json", text), write(tmp_path / "right.json", sample_result())
    done = CliRunner().invoke(main, ["compare", right, wrong])
    assert done.exit_code == 2
    assert told in " ".join(done.output.split())
