// Events for loops: `for await (const event of session.events())`.

import type { SessionEvent } from "./events.js";

/** How many events wait for a loop; beyond it the oldest frame is dropped: the world holds what it said. */
export const EVENTS_KEPT = 1024;

/** The events of one loop. It ends behind "disconnected", or when the loop is left. */
export class EventStream implements AsyncIterableIterator<SessionEvent> {
  #events: SessionEvent[] = [];
  #waiting: ((result: IteratorResult<SessionEvent>) => void)[] = [];
  #over = false;

  /** @param left is called when nobody reads any more */
  constructor(readonly left: (stream: EventStream) => void) {}

  /** Something has happened. */
  push(event: SessionEvent): void {
    if (this.#over) return;
    const waiting = this.#waiting.shift();
    if (waiting) waiting({ value: event, done: false });
    else this.#events.push(event);
    if (this.#events.length > EVENTS_KEPT) {
      this.#events.splice(
        Math.max(
          0,
          this.#events.findIndex(({ type }) => type === "frame"),
        ),
        1,
      );
    }
    if (event.type === "disconnected") this.#end();
  }

  next(): Promise<IteratorResult<SessionEvent>> {
    const event = this.#events.shift();
    if (event) return Promise.resolve({ value: event, done: false });
    if (this.#over) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<SessionEvent>> {
    this.#events = [];
    this.#end();
    return this.next();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    this.#over = true;
    this.left(this);
    for (const waiting of this.#waiting.splice(0)) waiting({ value: undefined, done: true });
  }
}
