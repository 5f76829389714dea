// Keeps what a session's WebSocket carried, as raw bytes, and counts it. This runs with every message, seen or not.

import type { SessionEvents } from "../events.js";
import type { Stats } from "../stats.js";
import { Kind } from "../wire/messages.js";
import type { Schema } from "../wire/schema.js";
import type { Table } from "../wire/table.js";
import { type Direction, peekKind } from "./describe.js";
import { formatSeconds } from "./format.js";
import { type Entry, Ring } from "./ring.js";

/** What the overlay uses of a session: every `Session` will do. */
export interface WatchedSession {
  readonly world: { readonly tables: readonly Table[]; readonly allTables: readonly Table[] };
  readonly schema: Schema | null;
  readonly stats: Stats;
  readonly room: string;
  readonly roomId: string;
  readonly player: number;
  readonly spectator: boolean;
  readonly tick: number;
  readonly tickRate: number;
  readonly joined: boolean;
  readonly reconnecting: boolean;
  readonly closed: boolean;
  readonly closeCode: number;
  readonly closeReason: string;
  observe(observer: (direction: Direction, bytes: Uint8Array, seconds: number) => void): () => void;
  on<T extends keyof SessionEvents>(type: T, callback: (event: SessionEvents[T]) => void): () => void;
}

const NO_BYTES = new Uint8Array();
/** Frames, inputs and acknowledgements come many times a second; of all others the last ones are kept apart. */
const STREAM_ENTRIES = 200;
const RARE_ENTRIES = 100;
const STREAM_BYTES = 2 * 1024 * 1024;
const RARE_BYTES = 1024 * 1024;
const STREAM: readonly number[] = [Kind.FRAME, Kind.INPUT, Kind.ACKNOWLEDGE];

export class Recorder {
  messagesIn = 0;
  messagesOut = 0;
  /** Bytes of the newest frame. */
  frameBytes = 0;
  readonly #stream = new Ring(STREAM_ENTRIES, STREAM_BYTES);
  readonly #rare = new Ring(RARE_ENTRIES, RARE_BYTES);
  #number = 0;
  #held: readonly Uint32Array[] = [];
  #stops: (() => void)[] = [];

  /** From now on another session; what was kept stays. */
  watch(session: WatchedSession): void {
    this.stop();
    this.messagesIn = this.messagesOut = this.frameBytes = 0;
    this.#stops = [
      session.observe((direction, bytes) => this.#take(session, direction, bytes)),
      session.on("joined", ({ room, roomId, player }) => this.#note(`joined ${room} ${roomId} as player ${player}`)),
      session.on("dropped", ({ code, reason }) => this.#note(`connection lost: ${code} ${reason}`)),
      session.on("returned", ({ secondsAway }) => this.#note(`back after ${formatSeconds(secondsAway)}`)),
      session.on("disconnected", ({ code, reason }) => this.#note(`closed: ${code} ${reason}`)),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  /** All that is kept, the oldest first. */
  get entries(): Entry[] {
    return [...this.#stream.entries, ...this.#rare.entries].sort((a, b) => a.number - b.number);
  }

  #take(session: WatchedSession, direction: Direction, bytes: Uint8Array): void {
    const kind = peekKind(bytes);
    const isIn = direction === "in";
    if (isIn) this.messagesIn++;
    else this.messagesOut++;
    if (isIn && kind === Kind.FRAME) this.frameBytes = bytes.length;
    const before = this.#held;
    if (isIn) this.#holdIds(session.world.allTables);
    const cost = bytes.length + (this.#held === before ? 0 : changedBytes(before, this.#held));
    const ring = STREAM.includes(kind) ? this.#stream : this.#rare;
    ring.push(this.#entry(direction, bytes.slice(), session.schema), cost);
  }

  /** Notes the ids that all tables hold: a frame's bitmaps speak of them. A table never writes to an array of ids. */
  #holdIds(tables: readonly Table[]): void {
    const held = this.#held;
    const same = held.length === tables.length && tables.every((table, i) => table.ids === held[i]);
    if (!same) this.#held = tables.map((table) => table.ids);
  }

  #note(text: string): void {
    const told = { kind: "session", tick: null, text };
    this.#rare.push({ ...this.#entry("note", NO_BYTES, null), told });
  }

  #entry(direction: Entry["direction"], bytes: Uint8Array, schema: Schema | null): Entry {
    const held = direction === "in" ? this.#held : [];
    return { number: ++this.#number, direction, at: Date.now(), bytes, schema, held, told: null };
  }
}

/** Bytes of the ids that are kept for the first time. */
function changedBytes(before: readonly Uint32Array[], after: readonly Uint32Array[]): number {
  return after.reduce((sum, ids, i) => sum + (ids === before[i] ? 0 : ids.byteLength), 0);
}
