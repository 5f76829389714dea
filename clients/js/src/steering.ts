// A player's inputs and acknowledgements: when one leaves, and which ones leave again after the player was away.

import type { InputPacer } from "./inputs.js";
import type { Mirror } from "./mirror.js";
import { clockValue } from "./timing.js";
import { encodeAcknowledge, encodeInput } from "./wire/messages.js";

/** Whose inputs are at most so far apart, in periods, sends them all the time: so long the next one is waited for. */
const INPUT_PERIODS = 1.5;

/** What one player tells the server once a tick. */
export class Steering {
  /** The page is hidden: frames are not acknowledged, so that the server soon stops sending them. */
  paused = false;
  #acknowledged = 0;

  /**
   * @param inputs offered and sent
   * @param mirror what is held of the world, and so acknowledged
   * @param write sends a message; false when it was not taken
   */
  constructor(
    readonly inputs: InputPacer,
    readonly mirror: Mirror,
    readonly write: (bytes: Uint8Array) => boolean,
  ) {}

  /** Sends what is due at `now` seconds. */
  sendDue(now: number): void {
    if (now >= this.#inputAt()) this.flush(now);
    if (now >= this.#acknowledgeAt()) this.acknowledge(now);
  }

  /** When `sendDue` has something to do, in seconds of the clock; Infinity for never. */
  nextDue(): number {
    return Math.min(this.#inputAt(), this.#acknowledgeAt());
  }

  /** Sends the input that waits whatever the pace; true when none waits any more. */
  flush(now: number): boolean {
    const { inputs } = this;
    if (!inputs.waiting) return true;
    const acknowledged = this.paused ? this.#acknowledged : this.mirror.tick;
    const [sequence, values] = inputs.peek();
    if (!this.write(encodeInput(sequence, 0, acknowledged, clockValue(now), values))) return false;
    inputs.sent(now);
    this.#acknowledged = acknowledged;
    return true;
  }

  /** Says how far the world is here, unless that was said. */
  acknowledge(now: number): void {
    const { tick } = this.mirror;
    if (tick > this.#acknowledged && this.write(encodeAcknowledge(tick, clockValue(now)))) this.#acknowledged = tick;
  }

  /** Says once more how far the world is: the server waits for that before it forgets an old token. */
  answerAnew(): void {
    this.#acknowledged = 0;
  }

  /**
   * The player is back at a server that has inputs up to `received`.
   *
   * @returns a function of time and sequence that sends again those up to this sequence that are still to be sent
   */
  cameBack(received: number): (now: number, last: number) => void {
    const again = this.inputs.cameBack(received);
    let next = 0;
    return (now, last) => {
      for (; next < again.length && again[next][0] <= last; next++) {
        const [sequence, values] = again[next];
        this.write(encodeInput(sequence, 0, this.mirror.tick, clockValue(now), values));
      }
    };
  }

  #inputAt(): number {
    return this.inputs.dueAt(this.mirror.roundTrip.smoothed);
  }

  /**
   * When what is held must be acknowledged if no input says it before, in seconds of the clock.
   *
   * Whoever sends inputs all the time is about to say it with the next one; a message of its own would be wasted.
   */
  #acknowledgeAt(): number {
    const { inputs } = this;
    const longest = INPUT_PERIODS * inputs.period;
    if (this.paused || this.mirror.tick <= this.#acknowledged) return Infinity;
    return inputs.interval <= longest ? inputs.lastSent + longest : -Infinity;
  }
}
