"""What a person reads after a load test: the answer first, the table of requirements last, on any terminal or file."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from gamebots.requirements import judge, parse_requirements
from gamebots.text import headline, plain_result, print_result
from tests.support.examples import examples
from tests.support.load_results import sample_result

ROOT = Path(__file__).resolve().parents[2]


def good() -> dict[str, Any]:
    document = sample_result()
    document["verdict"] = judge(document, parse_requirements("latency.p99<120ms,desyncs==0,frames.rate>=19"))
    return document


def bad(*, reason: str = "1006 the server vanished") -> dict[str, Any]:
    """A run in which nearly all went wrong that can."""
    document = sample_result(count=1000, latency_ms=95)
    document["url"] = "ws://[::1]:8765/arena"  # what looks like markup must be shown as it is
    document["bots"] |= {"joined": 988, "refused": 12, "returns": 4}
    figures = document["figures"]
    figures["refused"]["value"], figures["disconnects"]["value"], figures["desyncs"]["value"] = 12, 8, 2
    figures["server.cpu"] = {"unit": "%", "value": 97.2}
    document["disconnects"] = {reason: 5, "1008 too slow for this room: its queue was full for two seconds " * 2: 3}
    document["limit"] = {"side": "server", "text": "The server was the limit: it took 49 of 50 ms a tick."}
    document["warnings"] = ["12 bots could not join: the room was full [bold]as it is[/bold]."]
    document["link"] = {"name": "mobile", "up": {"delay": 0.06}, "down": {"delay": 0.06}}
    document["processes"] = 2
    slow = {"frames.rate": {"unit": "/s", "value": 3.2}, "latency": {**figures["latency"], "p99": 1533.0}}
    document["groups"]["slow readers"] = {"bots": 100, "figures": slow}
    asked = "latency.p99<100ms,latency.p99@slow-readers<1s,desyncs==0,disconnects==0,refused==0,server.cpu<80%"
    document["verdict"] = judge(document, parse_requirements(asked, "bytes.in<10kB/s"))
    return document


def nobody() -> dict[str, Any]:
    document = sample_result(count=10)
    document["bots"] |= {"joined": 0, "refused": 10, "connected_at_end": 0}
    zeros = {name: {"unit": "", "value": 0} for name in ("desyncs", "messages", "ticks.skipped")}
    document["disconnects"] = {"connection refused": 10}
    document |= {
        "figures": {"refused": {"unit": "", "value": 10}, **zeros},
        "groups": {},
        "timeline": {},
        "per_bot": {},
    }
    document["verdict"] = judge(document, parse_requirements("latency.p99<120ms,desyncs==0"))
    return document


def on_terminal(document: dict[str, Any], width: int = 80, **options: Any) -> str:
    """What a terminal gets."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, legacy_windows=False, **options)
    print_result(document, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# -- the answer


def test_the_first_line_says_that_all_is_well_and_the_last_lines_are_the_verdict() -> None:
    lines = plain_result(good()).splitlines()
    assert lines[0] == "PASSED: all 3 requirements are met."
    assert lines[-5].split() == ["Verdict", "required", "found"]
    assert lines[-3].split()[:3] == ["ok", "latency.p99<120ms", "68.6"]
    assert lines[-1].split() == ["ok", "frames.rate>=19", "20.0/s"]


def test_a_red_verdict_names_what_failed_and_why() -> None:
    text = plain_result(bad())
    assert text.startswith("FAILED: 6 of 7 requirements not met: latency.p99<100ms,")
    words = " ".join(text.split())
    assert "FAILED latency.p99<100ms 136 ms the link's delay alone is 120 ms, so no server could keep" in words
    assert "FAILED latency.p99@slow-readers<1s 1.53 s" in words
    assert words.endswith("ok bytes.in<10kB/s 7.30 kB/s")


def changed(*path: str, value: Any, asked: str = "") -> dict[str, Any]:
    document = sample_result()
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    if asked:
        document["verdict"] = judge(document, parse_requirements(asked))
    return document


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (good(), ("good", "PASSED", "all 3 requirements are met.")),
        (changed("seed", value=1, asked="desyncs==0"), ("good", "PASSED", "the requirement is met.")),
        (nobody(), ("bad", "FAILED", "none of 10 bots could join (10 x connection refused).")),
        (
            sample_result(),
            ("good", "NO TROUBLE", "all bots joined and stayed, latency p50 48.1 ms, p99 68.6 ms. Nothing was"),
        ),
        (
            changed("bots", "joined", value=97),
            ("bad", "TROUBLE", "3 of 100 bots could not join. Nothing was required"),
        ),
        (changed("figures", "desyncs", "value", value=1), ("bad", "FAILED", "1 desync.")),
        (
            changed("figures", "desyncs", "value", value=2, asked="latency.p99<1s,desyncs<5"),
            ("bad", "FAILED", "all requirements are met, but 2 desyncs."),  # whatever is required
        ),
        (changed("figures", "disconnects", "value", value=1), ("bad", "TROUBLE", "1 lost connection. Nothing was")),
        (
            changed("figures", "frames.rate", "value", value=12.0),
            ("bad", "TROUBLE", "12.0 frames for 20.0 ticks a second. Nothing"),
        ),
        (
            changed("bots", "joined", value=97, asked="desyncs==0"),
            ("unsure", "PASSED", "the requirement is met, but 3 of 100 bots could not join."),
        ),
        (
            changed("interrupted", value=True, asked="desyncs==0"),
            ("unsure", "PASSED", "the requirement is met, but interrupted after 30 s."),
        ),
        (
            changed("figures", "disconnects", "value", value=2, asked="disconnects<5"),
            ("good", "PASSED", "the requirement is met."),  # so many are all right, somebody said
        ),
    ],
)
def test_the_answer(document: dict[str, Any], expected: tuple[str, str, str]) -> None:
    tone, word, sentence = headline(document)
    assert (tone, word) == expected[:2]
    assert sentence.startswith(expected[2])


