"""What a session has counted and measured."""

from __future__ import annotations

from dataclasses import dataclass

from gameclient._inputs import InputPacer
from gameclient._mirror import Mirror
from gameclient._way import Way


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot of a session's figures.

    Attributes:
        frames: how many frames were applied. frames_skipped: how many could not be, because a full one was missing.
        bytes_in, bytes_out: over all connections of the session, handshakes included, inside TLS.
        hashes_checked: how many frames brought a hash of the world.
        desyncs: for how many of them the world here was not the server's; each was repaired by a full frame.
        newest_tick: the tick of the newest frame.
        frame_age: seconds since it came, None before the first; above two or three ticks the network is slow.
        state_age: seconds since the server made the newest state held, as well as can be told from here: `frame_age`
            and half the shortest round trip; None while one of them is not known.
        coalesced_ticks: how many ticks the server merged into later frames, because the network or this program could
            not keep up, or because the room sends at a lower rate than it ticks.
        window_ticks: how many ticks the acknowledgement may lag before the server holds frames back, as the newest
            frame says; 0 when it does not say.
        inputs_sent: how many inputs have left, and so the sequence of the newest.
        inputs_applied: the sequence of the newest input that the server has applied.
        input_margin: how long before its deadline the newest input came, in seconds; negative when late, None at first.
        rtt: the round trip in seconds, smoothed, with the wait for the server's tick; None at first.
        rtt_shortest: the shortest since the connection was made.
        returns: how often the player has come back to its seat.
        dropped_seconds: how long there was no connection in all.
    """

    frames: int
    frames_skipped: int
    bytes_in: int
    bytes_out: int
    hashes_checked: int
    desyncs: int
    newest_tick: int
    frame_age: float | None
    state_age: float | None
    coalesced_ticks: int
    window_ticks: int
    inputs_sent: int
    inputs_applied: int
    input_margin: float | None
    rtt: float | None
    rtt_shortest: float | None
    returns: int
    dropped_seconds: float


def measure(now: float, way: Way, mirror: Mirror, inputs: InputPacer | None) -> Stats:
    """The figures of a session at ``now``, in seconds of its clock."""
    round_trip, replica = mirror.round_trip, mirror.replica
    frame_age = None if mirror.newest_at is None else now - mirror.newest_at
    one_way = None if round_trip.shortest is None else round_trip.shortest / 2
    return Stats(
        frames=mirror.frames,
        frames_skipped=mirror.skipped,
        bytes_in=way.bytes_in,
        bytes_out=way.bytes_out,
        hashes_checked=replica.hashes_checked if replica else 0,
        desyncs=replica.desyncs if replica else 0,
        newest_tick=mirror.tick,
        frame_age=frame_age,
        state_age=None if frame_age is None or one_way is None else frame_age + one_way,
        coalesced_ticks=mirror.coalesced,
        window_ticks=mirror.window,
        inputs_sent=inputs.sequence if inputs else 0,
        inputs_applied=inputs.applied if inputs else 0,
        input_margin=round_trip.margin,
        rtt=round_trip.smoothed,
        rtt_shortest=round_trip.shortest,
        returns=way.returning.returns,
        dropped_seconds=way.returning.seconds_away(now),
    )
