"""Players who do nothing wrong while others do: they hold the state, check its hashes, and send inputs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import trio

import gameclient


class Honest:
    """One player.

    Attributes:
        session: its session, after `play` has started. frames: applied so far. longest_gap: between two of them, in
            seconds. ended: why the connection ended, None while it lasts. draining: the room has said that it drains.
    """

    def __init__(self, url: str, name: str) -> None:
        self.session: gameclient.TrioSession
        self.frames = 0
        self.longest_gap = 0.0
        self.ended: gameclient.Disconnected | None = None
        self.draining = trio.Event()
        self._url = url
        self._name = name
        self._news: trio.MemorySendChannel[Any]
        self._answers: trio.MemoryReceiveChannel[Any]
        self._news, self._answers = trio.open_memory_channel[Any](64)

    async def play(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play until cancelled, or until the connection ends."""
        async with gameclient.connect(self._url, name=self._name) as session:
            self.session = session
            session.on_message("census")(lambda kind, payload: self._news.send_nowait(payload))
            session.on_message("draining")(lambda kind, payload: self.draining.set())
            task_status.started()
            last = time.monotonic()
            try:
                while True:
                    await session.next_frame()
                    now = time.monotonic()
                    self.longest_gap, last = max(self.longest_gap, now - last), now
                    self.frames += 1
                    session.send_input(turn=math.sin(self.frames / 10))
            except gameclient.DisconnectedError:
                self.ended = gameclient.Disconnected(session.close_code, session.close_reason)

    async def census(self) -> dict[str, int]:
        """What the server's process holds: see `tests.hostile.victim.census`."""
        self.session.send("census")
        answer: dict[str, int] = await self._answers.receive()
        return answer

    def assert_content(self, least_frames: int) -> None:
        """It is still there, got its frames, and its world was the server's whenever a hash said so."""
        stats = self.session.stats
        assert self.ended is None, self.ended
        assert self.frames >= least_frames, f"{self.frames} frames, the longest gap {self.longest_gap:.2f} s"
        assert stats.desyncs == 0
        assert stats.frames_skipped == 0
        assert stats.hashes_checked >= least_frames // 40


class Newcomers:
    """Honest players who join one after the other, stay for a moment and leave.

    Attributes:
        joins: how many came in. slowest: the longest that one of them had to wait, in seconds.
    """

    def __init__(self, url: str) -> None:
        self.joins = 0
        self.slowest = 0.0
        self._url = url

    async def come_and_go(self, is_over: Callable[[], bool]) -> None:
        """Join until it is over."""
        while not is_over():
            began = time.monotonic()
            async with gameclient.connect(self._url, name="newcomer") as session:
                self.joins += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
                await session.next_frame()
            await trio.sleep(0.5)
