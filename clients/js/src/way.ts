// The way of one player to its room: a link, and when that is lost another one to the same seat, until it is over.

import { reconnectSeconds, VANISHED, worthTrying } from "./closing.js";
import { type DisconnectedEvent, type DroppedEvent, disconnectedEvent } from "./events.js";
import type { Link } from "./link.js";
import { Returning } from "./returning.js";
import { Silence } from "./silence.js";

/** How long one attempt to come back may take, in seconds: connection, handshake and the server's answer. */
const ATTEMPT_SECONDS = 5;

/** Knows when the connection is lost, and when to make the next. Never waits; times are seconds of the caller's clock. */
export class Way extends Returning {
  link!: Link;
  /** How long nothing has come. */
  silence = new Silence();
  /** The token that brings the player back, null when nothing does. */
  seat: string | null = null;
  /** How long the seat is kept. */
  seatSeconds = 0;
  /** Why it is over, null while it is not. */
  ended: DisconnectedEvent | null = null;
  /** The first frame has come. */
  joined = false;
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
    super(chance);
    this.#joinUntil = now + joinSeconds;
  }

  /** Whether there is an open WebSocket on which the player is in its seat, or about to get one. */
  get connected(): boolean {
    return !this.active && this.link.open;
  }

  /** When `check` has something to do even if nothing comes. */
  nextCheck(now: number): number {
    if (this.active) return Math.min(this.attemptAt, this.#attemptUntil);
    return this.joined ? now + this.silence.step : this.#joinUntil;
  }

  /** Begins the attempt that is due, gives up what took too long; what to tell when the link has just been lost. */
  check(now: number): DroppedEvent | null {
    if (this.ended) return null;
    if (!this.waits) {
      const overdue = this.#overdue(now);
      return overdue ? this.giveUp(now, overdue) : null;
    }
    if (now < this.attemptAt) return null;
    this.begin();
    this.#attemptUntil = now + Math.min(ATTEMPT_SECONDS, this.joinSeconds);
    try {
      this.link = this.makeLink();
      return null;
    } catch (error) {
      return this.end(now, VANISHED, String(error));
    }
  }

  /** The connection is dead although nobody has said so; what to tell. */
  giveUp(now: number, reason: string): DroppedEvent | null {
    this.link.abandon();
    return this.end(now, VANISHED, reason);
  }

  /** The link has ended; what to tell when there is a way back. */
  end(now: number, code: number, reason: string): DroppedEvent | null {
    const { seat, seatSeconds } = this;
    const said = reconnectSeconds(code, reason);
    const first = !this.active;
    this.#attemptUntil = Infinity;
    if (!worthTrying(code) || (first && seat === null)) this.ended = disconnectedEvent(code, reason);
    else if (!first) this.failed(now, reason, said, code);
    else this.lost(now, code, reason, this.joined ? seatSeconds : Math.min(seatSeconds, this.#joinUntil - now), said);
    if (this.gaveUp) this.ended ??= disconnectedEvent(this.code, this.reason);
    return first && !this.ended ? { type: "dropped", code, reason, secondsLeft: seatSeconds } : null;
  }

  /** The server has let the player in. Spectators see what was, so their first frame may take long. */
  welcomed(seat: string | null, seatSeconds: number, spectator: boolean): void {
    this.seat = seat;
    this.seatSeconds = seatSeconds;
    if (spectator) this.#joinUntil = Infinity;
  }

  /** The first link is to come back to a seat that was kept over the reload of the page. */
  comeBack(now: number, seat: string): void {
    this.seat = seat;
    this.resume(now, VANISHED, `not joined within ${this.joinSeconds} s`, this.#joinUntil - now);
    this.#attemptUntil = now + Math.min(ATTEMPT_SECONDS, this.joinSeconds);
  }

  /** From now on silence of `patience` seconds means that the connection is dead; Infinity: it does not. */
  expectFrames(now: number, patience: number): void {
    this.silence = new Silence(patience, now);
  }

  /** The server has given the seat back; how long the player was away, in seconds. */
  giveBack(now: number, seat: string, seatSeconds: number): number {
    this.welcomed(seat, seatSeconds, false);
    this.expectFrames(now, this.silence.patience);
    return this.returned(now);
  }

  /** Says goodbye, and does not come back. */
  leave(code: number, reason: string): void {
    this.link.close(code, reason);
    this.ended ??= disconnectedEvent(code, reason);
  }

  /** Why an open link, or one that is being made, is to be given up now; empty when it is not. */
  #overdue(now: number): string {
    const { active, joined, silence, joinSeconds } = this;
    if (active) return now < this.#attemptUntil ? "" : "the server did not answer in time";
    if (!joined && now >= this.#joinUntil) return `not joined within ${joinSeconds} s`;
    return joined && silence.tooLong ? `nothing came for ${silence.patience} s` : "";
  }
}
