// What a client says to be let in: the hello, made from what the program asked for. Pure.

import type { HelloFields } from "./wire/messages.js";

/** Of this package; servers log it. */
export const VERSION = "0.1.0";

/** How to find a room; a server refuses what makes no sense. */
export interface JoinOptions {
  /** What the player wants to be called, at most 64 bytes. */
  name?: string;
  /** Whatever the room wants to know of a joining player; of who has it made, how it should be. */
  options?: Record<string, unknown>;
  /** For a server that checks who comes in. */
  token?: string | null;
  /** "join_or_create": the first room that fits, or a new one; "create": a new one; "join": the first that fits;
   * "join_by_id": the one of `roomId`. */
  method?: "join_or_create" | "create" | "join" | "join_by_id";
  /** Of the room, with method "join_by_id". */
  roomId?: string;
  /** What the room's metadata must be, by field: values, or bounds as `{level: {ge: 3, le: 7}}`. */
  filter?: Record<string, unknown>;
  /** Code of a private room; the room is found by it whatever the method. */
  invite?: string;
  /** Of a room that has one. */
  password?: string;
  /** Come to watch. */
  spectate?: boolean;
  /** Token of a seat that matchmaking reserved; nothing else about how to find a room is needed then. */
  seat?: string | null;
}

/** The first message of a player who joins. */
export function makeHello(wish: JoinOptions): HelloFields {
  const { name, token, options, method, roomId, filter, invite, password, spectate, seat } = wish;
  const client = `tickwire-js/${VERSION}`;
  return { name, token, options, client, method, roomId, filter, invite, password, spectate, seat };
}

/** The first message of a player who comes back to its seat; see SPEC 14.3. */
export function returnHello(hello: HelloFields, seat: string, tick: number, messages: number): HelloFields {
  const { name, token, options, client } = hello;
  return { name, token, options, client, seat, tick, messages };
}
