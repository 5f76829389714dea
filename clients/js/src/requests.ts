// Requests: messages of the player that the room answers. No socket, no clock.

import { RequestFailedError, RequestTimeoutError } from "./errors.js";

/** How long a request waits for its answer unless it says so, in seconds. */
export const REQUEST_SECONDS = 5;
/** So many are remembered, those too that nobody waits for any more: a late answer is known for one. */
const MOST_KEPT = 1024;

interface Pending {
  readonly kind: string;
  /** In seconds of the caller's clock; Infinity for never, and once it is over. */
  deadline: number;
  readonly resolve: (payload: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The requests of one session that are not answered yet. */
export class Requests {
  /** When `expire` has something to do, in seconds of the caller's clock; Infinity for never. */
  nextDeadline = Infinity;
  readonly #asked = new Map<number, Pending>();

  /** A request has been made; what the room answers, or RequestFailedError, or RequestTimeoutError. */
  add(kind: string, number: number, deadline: number): Promise<unknown> {
    this.nextDeadline = Math.min(this.nextDeadline, deadline);
    const oldest = this.#asked.size < MOST_KEPT ? undefined : this.#asked.entries().next().value;
    if (oldest) {
      this.#asked.delete(oldest[0]);
      oldest[1].reject(new RequestTimeoutError(oldest[1].kind));
    }
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { kind, deadline, resolve, reject });
    });
  }

  /** A reply has come; false when no request has this number. */
  answer(number: number, code: string | null, payload: unknown): boolean {
    const pending = this.#asked.get(number);
    if (code === null) pending?.resolve(payload);
    else pending?.reject(new RequestFailedError(code, reasonOf(payload)));
    return this.#asked.delete(number);
  }

  /** Fails those whose time is over at `now` seconds. */
  expire(now: number): void {
    if (now < this.nextDeadline) return;
    this.nextDeadline = Infinity;
    for (const pending of this.#asked.values()) {
      if (pending.deadline <= now) {
        pending.deadline = Infinity;
        pending.reject(new RequestTimeoutError(pending.kind));
      }
      this.nextDeadline = Math.min(this.nextDeadline, pending.deadline);
    }
  }

  /** The session is over. */
  failAll(error: Error): void {
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
    this.nextDeadline = Infinity;
  }
}

/** The text for people in a reply that says no. */
export function reasonOf(payload: unknown): string {
  return String(payload ?? "");
}
