// How long a message takes to the server and back, from the clock values that frames bring back.

import type { FrameHeader } from "./wire/frame.js";

/** Weight of a new sample; a twelfth follows a change within about a second at 20 Hz and hides single spikes. */
const WEIGHT = 1 / 12;
/** A sample beyond this is a clock that wrapped around, not a round trip; microseconds. */
const LONGEST_US = 60_000_000;

/** What is sent as `client_time` at `now` seconds: microseconds, modulo 2**32. */
export function clockValue(now: number): number {
  return Math.floor(now * 1e6) % 2 ** 32;
}

/**
 * The round trip, smoothed.
 *
 * It begins when an input or acknowledgement is sent and ends when a frame that answers it is taken in, less what the
 * server says it kept it. So it holds the wait for the server's tick.
 */
export class RoundTrip {
  /** Seconds, null before the first sample. */
  smoothed: number | null = null;
  /** Seconds, the least so far. */
  shortest: number | null = null;
  /** How long before its deadline the newest input came, in seconds; negative when late, null at first. */
  margin: number | null = null;

  /** Takes the timing that a frame brought at `now` seconds, if it did. */
  note(header: FrameHeader, now: number): void {
    if (header.clientTime === null) return;
    if (header.marginMs !== null) this.margin = header.marginMs / 1000;
    const tookUs = (clockValue(now) - header.clientTime) >>> 0;
    if (tookUs > LONGEST_US) return;
    const sample = Math.max(0, (tookUs - (header.waitedUs ?? 0)) / 1e6);
    this.smoothed = this.smoothed === null ? sample : this.smoothed + (sample - this.smoothed) * WEIGHT;
    this.shortest = Math.min(this.shortest ?? sample, sample);
  }
}
