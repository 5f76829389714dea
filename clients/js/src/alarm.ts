// One timer for everything that is due some time: the only part that owns one.

/** `setTimeout` takes no more milliseconds. */
const LONGEST_MS = 2 ** 31 - 1;

/** Calls a function when the earliest of all times that were set has come, and perhaps earlier. */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #at = Infinity;

  constructor(readonly ring: () => void) {}

  /** `ring` must be called at `at` seconds of a clock that shows `now`. A timer that is earlier does no harm, and stays. */
  set(at: number, now: number): void {
    if (at >= this.#at) return;
    this.stop();
    this.#at = at;
    const milliseconds = Math.min(LONGEST_MS, Math.max(0, Math.ceil((at - now) * 1000)));
    this.#timer = setTimeout(() => {
      this.#at = Infinity;
      this.ring();
    }, milliseconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#at = Infinity;
  }
}
