// The last messages, as they were: nothing is decoded here. Pure.

import type { Schema } from "../wire/schema.js";
import type { Summary } from "./describe.js";

/** One WebSocket message, or something that happened to the session. */
export interface Entry {
  /** Counts all entries: of two the later one has the higher number. */
  readonly number: number;
  readonly direction: "in" | "out" | "note";
  /** When, in milliseconds of the computer's clock. */
  readonly at: number;
  /** A copy of the message; none of a note. */
  readonly bytes: Uint8Array;
  /** The schema that it is to be read by, null before the welcome. */
  readonly schema: Schema | null;
  /** For each table of the schema the ids held before the message. */
  readonly held: readonly Uint32Array[];
  /** What a note says; of messages made when the log first shows them. */
  told: Summary | null;
}

/** Keeps the newest entries: at most so many, of at most so many bytes. */
export class Ring {
  #entries: (Entry | undefined)[] = [];
  #costs: number[] = [];
  #first = 0; // all before it are gone
  #bytes = 0;

  constructor(
    readonly mostEntries: number,
    readonly mostBytes: number,
  ) {}

  get size(): number {
    return this.#entries.length - this.#first;
  }

  /** What the entries held cost, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds the newest; the oldest go. One that is beyond `mostBytes` alone is kept until the next comes. */
  push(entry: Entry, cost = entry.bytes.length): void {
    this.#entries.push(entry);
    this.#costs.push(cost);
    this.#bytes += cost;
    while (this.size > this.mostEntries || (this.size > 1 && this.#bytes > this.mostBytes)) this.#drop();
    if (this.#first > this.mostEntries) this.#compact();
  }

  /** Those held, the oldest first. */
  get entries(): Entry[] {
    return this.#entries.slice(this.#first) as Entry[];
  }

  #drop(): void {
    this.#entries[this.#first] = undefined;
    this.#bytes -= this.#costs[this.#first++];
  }

  #compact(): void {
    this.#entries = this.#entries.slice(this.#first);
    this.#costs = this.#costs.slice(this.#first);
    this.#first = 0;
  }
}
