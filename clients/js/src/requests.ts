// Requests: messages of the player that the room answers. No socket, no clock.

import { RequestFailedError, RequestTimeoutError } from "./errors.js";

/** How long a request waits for its answer unless it says so, in seconds. */
export const REQUEST_SECONDS = 5;
/** Requests that nobody waits for any more, remembered so that a late answer is known for one. The oldest go first. */
const MOST_KEPT = 1024;

interface Pending {
  readonly kind: string;
  /** In seconds of the caller's clock; Infinity for never. */
  readonly deadline: number;
  readonly resolve: (payload: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The requests of one session that are not answered yet. */
export class Requests {
  /** When `expire` has something to do, in seconds of the caller's clock; Infinity for never. */
  nextDeadline = Infinity;
  #asked = new Map<number, Pending>();
  #late = new Set<number>();

  /** A request has been made; what the room answers, or RequestFailedError, or RequestTimeoutError. */
  add(kind: string, number: number, deadline: number): Promise<unknown> {
    this.nextDeadline = Math.min(this.nextDeadline, deadline);
    return new Promise((resolve, reject) => {
      this.#asked.set(number, { kind, deadline, resolve, reject });
    });
  }

  /** A reply has come; false when no request has this number. */
  answer(number: number, code: string | null, payload: unknown): boolean {
    const pending = this.#asked.get(number);
    if (!pending) return this.#late.delete(number);
    this.#asked.delete(number);
    if (code === null) pending.resolve(payload);
    else pending.reject(new RequestFailedError(code, reasonOf(payload)));
    return true;
  }

  /** Fails those whose time is over at `now` seconds. */
  expire(now: number): void {
    if (now < this.nextDeadline) return;
    this.nextDeadline = Infinity;
    for (const [number, { kind, deadline, reject }] of this.#asked) {
      if (deadline > now) {
        this.nextDeadline = Math.min(this.nextDeadline, deadline);
        continue;
      }
      this.#asked.delete(number);
      this.#late.add(number);
      if (this.#late.size > MOST_KEPT) this.#late.delete(this.#late.values().next().value as number);
      reject(new RequestTimeoutError(kind));
    }
  }

  /** The session is over. */
  failAll(error: Error): void {
    const asked = this.#asked;
    this.#asked = new Map();
    this.nextDeadline = Infinity;
    for (const { reject } of asked.values()) reject(error);
  }
}

/** The text for people in a reply that says no. */
export function reasonOf(payload: unknown): string {
  return String(payload ?? "");
}
