// When a player whose connection was lost tries to come back to its seat, and when it gives up. Pure: the time is an
// argument, and so is chance.
//
// A server or a network that fails loses many players in one moment. They must not all come back in one moment, so
// every wait is drawn from a range ("full jitter", after Marc Brooker, "Exponential Backoff And Jitter", AWS, 2015).

import { VANISHED } from "./closing.js";

/** The first attempt comes at once, but for so long at most, in seconds: most losses are a moment of one network. */
export const FIRST_WAIT_SECONDS = 0.1;
/** The range of the second wait; each further one is twice as wide, up to the widest. In seconds. */
export const RETRY_SECONDS = 0.25;
export const WIDEST_SECONDS = 5;
/** A connection that lived so long was a good one: after it, waits begin anew. In seconds. */
export const STEADY_SECONDS = 5;
/** With less than this left of the seat's time no further attempt is begun, in seconds. */
const LEAST_LEFT_SECONDS = 0.25;

/** The way back to one seat, as often as its connection is lost. */
export class Returning {
  /** The connection is lost and not made again. */
  active = false;
  /** When the next attempt begins, in seconds of the caller's clock; Infinity while one is under way. */
  attemptAt = Infinity;
  /** There is no attempt any more; `code` and `reason` say why. */
  gaveUp = false;
  /** How the connection was lost, once `gaveUp` the reason to tell. */
  code = 0;
  reason = "";
  /** How often it has worked. */
  returns = 0;
  #attempts = 0; // since the last connection that lived for a while
  #returnedAt = -Infinity;
  #lostAt = 0;
  #until = 0;
  #seatSeconds = 0;
  #away = 0; // of all earlier times
  #said = false; // the server has named the time of the next attempt

  /** @param chance gives numbers from 0 to below 1 */
  constructor(readonly chance: () => number) {}

  /** Whether there is no connection now, not even one that is being made. */
  get waits(): boolean {
    return this.active && this.attemptAt !== Infinity;
  }

  /**
   * The connection has ended.
   *
   * @param now seconds of a clock that never goes back
   * @param seatSeconds how long the seat is kept from now on
   * @param said in how many seconds to come back, as the server said
   */
  lost(now: number, code: number, reason: string, seatSeconds: number, said: number | null = null): void {
    this.resume(now, code, reason, seatSeconds);
    if (now - this.#returnedAt >= STEADY_SECONDS) this.#attempts = 0;
    this.#plan(now, code, reason, said, 0);
  }

  /** An attempt to come back to a seat that is kept for `seatSeconds` is under way, with the first connection. */
  resume(now: number, code: number, reason: string, seatSeconds: number): void {
    this.code = code;
    this.reason = reason;
    this.active = true;
    this.#lostAt = now;
    this.#seatSeconds = seatSeconds;
    this.#until = now + seatSeconds;
  }

  /** An attempt is under way; `failed` or `returned` ends it. */
  begin(): void {
    this.#attempts++;
    this.attemptAt = Infinity;
  }

  /** The attempt did not work; `said`: in how many seconds to come back, as the server said. */
  failed(now: number, why: string, said: number | null = null, code = VANISHED): void {
    this.#plan(now, code, why, said, LEAST_LEFT_SECONDS);
  }

  /** The network is back, or somebody looks: what waits for its time need not, unless the server named it. */
  hurry(now: number): void {
    if (this.waits && !this.#said) this.attemptAt = Math.min(this.attemptAt, now + this.chance() * FIRST_WAIT_SECONDS);
  }

  /** The player is back; how long it was away, in seconds. */
  returned(now: number): number {
    this.active = false;
    this.attemptAt = Infinity;
    this.#returnedAt = now;
    this.returns++;
    const away = now - this.#lostAt;
    this.#away += away;
    return away;
  }

  /** How long there was no connection in all, in seconds. */
  secondsAway(now: number): number {
    return this.#away + (this.active ? now - this.#lostAt : 0);
  }

  #plan(now: number, code: number, why: string, said: number | null, leastLeft: number): void {
    const left = this.#until - now;
    const least = said ?? 0;
    const doubled = RETRY_SECONDS * 2 ** (this.#attempts - 1);
    const widest = this.#attempts ? Math.min(WIDEST_SECONDS, doubled) : FIRST_WAIT_SECONDS;
    this.#said = least > 0;
    this.gaveUp = left <= Math.max(leastLeft, least);
    this.attemptAt = this.gaveUp ? Infinity : now + least + this.chance() * Math.min(widest, left - least);
    if (left <= leastLeft) {
      const seconds = Number(this.#seatSeconds.toFixed(1));
      if (seconds > 0) this.reason += `; there was no way back within ${seconds} s (${why})`;
    } else if (this.gaveUp) {
      // The server's words stay as they are, so that programs find in them when to join anew.
      this.code = code;
      this.reason = why;
    }
  }
}
