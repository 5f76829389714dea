// Frames: the header is read when a message comes, chunks when they are applied.

import { type Cursor, INTEGER } from "./cursor.js";
import { refuse } from "./errors.js";

const U32 = 0xffffffff;

/** See SPEC.md, section "Frames". */
export interface FrameHeader {
  /** The tick that the frame brings the replica to. */
  readonly tick: number;
  /** How many ticks before it the baseline is; 0 for a full frame. */
  readonly back: number;
  /** The last input of this player that was applied, 0 for none. */
  readonly sequence: number;
  /** How long before its deadline the newest input came, in milliseconds; these three are null when none has come. */
  readonly marginMs: number | null;
  /** The newest input's or acknowledgement's clock. */
  readonly clientTime: number | null;
  /** How long that waited on the server, in microseconds. */
  readonly waitedUs: number | null;
  /** How many ticks the acknowledgement may lag before the server holds frames back; 0 when it does not say. */
  readonly window: number;
}

export interface Frame {
  readonly header: FrameHeader;
  /** The desync hash of the state that it leads to, null when it brings none. */
  readonly hash: number | null;
  /** The message, and where its chunks begin. */
  readonly bytes: Uint8Array;
  readonly chunksAt: number;
  readonly chunks: number;
}

/** Reads a frame of so many items behind its kind; throws ProtocolError when it is malformed. */
export function readFrame(cursor: Cursor, items: number): Frame {
  if (items < 2) refuse("frame");
  const header = readHeader(cursor);
  const hash = cursor.nil() ? null : cursor.integer(0, U32);
  return { header, hash, bytes: cursor.bytes, chunksAt: cursor.at, chunks: items - 2 };
}

function readHeader(cursor: Cursor): FrameHeader {
  const items = cursor.array();
  if (items < 3) refuse("header");
  const optional = (at: number, lowest: number, highest: number) =>
    items <= at || cursor.nil() ? null : cursor.integer(lowest, highest);
  const header = {
    tick: cursor.integer(0, U32),
    back: cursor.integer(0, 0xffff),
    sequence: cursor.integer(0, U32),
    marginMs: optional(3, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
    clientTime: optional(4, 0, U32),
    waitedUs: optional(5, 0, U32),
    window: items > 6 ? cursor.integer(0, 0xffff) : 0,
  };
  for (let skipped = items; skipped > 7; skipped--) cursor.skip();
  return header;
}

/** Where the parts of one chunk are in the message; -1 for what is nil. */
export interface Chunk {
  readonly table: number;
  readonly scopeAt: number;
  readonly removedAt: number;
  readonly wholeAt: number;
  readonly blocksAt: number;
  readonly blocks: number;
}

/** Finds the chunks of a frame, without those of later versions; throws ProtocolError for what is none. */
export function findChunks(frame: Frame, cursor: Cursor, tables: number): Chunk[] {
  const chunks: Chunk[] = [];
  cursor.at = frame.chunksAt;
  for (let left = frame.chunks; left > 0; left--) {
    const items = enterKnown(cursor);
    if (items < 0) continue;
    if (items < 4) refuse("chunk");
    const table = cursor.integer(0, tables - 1);
    const [scopeAt, removedAt, wholeAt] = [place(cursor), place(cursor), place(cursor)];
    chunks.push({ table, scopeAt, removedAt, wholeAt, blocksAt: cursor.at, blocks: items - 4 });
    for (let blocks = items - 4; blocks > 0; blocks--) cursor.skip();
  }
  return chunks;
}

/** Goes into a chunk or block: how many items it has, -1 when it is of a later version and was passed. */
export function enterKnown(cursor: Cursor): number {
  const items = cursor.array();
  if (items === 0) refuse("chunk or block");
  const first = cursor.at;
  if (cursor.kind === INTEGER && cursor.integer(-Infinity, Infinity) < 0) {
    for (let left = items; left > 1; left--) cursor.skip();
    return -1;
  }
  cursor.at = first;
  return items;
}

/** Where the next item is, which is passed; -1 when it is nil. */
function place(cursor: Cursor): number {
  if (cursor.nil()) return -1;
  const { at } = cursor;
  cursor.skip();
  return at;
}
