// Functions to call and loops to feed when something happens in a session.

import { DisconnectedError } from "./errors.js";
import {
  call,
  disconnectedEvent,
  type FrameEvent,
  Listeners,
  type RowsOf,
  type SessionEvent,
  type SessionEvents,
} from "./events.js";
import { EventStream } from "./stream.js";
import { type Entities, Replica, type World } from "./wire/replica.js";
import type { Row } from "./wire/table.js";

/** The part of a session that tells. What a callback throws is reported as an uncaught error; nothing else breaks. */
export abstract class Callbacks<W extends Entities> {
  /** The mirror of the room's world; no rows before `joined`, the last ones after the end. Do not write. */
  world = new Replica({ tables: [], input: null }) as unknown as World<W>;
  /** The player is in the room and `world` is filled; still while `reconnecting`, not when it is over. */
  joined = false;
  /** Everything has been told. */
  protected isOver = false;
  readonly #listeners = new Listeners();
  readonly #streams = new Set<EventStream>();

  abstract get closeCode(): number;
  abstract get closeReason(): string;

  /** Calls at each event of that type; the function that is given ends it. What a callback throws is reported. */
  on<T extends keyof SessionEvents>(type: T, callback: (event: SessionEvents[T]) => void): () => void {
    return this.#listeners.add(type, null, callback);
  }

  /**
   * Calls with the row of each entity that comes into view, and at once with those that are there already.
   *
   * @param entity name of an entity type, null for all
   * @throws Error the room has no such entity type; before it is known, that is reported in time
   */
  onSpawned<Name extends keyof W & string>(entity: Name | null, callback: (row: Row<W[Name]>) => void): () => void {
    const stop = this.#onRows("spawned", entity, callback);
    if (this.joined) {
      const tables = entity === null ? this.world.tables : [this.world.table(entity)];
      for (const table of tables) for (const row of table) call(callback, row);
    }
    return stop;
  }

  /** Calls with the row of each entity of which a field was sent, but not when it came into view just then. */
  onChanged<Name extends keyof W & string>(entity: Name | null, callback: (row: Row<W[Name]>) => void): () => void {
    return this.#onRows("changed", entity, callback);
  }

  /** Calls with the row of each entity that is gone or out of view; its fields keep their last values. */
  onDespawned<Name extends keyof W & string>(entity: Name | null, callback: (row: Row<W[Name]>) => void): () => void {
    return this.#onRows("despawned", entity, callback);
  }

  /** Calls with payload and kind of each message of that kind, null for all kinds. */
  // biome-ignore lint/suspicious/noExplicitAny: what a payload is, only the game knows
  onMessage(kind: string | null, callback: (payload: any, kind: string) => void): () => void {
    return this.#listeners.add("kind", kind, callback);
  }

  /** What happens from now on, to the "disconnected" that ends it. Events wait for the loop, up to 1024 of them. */
  events(): AsyncIterableIterator<SessionEvent> {
    const stream = new EventStream((left) => this.#streams.delete(left));
    if (this.isOver) stream.push(disconnectedEvent(this.closeCode, this.closeReason));
    else this.#streams.add(stream);
    return stream;
  }

  /** The next frame; while `reconnecting` that waits. Rejects with DisconnectedError when it is over. */
  nextFrame(): Promise<FrameEvent> {
    return new Promise((resolve, reject) => {
      const fail = () => reject(new DisconnectedError(this.closeCode, this.closeReason));
      if (this.isOver) return fail();
      const stops = [this.on("frame", resolve), this.on("disconnected", fail)];
      for (const type of ["frame", "disconnected"] as const)
        stops.push(this.on(type, () => stops.forEach((stop) => stop())));
    });
  }

  protected emit(event: SessionEvent): void {
    this.#listeners.tell(event);
    for (const stream of [...this.#streams]) stream.push(event);
  }

  /** Reports callbacks that wait for an entity type that the room does not have. */
  protected checkNames(): void {
    for (const which of ["spawned", "changed", "despawned"]) {
      for (const { name } of this.#listeners.of(which)) if (name !== null) call(() => this.world.table(name));
    }
  }

  #onRows(which: RowsOf, entity: string | null, callback: (row: Row<never>) => void): () => void {
    if (entity !== null && this.joined) this.world.table(entity);
    return this.#listeners.add(which, entity, callback);
  }
}
