// From a wish to a session, and again when the server was restarted: who writes a room does that all the time.

import { open } from "/client.js";
import { passes } from "./words.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {import("/client.js").ConnectOptions} Wish */
/**
 * @typedef {object} Told what happens
 * @property {(session: Session) => void} began a session was made, it joins
 * @property {(session: Session) => void} joined
 * @property {(secondsLeft: number) => void} dropped it comes back by itself
 * @property {() => void} returned
 * @property {(code: number, reason: string, wasIn: boolean, againSeconds: number | null) => void} ended
 */

/** The first wait before joining again, and the longest, in seconds; each one is twice as long as the one before. */
const FIRST_SECONDS = 1;
const LONGEST_SECONDS = 8;
/** So often in a row it joins again by itself. */
const MOST_TRIES = 30;
/** Who was in for so many milliseconds begins with short waits again. */
const STEADY_MS = 5000;

export class Stay {
  /** @param {string} target @param {Wish} wish @param {Told} told */
  constructor(target, wish, told) {
    this.target = target;
    this.wish = wish;
    this.told = told;
    /** @type {Session | null} */
    this.session = null;
    this.timer = 0;
    this.tries = 0;
    this.wasIn = false;
    this.joinedAt = Infinity;
    this.isOver = false;
  }

  /**
   * Join now. Who tries already goes on: two would be two players.
   * @throws {TypeError} the wish makes no sense; the text says what would
   */
  join() {
    clearTimeout(this.timer);
    if (this.session && !this.session.closed) return;
    const session = open(this.target, { ...this.wish, keepSeat: `inspector ${this.target}` });
    this.session = session;
    this.told.began(session);
    session.on("joined", () => {
      this.wasIn = true;
      this.joinedAt = performance.now();
      this.told.joined(session);
    });
    session.on("dropped", ({ secondsLeft }) => this.told.dropped(secondsLeft));
    session.on("returned", () => this.told.returned());
    session.on("disconnected", ({ code, reason, reconnectSeconds }) => {
      if (!this.isOver) this.end(code, reason, reconnectSeconds);
    });
  }

  /** @param {number} code @param {string} reason @param {number | null} said when to come back, as the server says */
  end(code, reason, said) {
    if (performance.now() - this.joinedAt > STEADY_MS) this.tries = 0;
    this.joinedAt = Infinity;
    const again = this.wasIn && passes(code) && this.tries < MOST_TRIES;
    const seconds = Math.max(said ?? 0, Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** this.tries));
    this.tries++;
    if (again) this.timer = setTimeout(() => this.join(), seconds * 1000);
    this.told.ended(code, reason, this.wasIn, again ? seconds : null);
  }

  leave() {
    this.isOver = true;
    clearTimeout(this.timer);
    this.session?.close();
  }
}
