"""The way of one player to its room: a link, and when that is lost another one to the same seat, until it is over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from gameclient._events import Disconnected, Dropped
from gameclient._link import ClientLink
from gameclient._returning import Returning, Silence, comes_back, is_passing
from gameprotocol import Hello
from gameprotocol.closing import reconnect_seconds

#: How long one attempt to come back may take, in seconds: look-up, connection, handshake and the server's answer.
ATTEMPT_SECONDS: Final = 5.0


class Way:
    """Connects, says hello, notices when the connection is lost, and connects again. Never waits.

    Args:
        make_link: a new link to the room; OSError when there cannot be one.
        make_hello: what to say on a link now.
        now: seconds of a clock that never goes back.
        join_seconds: seconds from now until joining is given up.
        chance: gives numbers from 0.0 to below 1.0.
        wake: is called when bytes wait until the socket is writable.

    Attributes:
        link: the newest.
        returning: when to come back; ``active`` from the loss of a link until the server has given the seat back.
        silence: how long nothing has come.
        seat: the token that brings the player back, None when nothing does.
        seat_seconds: how long the seat is kept.
        ended: why it is over, None while it is not.
    """

    def __init__(
        self,
        make_link: Callable[[], ClientLink],
        make_hello: Callable[[], Hello],
        *,
        now: float,
        join_seconds: float,
        chance: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self.returning = Returning(chance)
        self.silence = Silence()
        self.seat: str | None = None
        self.seat_seconds = 0.0
        self.ended: Disconnected | None = None
        self._make_link = make_link
        self._make_hello = make_hello
        self._wake = wake
        self._join_seconds = join_seconds
        self._join_until = now + join_seconds
        self._attempt_until = math.inf
        self._bytes_heard = 0  # of this link, when it was last looked at
        self._bytes_before = (0, 0)  # in and out, of earlier links
        self.link = make_link()

    @property
    def connected(self) -> bool:
        """Whether there is an open WebSocket on which the player is in its seat, or about to get one."""
        return self.link.opened and not self.link.closed and not self.returning.active

    @property
    def bytes_in(self) -> int:
        """What all links have read."""
        return self._bytes_before[0] + self.link.bytes_in

    @property
    def bytes_out(self) -> int:
        """What all links have written."""
        return self._bytes_before[1] + self.link.bytes_out

    def read(self, now: float) -> list[bytes]:
        """Go on with connecting; what has come."""
        if self.returning.attempt_at <= now:
            self._connect_again(now)
        link = self.link
        if not link.opened and not link.closed and link.advance():
            link.write(self._make_hello().encode())
        if not link.opened:
            return []
        payloads = link.receive()
        self.silence.note(now, bool(payloads) or link.bytes_in != self._bytes_heard)
        self._bytes_heard = link.bytes_in
        return payloads

    def write(self, payload: bytes) -> bool:
        """Send a message; False when it was not taken, see `ClientLink.write`."""
        link = self.link
        taken = link.write(payload)
        if link.wants_write:
            self._wake()
        return taken

    def check(self, now: float, joined: bool) -> Dropped | None:
        """Judge what is, once all that has come was taken in.

        Args:
            joined: whether the first frame has come.
        Returns:
            What to tell when the link has just been lost and there is a way back.
        """
        closed, away = self.link.closed, self.returning.active
        if joined and not (closed or away or self.silence.too_long):
            return None
        if not closed:
            overdue = self._overdue(now, joined)
            if not overdue:
                return None
            self.link.give_up(overdue)
        return None if self.ended is not None or self.returning.waits else self._lost(now, joined)

    def next_check(self, now: float) -> float:
        """When `read` and `check` have something to do even if nothing comes, for who is in the room or away."""
        returning = self.returning
        if not returning.active:
            return now + self.silence.step
        return returning.attempt_at if returning.waits else self._attempt_until

    def welcomed(self, *, seat: str | None, seat_seconds: float, spectator: bool) -> None:
        """The server has let the player in. Spectators see what was, so their first frame may take long."""
        self.seat, self.seat_seconds = seat, seat_seconds
        if spectator:
            self._join_until = math.inf

    def expect_frames(self, now: float, patience: float) -> None:
        """From now on silence of ``patience`` seconds means that the connection is dead; inf: it does not."""
        self.silence = Silence(patience, now)

    def returned(self, now: float, seat: str, seat_seconds: float) -> float:
        """The server has given the seat back; how long the player was away, in seconds."""
        self.seat, self.seat_seconds = seat, seat_seconds
        self._attempt_until = math.inf
        self.silence = Silence(self.silence.patience, now)
        return self.returning.returned(now)

    def leave(self, code: int, reason: str) -> None:
        """Say goodbye, and do not come back."""
        self.link.close(code, reason)
        self.returning.stop()
        if self.ended is None:
            away = self.returning.active
            self.ended = Disconnected(*((code, reason) if away else (self.link.close_code, self.link.close_reason)))

    # -- losing a link, and making another one

    def _overdue(self, now: float, joined: bool) -> str:
        """Why an open link, or one that is being made, is to be given up now; empty when it is not."""
        if self.returning.active:
            return "" if now < self._attempt_until else self.link.explain_delay() or "the server did not answer in time"
        if not joined and now >= self._join_until:
            why = self.link.explain_delay() or "the room did not let this player in"
            return f"not joined within {self._join_seconds:g} s: {why}"
        if joined and self.silence.too_long:
            return f"nothing came for {self.silence.patience:g} s"
        return ""

    def _lost(self, now: float, joined: bool) -> Dropped | None:
        link, returning = self.link, self.returning
        code, reason = link.close_code, link.close_reason
        said = reconnect_seconds(code, reason) if link.opened else link.retry_after
        first = not returning.active
        if not comes_back(code) or not (link.opened or is_passing(link.http_status)):
            self.ended = Disconnected(code, reason)
        elif not first:
            returning.failed(now, reason, said, code)
        elif self.seat is None:
            self.ended = Disconnected(code, reason)
        else:
            seconds = self.seat_seconds if joined else min(self.seat_seconds, self._join_until - now)
            returning.lost(now, code, reason, seconds, said)
        self._see_whether_it_is_over()
        if self.ended is not None:
            return None
        link.release()
        return Dropped(code, reason, self.seat_seconds) if first else None

    def _connect_again(self, now: float) -> None:
        self.returning.begin()
        self._attempt_until = now + min(ATTEMPT_SECONDS, self._join_seconds)
        try:
            link = self._make_link()
        except OSError as error:  # a room inside this process, whose server has ended
            self.returning.failed(now, str(error))
            self._see_whether_it_is_over()
            return
        self._bytes_before = (self.bytes_in, self.bytes_out)
        self._bytes_heard = 0
        self.link = link

    def _see_whether_it_is_over(self) -> None:
        if self.returning.gave_up:
            self.ended = Disconnected(self.returning.code, self.returning.reason)
