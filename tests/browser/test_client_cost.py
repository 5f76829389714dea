"""What the client costs a page: main-thread time of each frame, and memory. Figures are printed (``pytest -s``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.browser.browsers import OpenPage
from tests.browser.pages import join, until, write_page
from tests.browser.servers import StartServer

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession, Page

#: Far above what a frame of 1000 moving entities costs on a slow machine: a bound for what is wrong by design.
LOOSE_MS = 4.0
FRAMES, PROFILE_FRAMES = 100, 40
#: How much more memory a page may hold after thousands of entities came and went; one of them has about 1 kB.
GROWTH_BYTES = 1_000_000

pytestmark = pytest.mark.slow

#: From before a message is taken in until every callback of its frame has run; reading is a part of it.
_TIME_FRAMES = """() => {
    window.took = [];
    let began = 0;
    const stops = [
        session.observe((direction) => { if (direction === "in") began = performance.now(); }),
        session.on("frame", () => took.push(performance.now() - began)),
    ];
    window.stopTiming = () => stops.forEach((stop) => stop());
}"""
#: What a game does with a frame: it reads where everything is.
_READ_COLUMNS = """() => {
    window.sum = 0;
    session.on("frame", () => {
        const table = session.world.Mover;
        for (const name of ["x", "y", "heading"]) for (const value of table.column(name)) sum += value;
    });
}"""


def main_thread_seconds(devtools: CDPSession) -> dict[str, float]:
    """What the page's main thread has done so far, by kind, in seconds."""
    metrics = {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}
    return {name: metrics[name] for name in ("TaskDuration", "ScriptDuration")}


def top_functions(profile: dict[str, Any], count: int) -> list[tuple[str, float]]:
    """The functions of a CPU profile in which most time was spent themselves, in milliseconds."""
    names = {node["id"]: node["callFrame"]["functionName"] or "(anonymous)" for node in profile["nodes"]}
    spent: dict[str, float] = {}
    for sample, microseconds in zip(profile["samples"], profile["timeDeltas"], strict=True):
        spent[names[sample]] = spent.get(names[sample], 0.0) + microseconds / 1000
    return sorted(spent.items(), key=lambda item: -item[1])[:count]


def measure(page: Page, what: str) -> np.ndarray:
    """Milliseconds of each of the next frames; prints them."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable")
    page.evaluate(_TIME_FRAMES)
    until(page, "took.length > 40")  # until the page's compiler knows the code
    page.evaluate("took.length = 0")
    before = main_thread_seconds(devtools)
    page.wait_for_timeout(FRAMES * 50)
    after = main_thread_seconds(devtools)
    page.evaluate("stopTiming()")
    took = np.array(page.evaluate("took"))
    devtools.detach()
    p50, p95 = np.percentile(took, [50, 95])
    task, script = (1000 * (after[name] - before[name]) / len(took) for name in ("TaskDuration", "ScriptDuration"))
    print(
        f"\n{what}, {len(took)} frames: mean {took.mean():.3f} ms, p50 {p50:.3f}, p95 {p95:.3f}, most {took.max():.3f}"
    )
    print(f"  main thread in all, of a frame: tasks {task:.3f} ms, of them scripts {script:.3f} ms")
    return took


def test_a_thousand_moving_entities(game_server: StartServer, browser_page: OpenPage, tmp_path: Path) -> None:
    server = game_server("tests.browser.rooms:Crowd", static=write_page(tmp_path))
    page = browser_page(server.url + "/")
    join(page, "/crowd")
    assert page.evaluate("session.world.Mover.size") == 1000
    alone = measure(page, "1000 moving entities")
    page.evaluate(_READ_COLUMNS)
    read = measure(page, "the same, with three columns read by the page")
    devtools = page.context.new_cdp_session(page)
    devtools.send("Profiler.enable")
    devtools.send("Profiler.setSamplingInterval", {"interval": 100})
    devtools.send("Profiler.start")
    page.wait_for_timeout(PROFILE_FRAMES * 50)
    for name, milliseconds in top_functions(devtools.send("Profiler.stop")["profile"], 12):
        print(f"  {milliseconds / PROFILE_FRAMES:8.4f} ms a frame  {name}")
    devtools.detach()
    assert page.evaluate("session.stats.desyncs + session.stats.framesSkipped") == 0
    assert np.median(alone) < LOOSE_MS
    assert np.median(read) < LOOSE_MS


def used_bytes(devtools: CDPSession) -> int:
    """What the page's JavaScript holds, garbage collected."""
    devtools.send("HeapProfiler.collectGarbage")
    return int(devtools.send("Runtime.getHeapUsage")["usedSize"])


def test_memory_does_not_grow(game_server: StartServer, browser_page: OpenPage, tmp_path: Path) -> None:
    server = game_server("tests.browser.rooms:Leaves", static=write_page(tmp_path))
    page = browser_page(server.url + "/")
    join(page, "/leaves")
    page.evaluate("""() => {
        session.onSpawned("Leaf", (leaf) => leaf.label.length);
        session.onDespawned("Leaf", (leaf) => leaf.label.length);
        session.on("message", () => { told.messages.length = 0 });
    }""")
    devtools = page.context.new_cdp_session(page)
    held = []
    for _ in range(4):
        until(page, "(frames) => told.frames > frames + 250", page.evaluate("told.frames"))
        held.append(used_bytes(devtools))
    devtools.detach()
    print(f"\nheld after each 250 frames and 1000 entities: {held} bytes")
    assert page.evaluate("session.stats.desyncs") == 0
    assert held[-1] - held[0] < GROWTH_BYTES
