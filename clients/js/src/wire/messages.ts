// The messages: one msgpack array each, whose first item is its kind (SPEC.md, section "Messages"). Items and keys that
// are not named there are skipped: that is how the wire grows.

import { Cursor, check, readMap } from "./cursor.js";
import { encode } from "./encode.js";
import { refuse } from "./errors.js";
import { type Frame, readFrame } from "./frame.js";
import { readSchema, type Schema } from "./schema.js";

/** WebSocket subprotocol; its number changes when an older peer could no longer read the wire. */
export const SUBPROTOCOL = "tickwire.1";

const U32 = 0xffffffff;
const MESSAGE_NAME_BYTES = 64;

/** First item of every message. */
export const Kind = {
  HELLO: 1,
  WELCOME: 2,
  FRAME: 3,
  INPUT: 4,
  MESSAGE: 5,
  ACKNOWLEDGE: 6,
  RESYNC: 7,
  REQUEST: 8,
  REPLY: 9,
  RETURNED: 10,
} as const;

export interface Welcome {
  readonly room: string;
  readonly roomId: string;
  readonly player: number;
  readonly tick: number;
  /** Ticks a second, 0 of a room that ticks when something happens. */
  readonly tickRate: number;
  readonly schema: Schema;
  /** The largest message that the server takes, in bytes. */
  readonly messageBytes: number;
  readonly server: string;
  /** The seat token, null when the seat goes with the connection. */
  readonly seat: string | null;
  readonly seatSeconds: number;
  readonly spectator: boolean;
  readonly delaySeconds: number;
}

/** The answer to a hello with the token of a seat that was held. */
export interface Returned {
  readonly player: number;
  readonly tick: number;
  readonly seat: string;
  readonly seatSeconds: number;
  /** The highest sequence of an input that has come. */
  readonly inputs: number;
  /** The highest number of a message or request that has come. */
  readonly messages: number;
}

export type ServerMessage =
  | { readonly type: "welcome"; readonly welcome: Welcome }
  | { readonly type: "frame"; readonly frame: Frame }
  | { readonly type: "message"; readonly name: string; readonly payload: unknown }
  | { readonly type: "reply"; readonly number: number; readonly code: string | null; readonly payload: unknown }
  | { readonly type: "returned"; readonly returned: Returned }
  | { readonly type: "skipped" };

/** Reads a message of a server; throws ProtocolError 1007 when it is malformed. */
export function readMessage(bytes: Uint8Array): ServerMessage {
  check(bytes);
  const cursor = new Cursor(bytes);
  const items = cursor.array();
  if (items === 0) refuse("message");
  const kind = cursor.integer(-Infinity, Infinity);
  const missing = (count: number) => items - 1 < count && refuse(`kind ${kind}`);
  switch (kind) {
    case Kind.FRAME:
      return { type: "frame", frame: readFrame(cursor, items - 1) };
    case Kind.WELCOME:
      missing(1);
      return { type: "welcome", welcome: readWelcome(cursor) };
    case Kind.MESSAGE:
      missing(2);
      return { type: "message", name: cursor.text(), payload: cursor.value() };
    case Kind.REPLY:
      missing(3);
      return {
        type: "reply",
        number: cursor.integer(0, U32),
        code: cursor.nil() ? null : cursor.text(),
        payload: cursor.value(),
      };
    case Kind.RETURNED:
      missing(1);
      return { type: "returned", returned: readReturned(cursor) };
    default:
      return { type: "skipped" };
  }
}

