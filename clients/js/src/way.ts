// The way of one player to its room: a link, and when that is lost another one to the same seat, until it is over.

import { reconnectSeconds, VANISHED, worthTrying } from "./closing.js";
import { type DisconnectedEvent, type DroppedEvent, disconnectedEvent } from "./events.js";
import type { Link } from "./link.js";
import { Returning } from "./returning.js";
import { Silence } from "./silence.js";

/** How long one attempt to come back may take, in seconds: connection, handshake and the server's answer. */
const ATTEMPT_SECONDS = 5;

/** Knows when the connection is lost, and when to make the next. Never waits; times are seconds of the caller's clock. */
export class Way {
  link: Link | null = null;
  /** When to come back; `active` from the loss of a link until the server has given the seat back. */
  readonly returning: Returning;
  /** How long nothing has come. */
  silence = new Silence();
  /** The token that brings the player back, null when nothing does. */
  seat: string | null = null;
  /** How long the seat is kept. */
  seatSeconds = 0;
  /** Why it is over, null while it is not. */
  ended: DisconnectedEvent | null = null;
  #joinUntil: number;
  #attemptUntil = Infinity;

  /**
   * @param makeLink begins a new link to the room; throws when there cannot be one
   * @param joinSeconds from `now` until joining is given up
   */
  constructor(
    readonly makeLink: () => Link,
    now: number,
    readonly joinSeconds: number,
    chance: () => number,
  ) {
    this.returning = new Returning(chance);
    this.#joinUntil = now + joinSeconds;
  }

  /** Whether there is an open WebSocket on which the player is in its seat, or about to get one. */
  get connected(): boolean {
    return !!this.link?.opened && !this.link.closed && !this.returning.active;
  }

  /** When `check` has something to do even if nothing comes; `joined`: the first frame has come. */
  nextCheck(now: number, joined: boolean): number {
    const { returning, silence } = this;
    if (returning.active) return returning.waits ? returning.attemptAt : this.#attemptUntil;
    return joined ? now + silence.step : this.#joinUntil;
  }

  /** Begins the attempt that is due, gives up what took too long; what to tell when the link has just been lost. */
  check(now: number, joined: boolean): DroppedEvent | null {
    const { returning } = this;
    if (this.ended) return null;
    if (returning.waits) {
      if (returning.attemptAt <= now) this.#connectAgain(now);
      return null;
    }
    const overdue = this.#overdue(now, joined);
    return overdue ? this.giveUp(now, joined, overdue) : null;
  }

  /** The connection is dead although nobody has said so; what to tell. */
  giveUp(now: number, joined: boolean, reason: string): DroppedEvent | null {
    this.link?.abandon();
    return this.lost(now, joined, VANISHED, reason);
  }

  /** The link has ended; what to tell when there is a way back. */
  lost(now: number, joined: boolean, code: number, reason: string): DroppedEvent | null {
    const { returning, seat } = this;
    const said = reconnectSeconds(code, reason);
    const first = !returning.active;
    if (!worthTrying(code) || (first && seat === null)) {
      this.ended = disconnectedEvent(code, reason);
    } else if (first) {
      const seconds = joined ? this.seatSeconds : Math.min(this.seatSeconds, this.#joinUntil - now);
      returning.lost(now, code, reason, seconds, said);
    } else {
      returning.failed(now, reason, said, code);
    }
    this.#seeWhetherItIsOver();
    return first && !this.ended ? { type: "dropped", code, reason, secondsLeft: this.seatSeconds } : null;
  }

  /** The server has let the player in. Spectators see what was, so their first frame may take long. */
  welcomed(seat: string | null, seatSeconds: number, spectator: boolean): void {
    this.seat = seat;
    this.seatSeconds = seatSeconds;
    if (spectator) this.#joinUntil = Infinity;
  }

  /** The first link is to come back to a seat that was kept over the reload of the page. */
  resume(now: number, seat: string): void {
    this.seat = seat;
    this.returning.resume(now, VANISHED, `not joined within ${this.joinSeconds} s`, this.#joinUntil - now);
    this.#attemptUntil = now + Math.min(ATTEMPT_SECONDS, this.joinSeconds);
  }

  /** From now on silence of `patience` seconds means that the connection is dead; Infinity: it does not. */
  expectFrames(now: number, patience: number): void {
    this.silence = new Silence(patience, now);
  }

  /** The server has given the seat back; how long the player was away, in seconds. */
  returned(now: number, seat: string, seatSeconds: number): number {
    this.seat = seat;
    this.seatSeconds = seatSeconds;
    this.#attemptUntil = Infinity;
    this.expectFrames(now, this.silence.patience);
    return this.returning.returned(now);
  }

  /** Says goodbye, and does not come back. */
  leave(code: number, reason: string): void {
    this.link?.close(code, reason);
    this.ended ??= disconnectedEvent(code, reason);
  }

  /** Why an open link, or one that is being made, is to be given up now; empty when it is not. */
  #overdue(now: number, joined: boolean): string {
    if (this.returning.active) return now < this.#attemptUntil ? "" : "the server did not answer in time";
    if (!joined && now >= this.#joinUntil) {
      const why = this.link?.opened ? "the room did not let this player in" : "the server did not answer";
      return `not joined within ${this.joinSeconds} s: ${why}`;
    }
    return joined && this.silence.tooLong ? `nothing came for ${this.silence.patience} s` : "";
  }

  #connectAgain(now: number): void {
    this.returning.begin();
    this.#attemptUntil = now + Math.min(ATTEMPT_SECONDS, this.joinSeconds);
    try {
      this.link = this.makeLink();
    } catch (error) {
      this.returning.failed(now, String(error));
      this.#seeWhetherItIsOver();
    }
  }

  #seeWhetherItIsOver(): void {
    const { gaveUp, code, reason } = this.returning;
    if (gaveUp) this.ended = disconnectedEvent(code, reason);
  }
}
