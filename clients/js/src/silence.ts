// How long nothing has come, as far as somebody has looked. Pure.

/** A ticking room sends a frame each tick. After so many periods without one, and at least so many seconds, the
 * connection is taken for dead, although no packet said so. */
const SILENT_PERIODS = 20;
const SILENT_SECONDS = 3;
/** The same where nothing is to be won by haste, because no seat is kept; a server looks as long for its players. */
const SILENT_SECONDS_WITHOUT_SEAT = 15;

/** How long a room that ticks once in `period` seconds may be silent, in seconds. */
export function patienceSeconds(period: number, hasSeat: boolean): number {
  return Math.max(hasSeat ? SILENT_SECONDS : SILENT_SECONDS_WITHOUT_SEAT, SILENT_PERIODS * period);
}

/**
 * The silence of one connection.
 *
 * A page may not look for as long as its machine sleeps or its timers are throttled, and what came meanwhile is read
 * only after the first timer. So what passes between two looks counts as a third of the patience at most.
 */
export class Silence {
  /** Look at least so often, in seconds. */
  readonly step: number;
  /** Whether the patience is over. */
  tooLong = false;
  /** For how long nothing has come, in seconds. */
  quiet = 0;
  #looked: number;

  /**
   * @param patience seconds of silence after which a connection is dead; Infinity: never
   * @param now when the silence may have begun, in seconds of the caller's clock
   */
  constructor(
    readonly patience = Infinity,
    now = Infinity,
  ) {
    this.step = patience / 3;
    this.#looked = now;
  }

  /** Somebody has looked, and something has come or not. */
  note(now: number, heard: boolean): void {
    this.quiet = heard ? 0 : this.quiet + Math.max(0, Math.min(now - this.#looked, this.step));
    this.tooLong = this.quiet >= this.patience - 1e-6; // three steps are less than the patience by rounding
    this.#looked = now;
  }
}