def test_a_requirement_that_is_not_met_by_little_does_not_look_met() -> None:
    document = changed("figures", "frames.rate", "value", value=18.996, asked="frames.rate>=19")
    assert "FAILED   frames.rate>=19  18.996/s" in plain_result(document)


def test_a_desync_of_any_group_is_a_failure() -> None:
    """Figures are of players, and what is done to the others may break them."""
    document = sample_result()
    document["groups"]["slow readers"] = {"bots": 3, "figures": {"desyncs": {"unit": "", "value": 1}}}
    assert headline(document) == ("bad", "FAILED", "1 desync.")


# -- tables


def test_all_that_happened_is_told() -> None:
    text = " ".join(plain_result(bad()).split())
    for part in (
        "988 bots for 30 s at ws://[::1]:8765/arena, scenario steady, link mobile",
        "2 processes, seed 1.",
        "The server was the limit: it took 49 of 50 ms a tick.",
        "5 1006 the server vanished",
        "returns 4 connections that came back",
        "Warning: 12 bots could not join: the room was full [bold]as it is[/bold].",
        "slow readers 100 95.2 ms 1.53 s",
        "server.cpu 97.2 % of a core, the server",
        "server_tick 6.01 ms 8.57 ms 9.28 ms 9.92 ms from reading to writing",
    ):
        assert part in text, part


def test_what_was_not_measured_has_no_row() -> None:
    text = plain_result(nobody())
    assert "latency  " not in text.split("Verdict")[0]
    assert "What was felt" not in text
    assert "messages" not in text
    assert "\ndesyncs " not in text
    document = sample_result()
    document["figures"]["latency"] = {"unit": "ms", "count": 0, "p50": 0.0}
    assert "\nlatency" not in plain_result(document)


def test_zero_desyncs_are_not_shown_as_a_good_sign_when_nothing_was_compared() -> None:
    document = sample_result()
    document["figures"]["hashes.checked"]["value"] = 0
    assert "desyncs - no state was compared with the server's (--replicas" in " ".join(plain_result(document).split())


def test_it_says_whose_the_figures_are() -> None:
    assert "What was felt" in plain_result(good())
    text = plain_result(bad())
    assert "Players felt" in text
    assert "Each player" in text


def test_why_bots_were_refused_is_told_apart() -> None:
    document = sample_result() | {"refusals": {"1013 full": 3}, "disconnects": {"1006 gone": 2}}
    assert "Refused because of -------------------- 3 1013 full Lost because of" in " ".join(
        re.sub("-{5,}", "-" * 20, plain_result(document)).split()
    )


def test_figures_this_version_does_not_know_are_shown() -> None:
    document = sample_result()
    document["figures"]["my.own"] = {"unit": "ms", "count": 2, "p50": 1.0, "p99": 2.0, "max": 2.0}
    document["figures"]["gold"] = {"unit": "", "value": 77}
    text = " ".join(plain_result(document).split())
    assert "my.own 1.00 ms 2.00 ms - 2.00 ms" in text
    assert "gold 77" in text


# -- any terminal, any file


@pytest.mark.parametrize("document", [good(), bad(), nobody(), sample_result()])
@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_too_long_and_nothing_is_cut_off(document: dict[str, Any], width: int) -> None:
    text = plain_result(document, width)
    assert max(map(len, text.splitlines())) <= width
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "..." not in text
    assert without_colours(on_terminal(document, width)).split() == text.split()


def test_a_file_gets_ascii_and_no_control_codes() -> None:
    file = io.StringIO()
    print_result(bad(), Console(file=file, width=80))
    text = file.getvalue()
    assert text.isascii()
    assert "\x1b" not in text
    assert text == plain_result(bad())


def test_colours_say_nothing_that_words_do_not() -> None:
    coloured = on_terminal(bad(), color_system="truecolor")
    assert "\x1b[1;31mFAILED" in coloured
    assert "\x1b[1;32mok" in coloured
    assert without_colours(coloured).split() == on_terminal(bad(), no_color=True, color_system=None).split()


def test_a_reason_from_the_server_cannot_command_the_terminal() -> None:
    text = on_terminal(bad(reason="\x1b]0;owned\x07\x1b[2J\r\n1006 gone [red]"), color_system=None)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "1006 gone [red]" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("terminal", [False, True])
def test_characters_that_an_encoding_has_not_are_replaced(encoding: str, terminal: bool) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    print_result(bad(reason="1006 \u65e5\u672c"), Console(file=file, width=80, force_terminal=terminal))
    file.flush()
    shown = raw.getvalue().decode(encoding)
    assert ("1006 \u65e5\u672c" if encoding == "utf-8" else "1006 ??") in shown


@pytest.mark.slow
def test_the_c_locale_and_a_pipe() -> None:
    """A process of its own, because a locale is of a process."""
    code = "from tests.unit.test_load_text import *\nprint_result(bad(reason='1006 \\u65e5'), Console())"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "FORCE"))}
    environment |= {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii()
    assert done.stdout.startswith(b"FAILED: ")
    assert b"\x1b" not in done.stdout


_SAMPLE = good()


@given(st.sets(st.sampled_from(sorted(_SAMPLE)), max_size=8))
@examples(40)
def test_a_document_with_parts_missing_is_shown_all_the_same(missing: set[str]) -> None:
    document = {name: value for name, value in _SAMPLE.items() if name not in missing}
    assert plain_result(document).split(":")[0] in ("PASSED", "FAILED", "TROUBLE", "NO TROUBLE")
