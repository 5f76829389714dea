// Keeps a player in the arena: joins, and joins anew by itself when the server has gone for a while.

import { open } from "/client.js";
import { next, secondsSaid } from "./words.js";

/** @typedef {import("/client.js").Session} Session */
/** @typedef {{name: string, method?: "join_or_create" | "create" | "join_by_id", roomId?: string, spectate?: boolean}} Wish */
/**
 * @typedef {object} Told what happens; `seconds` is the time to the next attempt
 * @property {(session: Session) => void} began a session was made, it joins
 * @property {(session: Session) => void} joined
 * @property {(session: Session, secondsLeft: number) => void} dropped it comes back by itself, or not
 * @property {(session: Session) => void} returned
 * @property {(code: number, seconds: number, wasIn: boolean) => void} waiting to join anew
 * @property {(code: number, reason: string) => void} refused
 * @property {(code: number, reason: string) => void} ended
 */

/** The first wait, and the longest, in seconds; each one is twice as long as the one before. */
const FIRST_SECONDS = 0.5;
const LONGEST_SECONDS = 20;
/** Who was in for so many seconds begins with short waits again. */
const STEADY_SECONDS = 10;
/** Under this name the seat is kept for a page that is loaded again. */
const KEPT = "arena";

export class Stay {
  /**
   * @param {string} target the room type's address
   * @param {Wish} wish
   * @param {Told} told
   */
  constructor(target, wish, told) {
    this.target = target;
    this.wish = { ...wish };
    this.told = told;
    /** @type {Session | null} */
    this.session = null;
    this.failures = 0;
    this.wasIn = false;
    this.joinedAt = 0;
    this.timer = 0;
    this.over = false;
  }

  /** Join now; also instead of waiting any longer. Who tries already goes on: two would be two ships. */
  join() {
    clearTimeout(this.timer);
    if (this.session && !this.session.closed) return;
    const { name, method, roomId, spectate } = this.wish;
    const session = open(this.target, { name, method, roomId, spectate, keepSeat: KEPT });
    this.session = session;
    let isIn = false;
    const joined = () => {
      if (isIn) return;
      isIn = this.wasIn = true;
      this.joinedAt = performance.now();
      this.told.joined(session);
    };
    session.on("joined", joined);
    session.on("dropped", (event) => this.told.dropped(session, event.secondsLeft));
    session.on("returned", () => (isIn ? this.told.returned(session) : joined()));
    session.on("disconnected", (event) => this.closed(event.code, event.reason, event.reconnectSeconds));
    this.told.began(session);
  }

  /** Leave for good. */
  leave() {
    this.over = true;
    clearTimeout(this.timer);
    this.session?.close();
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {number | null} said seconds after which the server wants to be asked again
   */
  closed(code, reason, said) {
    if (this.over) return;
    let what = next(code);
    if (what === "refused" && this.wasIn && this.wish.method !== "join_or_create" && code !== 4003) {
      // The room went with its server: another one will do.
      this.wish.method = this.wish.spectate ? undefined : "join_or_create";
      if (this.wish.roomId !== undefined) what = "again";
      this.wish.roomId = undefined;
    } else if (what === "refused" && this.wasIn && this.wish.spectate && code === 4004) {
      what = "again"; // nobody plays yet on the server that is back
    }
    if (what === "refused") return this.told.refused(code, reason);
    if (what === "ended") return this.told.ended(code, reason);
    const seconds = this.wait(said ?? secondsSaid(reason));
    this.timer = setTimeout(() => this.join(), seconds * 1000);
    this.told.waiting(code, seconds, this.wasIn);
  }

  /** @param {number | null} said */
  wait(said) {
    if (performance.now() - this.joinedAt > STEADY_SECONDS * 1000 && this.joinedAt) this.failures = 0;
    this.joinedAt = 0;
    const widest = Math.min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** this.failures++);
    return (said ?? 0) + widest * (0.5 + Math.random() / 2);
  }
}
