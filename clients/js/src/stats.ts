// What a session has counted and measured.

import type { Stay } from "./stay.js";
import type { Way } from "./way.js";

/** A snapshot of a session's figures. */
export interface Stats {
  /** How many frames were applied, and how many could not be, because a full one was missing. */
  readonly frames: number;
  readonly framesSkipped: number;
  /** Of WebSocket messages, over all connections of the session. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** How many frames brought a hash of the world. */
  readonly hashesChecked: number;
  /** For how many of them the world here was not the server's; each was repaired by a full frame. */
  readonly desyncs: number;
  /** The tick of the newest frame. */
  readonly newestTick: number;
  /** Seconds since it came, null before the first; above two or three ticks the network is slow. */
  readonly frameAge: number | null;
  /** Seconds since the server made the newest state held, as well as can be told from here: `frameAge` and half the
   * shortest round trip; null while one of them is not known. */
  readonly stateAge: number | null;
  /** How many ticks the server merged into later frames, because the network or this page could not keep up, or because
   * the room sends at a lower rate than it ticks. */
  readonly coalescedTicks: number;
  /** How many ticks the acknowledgement may lag before the server holds frames back, as the newest frame says. */
  readonly windowTicks: number;
  /** How many inputs have left, and so the sequence of the newest. */
  readonly inputsSent: number;
  /** The sequence of the newest input that the server has applied. */
  readonly inputsApplied: number;
  /** How long before its deadline the newest input came, in seconds; negative when late, null at first. */
  readonly inputMargin: number | null;
  /** The round trip in seconds, smoothed, with the wait for the server's tick; null at first. */
  readonly rtt: number | null;
  /** The shortest since the connection was made. */
  readonly rttShortest: number | null;
  /** How often the player has come back to its seat. */
  readonly returns: number;
  /** How long there was no connection in all. */
  readonly droppedSeconds: number;
}

/** The figures of a session at `now`, in seconds of its clock; without a stay there was no welcome yet. */
export function measure(now: number, way: Way, stay: Stay | null, bytesIn: number, bytesOut: number): Stats {
  const { smoothed = null, shortest = null, margin = null } = stay?.roundTrip ?? {};
  const { desyncs = 0, hashesChecked = 0, tick = 0 } = stay?.replica ?? {};
  const { sequence = 0, applied = 0 } = stay?.inputs ?? {};
  const newestAt = stay?.newestAt ?? null;
  const frameAge = newestAt === null ? null : now - newestAt;
  return {
    ...(stay?.counts ?? { frames: 0, framesSkipped: 0, coalescedTicks: 0, windowTicks: 0 }),
    bytesIn,
    bytesOut,
    hashesChecked,
    desyncs,
    newestTick: tick,
    frameAge,
    stateAge: frameAge === null || shortest === null ? null : frameAge + shortest / 2,
    inputsSent: sequence,
    inputsApplied: applied,
    inputMargin: margin,
    rtt: smoothed,
    rttShortest: shortest,
    returns: way.returns,
    droppedSeconds: way.secondsAway(now),
  };
}
