// What a session tells: events in the order in which things happened, and callbacks for those who prefer them.

import { reconnectSeconds } from "./closing.js";
import type { TableChanges } from "./wire/replica.js";
import type { Row } from "./wire/table.js";

/** The player is in the room and the world is filled; always the first event. */
export interface JoinedEvent {
  readonly type: "joined";
  readonly player: number;
  readonly room: string;
  readonly roomId: string;
  /** The tick that the world is at. */
  readonly tick: number;
}

/**
 * The world was brought to a newer tick.
 *
 * Rows show what the world holds when they are read: when further frames came since, an entity may be gone
 * (`row.alive`); its fields keep the last values.
 */
export interface FrameEvent {
  readonly type: "frame";
  readonly tick: number;
  /** The server sent everything and not only differences: the first frame, or a repair. */
  readonly full: boolean;
  /** What changed, for each table where something did. */
  readonly changes: readonly TableChanges[];
  /** Entities that came into view, of one entity type or of all. */
  spawned(entity?: string | null): Row[];
  /** Entities that were there before and of which a field was sent. */
  changed(entity?: string | null): Row[];
  /** Entities that are gone or out of view, with the values they had last. */
  despawned(entity?: string | null): Row[];
}

/** The room sent a message. */
export interface MessageEvent {
  readonly type: "message";
  readonly kind: string;
  readonly payload: unknown;
}

/** The room could not take a message that was sent with `send`. */
export interface RefusedEvent {
  readonly type: "refused";
  /** The message's name, "" when it was sent long ago. */
  readonly kind: string;
  /** Of the message; 0 when the server does not say. */
  readonly number: number;
  /** Why, a word for programs, as in RequestFailedError. */
  readonly code: string;
  readonly reason: string;
}

/**
 * The connection was lost, but the player's seat is kept, and the session tries to come back by itself.
 *
 * The world stays as it is. What is sent now goes when the player is back. "returned" or "disconnected" follows.
 */
export interface DroppedEvent {
  readonly type: "dropped";
  readonly code: number;
  readonly reason: string;
  /** How long the seat is kept. */
  readonly secondsLeft: number;
}

/** The player is back in its seat. The messages that it missed follow, then a frame that holds what it missed. */
export interface ReturnedEvent {
  readonly type: "returned";
  /** The room's tick when it came back. */
  readonly tick: number;
  readonly secondsAway: number;
}

/** It is over: the connection has ended and the player does not come back, or was never in; always the last event. */
export interface DisconnectedEvent {
  readonly type: "disconnected";
  /** The WebSocket close code (`CloseCode`), 1006 when there was no closing handshake. */
  readonly code: number;
  /** Why, in words that may be shown to the player; partly the server's own. */
  readonly reason: string;
  /** When to join anew, as the server says: it restarts, or cannot do better now. null when it says nothing. */
  readonly reconnectSeconds: number | null;
}

export interface SessionEvents {
  joined: JoinedEvent;
  frame: FrameEvent;
  message: MessageEvent;
  refused: RefusedEvent;
  dropped: DroppedEvent;
  returned: ReturnedEvent;
  disconnected: DisconnectedEvent;
}
export type SessionEvent = SessionEvents[keyof SessionEvents];

/** Rows of one frame, by what happened to them. */
export type RowsOf = "spawned" | "changed" | "despawned";

/** The event of a frame that was applied. */
export function frameEvent(tick: number, full: boolean, changes: readonly TableChanges[]): FrameEvent {
  const rows = (which: RowsOf) => (entity?: string | null) =>
    changes.flatMap((change) => (entity == null || change.table.name === entity ? change[which] : []));
  const [spawned, changed, despawned] = [rows("spawned"), rows("changed"), rows("despawned")];
  return { type: "frame", tick, full, changes, spawned, changed, despawned };
}

/** The event of an end. */
export function disconnectedEvent(code: number, reason: string): DisconnectedEvent {
  return { type: "disconnected", code, reason, reconnectSeconds: reconnectSeconds(code, reason) };
}

/** Shows an error of the program's own code, as browsers show what nobody has caught; nothing else breaks by it. */
export function report(error: unknown): void {
  (globalThis.reportError ?? console.error)(error);
}
