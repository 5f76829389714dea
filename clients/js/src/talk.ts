// What a player says to the room besides inputs, and what the room says to that: messages, requests, replies.

import { VANISHED } from "./closing.js";
import { DisconnectedError } from "./errors.js";
import type { RefusedEvent } from "./events.js";
import { Outbox } from "./outbox.js";
import { Requests, reasonOf } from "./requests.js";
import { clockValue } from "./timing.js";
import { encodeMessage, encodeRequest } from "./wire/messages.js";

/** How often what waits to be sent again is looked at, in seconds. */
const AGAIN_SECONDS = 0.05;

/** One player's messages and requests. */
export class Talk {
  readonly outbox: Outbox;
  /** Those that are not answered. */
  readonly requests = new Requests();

  /**
   * @param messageBytes largest message that the server takes
   * @param keeps there is a seat to come back to
   * @param write sends a message; false when it was not taken
   * @param away whether there is no connection now, but may be one again
   */
  constructor(
    readonly messageBytes: number,
    keeps: boolean,
    readonly write: (bytes: Uint8Array) => boolean,
    readonly away: () => boolean,
  ) {
    this.outbox = new Outbox(keeps);
  }

  /** Says something; `Session.send` has the rest. `after`: the sequence of the newest input. */
  send(kind: string, payload: unknown, after: number, now: number): boolean {
    return this.#say(kind, encodeMessage(kind, payload, this.outbox.number + 1), after, now);
  }

  /** Asks something; `Session.request` has the rest. */
  ask(kind: string, payload: unknown, after: number, now: number, deadline: number): Promise<unknown> {
    const number = this.outbox.number + 1;
    if (this.#say(kind, encodeRequest(number, kind, payload), after, now)) {
      return this.requests.add(kind, number, deadline);
    }
    return Promise.reject(new DisconnectedError(VANISHED, "the server leaves too much unread: try again later"));
  }

  /** A reply has come; what to tell when it refuses something that was no request. */
  takeReply(number: number, code: string | null, payload: unknown): RefusedEvent | null {
    this.outbox.received(number);
    if (this.requests.answer(number, code, payload) || code === null) return null;
    return { type: "refused", kind: this.outbox.kindOf(number), number, code, reason: reasonOf(payload) };
  }

  /**
   * Sends what waits and may be sent at `now` seconds.
   *
   * @param before is called with the sequence of the input behind which a message was said, before it is sent
   */
  sendWaiting(now: number, before?: (after: number) => void): void {
    for (let kept = this.outbox.nextWaiting(now); kept; kept = this.outbox.nextWaiting(now)) {
      before?.(kept.after);
      if (!this.write(kept.encoded)) return;
      this.outbox.sentAgain(kept, clockValue(now));
    }
  }

  /** When a request fails, or more may be sent of what waits; Infinity for never. */
  nextDeadline(now: number): number {
    const until = this.requests.nextDeadline;
    return this.outbox.waiting && !this.away() ? Math.min(until, now + AGAIN_SECONDS) : until;
  }

  #say(kind: string, encoded: Uint8Array, after: number, now: number): boolean {
    if (encoded.length > this.messageBytes) {
      throw new RangeError(`message "${kind}" has ${encoded.length} bytes; the server takes ${this.messageBytes}`);
    }
    const { outbox } = this;
    const away = this.away();
    if (!away && !outbox.waiting) {
      const sent = this.write(encoded);
      if (sent) outbox.add(kind, encoded, after, clockValue(now));
      return sent;
    }
    if (!outbox.hasRoom(encoded.length)) return false;
    outbox.add(kind, encoded, after, null);
    return true;
  }
}
