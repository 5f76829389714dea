// Messages and requests of one seat: numbered, and kept until the server is known to have them. No socket, no clock.
//
// The server has a message when it answers one of a later number, or when a frame brings back the clock value of an
// input or acknowledgement that left later, for what leaves on one connection arrives in its order.
//
// When the player comes back, what the server does not have is sent again. Not all at once: servers close the
// connection of who sends much more than a game does.

/** Bytes that are kept; so much can be said while the connection is lost. */
export const KEPT_BYTES = 64 * 1024;
/** What may be sent again at once, and in a second, in bytes; half of what a server takes by default. */
export const AGAIN_BYTES = 8192;
/** Counted for each message besides its bytes, so that 40 small ones are sent again in a second; a server takes 120. */
const EACH_BYTES = 200;
/** How many kinds of messages are remembered to be named when the room cannot take them. */
const KINDS = 256;

/** A message that may have to be sent again. */
export interface Kept {
  readonly number: number;
  readonly encoded: Uint8Array;
  /** The sequence of the input that was said before it. */
  readonly after: number;
  /** Clock value when it was sent, null when it waits to be. */
  sentAt: number | null;
}

/** What one player has said. */
export class Outbox {
  /** Of the newest message, 0 for none. */
  number = 0;
  /** How many messages wait to be sent, all of them behind those that were. */
  waiting = 0;
  #kept: Kept[] = [];
  #bytes = 0;
  #kinds = new Map<number, string>();
  #allowed = 0; // bytes that may be sent again now; below 0 after a large one
  #allowedAt = 0;

  /** @param keeps whether copies are kept: there is a seat to come back to */
  constructor(readonly keeps: boolean) {}

  /** How many messages are kept. */
  get size(): number {
    return this.#kept.length;
  }

  /** Whether a message of `size` bytes can be kept until there is a connection. */
  hasRoom(size: number): boolean {
    return this.keeps && this.#bytes + size <= KEPT_BYTES;
  }

  /**
   * A message was sent, or waits to be; its number is the next one.
   *
   * @param after the sequence of the newest input
   * @param sentAt the clock value when it was sent, null when it waits. Who waits has asked `hasRoom`; of what was sent
   *   the oldest is forgotten when it is too much, for the server has not said anything for long.
   */
  add(kind: string, encoded: Uint8Array, after: number, sentAt: number | null): void {
    const number = ++this.number;
    this.#kinds.set(number, kind);
    this.#kinds.delete(number - KINDS);
    if (!this.keeps) return;
    this.#kept.push({ number, encoded, after, sentAt });
    this.#bytes += encoded.length;
    if (sentAt === null) this.waiting++;
    while (this.#bytes > KEPT_BYTES) this.#forgetFirst();
  }

  /** The kind of a message, "" when that is too long ago, or there was none of this number. */
  kindOf(number: number): string {
    return this.#kinds.get(number) ?? "";
  }

  /** The server has all messages up to `number`. */
  received(number: number): void {
    while (this.#kept.length && this.#kept[0].number <= number) this.#forgetFirst();
  }

  /** The server has what was sent before this clock value. */
  answered(clientTime: number): void {
    for (;;) {
      const sentAt = this.#kept[0]?.sentAt ?? null;
      if (sentAt === null || ((clientTime - sentAt) | 0) <= 0) return; // earlier modulo 2**32
      this.#forgetFirst();
    }
  }

  /** There is a new connection to a server that has all messages up to `received`; the others wait now. */
  cameBack(received: number, now: number): void {
    this.received(received);
    this.number = Math.max(this.number, received);
    for (const kept of this.#kept) kept.sentAt = null;
    this.waiting = this.#kept.length;
    this.#allowed = AGAIN_BYTES;
    this.#allowedAt = now;
  }

  /** The first message that waits and may be sent again at `now` seconds; call `sentAgain` when it has left. */
  nextWaiting(now: number): Kept | null {
    if (!this.waiting) return null;
    this.#allowed = Math.min(AGAIN_BYTES, this.#allowed + (now - this.#allowedAt) * AGAIN_BYTES);
    this.#allowedAt = now;
    return this.#allowed > 0 ? this.#kept[this.#kept.length - this.waiting] : null;
  }

  /** The message that `nextWaiting` gave has left. */
  sentAgain(kept: Kept, sentAt: number): void {
    kept.sentAt = sentAt;
    this.waiting--;
    this.#allowed -= kept.encoded.length + EACH_BYTES;
  }

  #forgetFirst(): void {
    const first = this.#kept.shift() as Kept;
    this.#bytes -= first.encoded.length;
    if (first.sentAt === null) this.waiting--;
  }
}