function readWelcome(cursor: Cursor): Welcome {
  const welcome = readMap<Welcome>(
    cursor,
    {
      room: () => cursor.text(),
      roomId: () => cursor.text(),
      player: () => cursor.integer(1, 0xffff),
      tick: () => cursor.integer(0, U32),
      tickRate: () => cursor.number(0, 10000),
      schema: () => readSchema(cursor),
      messageBytes: () => cursor.integer(0, U32),
      server: () => cursor.text(),
      seat: () => (cursor.nil() ? null : cursor.text()),
      seatSeconds: () => cursor.number(0, Number.MAX_VALUE),
      spectator: () => cursor.boolean(),
      delaySeconds: () => cursor.number(0, Number.MAX_VALUE),
    },
    { messageBytes: 4096, server: "", seat: null, seatSeconds: 0, spectator: false, delaySeconds: 0 },
  );
  if (welcome.tickRate !== 0 && welcome.tickRate < 0.001) refuse("tick rate");
  return welcome;
}

function readReturned(cursor: Cursor): Returned {
  return readMap<Returned>(
    cursor,
    {
      player: () => cursor.integer(1, 0xffff),
      tick: () => cursor.integer(0, U32),
      seat: () => cursor.text(),
      seatSeconds: () => cursor.number(0, Number.MAX_VALUE),
      inputs: () => cursor.integer(0, U32),
      messages: () => cursor.integer(0, U32),
    },
    { seatSeconds: 0, inputs: 0, messages: 0 },
  );
}

// -- what a client sends

/** What a hello says; what is left out has the protocol's default. */
export interface HelloFields {
  name?: string;
  token?: string | null;
  options?: Record<string, unknown>;
  client?: string;
  method?: "join_or_create" | "create" | "join" | "join_by_id";
  roomId?: string;
  filter?: Record<string, unknown>;
  invite?: string;
  password?: string;
  spectate?: boolean;
  seat?: string | null;
  tick?: number;
  messages?: number;
}

/** The first message. Throws what msgpack throws for options that cannot travel. */
export function encodeHello(fields: HelloFields): Uint8Array {
  const { name = "", token = null, options = {}, client = "", method, roomId, ...more } = fields;
  const wire: Record<string, unknown> = { name, token, options, client };
  const rest = { method: method === "join_or_create" ? undefined : method, room_id: roomId, ...more };
  for (const [key, value] of Object.entries(rest)) {
    const says = typeof value === "object" && value !== null ? Object.keys(value).length > 0 : Boolean(value);
    if (says) wire[key] = value;
  }
  return encode([Kind.HELLO, wire]);
}

/** One input; `values` in the order of the room's input schema. */
export function encodeInput(
  sequence: number,
  tick: number,
  acknowledged: number,
  clientTime: number,
  values: readonly unknown[],
): Uint8Array {
  return encode([Kind.INPUT, [sequence, tick, acknowledged, clientTime], values]);
}

/** What a client sends that holds newer state and has no input to send. */
export function encodeAcknowledge(tick: number, clientTime: number): Uint8Array {
  return encode([Kind.ACKNOWLEDGE, tick, clientTime]);
}

/** A message of the game. `number`: 1, 2, 3, ... for the messages and requests of a seat. Throws as `encodeRequest`. */
export function encodeMessage(name: string, payload: unknown, number?: number): Uint8Array {
  checkName(name);
  return encode(number === undefined ? [Kind.MESSAGE, name, payload] : [Kind.MESSAGE, name, payload, number]);
}

/** A message that is to be answered. Throws an Error for a name of more than 64 bytes, or a payload msgpack cannot carry. */
export function encodeRequest(number: number, name: string, payload: unknown): Uint8Array {
  checkName(name);
  return encode([Kind.REQUEST, number, name, payload]);
}

/** Asks for a full frame; both hashes 0 when a delta did not fit. */
export function encodeResync(tick: number, expected: number, found: number, digests: Uint8Array[] = []): Uint8Array {
  return encode([Kind.RESYNC, tick, expected, found, ...(digests.length ? [digests] : [])]);
}

function checkName(name: string): void {
  if (new TextEncoder().encode(name).length > MESSAGE_NAME_BYTES) {
    throw new RangeError(`the message name ${name.slice(0, 20)}... is longer than ${MESSAGE_NAME_BYTES} bytes`);
  }
}
