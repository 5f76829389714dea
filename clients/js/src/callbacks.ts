// Functions to call and loops to feed when something happens in a session.

import { DisconnectedError } from "./errors.js";
import {
  disconnectedEvent,
  type FrameEvent,
  type RowsOf,
  report,
  type SessionEvent,
  type SessionEvents,
} from "./events.js";
import { type Entities, Replica, type World } from "./wire/replica.js";
import type { Row } from "./wire/table.js";

/** How many events wait for a loop; beyond it the oldest frame is dropped: the world holds what it said. */
export const EVENTS_KEPT = 1024;

// biome-ignore lint/suspicious/noExplicitAny: what a callback takes depends on what it waits for
type Callback = (...values: any[]) => unknown;
interface Listener {
  /** Of an entity type or message, null for all. */
  readonly name: string | null;
  readonly callback: Callback;
}

/** The part of a session that tells. What a callback throws is reported as an uncaught error; nothing else breaks. */
export class Callbacks<W extends object = Entities> {
  /** The mirror of the room's world; no rows before `joined`, the last ones after the end. Do not write. */
  world = new Replica({ tables: [], input: null }) as unknown as World<W>;
  /** The player is in the room and `world` is filled; still while `reconnecting`, not when it is over. */
  joined = false;
  /** Why it is over, as in "disconnected"; 0 before. */
  closeCode = 0;
  /** Why it is over, in words; empty before. */
  closeReason = "";
  #listeners: Record<string, readonly Listener[]> = {};
  #filled = false; // a first frame was told, or is being told

  /** Calls at each event of that type; the function that is given ends it. */
  on<T extends keyof SessionEvents>(type: T, callback: (event: SessionEvents[T]) => void): () => void {
    return this.#add(type, null, callback);
  }

  /**
   * Calls with the row of each entity that comes into view, and at once with those that are there already.
   *
   * @param entity name of an entity type, null for all
   * @throws Error the room has no such entity type; before it is known, that is reported in time
   */
  onSpawned<Name extends keyof W & string>(entity: Name | null, callback: (row: Row<W[Name]>) => void): () => void {
    const stop = this.#add("spawned", entity, callback);
    if (this.joined && this.#filled) {
      const tables = entity === null ? this.world.tables : [this.world.table(entity)];
      for (const table of tables) for (const row of table) this.call(callback, row);
    }
    return stop;
  }

  /** Calls with the row of each entity of which a field was sent, but not when it came into view just then. */
  onChanged<Name extends keyof W & string>(entity: Name | null, callback: (row: Row<W[Name]>) => void): () => void {
    return this.#add("changed", entity, callback);
  }

  /** Calls with the row of each entity that is gone or out of view; its fields keep their last values. */
  onDespawned<Name extends keyof W & string>(entity: Name | null, callback: (row: Row<W[Name]>) => void): () => void {
    return this.#add("despawned", entity, callback);
  }

  /** Calls with payload and kind of each message of that kind, null for all kinds. */
  // biome-ignore lint/suspicious/noExplicitAny: what a payload is, only the game knows
  onMessage(kind: string | null, callback: (payload: any, kind: string) => void): () => void {
    return this.#add("kind", kind, callback);
  }

  /** What happens from now on, to the "disconnected" that ends it. Events wait for the loop, up to 1024 of them. */
  events(): AsyncGenerator<SessionEvent, void> {
    const queue: SessionEvent[] = [];
    let wake = () => {};
    const stop = this.#add("any", null, (event: SessionEvent) => {
      queue.push(event);
      if (queue.length > EVENTS_KEPT)
        queue.splice(
          Math.max(
            0,
            queue.findIndex(({ type }) => type === "frame"),
          ),
          1,
        );
      wake();
    });
    if (this.closeCode) queue.push(disconnectedEvent(this.closeCode, this.closeReason));
    return (async function* () {
      try {
        for (let event: SessionEvent | undefined; event?.type !== "disconnected"; ) {
          event = queue.shift();
          if (event) yield event;
          else await new Promise<void>((resolve) => (wake = resolve));
        }
      } finally {
        stop();
      }
    })();
  }

  /** The next frame; while `reconnecting` that waits. Rejects with DisconnectedError when it is over. */
  async nextFrame(): Promise<FrameEvent> {
    for await (const event of this.events()) if (event.type === "frame") return event;
    throw new DisconnectedError(this.closeCode, this.closeReason);
  }

  /** Calls everyone who waits for `event`; of a frame those first who wait for its rows. */
  protected emit(event: SessionEvent): void {
    const { type } = event;
    const tell = (callback: Callback, ...values: unknown[]) => {
      // Nothing comes behind the end, also when a callback of this very event has closed the session.
      if (!this.closeCode || type === "disconnected") this.call(callback, ...values);
    };
    if (type === "frame") {
      // Despawned first, so that whoever draws entities frees a place before it is taken again.
      const waiting = (["despawned", "spawned", "changed"] as const).map((which) => [which, this.#of(which)] as const);
      this.#filled = true; // from here on those who begin to wait are told what is there, and hear of the next frame
      for (const [which, listeners] of waiting)
        for (const { name, callback } of listeners) for (const row of event[which](name)) tell(callback, row);
    }
    if (type === "message") {
      const { kind, payload } = event;
      for (const { name, callback } of this.#of("kind")) if ((name ?? kind) === kind) tell(callback, payload, kind);
    }
    for (const { callback } of [...this.#of(type), ...this.#of("any")]) tell(callback, event);
  }

  /** Reports callbacks that wait for an entity type that the room does not have. */
  protected checkNames(): void {
    for (const which of ["despawned", "spawned", "changed"]) {
      for (const { name } of this.#of(which)) if (name !== null) this.call(() => this.world.table(name));
    }
  }

  /** Calls a function of the program; what it throws is shown as browsers show what nobody has caught. */
  protected call(callback: Callback, ...values: unknown[]): void {
    try {
      callback(...values);
    } catch (error) {
      report(error);
    }
  }

  #of(type: string): readonly Listener[] {
    return this.#listeners[type] ?? [];
  }

  #add(type: RowsOf | keyof SessionEvents | "kind" | "any", name: string | null, callback: Callback): () => void {
    if (this.joined && name !== null && type !== "kind") this.world.table(name);
    const listener = { name, callback };
    this.#listeners[type] = [...this.#of(type), listener]; // a new list: one that is being called stays as it is
    return () => {
      this.#listeners[type] = this.#of(type).filter((other) => other !== listener);
    };
  }
}
